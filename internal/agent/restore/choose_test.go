package restore

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/pgbackrest"
)

func TestChoose(t *testing.T) {
	now := time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	at := func(ago time.Duration) *time.Time {
		t := now.Add(-ago)
		return &t
	}
	backup := func(label string, ago time.Duration, lsn string) pgbackrest.Backup {
		return pgbackrest.Backup{Label: label, Stop: *at(ago), LSN: [2]string{"", lsn}}
	}
	found := map[string]pgbackrest.Stanza{
		"older": {There: true, Backups: []pgbackrest.Backup{backup("A", 9*time.Hour, "0/2000000"), backup("B", 8*time.Hour, "0/4000000")}},
		"newer": {There: true, Backups: []pgbackrest.Backup{backup("C", 5*time.Hour, "0/6000000"), backup("D", time.Hour, "1/0")}},
		"empty": {There: true},
	}
	marked := func(b pgbackrest.Backup, prior string) pgbackrest.Backup {
		b.Damaged, b.Prior = true, prior
		if prior == "" {
			b.Annotations = map[string]string{pgbackrest.AnnotationDamaged: "2026-11-23T04:00:00Z"}
		}
		return b
	}
	spoilt := map[string]pgbackrest.Stanza{"only": {There: true, Backups: []pgbackrest.Backup{
		backup("A", 9*time.Hour, "0/2000000"), marked(backup("B", 5*time.Hour, "0/6000000"), ""), marked(backup("C", time.Hour, "1/0"), "B"),
	}}}
	lost := map[string]pgbackrest.Stanza{"only": {There: true, Backups: []pgbackrest.Backup{marked(backup("A", time.Hour, "1/0"), "")}}}
	unsaved := map[string]pgbackrest.Stanza{
		"before": {There: true, Backups: []pgbackrest.Backup{backup("A", 9*time.Hour, "0/2000000")}, LastArchived: *at(2 * time.Hour)},
		"now":    {There: true, LastArchived: *at(time.Hour)},
	}
	putBack := map[string]pgbackrest.Stanza{
		"again":   {There: true, Backups: []pgbackrest.Backup{backup("A", 9*time.Hour, "0/2000000")}, LastArchived: *at(time.Hour)},
		"between": {There: true, Backups: []pgbackrest.Backup{backup("B", 5*time.Hour, "0/4000000")}, LastArchived: *at(3 * time.Hour)},
	}
	type want struct {
		choice Choice
		err    string
	}
	cases := map[string]struct {
		reason string
		wanted instance.Restore
		found  map[string]pgbackrest.Stanza
		want   want
	}{
		"All": {
			reason: "without a target, the least WAL has to be replayed from the newest backup of the newest incarnation",
			found:  found,
			want:   want{choice: Choice{Incarnation: "newer", Label: "D"}},
		},
		"Backup": {
			reason: "a backup is found wherever it is",
			wanted: instance.Restore{Backup: "A"}, found: found,
			want: want{choice: Choice{Incarnation: "older", Label: "A"}},
		},
		"Immediate": {
			reason: "the newest backup is what was there last without any WAL after it",
			wanted: instance.Restore{Immediate: true}, found: found,
			want: want{choice: Choice{Incarnation: "newer", Label: "D"}},
		},
		"Transaction": {
			reason: "from a backup that was complete after the transaction it is never reached, so the oldest one is searched from",
			wanted: instance.Restore{XID: 742}, found: found,
			want: want{choice: Choice{Incarnation: "newer", Label: "C"}},
		},
		"TransactionFromBackup": {
			reason: "whoever knows when it was saves the time",
			wanted: instance.Restore{XID: 742, Backup: "D"}, found: found,
			want: want{choice: Choice{Incarnation: "newer", Label: "D"}},
		},
		"TransactionOfOlderIncarnation": {
			reason: "numbers say nothing about which incarnation is meant, so that it has to be named",
			wanted: instance.Restore{XID: 742, Incarnation: "older"}, found: found,
			want: want{choice: Choice{Incarnation: "older", Label: "A"}},
		},
		"RestorePoint": {
			reason: "neither does a name say when it was",
			wanted: instance.Restore{Name: "before-migration"}, found: found,
			want: want{choice: Choice{Incarnation: "newer", Label: "C"}},
		},
		"RestorePointFromMissingBackup": {
			reason: "another backup than the one that is named may not have it",
			wanted: instance.Restore{Name: "before-migration", Backup: "X"}, found: found,
			want: want{err: "the backup X is not in the repository, which has those from A to D. Choose one of them: kubectl get backups -o wide lists them."},
		},
		"BackupMissing": {
			reason: "a label that is not there is refused with those that are",
			wanted: instance.Restore{Backup: "X"}, found: found,
			want: want{err: "the backup X is not in the repository, which has those from A to D. Choose one of them: kubectl get backups -o wide lists them."},
		},
		"Time": {
			reason: "the newest backup before the time is nearest to it",
			wanted: instance.Restore{Time: at(2 * time.Hour)}, found: found,
			want: want{choice: Choice{Incarnation: "newer", Label: "C"}},
		},
		"TimeInOlderIncarnation": {
			reason: "what the cluster was before it was made again is in the older incarnation",
			wanted: instance.Restore{Time: at(6 * time.Hour)}, found: found,
			want: want{choice: Choice{Incarnation: "older", Label: "B"}},
		},
		"TimeAtTheEndOfABackup": {
			reason: "a backup that ended in the second before may not be consistent yet at its beginning",
			wanted: instance.Restore{Time: at(8*time.Hour - 999*time.Millisecond)}, found: found,
			want: want{choice: Choice{Incarnation: "older", Label: "A"}},
		},
		"TimeAfterTheSecondOfABackup": {
			reason: "a second later it is",
			wanted: instance.Restore{Time: at(8*time.Hour - time.Second)}, found: found,
			want: want{choice: Choice{Incarnation: "older", Label: "B"}},
		},
		"TimeTooEarly": {
			reason: "a time before the window is refused with the window",
			wanted: instance.Restore{Time: at(10 * time.Hour)}, found: found,
			want: want{err: "pointInTime 2026-11-23T02:00:00Z is before the recovery window, which begins at 2026-11-23T03:00:01Z. Choose a later one."},
		},
		"TimeToCome": {
			reason: "nobody can restore the future",
			wanted: instance.Restore{Time: at(-time.Minute)}, found: found,
			want: want{err: "pointInTime 2026-11-23T12:01:00Z has not come yet: it is 2026-11-23T12:00:00Z. Choose an earlier one."},
		},
		"LSN": {
			reason: "positions are compared as numbers",
			wanted: instance.Restore{LSN: "0/7000000"}, found: found,
			want: want{choice: Choice{Incarnation: "newer", Label: "C"}},
		},
		"LSNTooEarly": {
			reason: "a position before the window is refused with the window",
			wanted: instance.Restore{LSN: "0/1000000"}, found: found,
			want: want{err: "lsn 0/1000000 is before the recovery window, which begins at 0/2000000. Choose a later one."},
		},
		"Incarnation": {
			reason: "another incarnation is not looked at when one is named",
			wanted: instance.Restore{Incarnation: "older"}, found: found,
			want: want{choice: Choice{Incarnation: "older", Label: "B"}},
		},
		"IncarnationWithoutBackups": {
			reason: "an incarnation without backups is refused with those that have some",
			wanted: instance.Restore{Namespace: "shop", Cluster: "orders", Incarnation: "empty"}, found: found,
			want: want{err: "there is no backup of the DBCluster orders of the namespace shop in the repository in the incarnation empty; there are some in newer, older."},
		},
		"NewestWithoutBackups": {
			reason: "an older incarnation does not take the place of one that cannot be restored",
			wanted: instance.Restore{Cluster: "orders"}, found: unsaved,
			want: want{err: "the newest incarnation of the DBCluster orders, now, was written to until 2026-11-23T11:00:00Z, and has no backup that it can be restored from. " +
				"To go back to what was before it, without all of that, restore with incarnation before, whose newest backup is A; a new DBCluster does so with spec.bootstrap.restore."},
		},
		"RestorePointWithoutBackups": {
			reason: "nor is what it may have looked for elsewhere",
			wanted: instance.Restore{Cluster: "orders", Name: "before-migration"}, found: unsaved,
			want: want{err: "the newest incarnation of the DBCluster orders, now, was written to until 2026-11-23T11:00:00Z, and has no backup that it can be restored from. " +
				"To go back to what was before it, without all of that, restore with incarnation before, whose newest backup is A; a new DBCluster does so with spec.bootstrap.restore."},
		},
		"OlderByName": {
			reason: "whoever names the older one gets it",
			wanted: instance.Restore{Incarnation: "before"}, found: unsaved,
			want: want{choice: Choice{Incarnation: "before", Label: "A"}},
		},
		"PutBack": {
			reason: "the incarnation that was put back is the newest, though the other one has the newer backup",
			found:  putBack,
			want:   want{choice: Choice{Incarnation: "again", Label: "A"}},
		},
		"TimeAfterPutBack": {
			reason: "the one that was left has nothing of that time",
			wanted: instance.Restore{Time: at(2 * time.Hour)}, found: putBack,
			want: want{choice: Choice{Incarnation: "again", Label: "A"}},
		},
		"TimeBeforePutBack": {
			reason: "what the cluster was between is in the one that was left",
			wanted: instance.Restore{Time: at(4 * time.Hour)}, found: putBack,
			want: want{choice: Choice{Incarnation: "between", Label: "B"}},
		},
		"NewestDamaged": {
			reason: "what is damaged is not chosen, nor what continues it",
			found:  spoilt,
			want:   want{choice: Choice{Incarnation: "only", Label: "A"}},
		},
		"TimeAfterDamaged": {
			reason: "an older backup reaches the time as well, with more WAL",
			wanted: instance.Restore{Time: at(4 * time.Hour)}, found: spoilt,
			want: want{choice: Choice{Incarnation: "only", Label: "A"}},
		},
		"BackupDamaged": {
			reason: "a backup that is asked for by name is not replaced by another one",
			wanted: instance.Restore{Backup: "B"}, found: spoilt,
			want: want{err: "the backup B is damaged: it was tried, and could not be restored or had faults. Choose another one; the newest that is not known to be damaged is A."},
		},
		"BackupContinuesDamaged": {
			reason: "who is refused is told what is damaged",
			wanted: instance.Restore{Backup: "C"}, found: spoilt,
			want: want{err: "the backup C continues B, which is damaged. Choose another one; the newest that is not known to be damaged is A."},
		},
		"BackupDamagedAndOnlyOne": {
			reason: "there may be no other",
			wanted: instance.Restore{Backup: "A"}, found: lost,
			want: want{err: "the backup A is damaged: it was tried, and could not be restored or had faults. There is no other."},
		},
		"AllDamaged": {
			reason: "that there are only damaged ones is not that there are none",
			wanted: instance.Restore{Namespace: "shop", Cluster: "orders"}, found: lost,
			want: want{err: "every backup of the DBCluster orders of the namespace shop in the repository is damaged: each was tried, or continues one that was. Take a full backup if the DBCluster still runs."},
		},
		"Nothing": {
			reason: "an empty repository may be the wrong one",
			wanted: instance.Restore{Namespace: "shop", Cluster: "orders"},
			want:   want{err: "there is no backup of the DBCluster orders of the namespace shop in the repository: check sourceDBCluster, sourceNamespace, and the location of the BackupPlan."},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := choose(tc.wanted, tc.found, now)
			said := ""
			if err != nil {
				said = err.Error()
			}
			if diff := cmp.Diff(tc.want.choice, got); diff != "" {
				t.Errorf("%s: choose(): -want +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.want.err, said); diff != "" {
				t.Errorf("%s: choose(): error: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestKept(t *testing.T) {
	stop := time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	backup := func(label string, ago time.Duration) pgbackrest.Backup {
		return pgbackrest.Backup{Label: label, Stop: stop.Add(-ago)}
	}
	cases := map[string]struct {
		reason string
		found  map[string]pgbackrest.Stanza
		want   *Kept
	}{
		"Nothing": {reason: "a new cluster has no path in the repository"},
		"NoBackups": {
			reason: "from WAL alone nothing can be restored",
			found:  map[string]pgbackrest.Stanza{"a": {There: true}, "b": {}},
		},
		"Several": {
			reason: "all lives of the cluster count, and the newest backup says which one it was last",
			found: map[string]pgbackrest.Stanza{
				"a": {There: true, Backups: []pgbackrest.Backup{backup("A", 9*time.Hour), backup("B", 8*time.Hour)}},
				"b": {There: true, Backups: []pgbackrest.Backup{backup("C", 0)}},
			},
			want: &Kept{Backups: 3, Label: "C", Incarnation: "b", Stop: stop},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, kept(tc.found)); diff != "" {
				t.Errorf("%s: kept(): -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestCannotReplay(t *testing.T) {
	cases := map[string]struct {
		reason string
		wanted instance.Restore
		log    string
		want   error
	}{
		"ArchiveEnds": {
			reason: "the last transaction says how far one could have gone",
			log: "LOG:  redo done at 0/3000110\nLOG:  last completed transaction was at log time 2026-11-23 11:58:01.5+00\n" +
				"FATAL:  recovery ended before configured recovery target was reached\n",
			want: errors.New("cannot replay WAL up to the target: the archive ends before it: the last transaction in it is of 2026-11-23 11:58:01.5+00. " +
				"Choose an earlier target, or none for all that is archived"),
		},
		"ArchiveEndsWithoutTransactions": {
			reason: "there may be none since the backup",
			log:    "FATAL:  recovery ended before configured recovery target was reached\n",
			want:   errors.New("cannot replay WAL up to the target: the archive ends before it. Choose an earlier target, or none for all that is archived"),
		},
		"TransactionMissing": {
			reason: "a number may be wrong, of a transaction before the backup, or of one after a gap",
			wanted: instance.Restore{XID: 742},
			log: "LOG:  last completed transaction was at log time 2026-11-23 11:58:01.5+00\n" +
				"FATAL:  recovery ended before configured recovery target was reached\n",
			want: errors.New("cannot replay WAL up to the target: it is not in what was archived from the end of the backup B on: the last transaction in it is of " +
				"2026-11-23 11:58:01.5+00. Check it. If it was over when that backup was complete, set backup to an older one; " +
				"if the BackupPlan was away for a while in between, which leaves a gap, to the first one after that"),
		},
		"DuringTheBackup": {
			reason: "another try would end the same way",
			wanted: instance.Restore{Name: "before-migration"},
			log:    "FATAL:  requested recovery stop point is before consistent recovery point\n",
			want:   Refusal{Message: "it is from before the end of the backup B, with which the restore begins. Choose an older backup, where there is one."},
		},
		"Fatal": {
			reason: "the last fatal error is why it ended",
			log:    "2026-11-23 12:00:00.000 UTC [7] FATAL:  could not open file\nLOG:  x\n2026-11-23 12:00:01.000 UTC [9] PANIC:  could not locate a valid checkpoint record\nLOG:  y\n",
			want:   errors.New("cannot replay WAL up to the target: PostgreSQL says: could not locate a valid checkpoint record"),
		},
		"Nothing": {
			reason: "a process that was killed says nothing",
			want:   errors.New("cannot replay WAL up to the target: PostgreSQL has ended, and said nothing about why; it was killed, or its node has no memory left"),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := cannotReplay(tc.wanted, "B", Ended{Log: tc.log})
			if diff := cmp.Diff(tc.want.Error(), got.Error()); diff != "" {
				t.Errorf("%s: cannotReplay(): -want +got:\n%s", tc.reason, diff)
			}
			if errors.As(tc.want, new(Refusal)) != errors.As(got, new(Refusal)) {
				t.Errorf("%s: cannotReplay() returned a %T; want a %T", tc.reason, got, tc.want)
			}
		})
	}
}

func TestEndedDamaged(t *testing.T) {
	cases := map[string]struct {
		reason string
		log    string
		want   bool
	}{
		"Checkpoint":             {reason: "a backup without its beginning", log: "PANIC:  could not locate a valid checkpoint record at 0/3000028\n", want: true},
		"Archive":                {reason: "WAL that is not there or not what was written", log: "FATAL:  recovery ended before configured recovery target was reached\n", want: true},
		"Page":                   {reason: "a page that is not what was written", log: "FATAL:  invalid page in block 3 of relation base/5/1259\n", want: true},
		"File":                   {reason: "a file that is missing", log: "FATAL:  could not open file \"pg_xact/0000\": No such file or directory\n", want: true},
		"Segment":                {reason: "that the archive ends is said of every recovery", log: "LOG:  could not open file \"pg_wal/000000010000000000000004\": No such file or directory\n"},
		"NoSpace":                {reason: "a volume that is too small says nothing about the backup", log: "PANIC:  could not write to file \"pg_wal/xlogtemp.7\": No space left on device\n"},
		"Unwritten":              {reason: "nor does a segment that could not be written", log: "repo1: 17-1/0000000100000000/000000010000000000000036-c0.zst [FileWriteError] unable to write '/data/pg_wal/RECOVERYXLOG'\nFATAL:  could not restore file \"000000010000000000000036\" from archive: child process exited with exit code 200\n"},
		"Segment not as written": {reason: "a segment that is not what was written", log: "repo1: 17-1/0000000100000000/000000010000000000000036-c0.zst [FormatError] zst error: [20] Data corruption detected\nFATAL:  could not restore file \"000000010000000000000036\" from archive: child process exited with exit code 200\n", want: true},
		"Memory":                 {reason: "nor do limits that are too low", log: "FATAL:  could not map anonymous shared memory: Cannot allocate memory\n"},
		"Killed":                 {reason: "nor does a process that was killed"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := (Ended{Log: tc.log}).Damaged(); got != tc.want {
				t.Errorf("%s: Damaged(): got %t, want %t", tc.reason, got, tc.want)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	at := time.Date(2026, time.November, 23, 12, 0, 0, 123456000, time.FixedZone("", 19800))
	const label = "20261123-020000F"
	cases := map[string]struct {
		reason string
		wanted instance.Restore
		want   string
	}{
		"All":    {reason: "Without a target PostgreSQL replays all that there is.", want: ""},
		"Time":   {reason: "The time is in UTC, to the microsecond.", wanted: instance.Restore{Time: &at}, want: "recovery_target_time = '2026-11-23 06:30:00.123456+00'\n"},
		"LSN":    {reason: "A position is as PostgreSQL writes it.", wanted: instance.Restore{LSN: "0/3000028"}, want: "recovery_target_lsn = '0/3000028'\n"},
		"Backup": {reason: "A backup alone is restored to its end.", wanted: instance.Restore{Backup: label}, want: "recovery_target = 'immediate'\n"},
		"Newest": {reason: "So is the newest one.", wanted: instance.Restore{Immediate: true}, want: "recovery_target = 'immediate'\n"},
		"XID":    {reason: "A transaction has a number.", wanted: instance.Restore{XID: 742}, want: "recovery_target_xid = '742'\n"},
		"XIDOfLaterEpoch": {
			reason: "Numbers in the WAL have no epoch.",
			wanted: instance.Restore{XID: 3<<32 + 742}, want: "recovery_target_xid = '742'\n",
		},
		"XIDFromBackup": {
			reason: "A backup to begin with is no target.",
			wanted: instance.Restore{XID: 742, Backup: label}, want: "recovery_target_xid = '742'\n",
		},
		"Name": {
			reason: "A name may hold what has a meaning in a configuration file.",
			wanted: instance.Restore{Name: `Bob's C:\new`, Backup: label}, want: `recovery_target_name = 'Bob''s C:\\new'` + "\n",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := Restorer{Wanted: tc.wanted, Run: "/run/restore"}
			want := `archive_mode = 'off'
hba_file = '/run/restore/pg_hba.conf'
hot_standby = 'off'
ident_file = '/run/restore/pg_ident.conf'
listen_addresses = ''
logging_collector = 'off'
max_connections = '10'
max_locks_per_transaction = '128'
max_prepared_transactions = '3'
max_wal_senders = '0'
max_wal_size = '256MB'
max_worker_processes = '1'
min_wal_size = '32MB'
TARGETrecovery_target_action = 'promote'
recovery_target_timeline = 'latest'
restore_command = 'pgbackrest --config=/run/c.conf --stanza=db archive-get %f "%p"; status=$?; test $status -le 1 || status=200; exit $status'
unix_socket_directories = '/run/restore'
`
			got := string(r.settings("/run/c.conf", room{prepared: "3", locks: "128"}))
			if diff := cmp.Diff(lines(strings.ReplaceAll(want, "TARGET", tc.want)), lines(got)); diff != "" {
				t.Errorf("%s: settings(): -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// lines are those of a text in the order of the alphabet.
func lines(text string) []string {
	return slices.Sorted(strings.SplitSeq(text, "\n"))
}

// TestRestoreCommand runs the command with a pgBackRest that ends with a status.
func TestRestoreCommand(t *testing.T) {
	cases := map[string]struct {
		reason string
		status int
		want   func(int) bool
	}{
		"Found":   {reason: "a segment was had", status: 0, want: func(s int) bool { return s == 0 }},
		"Missing": {reason: "only what is not in the archive ends it", status: 1, want: func(s int) bool { return s == 1 }},
		"Full":    {reason: "a segment that cannot be written ends the recovery", status: 42, want: func(s int) bool { return s > 125 }},
		"Away":    {reason: "so does a store that does not answer", status: 49, want: func(s int) bool { return s > 125 }},
		"Absent":  {reason: "and a pgBackRest that cannot be run", status: 127, want: func(s int) bool { return s > 125 }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			program := fmt.Sprintf("#!/bin/sh\nexit %d\n", tc.status)
			if err := os.WriteFile(filepath.Join(folder, "pgbackrest"), []byte(program), 0o700); err != nil { //nolint:gosec // It is run.
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", restoreCommand("/run/c.conf")) //nolint:gosec // It is what is tested.
			cmd.Env = []string{"PATH=" + folder}
			_ = cmd.Run() // Its status is what counts.
			if got := cmd.ProcessState.ExitCode(); !tc.want(got) {
				t.Errorf("%s: pgBackRest ends with %d, and the command with %d", tc.reason, tc.status, got)
			}
		})
	}
}
