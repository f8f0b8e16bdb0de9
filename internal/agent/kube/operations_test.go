package kube

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/internal/agent/ledger"
)

func TestLastTimeline(t *testing.T) {
	type want struct {
		timeline int
		err      bool
	}
	cases := map[string]struct {
		reason  string
		history string
		want    want
	}{
		"None": {
			reason: "Patroni has written none before the first primary has looked.",
		},
		"First": {
			reason:  "No timeline has ended.",
			history: "[]",
			want:    want{timeline: 1},
		},
		"Promoted": {
			reason:  "The last is the one after the last that ended.",
			history: `[[1,989855904,"no recovery target specified","2026-11-28T14:55:26.114902+00:00","source-1"],[2,989855999,"no recovery target specified"]]`,
			want:    want{timeline: 3},
		},
		"Text": {
			reason:  "What is not understood is no timeline.",
			history: `[["1"]]`,
			want:    want{err: true},
		},
		"Empty": {
			reason:  "What is not understood is no timeline.",
			history: `[[]]`,
			want:    want{err: true},
		},
		"Broken": {
			reason:  "What is not understood is no timeline.",
			history: `[`,
			want:    want{err: true},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := lastTimeline(tc.history)
			if got != tc.want.timeline || (err != nil) != tc.want.err {
				t.Errorf("\n%s\nlastTimeline(%q): got %d, %v", tc.reason, tc.history, got, err)
			}
		})
	}
}

func TestAdmits(t *testing.T) {
	now := time.Date(2026, 11, 28, 17, 0, 0, 0, time.UTC)
	cases := map[string]struct {
		reason string
		lock   Lock
		want   bool
	}{
		"Named": {
			reason: "A Failover has named it.",
			lock:   Lock{Admitted: "a-1", AdmittedUntil: now.Add(time.Second)},
			want:   true,
		},
		"TooLate": {
			reason: "What a Failover could not do in its time is not done later.",
			lock:   Lock{Admitted: "a-1", AdmittedUntil: now},
		},
		"Another": {
			reason: "Another instance is named.",
			lock:   Lock{Admitted: "a-2", AdmittedUntil: now.Add(time.Second)},
		},
		"Nobody": {
			reason: "No Failover goes on.",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.lock.Admits("a-1", now); got != tc.want {
				t.Errorf("\n%s\nAdmits(a-1) of %+v = %t, want %t", tc.reason, tc.lock, got, tc.want)
			}
		})
	}
}

// TestInherited shows that the lock is inherited only by whom the last primary gave it, and only until it passes on.
func TestInherited(t *testing.T) {
	now := time.Date(2026, 11, 28, 17, 0, 0, 0, time.UTC)
	lock := func(change func(annotations map[string]string)) *corev1.ConfigMap {
		m := configMap("db-patroni-leader", map[string]string{annotationLeader: "db-0", annotationTransitions: "16"})
		for key, value := range succession(m, "db-1", now) {
			m.Annotations[key], _ = value.(string)
		}
		change(m.Annotations)
		return m
	}
	cases := map[string]struct {
		reason string
		lock   *corev1.ConfigMap
		want   bool
	}{
		"Given": {
			reason: "The last primary gave it to this holder.",
			lock:   lock(func(map[string]string) {}),
			want:   true,
		},
		"Passed": {
			reason: "Patroni of another instance has acquired it since.",
			lock: lock(func(annotations map[string]string) {
				annotations[annotationLeader], annotations[annotationTransitions] = "db-2", "18"
			}),
		},
		"PassedAndBack": {
			reason: "The heir has it again, by an election.",
			lock:   lock(func(annotations map[string]string) { annotations[annotationTransitions] = "19" }),
		},
		"Free": {
			reason: "Nobody holds it.",
			lock:   lock(func(annotations map[string]string) { delete(annotations, annotationLeader) }),
		},
		"Elected": {
			reason: "No primary has ever given it to anybody.",
			lock:   configMap("db-patroni-leader", map[string]string{annotationLeader: "db-0", annotationTransitions: "16"}),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := newClient(tc.lock).Lock(t.Context())
			if err != nil || got.Inherited != tc.want {
				t.Errorf("\n%s\nLock(): inherited is %t, %v; want %t", tc.reason, got.Inherited, err, tc.want)
			}
		})
	}
}

func TestWriteLedger(t *testing.T) {
	cluster := naming.Cluster{Namespace: "shop", Name: "orders"}
	wanted := ledger.Ledger{}.Archived(&instance.ArchiveRecord{Repository: "one"})
	other := ledger.Ledger{}.Archived(&instance.ArchiveRecord{Repository: "two"})

	cases := map[string]struct {
		reason string
		there  ledger.Ledger // After the write that failed.
		want   bool
	}{
		"AnswerLost": {
			reason: "It is written, and nobody must take it for another's.",
			there:  wanted, want: true,
		},
		"NotWritten": {
			reason: "The API server did not take it.",
		},
		"AnothersWritten": {
			reason: "Somebody else was first.",
			there:  other,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			data, err := tc.there.Data()
			if err != nil {
				t.Fatal(err)
			}
			api := fake.NewClientset(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: cluster.Ledger()}, Data: data})
			api.PrependReactor("update", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, errors.New("context deadline exceeded")
			})
			err = With(api, nil, cluster, "orders-0").WriteLedger(t.Context(), wanted, "1")
			if got := err == nil; got != tc.want {
				t.Errorf("\n%s\nWriteLedger(...): %v; want success %t", tc.reason, err, tc.want)
			}
		})
	}
}
