//go:build e2e

package databases

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// clonesAtOnce is how many clones of one database start at a time: each takes a whole core.
const clonesAtOnce = 2

// TestRestore makes new clusters from the backups and the WAL of one that goes on, to a time between two transactions and to the end
// of the archive, asks for what is not there, and lets Restores make copies.
func TestRestore(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"17", "15"} {
		t.Run(version, func(t *testing.T) {
			r := newScene(t).restorable(version)
			r.checkClones(
				clone{name: "to-time", target: v1alpha1.RestoreSpec{RestoreTarget: v1alpha1.RestoreTarget{PointInTime: r.at}}, rows: "2000"},
				clone{name: "to-end", target: v1alpha1.RestoreSpec{}, rows: "6000"},
			)

			t.Log("What is not there is refused, and nothing is made")
			early := r.start("too-early", restored(version, v1alpha1.RestoreSpec{RestoreTarget: v1alpha1.RestoreTarget{PointInTime: "2026-01-01T00:00:00Z"}}))
			passed := r.start("passed", restored(version, v1alpha1.RestoreSpec{RestoreTarget: v1alpha1.RestoreTarget{XID: r.xid, Backup: r.late.Label}}))
			early.waitIncident("RestoreRefused", "the recovery window, which begins at")
			early.waitRollout(v1alpha1.RolloutFailed)
			passed.waitIncident("RestoreFails", "it is not in what was archived from the end of the backup "+r.late.Label+" on")
			r.source.checkCopies(r.at, "2000", early.name)
		})
	}
}

// TestRestoreTargets restores to every other kind of target: to the end of a backup, to a position in the WAL between two
// transactions, to the end of a transaction, and to a restore point.
func TestRestoreTargets(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"17", "15"} {
		t.Run(version, func(t *testing.T) {
			r := newScene(t).restorable(version)
			r.checkClones(
				clone{name: "to-label", target: v1alpha1.RestoreSpec{RestoreTarget: v1alpha1.RestoreTarget{Backup: r.backup.Label}}, rows: "1000"},
				clone{name: "to-position", target: v1alpha1.RestoreSpec{RestoreTarget: v1alpha1.RestoreTarget{LSN: r.lsn}}, rows: "2000"},
				clone{name: "to-transaction", target: v1alpha1.RestoreSpec{RestoreTarget: v1alpha1.RestoreTarget{XID: r.xid}}, rows: "3000"},
				clone{name: "to-name", target: v1alpha1.RestoreSpec{RestoreTarget: v1alpha1.RestoreTarget{Name: r.point}}, rows: "4000"},
				clone{name: "to-name-from-label", target: v1alpha1.RestoreSpec{RestoreTarget: v1alpha1.RestoreTarget{Name: r.point, Backup: r.backup.Label}}, rows: "4000"},
				clone{name: "to-newest", target: v1alpha1.RestoreSpec{RestoreTarget: v1alpha1.RestoreTarget{Immediate: true}}, rows: "5000"},
			)
		})
	}
}

// A restorable is a database with a past: 1000 rows, then a backup, then a thousand rows with every step.
type restorable struct {
	*scene

	version string
	source  *database

	backup v1alpha1.BackupStatus // Of 1000 rows.
	lsn    string                // After 2000 rows, as is the time.
	at     string
	xid    int64                 // Of the transaction that wrote row 3000.
	point  string                // The restore point after 4000 rows.
	late   v1alpha1.BackupStatus // Of 5000 rows. The database has 6000 in the end.
}

func (s *scene) restorable(version string) restorable {
	s.Helper()
	r := restorable{scene: s, version: version, source: s.create("source", smallSpec(version)), point: "four thousand"}
	r.source.plan(map[string]any{"backupLocation": s.store()})
	r.source.waitScheduled()
	r.source.sql("CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 1000)")
	r.backup = r.source.backUp("thousand", v1alpha1.BackupIncremental)

	r.source.sql("INSERT INTO kept SELECT generate_series(1001, 2000)")
	r.lsn = r.source.mark("SELECT pg_current_wal_insert_lsn()")
	r.at = r.source.mark(`SELECT to_char(clock_timestamp() AT TIME ZONE 'Asia/Kolkata', 'YYYY-MM-DD"T"HH24:MI:SS.US"+05:30"')`)
	r.xid = r.source.transaction("INSERT INTO kept SELECT generate_series(2001, 3000)")
	r.source.sql("INSERT INTO kept SELECT generate_series(3001, 4000)")
	r.source.mark(fmt.Sprintf("SELECT pg_create_restore_point('%s')", r.point))
	r.source.sql("INSERT INTO kept SELECT generate_series(4001, 5000)")
	r.late = r.source.backUp("late", v1alpha1.BackupFull)
	r.source.sql("INSERT INTO kept SELECT generate_series(5001, 6000)")
	r.source.waitArchived()
	return r
}

// A clone is a new cluster that begins with what another one had, and how many rows that was.
type clone struct {
	name   string
	target v1alpha1.RestoreSpec
	rows   string
}

