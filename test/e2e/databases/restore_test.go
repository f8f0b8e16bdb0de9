//go:build e2e

package databases

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// TestRestore makes new clusters from the backups and the WAL of one that goes on: to the end of a backup, to a time and to a
// position in the WAL between two transactions, and to the end of the archive.
func TestRestore(t *testing.T) {
	for _, version := range []string{"17", "15"} {
		t.Run(version, func(t *testing.T) {
			s := newScene(t)
			source := s.create("source", smallSpec(version))
			source.plan(map[string]any{"backupLocation": s.store()})
			source.waitScheduled()
			source.sql("CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 1000)")
			backup := source.backUp("thousand", v1alpha1.BackupIncremental)

			source.sql("INSERT INTO kept SELECT generate_series(1001, 2000)")
			lsn := source.mark("SELECT pg_current_wal_insert_lsn()")
			at := source.mark(`SELECT to_char(clock_timestamp() AT TIME ZONE 'Asia/Kolkata', 'YYYY-MM-DD"T"HH24:MI:SS.US"+05:30"')`)
			source.sql("INSERT INTO kept SELECT generate_series(2001, 3000)")
			source.waitArchived()

			t.Log("Clones")
			clones := map[*database]string{
				s.start("to-backup", restored(version, v1alpha1.RestoreSpec{Backup: backup.Label})): "1000",
				s.start("to-time", restored(version, v1alpha1.RestoreSpec{PointInTime: at})):        "2000",
				s.start("to-position", restored(version, v1alpha1.RestoreSpec{LSN: lsn})):           "2000",
				s.start("to-end", restored(version, v1alpha1.RestoreSpec{})):                        "3000",
			}
			for clone, want := range clones {
				clone.waitRolledOut()
				if got := strings.TrimSpace(clone.sql("SELECT count(*) FROM kept")); got != want {
					t.Errorf("%s has %s rows; want %s", clone.name, got, want)
				}
			}

			t.Log("What is not there is refused, and nothing is made")
			early := s.start("too-early", restored(version, v1alpha1.RestoreSpec{PointInTime: "2026-01-01T00:00:00Z"}))
			early.waitIncident("RestoreRefused", "the recovery window, which begins at")
		})
	}
}

// restored is the spec of a cluster that begins with the database of the DBCluster source.
func restored(version string, from v1alpha1.RestoreSpec) v1alpha1.DBClusterSpec {
	spec := smallSpec(version)
	from.SourceDBCluster = "source"
	spec.Bootstrap = &v1alpha1.BootstrapSpec{Restore: from}
	return spec
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
	segment := strings.TrimSpace(d.local("SELECT pg_walfile_name(pg_switch_wal())"))
	d.eventually(backupLimit, "WAL is archived", func(context.Context) (string, bool) {
		last := strings.TrimSpace(d.local("SELECT last_archived_wal FROM pg_stat_archiver"))
		return fmt.Sprintf("%s; want %s", last, segment), last >= segment
	})
}
