//go:build e2e

package databases

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// operationLimit is how long an operation may take to come to its end: when nodes are lost, Kubernetes takes most of a minute
// to notice that its Job is on one of them, and then it waits for the leader lock to run out, and for what is in the way.
const operationLimit = 3 * time.Minute

// TestDemotedPrimary keeps a client at what was the primary, to which a Service that is late may have led it. It is sent away, so that it
// finds the new one.
func TestDemotedPrimary(t *testing.T) {
	t.Parallel()
	d := newScene(t).create("demoted", clusterSpec("17", 1))
	first := d.waitPrimary("")
	d.sql("select 1") // The application's Pod is there.
	connection := d.connection()
	connection["host"] = d.cluster().PodHost(first)
	const stay = `while true; do
	said=$(psql -XqAt "$DSN" -c "select pg_is_in_recovery()" -c "select pg_sleep(60)" 2>&1) || true
	case "$said" in t*) echo "$said"; exit;; esac
done`
	said := make(chan string, 1)
	go func() {
		out, err := d.exec(t.Context(), clientPod, "psql", connectScript(connection)+stay, "sh", "-es")
		said <- fmt.Sprint(out, err)
	}()
	d.operate(v1alpha1.KindSwitchover, "move", d.operation(time.Now()))
	d.waitOperation(v1alpha1.KindSwitchover, "move", v1alpha1.OperationSucceeded)
	if got, want := <-said, "terminating connection due to administrator command"; !strings.Contains(got, want) {
		t.Errorf("the client at what was the primary was told %q; want %q", got, want)
	}
}

