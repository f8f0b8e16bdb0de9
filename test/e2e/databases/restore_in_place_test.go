//go:build e2e

package databases

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// TestRestoreInPlace restores a cluster with a standby to what it was between two transactions, undoes that, and shows that a
// restore that cannot succeed changes nothing, and that what was done once is not done again.
func TestRestoreInPlace(t *testing.T) {
	s := newScene(t)
	d := s.create("ledger", clusterSpec("17", 1))
	d.plan(map[string]any{"backupLocation": s.store()})
	d.waitScheduled()
	d.sql("CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 1000)")
	at := d.mark(`SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`)
	d.sql("INSERT INTO kept SELECT generate_series(1001, 2000)")

	t.Log("To a time between two transactions, the newest of which are not archived yet")
	since := time.Now()
	d.restoreInPlace("mistake", map[string]any{"pointInTime": at})
	done := d.waitRestored("mistake", v1alpha1.OperationSucceeded)
	t.Logf("from the Restore to its primary: %s", ago(since))
	d.waitRolledOut()
	d.checkRows("1000")
	if done.OldIncarnation == "" || done.NewIncarnation == "" || done.Backup == "" || done.OldDataKeptUntil == nil || done.TimelineAfter <= done.TimelineBefore {
		t.Errorf("the Restore says %+v", done)
	}
	if status := d.status(); status.Incarnation != done.NewIncarnation || len(status.KeptIncarnations) != 1 {
		t.Errorf("the cluster's incarnation is %q, kept are %v; want %q and the one before", status.Incarnation, status.KeptIncarnations, done.NewIncarnation)
	}
	d.checkWhole(2)

	t.Log("Its backups go to a place of its own, and begin with a full one")
	d.eventually(backupLimit, "The restored database is backed up", func(ctx context.Context) (string, bool) {
		status, err := d.readPlan(ctx, d.name)
		return fmt.Sprintf("%+v %v", status, err), err == nil && status.Repository != nil && status.Repository.Backups == 1 &&
			strings.HasSuffix(status.Repository.Path, done.NewIncarnation)
	})
	d.sql("INSERT INTO kept SELECT generate_series(1001, 1500)")

	t.Log("What cannot be restored, or was asked for before, changes nothing")
	d.restoreInPlace("too-early", map[string]any{"pointInTime": "2026-01-01T00:00:00Z"})
	if got := d.waitRestored("too-early", v1alpha1.OperationRejected); got.Reason != "TargetMissing" || !strings.Contains(got.Message, "the recovery window, which begins at") {
		t.Errorf("a Restore to a time before the recovery window says %s: %s", got.Reason, got.Message)
	}
	d.restoreInPlace("not-kept", map[string]any{"keptIncarnation": "0123456789abcdef"})
	if got := d.waitRestored("not-kept", v1alpha1.OperationRejected); got.Reason != "NotKept" {
		t.Errorf("a Restore of what is not kept says %s: %s", got.Reason, got.Message)
	}
	d.removeClaim(v1alpha1.KindRestore, "mistake")
	d.restoreInPlace("mistake", map[string]any{"pointInTime": at, "requestedAt": since.UTC().Format(time.RFC3339)})
	d.waitRestored("mistake", v1alpha1.OperationSucceeded)
	d.checkRows("1500")

	t.Log("A target that turns out not to be in the archive: the database comes back as it was")
	d.restoreInPlace("beyond", map[string]any{"lsn": "FF/0"})
	if got := d.waitRestored("beyond", v1alpha1.OperationFailed); got.Reason != "PutBack" {
		t.Errorf("a Restore to a position that was never written says %s: %s", got.Reason, got.Message)
	}
	d.waitRolledOut()
	d.checkRows("1500")

	t.Log("Undone: the database is again what it was before the first Restore")
	d.restoreInPlace("undo", map[string]any{"keptIncarnation": done.OldIncarnation})
	d.waitRestored("undo", v1alpha1.OperationSucceeded)
	d.waitRolledOut()
	d.checkRows("2000")
	d.checkWhole(2)

	t.Log("The backups of what was left stay for as long as the plan says, and then go")
	d.backUp("soon", v1alpha1.BackupFull)
	d.checkIncarnation(done.NewIncarnation, true)
	d.agePast(30 * day)
	d.backUp("later", v1alpha1.BackupFull)
	d.checkIncarnation(done.NewIncarnation, false)
	d.checkIncarnation(done.OldIncarnation, true)
}

