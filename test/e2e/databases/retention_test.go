//go:build e2e

package databases

import (
	"context"
	"crypto/sha1" //nolint:gosec // It is what pgBackRest uses.
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// day is the shortest time that backups are kept.
const day = 24 * time.Hour

// TestRetention makes backups older than they are kept: what the window does not need goes from the repository, with its WAL and the
// Backups of the schedule. What it needs stays, and so does the last full backup however old it is.
func TestRetention(t *testing.T) {
	s := newScene(t)
	d := s.create("source", smallSpec("17"))
	d.plan(map[string]any{"backupLocation": s.store(), "cronSchedule": "0 3 1 1 *", "backupRetainDays": int64(1)})
	scheduled := d.firstScheduled()
	first := d.waitBackup(scheduled)
	incremental := d.backUp("incremental", v1alpha1.BackupIncremental)
	d.sql("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
	needed := d.backUp("needed", v1alpha1.BackupFull)
	d.sql("INSERT INTO kept SELECT generate_series(1001, 2000)")
	d.backUp("recent", v1alpha1.BackupFull)

	t.Log("Three of the backups are older than a day, one of which the day begins with")
	d.age(scheduled, 5*day)
	d.age("incremental", 4*day)
	d.age("needed", 2*day)
	last := d.backUp("last", v1alpha1.BackupFull)
	d.checkStored("needed", "recent", "last")
	d.checkWAL(first.WAL.Start, false)
	d.checkWAL(needed.WAL.Start, true)
	d.waitPhase("incremental", v1alpha1.BackupExpired)
	d.waitPhase("needed", v1alpha1.BackupSucceeded)

	t.Log("The Backup of the schedule goes, too: an instance that starts looks for such at once")
	d.deletePod(nil)
	d.eventually(backupLimit, "The Backup of the schedule is gone", func(ctx context.Context) (string, bool) {
		status := v1alpha1.BackupStatus{}
		err := d.readStatus(ctx, v1alpha1.KindBackup, scheduled, &status)
		return fmt.Sprintf("%s %v", status.Phase, err), kerrors.IsNotFound(err)
	})
	d.waitRolledOut()
	d.waitPhase("incremental", v1alpha1.BackupExpired)
	gone := s.start("gone", restored("17", v1alpha1.RestoreSpec{RestoreTarget: v1alpha1.RestoreTarget{Backup: incremental.Label}}))
	oldest := s.create("oldest", restored("17", v1alpha1.RestoreSpec{RestoreTarget: v1alpha1.RestoreTarget{Backup: needed.Label}}))
	oldest.checkRows("1000")
	gone.waitIncident("RestoreRefused", "the backup "+incremental.Label+" is not in the repository")
	oldest.delete()
	gone.delete()

	t.Log("All backups are older than a day")
	d.age("needed", 8*day)
	d.age("recent", 7*day)
	d.age("last", 6*day)
	d.sql("INSERT INTO kept SELECT generate_series(2001, 3000)")
	if next := d.backUp("next", v1alpha1.BackupIncremental); next.Prior != last.Label {
		t.Errorf("the next backup is %s after %s; want that it continues the last full one, %s", next.Type, next.Prior, last.Label)
	}
	d.checkStored("last", "next")
	d.checkWAL(last.WAL.Start, true)
	d.waitPhase("recent", v1alpha1.BackupExpired)
	d.waitPhase("last", v1alpha1.BackupSucceeded)
	clone := s.create("to-end", restored("17", v1alpha1.RestoreSpec{}))
	clone.checkRows("3000")
}

func (d *database) waitPhase(name string, want v1alpha1.BackupPhase) {
	d.Helper()
	d.eventually(backupLimit, fmt.Sprintf("Backup %s is %s", name, want), func(ctx context.Context) (string, bool) {
		status := v1alpha1.BackupStatus{}
		err := d.readStatus(ctx, v1alpha1.KindBackup, name, &status)
		return fmt.Sprintf("%s: %s %v", status.Phase, status.Message, err), status.Phase == want
	})
}

// stored returns the only file or folder of the database's that a pattern matches in the local cluster's object store, or "" when
// there is none.
func (d *database) stored(pattern ...string) string {
	d.Helper()
	found, err := filepath.Glob(filepath.Join(append([]string{d.bucket(), d.namespace, d.name, "*"}, pattern...)...))
	if err != nil || len(found) > 1 {
		d.Fatalf("%q is in the store %d times (%v); want once", pattern, len(found), err)
	}
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// checkStored checks that the backups of some Backups are in the repository, and no others.
func (d *database) checkStored(names ...string) {
	d.Helper()
	var want, got []string
	for _, name := range names {
		want = append(want, d.report(name).Label)
	}
	entries, err := os.ReadDir(d.stored("backup", "db"))
	if err != nil {
		d.Fatalf("cannot look into the repository: %v", err)
	}
	for _, entry := range entries {
		if entry.IsDir() && regexp.MustCompile(`^\d{8}-\d{6}F`).MatchString(entry.Name()) {
			got = append(got, entry.Name())
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		d.Errorf("the repository has the backups %v; want %v", got, want)
	}
}

// checkWAL checks whether a segment is in the archive.
func (d *database) checkWAL(segment string, want bool) {
	d.Helper()
	if got := d.stored("archive", "db", "*", "*", segment+"-*") != ""; got != want {
		d.Errorf("the segment %s is in the archive: %t; want %t", segment, got, want)
	}
}

// report is what a backup's Job has written down.
func (d *database) report(name string) instance.BackupReport {
	d.Helper()
	said, report := &corev1.ConfigMap{}, instance.BackupReport{}
	d.get(said, name+".backup")
	if err := json.Unmarshal([]byte(said.Data[instance.BackupKey]), &report); err != nil {
		d.Fatalf("cannot read what the Job of Backup %q says: %v", name, err)
	}
	return report
}

// age makes a backup older by some time: in the repository, by which pgBackRest goes, and in what its Job has written down. Nothing
// reads the times in the backup's own list of files.
func (d *database) age(name string, by time.Duration) {
	d.Helper()
	report := d.report(name)
	start, stop := report.Start.Add(-by), report.Stop.Add(-by)
	report.Start, report.Stop = &start, &stop
	raw, err := json.Marshal(report)
	if err != nil {
		d.Fatalf("cannot encode a report: %v", err)
	}
	said := &corev1.ConfigMap{}
	d.get(said, name+".backup")
	before := said.DeepCopy()
	said.Data[instance.BackupKey] = string(raw)
	if err := d.kube.Patch(d.Context(), said, client.MergeFrom(before)); err != nil {
		d.Fatalf("cannot change what the Job of Backup %q says: %v", name, err)
	}
	for _, file := range []string{"backup.info", "backup.info.copy"} {
		path := d.stored("backup", "db", file)
		list, err := os.ReadFile(path) //nolint:gosec // It is in the test's own bucket.
		if err != nil {
			d.Fatalf("cannot read the list of backups: %v", err)
		}
		// The store keeps what it knows of an object beside the content of the file, so that stays the same file.
		if err := os.WriteFile(path, []byte(aged(string(list), report.Label, by)), 0o600); err != nil {
			d.Fatalf("cannot change the list of backups: %v", err)
		}
	}
}

// aged returns pgBackRest's list of backups in which one is older by some time. The list ends with the checksum of all that is
// before, as the JSON object that it stands for.
func aged(list, label string, by time.Duration) string {
	times := regexp.MustCompile(`"backup-timestamp-(start|stop)":(\d+)`)
	older := func(entry string) string {
		found := times.FindStringSubmatch(entry)
		at, _ := strconv.ParseInt(found[2], 10, 64) // It has digits only.
		return fmt.Sprintf(`"backup-timestamp-%s":%d`, found[1], at-int64(by.Seconds()))
	}
	out, sum, section, separator := &strings.Builder{}, sha1.New(), "", "{" //nolint:gosec // As above.
	for line := range strings.Lines(list) {
		key, value, isEntry := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch {
		case !isEntry && strings.HasPrefix(key, "["):
			section, separator = strings.Trim(key, "[]"), strings.Replace(separator, ",", "},", 1)
		case isEntry && key == "backrest-checksum":
			sum.Write([]byte("}}"))
			line = fmt.Sprintf("%s=%q\n", key, hex.EncodeToString(sum.Sum(nil)))
		case isEntry:
			if key == label {
				value = times.ReplaceAllStringFunc(value, older)
				line = key + "=" + value + "\n"
			}
			if section != "" {
				sum.Write(fmt.Appendf(nil, "%s%q:{", separator, section))
				section, separator = "", ""
			}
			sum.Write(fmt.Appendf(nil, "%s%q:%s", separator, key, value))
			separator = ","
		}
		out.WriteString(line)
	}
	return out.String()
}
