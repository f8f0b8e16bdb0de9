package verify

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/pgbackrest"
	"github.com/xdbcluster/xdbcluster/internal/agent/restore"
)

func four() time.Time { return time.Date(2026, time.March, 2, 4, 0, 0, 0, time.UTC) }

func due() instance.VerificationTask { return instance.VerificationTask{Due: four(), Points: true} }

func TestChoose(t *testing.T) {
	since := four().Add(-72 * time.Hour)
	backup := func(label string, ago time.Duration, change ...func(*pgbackrest.Backup)) pgbackrest.Backup {
		b := pgbackrest.Backup{Label: label, Start: four().Add(-ago), Stop: four().Add(-ago), LSN: [2]string{"0/2000000", "0/3000000"}}
		for _, c := range change {
			c(&b)
		}
		return b
	}
	marked := func(at time.Time) func(*pgbackrest.Backup) {
		return func(b *pgbackrest.Backup) {
			b.Damaged, b.Annotations = true, map[string]string{pgbackrest.AnnotationDamaged: at.Format(time.RFC3339)}
		}
	}
	prior := func(label string) func(*pgbackrest.Backup) {
		return func(b *pgbackrest.Backup) { b.Prior = label }
	}
	stanza := func(backups ...pgbackrest.Backup) pgbackrest.Stanza {
		return pgbackrest.Stanza{There: true, Backups: backups, LastWAL: "000000010000000000000009"}
	}
	backups := func(t instance.VerificationTask) instance.VerificationTask {
		t.Points = false
		return t
	}
	cases := map[string]struct {
		reason string
		stanza pgbackrest.Stanza
		task   instance.VerificationTask
		count  int
		want   trial
	}{
		"Newest": {
			reason: "The newest backup is the one that is most likely to be needed.",
			stanza: stanza(backup("A", 48*time.Hour), backup("B", time.Hour)), task: due(),
			want: trial{Label: "B"},
		},
		"Point": {
			reason: "In turn the WAL between backups is tried: half-way from the end of the oldest one to where the newest segment begins.",
			stanza: stanza(backup("A", 48*time.Hour), backup("B", time.Hour)), task: due(), count: 1,
			want: trial{LSN: "0/6000000"},
		},
		"BackupsOnly": {
			reason: "Where only backups are offered nothing else is tried.",
			stanza: stanza(backup("A", 48*time.Hour), backup("B", time.Hour)), task: backups(due()), count: 1,
			want: trial{Label: "B"},
		},
		"NoWALYet": {
			reason: "Without WAL after the backup there is no point to choose.",
			stanza: pgbackrest.Stanza{There: true, Backups: []pgbackrest.Backup{backup("A", time.Hour)}, LastWAL: "000000010000000000000003"}, task: due(), count: 1,
			want: trial{Label: "A"},
		},
		"BeforeAGap": {
			reason: "A backup from before WAL was archived without gaps is not offered, and not tried.",
			stanza: stanza(backup("A", 96*time.Hour)), task: due(),
		},
		"Damaged": {
			reason: "What is known to be damaged is not tried again.",
			stanza: stanza(backup("A", 48*time.Hour), backup("B", time.Hour, marked(four().Add(-24*time.Hour)))), task: due(),
			want: trial{Label: "A"},
		},
		"JustDamaged": {
			reason: "When this one has found a backup damaged, that may be because of the one that it continues.",
			stanza: stanza(backup("A", 48*time.Hour), backup("X", 40*time.Hour), backup("B", time.Hour, prior("A"), marked(four()))), task: due(),
			want: trial{Label: "A"},
		},
		"JustDamagedTwice": {
			reason: "So it goes on from the older of two.",
			stanza: stanza(backup("A", 48*time.Hour), backup("B", 2*time.Hour, prior("A"), marked(four())), backup("C", time.Hour, prior("B"), marked(four()))), task: due(),
			want: trial{Label: "A"},
		},
		"JustDamagedFull": {
			reason: "A full backup continues nothing, and older ones are of the next time.",
			stanza: stanza(backup("A", 48*time.Hour), backup("B", time.Hour, marked(four()))), task: due(),
		},
		"None": {reason: "Without backups there is nothing to try.", stanza: stanza(), task: due()},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := choose(tc.stanza, since, tc.task, tc.count, func(n uint64) uint64 { return n / 2 })
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nchoose(...): -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestFindings plays verifications through: what is tried, what that has come to, and what is written down in the end.
func TestFindings(t *testing.T) {
	damage := fmt.Errorf("cannot copy the backup: %w", &pgbackrest.Failure{Command: "restore", Status: 26, Output: "ERROR: [026]: bad"})
	archive := fmt.Errorf("cannot replay WAL: %w", restore.Ended{Log: "FATAL:  recovery ended before configured recovery target was reached"})
	away := errors.New("the store is away")
	passed := []string{instance.CheckRestored, instance.CheckRecovered, instance.CheckStarted, instance.CheckTables}
	type event struct {
		trial  trial
		label  string
		checks []string
		err    error
		want   step
		next   trial
	}
	newest, point := trial{Label: "B"}, trial{LSN: "0/6000000"}
	cases := map[string]struct {
		reason     string
		remembered string
		events     []event
		want       instance.Verification
		says       []string
	}{
		"Sound": {
			reason: "A backup that is sound.",
			events: []event{{trial: newest, label: "B", checks: passed, want: end}},
			want:   instance.Verification{Result: v1alpha1.VerificationSucceeded, Label: "B", Target: "to the end of the backup", Checks: passed},
			says:   []string{"nothing is wrong"},
		},
		"SoundAfterFailures": {
			reason: "A store that is away for a moment says nothing about the backup, which is tried again.",
			events: []event{
				{trial: trial{}, err: away, want: repeat},
				{trial: newest, label: "B", err: away, want: repeat, next: newest},
				{trial: newest, label: "B", checks: passed, want: end},
			},
			want: instance.Verification{Result: v1alpha1.VerificationSucceeded, Label: "B", Target: "to the end of the backup", Checks: passed},
		},
		"NotTried": {
			reason: "After three failures it is told that nothing is known.",
			events: []event{
				{trial: newest, label: "B", err: away, want: repeat, next: newest},
				{trial: newest, label: "B", err: away, want: repeat, next: newest},
				{trial: newest, label: "B", err: away, want: end},
			},
			want: instance.Verification{Result: v1alpha1.VerificationFailed, Label: "B", Target: "to the end of the backup"},
			says: []string{"3 times: the store is away", "says nothing about the backup"},
		},
		"Gone": {
			reason: "What was chosen may have expired while the lock was free: another one is chosen.",
			events: []event{{trial: newest, err: restore.Refusal{Message: "it is not there."}, want: repeat}, {trial: trial{Label: "C"}, label: "C", checks: passed, want: end}},
			want:   instance.Verification{Result: v1alpha1.VerificationSucceeded, Label: "C", Target: "to the end of the backup", Checks: passed},
		},
		"DamagedOnce": {
			reason: "A fault that does not come back is not the backup's.",
			events: []event{{trial: newest, label: "B", err: damage, want: repeat, next: newest}, {trial: newest, label: "B", checks: passed, want: end}},
			want:   instance.Verification{Result: v1alpha1.VerificationSucceeded, Label: "B", Target: "to the end of the backup", Checks: passed},
		},
		"Damaged": {
			reason: "One that does is, and what the backup continues is tried as well.",
			events: []event{
				{trial: newest, label: "B", err: damage, want: repeat, next: newest},
				{trial: newest, label: "B", err: damage, want: condemn},
				{trial: trial{Label: "A"}, label: "A", checks: passed, want: end},
			},
			want: instance.Verification{Result: v1alpha1.VerificationDamaged, Label: "B", Target: "to the end of the backup"},
			says: []string{"The backup B is damaged: cannot copy the backup", "A, which it continues, is sound", "the next backup is a full one"},
		},
		"DamagedBelow": {
			reason: "The fault may be in what it continues.",
			events: []event{
				{trial: newest, label: "B", err: damage, want: repeat, next: newest},
				{trial: newest, label: "B", err: damage, want: condemn},
				{trial: trial{Label: "A"}, label: "A", err: damage, want: repeat, next: trial{Label: "A"}},
				{trial: trial{Label: "A"}, label: "A", err: damage, want: condemn},
			},
			want: instance.Verification{Result: v1alpha1.VerificationDamaged, Label: "B", Target: "to the end of the backup"},
			says: []string{"The backup B is damaged", "The backup A is damaged"},
		},
		"FaultsInTables": {
			reason: "A backup that can be restored and has faults is told by what it passed.",
			events: []event{
				{trial: newest, label: "B", checks: passed[:3], err: fault{"pg_amcheck finds faults: x"}, want: repeat, next: newest},
				{trial: newest, label: "B", checks: passed[:3], err: fault{"pg_amcheck finds faults: x"}, want: condemn},
			},
			want: instance.Verification{Result: v1alpha1.VerificationDamaged, Label: "B", Target: "to the end of the backup", Checks: passed[:3]},
			says: []string{"pg_amcheck finds faults: x", "If the running database has the same fault, mend it there first"},
		},
		"StartedAgain": {
			reason: "What was found before the Job was started again counts.", remembered: "B",
			events: []event{{trial: trial{Label: "A"}, label: "A", checks: passed, want: end}},
			want:   instance.Verification{Result: v1alpha1.VerificationDamaged, Label: "B", Target: "to the end of the backup"},
			says:   []string{"the log of the Job's Pod before this one says why", "A, which it continues, is sound"},
		},
		"Gap": {
			reason: "Where WAL cannot be replayed the backup before it may be sound all the same.",
			events: []event{
				{trial: point, label: "A", err: archive, want: repeat, next: point},
				{trial: point, label: "A", err: archive, want: repeat, next: trial{Label: "A"}},
				{trial: trial{Label: "A"}, label: "A", checks: passed, want: end},
			},
			want: instance.Verification{Result: v1alpha1.VerificationDamaged, Label: "A", Target: "to 0/6000000"},
			says: []string{"WAL cannot be replayed from the backup A to 0/6000000", "The backup itself is sound", "create a full Backup"},
		},
		"GapAndDamaged": {
			reason: "Or it is not, which says more.",
			events: []event{
				{trial: point, label: "A", err: damage, want: repeat, next: point},
				{trial: point, label: "A", err: damage, want: repeat, next: trial{Label: "A"}},
				{trial: trial{Label: "A"}, label: "A", err: damage, want: repeat, next: trial{Label: "A"}},
				{trial: trial{Label: "A"}, label: "A", err: damage, want: condemn},
			},
			want: instance.Verification{Result: v1alpha1.VerificationDamaged, Label: "A", Target: "to the end of the backup"},
		},
		"Nothing": {
			reason: "That there is no backup is told, too.",
			want:   instance.Verification{Result: v1alpha1.VerificationFailed},
			says:   []string{"There is no backup that could be tried"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := findings{}
			if tc.remembered != "" {
				f.remember(tc.remembered)
				f.remember(tc.remembered)
			}
			for i, e := range tc.events {
				if got := f.take(e.trial, e.label, e.checks, e.err); got != e.want {
					t.Errorf("\n%s\ntake(...) of event %d: got %d, want %d", tc.reason, i, got, e.want)
				}
				if diff := cmp.Diff(e.next, f.Next); diff != "" {
					t.Errorf("\n%s\nNext after event %d: -want +got:\n%s", tc.reason, i, diff)
				}
			}
			got := f.outcome(four(), four().Add(72*time.Second))
			for _, words := range tc.says {
				if !strings.Contains(got.Message, words) {
					t.Errorf("\n%s\nit does not say %q, but: %s", tc.reason, words, got.Message)
				}
			}
			if got.Message == "" {
				t.Errorf("\n%s\nnobody is told what came of it", tc.reason)
			}
			got.Message = ""
			tc.want.Time, tc.want.Duration = four().Add(72*time.Second), "1m12s"
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\noutcome(...): -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestMarkIsKept shows that a mark is recognised that went through the repository.
func TestMarkIsKept(t *testing.T) {
	s := pgbackrest.Stanza{Backups: []pgbackrest.Backup{
		{Label: "A", Annotations: map[string]string{pgbackrest.AnnotationDamaged: mark(due())}},
		{Label: "B", Annotations: map[string]string{pgbackrest.AnnotationName: "b"}, Damaged: true, Prior: "A"},
		{Label: "C", Damaged: true, Prior: "B"},
	}}
	later := due()
	later.Due = later.Due.Add(time.Minute)
	if here, next := len(foundBy(s, due())), len(foundBy(s, later)); here != 1 || next != 0 {
		t.Errorf("foundBy(...): %d of this verification and %d of the next one; want 1 and 0", here, next)
	}
	if diff := cmp.Diff(map[string]string{"b": "It continues A, which is damaged."}, dependants(s)); diff != "" {
		t.Errorf("dependants(...): -want +got:\n%s", diff)
	}
}

func TestFirst(t *testing.T) {
	kept := &firstOf{limit: 10}
	for range 3 {
		if n, err := kept.Write([]byte("abcdef\n")); n != 7 || err != nil {
			t.Fatalf("Write(...): %d, %v", n, err)
		}
	}
	if diff := cmp.Diff("abcdef abc", first(kept.String())); diff != "" {
		t.Errorf("first(...): -want +got:\n%s", diff)
	}
	if long := first(strings.Repeat("é", maximumFault)); len(long) > maximumFault+3 {
		t.Errorf("first(...): %d bytes are repeated", len(long))
	}
	if first(" \n") == "" {
		t.Error("first(...): that nothing is said is not told")
	}
}
