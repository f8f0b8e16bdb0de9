//go:build e2e

package databases

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
	"github.com/xdbcluster/xdbcluster/test/cluster/objectstore"
	"github.com/xdbcluster/xdbcluster/test/cluster/process"
)

// storeAway is how long the object store is away.
const storeAway = 10 * time.Minute

// fillSegment writes something, and begins another segment of WAL.
const fillSegment = "CREATE TABLE IF NOT EXISTS filling (t text); INSERT INTO filling SELECT repeat('x', 1000) FROM generate_series(1, 1000); SELECT pg_switch_wal()"

// longWAL is how many segments are, with a table of 300 MB, more than a volume of 1 GiB has room for.
const longWAL = 60

// TestStoreAway kills the object store under load: the database goes on with the primary that it has, and once the store is back
// everything is archived that was written meanwhile. It disturbs every other test of backups, so it runs alone.
func TestStoreAway(t *testing.T) {
	s := newScene(t)
	spec := clusterSpec("17", 1)
	spec.PrimarySpec.Resources.Disks[0].Size = resource.MustParse("3Gi") // The WAL of ten minutes waits on it: a segment every ten seconds.
	d := s.create("source", spec)
	d.plan(map[string]any{"backupLocation": s.store()})
	d.waitScheduled()
	w := d.write()
	primary := d.waitPrimary("")

	cluster := localCluster()
	t.Cleanup(func() {
		if err := cluster.Up(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	since := time.Now()
	if err := (process.Supervisor{Folder: layout.Processes()}).Kill(objectstore.Program); err != nil {
		t.Fatal(err)
	}
	d.sql("SELECT pg_switch_wal()")
	d.waitIncident("ArchivingFails", "answer")
	for time.Since(since) < storeAway {
		d.sql(fillSegment)
		time.Sleep(10 * time.Second)
	}
	d.sql("CREATE TABLE kept AS SELECT 1 AS n")
	t.Logf("no object store for %s", storeAway)
	w.checkUndisturbed(primary, since)

	t.Log("It is back")
	if err := cluster.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.waitArchived()
	d.waitNoIncident("ArchivingFails")
	w.check()
	// Its volume has no room for all the WAL that is replayed.
	clone := s.create("clone", restored("17", v1alpha1.RestoreSpec{}))
	if got := strings.TrimSpace(clone.sql("SELECT count(*) FROM kept")); got != "1" {
		t.Errorf("what was written while the store was away is not in its archive: %s rows", got)
	}
}

// TestPrimaryLostWhileStoreIsAway gives up a primary that could not archive what it wrote: the next one has received that, and archives it
// once the store is back. Like the other, it runs alone.
func TestPrimaryLostWhileStoreIsAway(t *testing.T) {
	s := newScene(t)
	d := s.create("source", clusterSpec("17", 1))
	d.plan(map[string]any{"backupLocation": s.store()})
	d.waitScheduled()

	cluster := localCluster()
	t.Cleanup(func() {
		if err := cluster.Up(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if err := (process.Supervisor{Folder: layout.Processes()}).Kill(objectstore.Program); err != nil {
		t.Fatal(err)
	}
	d.sql("CREATE TABLE kept AS SELECT 1 AS n")
	for range 3 {
		d.sql(fillSegment)
	}
	primary := d.waitPrimary("")
	d.deleteInstance(primary, client.GracePeriodSeconds(0))
	t.Logf("%s is given up, and %s takes over", primary, d.waitPrimary(primary))
	d.waitRollout(v1alpha1.RolloutComplete)

	t.Log("The store is back")
	if err := cluster.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.waitArchived()
	clone := s.create("clone", restored("17", v1alpha1.RestoreSpec{}))
	if got := strings.TrimSpace(clone.sql("SELECT count(*) FROM kept")); got != "1" {
		t.Errorf("what the primary before could not archive is not in the archive: %s rows", got)
	}
}

// TestArchiveGap loses WAL that was not archived yet: the primary is lost with its volume, and the standby that takes over has removed it.
// Nothing can be restored across that, so that the recovery window must begin after it.
func TestArchiveGap(t *testing.T) {
	s := newScene(t)
	spec := clusterSpec("17", 1)
	spec.PrimarySpec.Parameters = map[string]string{"wal_keep_size": "16MB"} // Patroni keeps 128 MB otherwise.
	d := s.create("source", spec)
	d.plan(map[string]any{"backupLocation": s.store()})
	first := d.waitScheduled()

	cluster := localCluster()
	t.Cleanup(func() {
		if err := cluster.Up(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if err := (process.Supervisor{Folder: layout.Processes()}).Kill(objectstore.Program); err != nil {
		t.Fatal(err)
	}
	lost := d.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
	d.sql("CREATE TABLE kept AS SELECT 1 AS n")
	for range 8 {
		d.sql(fillSegment)
	}
	primary, standby := d.waitPrimary(""), d.standby()
	d.eventually(backupLimit, "The standby has removed what is not archived", func(context.Context) (string, bool) {
		d.mustInInstance(primary, "psql -XqAtc CHECKPOINT")
		d.mustInInstance(standby, "psql -XqAtc CHECKPOINT")
		kept := d.mustInInstance(standby, "ls /var/lib/xdbcluster/*/pgdata/pg_wal")
		return kept, !strings.Contains(kept, lost)
	})
	d.loseInstance(primary)
	t.Logf("%s is lost with its volume, and %s takes over", primary, d.waitPrimary(primary))

	if err := cluster.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.waitIncident("ArchiveGap", "A full backup is taken")
	d.eventually(backupLimit, "The recovery window begins after the gap", func(ctx context.Context) (string, bool) {
		status, err := d.readPlan(ctx, d.name)
		window := status.RecoveryWindow
		return fmt.Sprintf("%+v %v; the backup before is complete since %s", window, err, first.CompleteTime),
			err == nil && window != nil && window.Begin.After(first.CompleteTime.Time)
	})
	d.waitNoIncident("ArchiveGap")
	d.waitArchived()
	clone := s.create("clone", restored("17", v1alpha1.RestoreSpec{}))
	if got := strings.TrimSpace(clone.sql("SELECT count(*) FROM kept")); got != "1" {
		t.Errorf("a clone to the end has %s rows; want 1", got)
	}
}

// loseInstance deletes an instance's Pod and volume at once, as a node with a disk of its own would lose them.
func (d *database) loseInstance(name string) {
	d.Helper()
	volume := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: d.namespace, Name: naming.DataVolumeTemplate + "-" + name}}
	if err := d.kube.Delete(d.Context(), volume); err != nil {
		d.Fatalf("cannot delete the volume of %q: %v", name, err)
	}
	d.deleteInstance(name, client.GracePeriodSeconds(0))
}

// checkUndisturbed checks that the primary goes on, and is the one that it was.
func (w *writer) checkUndisturbed(primary string, since time.Time) {
	w.Helper()
	gap := w.gap(since)
	w.Logf("no row was acknowledged for %s in %s", gap, ago(since))
	if gap > 10*time.Second {
		w.Errorf("no row was acknowledged for %s; want that the primary goes on", gap)
	}
	if now := w.waitPrimary(""); now != primary {
		w.Errorf("the primary is %s; want %s as before", now, primary)
	}
}

// TestRestoreLongWAL restores a backup with more WAL after it than the volume has room for, and shows that a restore which cannot
// have a segment, for it has no room for one, does not take that for the end of the archive. There are prepared transactions in the
// WAL, which the source had no room for when it was backed up.
func TestRestoreLongWAL(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	spec := smallSpec("17")
	spec.PrimarySpec.Resources.Disks[0].Size = resource.MustParse("3Gi")
	d := s.create("source", spec)
	d.plan(map[string]any{"backupLocation": s.store()})
	d.waitScheduled()
	d.roll(func(spec *v1alpha1.DBClusterSpec) {
		spec.PrimarySpec.Parameters = map[string]string{"max_prepared_transactions": "2"}
	})
	d.sql("BEGIN; CREATE TABLE prepared (n int); PREPARE TRANSACTION 'one'")
	d.sql("COMMIT PREPARED 'one'")
	d.sql("CREATE TABLE bulk AS SELECT repeat('x', 1000) AS t FROM generate_series(1, 300000)")
	for range longWAL {
		d.sql(fillSegment)
	}
	d.sql("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
	d.waitArchived()

	sized := func(size string) v1alpha1.DBClusterSpec {
		spec := restored("17", v1alpha1.RestoreSpec{})
		spec.PrimarySpec.Resources.Disks[0].Size = resource.MustParse(size)
		return spec
	}
	cramped := s.start("cramped", sized("512Mi"))
	s.create("roomy", sized("1Gi")).checkRows("1000")
	cramped.waitIncident("RestoreFails", "") // Of what there is no room for first, table or WAL, is chance.
	cramped.delete()
}