// TestOperations carries out Switchovers and a Failover under load, asks for each of them again in every way there is, and
// shows that it was done once.
func TestOperations(t *testing.T) {
	t.Parallel()
	d := newScene(t).create("operated", clusterSpec("17", 2))
	w := d.write()
	first := d.waitPrimary("")

	t.Log("A Switchover")
	spec := d.operation(time.Now())
	d.operate(v1alpha1.KindSwitchover, "move", spec)
	status := d.waitOperation(v1alpha1.KindSwitchover, "move", v1alpha1.OperationSucceeded)
	if status.OldPrimary != first || status.NewPrimary == first || status.TimelineAfter != status.TimelineBefore+1 || status.DataLoss != "none" || status.WritePause == "" {
		t.Errorf("the Switchover from %s says %+v", first, status)
	}
	t.Logf("it says that nobody could write for %s", status.WritePause)
	second := d.waitPrimary(first)
	if second != status.NewPrimary {
		t.Errorf("the primary is %s, and the Switchover says %s", second, status.NewPrimary)
	}
	if left := d.leftovers(v1alpha1.KindSwitchover, "move"); left != "" {
		t.Errorf("the operation has come to its end, and there still is %s", left)
	}

	t.Log("Its claim is deleted, and created again")
	d.removeClaim(v1alpha1.KindSwitchover, "move")
	d.operate(v1alpha1.KindSwitchover, "move", spec)
	again := d.waitOperation(v1alpha1.KindSwitchover, "move", v1alpha1.OperationSucceeded)
	if again.FinishedAt == nil || !again.FinishedAt.Equal(status.FinishedAt) {
		t.Errorf("it was carried out again: %+v", again)
	}

	t.Log("The same name for something else, one from before the cluster's birth, one that is late, one that expected something else, one that is wanted already")
	d.removeClaim(v1alpha1.KindSwitchover, "move")
	other := spec
	other["newPrimary"] = first
	d.operate(v1alpha1.KindSwitchover, "move", other)
	d.operate(v1alpha1.KindSwitchover, "old", d.operation(time.Now().Add(-24*time.Hour)))
	expecting := d.operation(time.Now())
	expecting["expect"] = map[string]any{"primary": first}
	d.operate(v1alpha1.KindSwitchover, "expecting", expecting)
	already := d.operation(time.Now())
	already["newPrimary"] = second
	d.operate(v1alpha1.KindSwitchover, "already", already)
	d.checkReason(v1alpha1.KindSwitchover, "move", v1alpha1.OperationRejected, "NameTaken")
	d.checkReason(v1alpha1.KindSwitchover, "old", v1alpha1.OperationSkipped, "RequestedBeforeBirth")
	d.checkReason(v1alpha1.KindSwitchover, "expecting", v1alpha1.OperationRejected, "OtherPrimary")
	d.checkReason(v1alpha1.KindSwitchover, "already", v1alpha1.OperationSucceeded, "AlreadyPrimary")

	t.Log("A Failover whose Job is killed as soon as it has begun: it is judged, and not begun again")
	d.operate(v1alpha1.KindFailover, "interrupted", d.operation(time.Now()))
	d.killJob(v1alpha1.KindFailover, "interrupted")
	timeline := d.checkInterrupted(v1alpha1.KindFailover, "interrupted", second)

	t.Log("A Failover from a primary that serves")
	before := d.waitPrimary("")
	d.operate(v1alpha1.KindFailover, "give-up", d.operation(time.Now()))
	status = d.waitOperation(v1alpha1.KindFailover, "give-up", v1alpha1.OperationSucceeded)
	if status.OldPrimary != before || status.NewPrimary == before || status.TimelineAfter != timeline+1 {
		t.Errorf("the Failover from %s on timeline %d says %+v", before, timeline, status)
	}
	last := d.waitPrimary(before)

	t.Log("It cannot change, but be acknowledged")
	if err := d.tryOperate(v1alpha1.KindFailover, "give-up", map[string]any{"dbclusterRef": d.name, "requestedAt": time.Now().UTC().Format(time.RFC3339), "newPrimary": first}); !kerrors.IsInvalid(err) {
		t.Errorf("a change of an operation is answered with %v; want a refusal", err)
	}
	other["acknowledged"] = true
	d.operate(v1alpha1.KindSwitchover, "move", other)
	d.eventually(operationLimit, "The rejected operation is ready once it is acknowledged", func(ctx context.Context) (string, bool) {
		status, err := d.readOperation(ctx, v1alpha1.KindSwitchover, "move")
		if err != nil {
			return err.Error(), false
		}
		return fmt.Sprint(status.Conditions), meta.IsStatusConditionTrue(status.Conditions, "Ready")
	})

	d.waitRollout(v1alpha1.RolloutComplete)
	// Each instance says by itself which timeline it follows: one that only follows another primary is not waited for above.
	d.eventually(rolloutLimit, fmt.Sprintf("All instances are on the timeline of %s", last), func(context.Context) (string, bool) {
		got := d.status()
		old := slices.ContainsFunc(got.Instances, func(i v1alpha1.InstanceStatus) bool { return i.Timeline != timeline+1 })
		return fmt.Sprintf("%s: %+v", got.Primary, got.Instances), got.Primary == last && !old
	})
	if got := d.status().LastFailover; got == nil || got.OldPrimary != before || got.NewPrimary != last || got.Timeline != timeline+1 {
		t.Errorf("lastFailover is %+v; want one from %s to %s on timeline %d", got, before, last, timeline+1)
	}
	d.checkWhole(3)
	w.check()
}

// checkInterrupted waits for the end of an operation that was interrupted, compares what it says with the database, and
// returns the timeline.
func (d *database) checkInterrupted(kind, name, before string) int {
	d.Helper()
	status := v1alpha1.OperationStatus{}
	d.eventually(operationLimit, fmt.Sprintf("%s %s has come to its end", kind, name), func(ctx context.Context) (string, bool) {
		var err error
		status, err = d.readOperation(ctx, kind, name)
		return fmt.Sprint(status.Phase, err), err == nil && status.Phase.Final()
	})
	d.Logf("%s %s is %s: %s", kind, name, status.Phase, status.Message)
	timeline := status.TimelineBefore
	want := before
	switch {
	case status.Phase == v1alpha1.OperationSucceeded:
		timeline, want = status.TimelineAfter, status.NewPrimary
	case status.Phase == v1alpha1.OperationFailed && status.Reason == "NotCarriedOut":
	default:
		d.Errorf("%s %s is %s (%s: %s); want that it is known whether it was carried out", kind, name, status.Phase, status.Reason, status.Message)
	}
	d.eventually(rolloutLimit, "The database is what the operation says", func(context.Context) (string, bool) {
		got := d.status()
		return fmt.Sprint(got.Primary, got.Instances), got.Primary == want && got.Instances[0].Timeline == timeline
	})
	return timeline
}

