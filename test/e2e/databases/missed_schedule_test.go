//go:build e2e

package databases

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// missed is how many times of the schedule come while nothing becomes of claims.
const missed = 4

// TestMissedSchedule takes Crossplane away while backups of every minute come due: when it is back, one makes up for all of them,
// and the schedule goes on. It disturbs every other test, so it runs alone.
func TestMissedSchedule(t *testing.T) {
	s := newScene(t)
	d := s.create("source", smallSpec("17"))
	location := s.store()
	d.plan(map[string]any{"backupLocation": location, "cronSchedule": "0 3 1 1 *"})
	d.waitScheduled()
	w := d.write()
	d.plan(map[string]any{
		"backupLocation": location, "cronSchedule": "* * * * *", "physicalBackupSpec": map[string]any{"backupType": string(v1alpha1.BackupIncremental)},
	})
	before := d.waitTaken(1)

	back := s.crossplaneAway()
	time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(missed*time.Minute + 30*time.Second)))
	there, err := d.scheduled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waiting := slices.DeleteFunc(slices.Sorted(maps.Keys(there)), func(name string) bool { return there[name].Final() })
	t.Logf("after %d missed times there are %v", missed, there)
	if len(waiting) != 1 {
		t.Fatalf("%v wait to be taken; want one", waiting)
	}

	back()
	d.waitBackup(waiting[0])
	after := d.waitTaken(len(before) + 1)
	if last := slices.Max(slices.Collect(maps.Keys(after))); last <= waiting[0] {
		t.Errorf("no Backup came due after %s", waiting[0])
	}
	w.check()
}

// waitTaken waits until more Backups of the schedule than a number have been taken and none waits, and returns them by name.
func (d *database) waitTaken(number int) map[string]v1alpha1.BackupPhase {
	d.Helper()
	var taken map[string]v1alpha1.BackupPhase
	d.eventually(2*backupLimit, fmt.Sprintf("More than %d backups were taken on schedule", number), func(ctx context.Context) (string, bool) {
		there, err := d.scheduled(ctx)
		taken = there
		for _, phase := range there {
			if phase != v1alpha1.BackupSucceeded {
				return fmt.Sprintf("%v %v", there, err), false
			}
		}
		return fmt.Sprintf("%v %v", there, err), err == nil && len(there) > number
	})
	return taken
}

// crossplaneAway takes Crossplane away, without grace, until the function that it returns is called, or the end of the test.
func (s *scene) crossplaneAway() (back func()) {
	s.Helper()
	deployment := &appsv1.Deployment{}
	if err := s.kube.Get(s.Context(), client.ObjectKey{Namespace: "crossplane-system", Name: "crossplane"}, deployment); err != nil {
		s.Fatalf("cannot find Crossplane: %v", err)
	}
	const flux = "kustomize.toolkit.fluxcd.io/reconcile" // Flux would bring Crossplane back.
	scale := func(replicas *int32, followed string) {
		s.Helper()
		before := deployment.DeepCopy()
		deployment.Spec.Replicas = replicas
		metav1.SetMetaDataAnnotation(&deployment.ObjectMeta, flux, followed)
		if err := s.kube.Patch(context.WithoutCancel(s.Context()), deployment, client.MergeFrom(before)); err != nil {
			s.Errorf("cannot change how many Pods Crossplane has: %v", err)
		}
	}
	there := deployment.Spec.Replicas
	back = func() { scale(there, "enabled") }
	s.Cleanup(back)
	scale(new(int32), "disabled")
	mine := []client.ListOption{client.InNamespace(deployment.Namespace), client.MatchingLabels(deployment.Spec.Selector.MatchLabels)}
	s.eventually(rolloutLimit, "Crossplane is away", func(ctx context.Context) (string, bool) {
		pods := &corev1.PodList{}
		if err := s.kube.List(ctx, pods, mine...); err != nil {
			return err.Error(), false
		}
		for i := range pods.Items {
			if err := s.kube.Delete(ctx, &pods.Items[i], client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
				return err.Error(), false
			}
		}
		return fmt.Sprintf("%d Pods", len(pods.Items)), len(pods.Items) == 0
	})
	return back
}