func (r restorable) checkClones(clones ...clone) {
	r.Helper()
	for some := range slices.Chunk(clones, clonesAtOnce) {
		started := map[*database]string{}
		for _, c := range some {
			started[r.start(c.name, restored(r.version, c.target))] = c.rows
		}
		for d, want := range started {
			d.waitRolledOut()
			if got := strings.TrimSpace(d.sql("SELECT count(*) FROM kept")); got != want {
				r.Errorf("%s has %s rows; want %s", d.name, got, want)
			}
			if d.status().Parameters.LastChange == "Restart" {
				r.Errorf("PostgreSQL of %s was restarted after it served; want that it has its settings from the start", d.name)
			}
		}
		for d := range started {
			d.delete()
		}
	}
}

// TestBackupsExist creates a cluster again whose volumes are gone, from the same manifests: it does not start empty beside its
// backups, and begins with them once it is told to. With a BackupPlan whose store cannot be reached it does not start either.
func TestBackupsExist(t *testing.T) {
	s := newScene(t)
	location := s.store()
	spec := smallSpec("17")
	spec.DeletionProtection, spec.VolumeRetentionPolicy = new(bool), v1alpha1.VolumesDeleted

	t.Log("The claim and its BackupPlan are applied at once, and there is nothing yet")
	d := s.start("again", spec)
	d.plan(map[string]any{"backupLocation": location})
	d.waitRolledOut()
	backup := d.waitScheduled()
	d.sql("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS id")
	d.waitArchived()
	identifier := d.local("SELECT system_identifier FROM pg_control_system()")

	t.Log("All is deleted but what is in the store, and created again")
	d.removeClaim(v1alpha1.KindBackupPlan, d.name)
	d.delete()
	d.waitVolume(false)
	d = s.start("again", spec)
	d.plan(map[string]any{"backupLocation": location})
	d.waitIncident("BackupsExist", backup.Label)
	d.waitRollout(v1alpha1.RolloutFailed)
	if found := d.mustInDatabase("find " + instance.FolderVolume + " -name PG_VERSION"); strings.TrimSpace(found) != "" {
		t.Errorf("there is a database on the volume: %s", found)
	}

	t.Log("Told to restore")
	d.change(func(spec *v1alpha1.DBClusterSpec) { spec.IfBackupsExist = v1alpha1.BackupsRestored })
	d.waitRolledOut()
	d.checkKept(identifier)
	d.delete()
	d.waitVolume(false)

	t.Log("The store is away: neither")
	d.removeClaim(v1alpha1.KindBackupPlan, d.name)
	options, _ := location["s3Options"].(map[string]any)
	options["bucket"] = "not-there"
	d = s.start("again", spec)
	d.plan(map[string]any{"backupLocation": location})
	d.waitIncident("BackupsUnknown", "the bucket does not exist")

	t.Log("Told to ignore what there may be")
	d.change(func(spec *v1alpha1.DBClusterSpec) { spec.IfBackupsExist = v1alpha1.BackupsIgnored })
	d.waitRolledOut()
	if got := d.local("SELECT system_identifier FROM pg_control_system()"); got == identifier {
		t.Error("the database is the one that was to be ignored")
	}
}

// restored is the spec of a cluster that begins with the database of the DBCluster source, and leaves nothing behind.
func restored(version string, from v1alpha1.RestoreSpec) v1alpha1.DBClusterSpec {
	spec := smallSpec(version)
	spec.DeletionProtection = new(bool)
	spec.VolumeRetentionPolicy = v1alpha1.VolumesDeleted
	from.SourceDBCluster = "source"
	spec.Bootstrap = &v1alpha1.BootstrapSpec{Restore: from}
	return spec
}

// transaction runs a statement and returns the number of its transaction.
func (d *database) transaction(statement string) int64 {
	d.Helper()
	said := d.local("WITH done AS (" + statement + " RETURNING 1) SELECT pg_current_xact_id() FROM done LIMIT 1")
	xid, err := strconv.ParseInt(strings.TrimSpace(said), 10, 64)
	if err != nil {
		d.Fatalf("PostgreSQL does not say the number of a transaction: %v", err)
	}
	return xid
}

// mark returns what a statement says, a moment after what was before, and a moment before what comes.
func (d *database) mark(statement string) string {
	d.Helper()
	const moment = 50 * time.Millisecond
	time.Sleep(moment)
	said := strings.TrimSpace(d.local(statement))
	time.Sleep(moment)
	return said
}

// waitArchived waits until all that was written so far is archived.
func (d *database) waitArchived() {
	d.Helper()
	// A segment with nothing in it is not left.
	segment := d.sql("SELECT pg_walfile_name(pg_switch_wal()) FROM pg_logical_emit_message(false, 'test', 'written')")
	d.eventually(backupLimit, "WAL is archived", func(context.Context) (string, bool) {
		last := d.sql("SELECT last_archived_wal FROM pg_stat_archiver")
		return fmt.Sprintf("%s; want %s", last, segment), last >= segment
	})
}