// checkIncarnation checks whether an incarnation has backups in the local cluster's object store.
func (d *database) checkIncarnation(id string, want bool) {
	d.Helper()
	found, err := filepath.Glob(filepath.Join(d.bucket(), d.namespace, d.name, id, "*", "*", "*"))
	if err != nil || len(found) > 0 != want {
		d.Errorf("of the incarnation %s there is %v in the repository (%v); want something: %t", id, found, err, want)
	}
}

// agePast lets the ledger say that other incarnations took the place of those before some time earlier, and that their data is not
// on the volumes any more.
func (d *database) agePast(by time.Duration) {
	d.Helper()
	ledger := &corev1.ConfigMap{}
	d.get(ledger, d.name+"-ledger")
	incarnation := instance.ParseIncarnation(ledger.Data[instance.IncarnationKey])
	if incarnation == nil || len(incarnation.Past) == 0 {
		d.Fatalf("the ledger knows of no incarnation before: %q", ledger.Data[instance.IncarnationKey])
	}
	for i := range incarnation.Past {
		incarnation.Past[i].Left = incarnation.Past[i].Left.Add(-by)
	}
	incarnation.Kept = nil
	raw, err := json.Marshal(incarnation)
	if err != nil {
		d.Fatalf("cannot encode the incarnation: %v", err)
	}
	before := ledger.DeepCopy()
	ledger.Data[instance.IncarnationKey] = string(raw)
	if err := d.kube.Patch(d.Context(), ledger, client.MergeFrom(before)); err != nil {
		d.Fatalf("cannot change the ledger: %v", err)
	}
}

// restoreInPlace applies a Restore of the database, which is asked for now where the spec says nothing else.
func (d *database) restoreInPlace(name string, spec map[string]any) {
	d.Helper()
	spec["confirm"] = d.name
	d.restore(name, spec)
}

// restore applies a Restore, which is asked for now where the spec says nothing else.
func (d *database) restore(name string, spec map[string]any) {
	d.Helper()
	spec["sourceDBCluster"] = d.name
	if spec["requestedAt"] == nil {
		spec["requestedAt"] = time.Now().UTC().Format(time.RFC3339)
	}
	d.apply(map[string]any{
		"apiVersion": claimKind().GroupVersion().String(), "kind": v1alpha1.KindRestore, "metadata": map[string]any{"name": name}, "spec": spec,
	})
}

// waitRestored waits until a Restore has come to its end, and returns what it says.
func (d *database) waitRestored(name string, want v1alpha1.OperationPhase) v1alpha1.InPlaceRestoreStatus {
	d.Helper()
	status := v1alpha1.InPlaceRestoreStatus{}
	d.eventually(operationLimit, fmt.Sprintf("Restore %s has come to its end", name), func(ctx context.Context) (string, bool) {
		status = v1alpha1.InPlaceRestoreStatus{}
		if err := d.readStatus(ctx, v1alpha1.KindRestore, name, &status); err != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("%s %s: %s", status.Phase, status.Reason, status.Message), status.Phase.Final()
	})
	d.Logf("Restore %s is %s: %s", name, status.Phase, status.Message)
	if status.Phase != want {
		d.Fatalf("Restore %s is %s (%s: %s); want %s", name, status.Phase, status.Reason, status.Message, want)
	}
	return status
}

// checkRows compares how many rows there are.
func (d *database) checkRows(want string) {
	d.Helper()
	if got := strings.TrimSpace(d.sql("SELECT count(*) FROM kept")); got != want {
		d.Errorf("%s has %s rows; want %s", d.name, got, want)
	}
}
