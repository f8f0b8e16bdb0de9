package run

import (
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/volume"
)

func TestBegin(t *testing.T) {
	const born = "7300000000000000000"
	ours := kube.PatroniState{Ours: true, Initialized: true, SystemIdentifier: born, Led: true}
	earlier := kube.PatroniState{Initialized: true, SystemIdentifier: born, Led: true}
	interrupted := kube.PatroniState{Initialized: true}

	cases := map[string]struct {
		reason string
		s      situation
		want   beginning
	}{
		"New": {
			reason: "A leader lock that an earlier cluster of the name left would keep Patroni waiting.",
			s:      situation{First: true, Alone: true},
			want:   beginAnew,
		},
		"NewStandby": {
			reason: "Two instances must not make a database each.",
			s:      situation{},
			want:   beginLater,
		},
		"StandbyWhileBorn": {
			reason: "The first instance is still at it.",
			s:      situation{State: interrupted},
			want:   beginLater,
		},
		"StandbyOfEarlierCluster": {
			reason: "Whether that database is still there is for the first instance to find out.",
			s:      situation{State: earlier},
			want:   beginLater,
		},
		"StandbyOfBornCluster": {
			reason: "There is something to copy; what an interrupted copy left is in the way.",
			s:      situation{State: ours},
			want:   beginAsCopy,
		},
		"StandbyKilledRightAfterCopy": {
			reason: "It may have confirmed commits already.",
			s:      situation{HasDatabase: true, State: ours},
			want:   beginAsItIs,
		},
		"LeftByAnother": {
			reason: "An earlier cluster's database went with its volumes.",
			s:      situation{First: true, Alone: true, State: earlier},
			want:   beginAnew,
		},
		"KeptByStandbys": {
			reason: "Only this volume of the earlier cluster is gone: the others have its database.",
			s:      situation{First: true, KeptElsewhere: true, State: earlier},
			want:   beginAsCopy,
		},
		"KeptByNobodyKnown": {
			reason: "There may be data on another volume, and nothing says which instance had every commit.",
			s:      situation{First: true, KeptElsewhere: true},
			want:   beginNever,
		},
		"DataMissing": {
			reason: "An empty database must not take the place of one that was born.",
			s:      situation{First: true, Alone: true, State: ours},
			want:   beginNever,
		},
		"DataMissingWithStandbys": {
			reason: "Patroni copies from the primary, and makes no database where there was one.",
			s:      situation{First: true, State: ours},
			want:   beginAsCopy,
		},
		"Interrupted": {
			reason: "initdb was killed: nobody could log in yet, and Patroni would wait for itself.",
			s:      situation{First: true, HasDatabase: true, State: interrupted},
			want:   beginAnew,
		},
		"InterruptedBeforeData": {
			reason: "The same, before initdb wrote anything.",
			s:      situation{First: true, State: interrupted},
			want:   beginAnew,
		},
		"InterruptedBeforeLed": {
			reason: "There was a database, and Patroni was killed before it took the leader lock: nobody could log in.",
			s:      situation{First: true, HasDatabase: true, State: kube.PatroniState{Initialized: true, SystemIdentifier: born}},
			want:   beginAnew,
		},
		"KilledRightAfterBirth": {
			reason: "The agent had no time to write the birth down, but somebody may have logged in.",
			s:      situation{First: true, HasDatabase: true, State: ours},
			want:   beginAsItIs,
		},
		"DataOfEarlierCluster": {
			reason: "Data is kept whatever is known of it.",
			s:      situation{First: true, HasDatabase: true},
			want:   beginAsItIs,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := begin(tc.s); got != tc.want {
				t.Errorf("\n%s\nbegin(%+v) = %d, want %d", tc.reason, tc.s, got, tc.want)
			}
		})
	}
}

func TestAwaitDiscard(t *testing.T) {
	cluster := naming.Cluster{Namespace: "shop", Name: "orders"}
	configMap := func(name string, annotations map[string]string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: name, Annotations: annotations}}
	}
	config := configMap(cluster.PatroniConfig(), map[string]string{"initialize": "7300000000000000000"})
	leader := configMap(cluster.PatroniLeader(), map[string]string{"leader": "orders-0"})
	cases := map[string]struct {
		reason   string
		there    []runtime.Object
		database bool
		born     bool
		fails    string // The request that fails once.
		want     bool   // Whether the database and Patroni's state are gone.
	}{
		"Stillborn": {
			reason: "Patroni died between the identifier and the leader lock.",
			there:  []runtime.Object{config}, database: true, want: true,
		},
		"StateUnknown": {
			reason: "A Patroni that is started meanwhile would be a standby for ever: what is there is waited for.",
			there:  []runtime.Object{config}, database: true, fails: "get", want: true,
		},
		"HalfRemoved": {
			reason: "Patroni's state without the database would let the next one wait for somebody to make it.",
			there:  []runtime.Object{config}, database: true, fails: "delete", want: true,
		},
		"Led": {
			reason: "Somebody may have logged in since it has the lock.",
			there:  []runtime.Object{config, leader}, database: true,
		},
		"Born": {
			reason: "What is on record stays, whatever else is known.",
			there:  []runtime.Object{config}, database: true, born: true,
		},
		"Adopted": {
			reason:   "A restored database, of which Patroni knows nothing yet, is started as it is.",
			database: true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := fake.NewClientset(tc.there...)
				failed := false
				api.PrependReactor("*", "configmaps", func(action k8stesting.Action) (bool, runtime.Object, error) {
					if failed || action.GetVerb() != tc.fails {
						return false, nil, nil
					}
					failed = true
					return true, nil, kerrors.NewServiceUnavailable("the API server is away")
				})
				v, err := volume.Open(t.TempDir(), "17", nil, rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				control := filepath.Join(v.DataDirectory(), "global", "pg_control")
				if tc.database {
					if err := os.MkdirAll(filepath.Dir(control), 0o700); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(control, nil, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if tc.born {
					if err := v.RecordBirth("7300000000000000000", time.Now()); err != nil {
						t.Fatal(err)
					}
				}
				killed := false
				a := &Agent{
					env: Environment{Pod: "orders-0"}, log: slog.New(slog.DiscardHandler), kube: kube.With(api, nil, cluster, "orders-0"),
					config: instance.Config{Cluster: cluster.Name, Instances: 1, Owner: instance.Owner{UID: "uid", Created: "2026-01-15T03:00:00Z"}},
				}
				a.awaitDiscard(t.Context(), v, func() error { killed = true; return nil })

				there, err := v.HasDatabase()
				if err != nil {
					t.Fatal(err)
				}
				_, err = api.CoreV1().ConfigMaps(cluster.Namespace).Get(t.Context(), cluster.PatroniConfig(), metav1.GetOptions{})
				if gone := !there && kerrors.IsNotFound(err); gone != tc.want || killed != tc.want {
					t.Errorf("\n%s\nawaitDiscard(...): database there %t, Patroni's state: %v, PostgreSQL killed %t; want all gone: %t", tc.reason, there, err, killed, tc.want)
				}
			})
		})
	}
}