// operation is the spec of one that is asked for at a time.
func (d *database) operation(at time.Time) map[string]any {
	return map[string]any{"dbclusterRef": d.name, "requestedAt": at.UTC().Format(time.RFC3339)}
}

func (d *database) tryOperate(kind, name string, spec map[string]any) error {
	return d.tryApply(map[string]any{
		"apiVersion": claimKind().GroupVersion().String(), "kind": kind, "metadata": map[string]any{"name": name}, "spec": runtime.DeepCopyJSON(spec),
	})
}

func (d *database) operate(kind, name string, spec map[string]any) {
	d.Helper()
	if err := d.tryOperate(kind, name, spec); err != nil {
		d.Fatal(err)
	}
}

func (d *database) readOperation(ctx context.Context, kind, name string) (v1alpha1.OperationStatus, error) {
	status := v1alpha1.OperationStatus{}
	err := d.readStatus(ctx, kind, name, &status)
	return status, err
}

// waitOperation waits until an operation has come to its end, which must be the one that is wanted.
func (d *database) waitOperation(kind, name string, want v1alpha1.OperationPhase) v1alpha1.OperationStatus {
	d.Helper()
	status := v1alpha1.OperationStatus{}
	since := time.Now()
	d.eventually(operationLimit, fmt.Sprintf("%s %s has come to its end", kind, name), func(ctx context.Context) (string, bool) {
		var err error
		if status, err = d.readOperation(ctx, kind, name); err != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("%s %s: %s", status.Phase, status.Reason, status.Message), status.Phase.Final()
	})
	d.Logf("%s %s is %s after %s: %s", kind, name, status.Phase, ago(since), status.Message)
	if status.Phase != want {
		d.Errorf("%s %s is %s (%s: %s); want %s", kind, name, status.Phase, status.Reason, status.Message, want)
	}
	return status
}

func (d *database) checkReason(kind, name string, phase v1alpha1.OperationPhase, reason string) {
	d.Helper()
	if status := d.waitOperation(kind, name, phase); status.Reason != reason {
		d.Errorf("%s %s is %s for the reason %s; want %s", kind, name, status.Phase, status.Reason, reason)
	}
}

// leftovers names what an operation has beside its report.
func (d *database) leftovers(kind, name string) string {
	d.Helper()
	var left []string
	for what, object := range map[string]client.Object{"its Job": &batchv1.Job{}, "its ServiceAccount": &corev1.ServiceAccount{}} {
		if err := d.kube.Get(d.Context(), client.ObjectKey{Namespace: d.namespace, Name: name + "." + strings.ToLower(kind)}, object); err == nil && object.GetDeletionTimestamp() == nil {
			left = append(left, what)
		}
	}
	return strings.Join(left, " and ")
}

// killJob deletes the Pod of an operation's Job by force once it has begun.
func (d *database) killJob(kind, name string) {
	d.Helper()
	d.eventually(operationLimit, fmt.Sprintf("%s %s has begun", kind, name), func(ctx context.Context) (string, bool) {
		record := &corev1.ConfigMap{}
		if err := d.kube.Get(ctx, client.ObjectKey{Namespace: d.namespace, Name: d.name + "-ledger"}, record); err != nil {
			return err.Error(), false
		}
		return record.Data[kind+"."+name], record.Data[kind+"."+name] != ""
	})
	pods := &corev1.PodList{}
	if err := d.kube.List(d.Context(), pods, client.InNamespace(d.namespace), client.MatchingLabels{"xdbcluster.io/operation": d.name}); err != nil {
		d.Fatal(err)
	}
	for i := range pods.Items {
		if strings.HasPrefix(pods.Items[i].Name, name+".") {
			if err := d.kube.Delete(d.Context(), &pods.Items[i], client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
				d.Fatal(err)
			}
		}
	}
}
