package dbcluster

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/functiontest"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

func TestPlanIncarnation(t *testing.T) {
	first, second := &instance.Incarnation{Number: 1, ID: "first"}, &instance.Incarnation{Number: 2, ID: "second"}
	type want struct {
		Incarnation *instance.Incarnation
		Leaving     bool
		Error       error
	}
	cases := map[string]struct {
		reason string
		seen   facts
		want   want
	}{
		"New": {reason: "A cluster that was never restored in place has no incarnation on record.", seen: facts{}},
		"CreatedAgain": {
			reason: "A claim that is created again finds the incarnation that its volumes have.",
			seen:   facts{Incarnation: second}, want: want{Incarnation: second},
		},
		"Running": {
			reason: "What runs is what is to run.",
			seen:   facts{Incarnation: first, Started: true, StatefulSet: &statefulSetFacts{Incarnation: first, SpecReplicas: 1, Replicas: 1}},
			want:   want{Incarnation: first},
		},
		"Begun": {
			reason: "The Pods of the incarnation before must go first.",
			seen:   facts{Incarnation: second, Started: true, StatefulSet: &statefulSetFacts{Incarnation: first, SpecReplicas: 1, Replicas: 1}},
			want:   want{Incarnation: first, Leaving: true},
		},
		"Asked": {
			reason: "That none is to run does not mean that none runs.",
			seen:   facts{Incarnation: second, Started: true, StatefulSet: &statefulSetFacts{Incarnation: first, Generation: 2, ObservedGeneration: 1}},
			want:   want{Incarnation: first, Leaving: true},
		},
		"Gone": {
			reason: "When none is left, the other one begins.",
			seen: facts{
				Incarnation: second, Started: true, StatefulSet: &statefulSetFacts{Incarnation: first},
				Config: &instance.Config{Incarnation: first, Leaving: true},
			},
			want: want{Incarnation: second},
		},
		"NotAsked": {
			reason: "A StatefulSet that has no Pods although they were not told to go is an old one.",
			seen: facts{
				Incarnation: second, Started: true, StatefulSet: &statefulSetFacts{Incarnation: first}, Config: &instance.Config{Incarnation: first},
			},
			want: want{Incarnation: first, Leaving: true},
		},
		"OldLedger": {
			reason: "Nobody goes back because an old ledger is seen, or none.",
			seen:   facts{Incarnation: first, Started: true, StatefulSet: &statefulSetFacts{Incarnation: second}},
			want:   want{Incarnation: second},
		},
		"StatefulSetNotSeen": {
			reason: "Instances that are not seen run what they were told last.",
			seen:   facts{Incarnation: second, Started: true, Config: &instance.Config{Incarnation: first}},
			want:   want{Incarnation: first, Leaving: true},
		},
		"NothingSeen": {
			reason: "While nothing is seen of what runs, nothing is changed.",
			seen:   facts{Incarnation: second, Started: true},
			want:   want{Error: errIncarnationNotSeen},
		},
		"OldStatefulSet": {
			reason: "A StatefulSet that says less than what its Pods are told is an old one, and so is what it says of them.",
			seen: facts{
				Incarnation: second, Started: true, StatefulSet: &statefulSetFacts{}, Config: &instance.Config{Incarnation: first},
			},
			want: want{Incarnation: first, Leaving: true},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			incarnation, leaving, err := planIncarnation(tc.seen)
			if diff := cmp.Diff(tc.want, want{Incarnation: incarnation, Leaving: leaving, Error: err}, cmpopts.EquateErrors()); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestRestores restores a cluster in place again and again, while what is seen lags, and checks after every call that no Pod of one
// incarnation is ever turned into one of another, and that nobody goes back. Of the StatefulSet and the configuration, one is always
// seen as it is, and the ledger where the configuration is not seen at all.
func TestRestores(t *testing.T) {
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w, r := newWorld(t, smallSpec), rand.New(rand.NewPCG(seed, 2))
			for range 3 {
				w.call(w.plane.Observed(), ledgerOf(t, nil))
				w.settle()
			}
			var written, before *instance.Incarnation
			running, pods := 0, int64(1)
			for step := range 60 {
				if r.IntN(8) == 0 {
					before, written = written, written.Restored("born", fmt.Sprintf("%016x", step), instance.Restore{}, w.now, time.Hour)
				}
				observed, seen := w.lagging(r), written
				if observed[naming.ObjectConfig] != nil && r.IntN(3) == 0 {
					seen = before
				}
				w.call(observed, ledgerOf(t, seen))
				wanted := w.object(naming.ObjectStatefulSet).Number("spec", "replicas")
				if w.running() < running {
					t.Fatalf("step %d: the cluster went back from incarnation %d to %d", step, running, w.running())
				}
				if w.running() != running && pods > 0 {
					t.Fatalf("step %d: Pods of incarnation %d were turned into those of %d", step, running, w.running())
				}
				running = w.running()
				if pods = max(pods, wanted); r.IntN(2) == 0 {
					w.settle()
					pods = wanted
				}
			}
			var out compose.Output
			for range 6 {
				out, _, _ = w.call(w.plane.Observed(), ledgerOf(t, written))
				w.settle()
			}
			if rollout := shown(t, out).Rollout; rollout.State != "Complete" || w.running() != written.At() {
				t.Errorf("the rollout is %s at the end (%s), with incarnation %d; want %d", rollout.State, rollout.Message, w.running(), written.At())
			}
		})
	}
}

// lagging hides some objects, and shows others as they were before; but one of the two that say which incarnation runs as it is.
func (w *world) lagging(r *rand.Rand) map[string]*unstructured.Unstructured {
	observed, exact := w.plane.Lagging(r), naming.ObjectStatefulSet
	if r.IntN(2) == 0 {
		exact = naming.ObjectConfig
	}
	observed[exact] = w.plane.Objects[exact].DeepCopy()
	return observed
}

// ledgerOf is a ledger that says which incarnation is to be.
func ledgerOf(t *testing.T, i *instance.Incarnation) map[string][]*compose.Resource {
	t.Helper()
	if i == nil {
		return map[string][]*compose.Resource{requiredLedger: {}}
	}
	ledger := &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{instance.IncarnationKey: dump(t, i)}}}
	return map[string][]*compose.Resource{requiredLedger: {functiontest.Resource(t, ledger)}}
}

// running is the incarnation that the StatefulSet's Pods are to run.
func (w *world) running() int {
	return instance.ParseIncarnation(w.plane.Objects[naming.ObjectStatefulSet].GetAnnotations()[naming.AnnotationIncarnation]).At()
}
