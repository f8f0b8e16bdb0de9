package kube

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

const namespace = "shop"

func newClient(objects ...*corev1.ConfigMap) *Client {
	api := fake.NewClientset()
	for _, o := range objects {
		if err := api.Tracker().Add(o); err != nil {
			panic(err)
		}
	}
	return With(api, nil, naming.Cluster{Namespace: namespace, Name: "db"}, "db-0")
}

func configMap(name string, annotations map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: annotations}}
}

// TestReleaseLock shows that a lock is given up only for an instance that is proven dead.
func TestReleaseLock(t *testing.T) {
	died := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	lock := func(leader string, renewed time.Time) map[string]string {
		return map[string]string{annotationLeader: leader, annotationRenewTime: renewed.Format(time.RFC3339Nano), "ttl": "20"}
	}
	cases := map[string]struct {
		reason string
		lock   map[string]string
		heir   string
		want   bool
		leader string
	}{
		"Held": {
			reason: "Nobody has renewed the lock since PostgreSQL died.",
			lock:   lock("db-0", died.Add(-time.Second)),
			want:   true,
		},
		"HeldWithHeir": {
			reason: "An heir gets the lock at once.",
			lock:   lock("db-0", died.Add(-time.Second)),
			heir:   "db-2",
			want:   true,
			leader: "db-2",
		},
		"RenewedSince": {
			reason: "Patroni may have started PostgreSQL again, and holds the lock for it.",
			lock:   lock("db-0", died.Add(time.Millisecond)),
			leader: "db-0",
		},
		"HeldByAnother": {
			reason: "Another instance has taken over already.",
			lock:   lock("db-1", died.Add(-time.Second)),
			heir:   "db-2",
			leader: "db-1",
		},
		"NeverRenewed": {
			reason: "What cannot be read proves nothing.",
			lock:   map[string]string{annotationLeader: "db-0"},
			leader: "db-0",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newClient(configMap("db-patroni-leader", tc.lock))
			got, err := c.ReleaseLock(t.Context(), died, tc.heir)
			if err != nil || got != tc.want {
				t.Fatalf("\n%s\nReleaseLock(...) = %t, %v; want %t", tc.reason, got, err, tc.want)
			}
			m, err := c.api.CoreV1().ConfigMaps(namespace).Get(t.Context(), "db-patroni-leader", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if leader := m.Annotations[annotationLeader]; leader != tc.leader {
				t.Errorf("\n%s\nthe lock is held by %q, want %q", tc.reason, leader, tc.leader)
			}
		})
	}
}

// TestOwn shows who Patroni's ConfigMaps belong to.
func TestOwn(t *testing.T) {
	owner := instance.Owner{APIVersion: "xdbcluster.io/v1alpha1", Kind: "XDBCluster", Name: "db-x", UID: "2"}
	reference := metav1.OwnerReference{APIVersion: owner.APIVersion, Kind: owner.Kind, Name: owner.Name, UID: "2"}
	cases := map[string]struct {
		reason string
		keep   bool
		before []metav1.OwnerReference
		want   []metav1.OwnerReference
	}{
		"Kept": {
			reason: "They stay with the volumes.",
			keep:   true,
		},
		"KeptFromNowOn": {
			reason: "The claim's policy was changed.",
			keep:   true,
			before: []metav1.OwnerReference{reference},
		},
		"NotKept": {
			reason: "They go with the claim and its volumes.",
			want:   []metav1.OwnerReference{reference},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := configMap("db-patroni-config", map[string]string{annotationOwner: "1"})
			m.OwnerReferences = tc.before
			c := newClient(m)
			if owned, err := c.Own(t.Context(), owner, tc.keep); !owned || err != nil {
				t.Fatalf("\n%s\nOwn(...) = %t, %v", tc.reason, owned, err)
			}
			got, err := c.api.CoreV1().ConfigMaps(namespace).Get(t.Context(), m.Name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.OwnerReferences); diff != "" && len(tc.want)+len(got.OwnerReferences) > 0 {
				t.Errorf("\n%s\nowners: -want, +got:\n%s", tc.reason, diff)
			}
			if state, err := c.PatroniState(t.Context(), owner); !state.Ours || err != nil {
				t.Errorf("\n%s\nPatroniState(...) = %+v, %v; want ours", tc.reason, state, err)
			}
		})
	}
}

// TestTakeRole shows that only other Pods lose the label of the primary.
func TestTakeRole(t *testing.T) {
	c := newClient()
	for name, role := range map[string]string{"db-0": "primary", "db-1": "primary", "db-2": "replica"} {
		labels := c.cluster.Labels()
		labels[naming.LabelRole] = role
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}}
		if _, err := c.api.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	taken, err := c.TakeRole(t.Context(), "primary")
	if diff := cmp.Diff([]string{"db-1"}, taken); diff != "" || err != nil {
		t.Errorf("TakeRole(...): %v, -want, +got:\n%s", err, diff)
	}
	pods, err := c.Pods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	roles := map[string]string{}
	for _, p := range pods {
		roles[p.Name] = p.Role
	}
	if diff := cmp.Diff(map[string]string{"db-0": "primary", "db-1": "", "db-2": "replica"}, roles); diff != "" {
		t.Errorf("roles: -want, +got:\n%s", diff)
	}
}
