package archive

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/ledger"
	"github.com/xdbcluster/xdbcluster/internal/agent/metrics"
)

// noon is the time in tests.
func noon() time.Time { return time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC) }

func TestDecide(t *testing.T) {
	mounted := &Mounted{Repository: instance.Repository{Type: v1alpha1.LocationS3, Bucket: "backups"}}
	born := &instance.Birth{Incarnation: "first", SystemIdentifier: "7001"}
	here := &instance.ArchiveRecord{Repository: mounted.Repository.ID()}
	elsewhere := &instance.ArchiveRecord{Repository: "elsewhere"}
	cases := map[string]struct {
		reason string
		s      situation
		want   step
	}{
		"NoPlan": {
			reason: "Without a plan nobody wants the WAL.",
			s:      situation{Primary: true, Database: "7001", Ledger: ledger.Ledger{Birth: born}},
			want:   discard,
		},
		"SecretNotMountedYet": {
			reason: "The function knows of a plan: WAL that it may need is not thrown away before the kubelet has mounted the Secret.",
			s:      situation{Planned: true, Primary: true, Database: "7001", Ledger: ledger.Ledger{Birth: born}},
			want:   stay,
		},
		"LedgerNotRead": {
			reason: "Without the ledger nobody knows whether the repository has worked.",
			s:      situation{Planned: true, Mounted: mounted, Primary: true, Database: "7001"},
			want:   hold,
		},
		"OtherDatabase": {
			reason: "A database that is not the cluster's does not write into its repository.",
			s:      situation{Mounted: mounted, Primary: true, Database: "6999", Ledger: ledger.Ledger{Birth: born, Archive: here}},
			want:   hold,
		},
		"Restarted": {
			reason: "A repository that has worked takes WAL at once.",
			s:      situation{Mounted: mounted, Primary: true, Database: "7001", Ledger: ledger.Ledger{Birth: born, Archive: here}},
			want:   adopt,
		},
		"Standby": {
			reason: "A standby is ready to archive as soon as it is promoted.",
			s:      situation{Mounted: mounted, Database: "7001", Ledger: ledger.Ledger{Birth: born, Archive: here}},
			want:   adopt,
		},
		"StandbyOfNewPlan": {
			reason: "Only the primary tries a repository.",
			s:      situation{Mounted: mounted, Database: "7001", Ledger: ledger.Ledger{Birth: born}},
			want:   hold,
		},
		"NewPlan": {
			reason: "The primary tries it.",
			s:      situation{Mounted: mounted, Primary: true, Database: "7001", Ledger: ledger.Ledger{Birth: born}},
			want:   try,
		},
		"StoreChanged": {
			reason: "WAL goes to the store before until the new one was seen to work.",
			s:      situation{Mounted: mounted, Primary: true, Database: "7001", InForce: true, Ledger: ledger.Ledger{Birth: born, Archive: elsewhere}},
			want:   move,
		},
		"StoreChangedWhileAway": {
			reason: "So it does after a restart, when only the ledger knows that there was one.",
			s:      situation{Mounted: mounted, Primary: true, Database: "7001", Ledger: ledger.Ledger{Birth: born, Archive: elsewhere}},
			want:   move,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := decide(tc.s); got != tc.want {
				t.Errorf("\n%s\ndecide(...): got step %d, want %d", tc.reason, got, tc.want)
			}
		})
	}
}

func TestDue(t *testing.T) {
	since := noon().Add(-72 * time.Hour)
	archive := instance.Archive{Repository: "here", Since: &since}
	plan := func(change ...func(*instance.Repository)) instance.Repository {
		r := instance.Repository{Schedules: map[v1alpha1.BackupType]string{v1alpha1.BackupFull: "0 2 * * 0", v1alpha1.BackupIncremental: "0 2 * * *"}}
		for _, c := range change {
			c(&r)
		}
		return r
	}
	paused := func(r *instance.Repository) { r.Paused = true }
	id := func(r instance.Repository) string {
		text, err := planOf(r)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	backedUp := instance.Inventory{Repository: "here", Backups: []instance.StoredBackup{{Label: "a", Start: noon().Add(-48 * time.Hour)}}}
	first := "here@" + since.Format(time.RFC3339)
	remembers := func(handled time.Time) instance.Schedule {
		return instance.Schedule{Plan: id(plan()), Handled: handled}
	}
	asked := func(ago time.Duration) instance.Schedule {
		return instance.Schedule{Plan: id(plan()), Handled: noon().Add(-ago), First: first, FirstAt: noon().Add(-ago)}
	}
	sunday := time.Date(2026, time.March, 1, 2, 0, 0, 0, time.UTC)

	type args struct {
		repository instance.Repository
		inventory  instance.Inventory
		remembered instance.Schedule
	}
	type want struct {
		Backup  v1alpha1.BackupType
		At      time.Time
		Again   bool
		Handled time.Time
	}
	cases := map[string]struct {
		reason string
		args   args
		want   want
	}{
		"AllDamaged": {
			reason: "Where every backup is damaged nothing can be restored, and a full one is not waited for.",
			args:   args{plan(), instance.Inventory{Repository: "here", Backups: []instance.StoredBackup{{Label: "a", Start: noon().Add(-48 * time.Hour), Damaged: true}}}, asked(48 * time.Hour)},
			want:   want{Backup: v1alpha1.BackupFull, At: noon(), Again: true, Handled: noon()},
		},
		"First": {
			reason: "Nothing can be restored before the first backup: it is taken at once, and is full.",
			args:   args{plan(), instance.Inventory{}, instance.Schedule{}},
			want:   want{Backup: v1alpha1.BackupFull, At: noon(), Handled: noon()},
		},
		"FirstOnItsWay": {
			reason: "It is asked for once.",
			args:   args{plan(), instance.Inventory{}, asked(time.Minute)},
			want:   want{Handled: noon().Add(-time.Minute)},
		},
		"FirstFailed": {
			reason: "After an hour without one it is asked for again, unless one is on its way.",
			args:   args{plan(), instance.Inventory{}, asked(time.Hour)},
			want:   want{Backup: v1alpha1.BackupFull, At: noon(), Again: true, Handled: noon()},
		},
		"OtherStore": {
			reason: "What is in another place does not count.",
			args:   args{plan(), instance.Inventory{Repository: "elsewhere", Backups: backedUp.Backups}, remembers(noon())},
			want:   want{Backup: v1alpha1.BackupFull, At: noon(), Handled: noon()},
		},
		"Nothing": {
			reason: "What was due has been taken.",
			args:   args{plan(), backedUp, remembers(noon().Add(-time.Hour))},
			want:   want{Handled: noon().Add(-time.Hour)},
		},
		"Due": {
			reason: "Of two that are due at the same time the full one is taken.",
			args:   args{plan(), backedUp, remembers(sunday.Add(-time.Hour))},
			want:   want{Backup: v1alpha1.BackupFull, At: sunday, Handled: sunday},
		},
		"MissedMany": {
			reason: "What came due while everything was down is made up for once.",
			args:   args{plan(), backedUp, remembers(noon().Add(-20 * 24 * time.Hour))},
			want:   want{Backup: v1alpha1.BackupFull, At: sunday, Handled: sunday},
		},
		"Paused": {
			reason: "A plan that is paused takes none.",
			args:   args{plan(paused), backedUp, instance.Schedule{Plan: id(plan(paused)), Handled: sunday.Add(-time.Hour)}},
			want:   want{Handled: sunday.Add(-time.Hour)},
		},
		"GoesOn": {
			reason: "What came due while it was paused is not made up for.",
			args:   args{plan(), backedUp, instance.Schedule{Plan: id(plan(paused)), Handled: sunday.Add(-time.Hour)}},
			want:   want{Handled: noon()},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d, err := due(tc.args.repository, archive, tc.args.inventory, tc.args.remembered, noon())
			if err != nil {
				t.Fatal(err)
			}
			got := want{Backup: d.Backup, At: d.At, Again: d.Again, Handled: d.Remember.Handled}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\ndue(...): -want, +got:\n%s", tc.reason, diff)
			}
			if d.Remember.Plan != id(tc.args.repository) {
				t.Errorf("\n%s\ndue(...): it is not remembered which schedules were kept", tc.reason)
			}
		})
	}
}

// TestJudge says what is shown of trying backups.
func TestJudge(t *testing.T) {
	since := noon().Add(-96 * time.Hour)
	archive := instance.Archive{Repository: "here", Since: &since}
	nightly := instance.Repository{Verification: "0 4 * * *"}
	inventory := func(ago time.Duration) instance.Inventory {
		return instance.Inventory{Repository: "here", Backups: []instance.StoredBackup{{Label: "a", Start: noon().Add(-ago), Stop: noon().Add(-ago)}}}
	}
	sound := noon().Add(-80 * time.Hour)
	tried := func(ago time.Duration, result v1alpha1.VerificationResult) instance.Verifications {
		at := noon().Add(-ago)
		return instance.Verifications{Repository: "here", Handled: at, Count: 1, Sound: &sound, Last: instance.Verification{Time: at, Result: result}}
	}
	remembered := instance.Schedule{Verification: "0 4 * * *", VerificationSince: noon().Add(-72 * time.Hour)}
	cases := map[string]struct {
		reason     string
		repository instance.Repository
		known      kube.Known
		want       *metrics.Verifications
	}{
		"NotTried": {reason: "Where backups are not tried there is nothing to show.", known: kube.Known{Inventory: inventory(72 * time.Hour)}},
		"Paused":   {reason: "A plan that is paused tries none.", repository: instance.Repository{Verification: "0 4 * * *", Paused: true}},
		"NoBackup": {reason: "Without a backup none is overdue.", repository: nightly, want: &metrics.Verifications{}},
		"NotYet": {
			reason: "A plan that tries backups since yesterday may still be at the first one.", repository: nightly,
			known: kube.Known{Inventory: inventory(72 * time.Hour), Schedule: instance.Schedule{Verification: "0 4 * * *", VerificationSince: noon().Add(-20 * time.Hour)}},
			want:  &metrics.Verifications{},
		},
		"OtherSchedule": {
			reason: "One whose schedule is new has none that is overdue.", repository: nightly,
			known: kube.Known{Inventory: inventory(72 * time.Hour), Schedule: instance.Schedule{VerificationSince: noon().Add(-72 * time.Hour)}},
			want:  &metrics.Verifications{},
		},
		"NeverDone": {
			reason: "After three days one should have been tried.", repository: nightly,
			known: kube.Known{Inventory: inventory(72 * time.Hour), Schedule: remembered}, want: &metrics.Verifications{Overdue: true},
		},
		"Sound": {
			reason: "A backup that is sound.", repository: nightly, known: kube.Known{Inventory: inventory(72 * time.Hour), Schedule: remembered, Verifications: tried(8*time.Hour, v1alpha1.VerificationSucceeded)},
			want: &metrics.Verifications{Sound: sound},
		},
		"Damaged": {
			reason: "One that is not.", repository: nightly, known: kube.Known{Inventory: inventory(72 * time.Hour), Schedule: remembered, Verifications: tried(8*time.Hour, v1alpha1.VerificationDamaged)},
			want: &metrics.Verifications{Sound: sound, Failed: true},
		},
		"Overdue": {
			reason: "None was tried since the night before last.", repository: nightly, known: kube.Known{Inventory: inventory(72 * time.Hour), Schedule: remembered, Verifications: tried(60*time.Hour, v1alpha1.VerificationSucceeded)},
			want: &metrics.Verifications{Sound: sound, Overdue: true},
		},
		"OtherStore": {
			reason: "What was found in the store before does not count.", repository: nightly,
			known: kube.Known{Inventory: inventory(time.Hour), Schedule: instance.Schedule{Verification: "0 4 * * *", VerificationSince: noon().Add(-time.Hour)}, Verifications: instance.Verifications{Repository: "there", Count: 3, Last: instance.Verification{Result: v1alpha1.VerificationDamaged}}},
			want:  &metrics.Verifications{},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := judge(tc.repository, archive, tc.known, noon())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\njudge(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestRemembersVerification shows that it is remembered since when backups are tried, also where no backup is due.
func TestRemembersVerification(t *testing.T) {
	since := noon().Add(-72 * time.Hour)
	archive := instance.Archive{Repository: "here", Since: &since}
	r := instance.Repository{Schedules: map[v1alpha1.BackupType]string{v1alpha1.BackupFull: "0 2 * * *"}, Paused: true, Verification: "0 4 * * *"}
	first, err := due(r, archive, instance.Inventory{}, instance.Schedule{}, noon())
	if err != nil {
		t.Fatal(err)
	}
	later, err := due(r, archive, instance.Inventory{}, first.Remember, noon().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if later.Remember.Verification != r.Verification || !later.Remember.VerificationSince.Equal(noon()) {
		t.Errorf("remembered is %q since %s", later.Remember.Verification, later.Remember.VerificationSince)
	}
	r.Verification = ""
	ended, err := due(r, archive, instance.Inventory{}, later.Remember, noon().Add(2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if ended.Remember.Verification != "" {
		t.Errorf("it is remembered that backups are tried at %q", ended.Remember.Verification)
	}
}

func TestObsolete(t *testing.T) {
	backup := func(name string, age time.Duration, change ...func(*v1alpha1.Backup)) v1alpha1.Backup {
		b := v1alpha1.Backup{}
		b.Name, b.CreationTimestamp = name, metav1.NewTime(noon().Add(-age))
		b.Status.Phase, b.Status.Label = v1alpha1.BackupSucceeded, name
		for _, c := range change {
			c(&b)
		}
		return b
	}
	phase := func(p v1alpha1.BackupPhase) func(*v1alpha1.Backup) {
		return func(b *v1alpha1.Backup) { b.Status.Phase = p }
	}
	const old = 8 * 24 * time.Hour
	list := []v1alpha1.Backup{
		backup("stored", old),
		backup("gone", old),
		backup("gone-by-hand", old, func(b *v1alpha1.Backup) { b.Spec.Manual = true }),
		backup("new", time.Hour),
		backup("failed", old, phase(v1alpha1.BackupFailed)),
		backup("failed-lately", time.Hour, phase(v1alpha1.BackupFailed)),
		backup("expired", old, phase(v1alpha1.BackupExpired)),
		backup("expired-lately", time.Hour, phase(v1alpha1.BackupExpired)),
		backup("expired-by-hand", old, phase(v1alpha1.BackupExpired), func(b *v1alpha1.Backup) { b.Spec.Manual = true }),
		backup("running", old, phase(v1alpha1.BackupInProgress)),
	}
	inventory := instance.Inventory{Backups: []instance.StoredBackup{{Label: "stored"}}}
	if diff := cmp.Diff([]string{"gone", "failed", "expired", "expired-lately"}, obsolete(list, inventory, 7*24*time.Hour, noon())); diff != "" {
		t.Errorf("obsolete(...): -want, +got:\n%s", diff)
	}
}

func TestMadeUpFor(t *testing.T) {
	backup := func(phase v1alpha1.BackupPhase, kind v1alpha1.BackupType) v1alpha1.Backup {
		b := v1alpha1.Backup{}
		b.Status.Phase = phase
		if kind != "" {
			b.Spec.PhysicalBackupSpec = &v1alpha1.PhysicalBackupSpec{BackupType: kind}
		}
		return b
	}
	leaving := backup("", v1alpha1.BackupFull)
	leaving.DeletionTimestamp = &metav1.Time{Time: noon()}
	cases := map[string]struct {
		reason string
		list   []v1alpha1.Backup
		due    decision
		want   bool
	}{
		"None": {reason: "The first of its kind has to be taken.", due: decision{Backup: v1alpha1.BackupFull}},
		"NotSeen": {
			reason: "While nobody looks at Backups, one is enough.",
			list:   []v1alpha1.Backup{backup("", v1alpha1.BackupIncremental)}, due: decision{Backup: v1alpha1.BackupIncremental}, want: true,
		},
		"Waits": {
			reason: "One that waits for the repository copies what there is then.",
			list:   []v1alpha1.Backup{backup(v1alpha1.BackupPending, v1alpha1.BackupDifferential)}, due: decision{Backup: v1alpha1.BackupIncremental}, want: true,
		},
		"Full": {
			reason: "Without a type it copies everything.",
			list:   []v1alpha1.Backup{backup(v1alpha1.BackupPending, "")}, due: decision{Backup: v1alpha1.BackupFull}, want: true,
		},
		"CopiesLess": {
			reason: "A full backup is not made up for by an incremental one.",
			list:   []v1alpha1.Backup{backup(v1alpha1.BackupPending, v1alpha1.BackupIncremental)}, due: decision{Backup: v1alpha1.BackupFull},
		},
		"Begun": {
			reason: "One that copies already lacks what is written meanwhile.",
			list:   []v1alpha1.Backup{backup(v1alpha1.BackupInProgress, v1alpha1.BackupFull), backup(v1alpha1.BackupSucceeded, v1alpha1.BackupFull)},
			due:    decision{Backup: v1alpha1.BackupIncremental},
		},
		"Leaving": {
			reason: "One that is being deleted will not be taken.",
			list:   []v1alpha1.Backup{leaving}, due: decision{Backup: v1alpha1.BackupFull},
		},
		"FirstGoesOn": {
			reason: "A first backup that was asked for before and goes on is not asked for again.",
			list:   []v1alpha1.Backup{backup(v1alpha1.BackupInProgress, v1alpha1.BackupFull)}, due: decision{Backup: v1alpha1.BackupFull, Again: true}, want: true,
		},
		"FirstFailed": {
			reason: "One that has failed is.",
			list:   []v1alpha1.Backup{backup(v1alpha1.BackupFailed, v1alpha1.BackupFull)}, due: decision{Backup: v1alpha1.BackupFull, Again: true},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := madeUpFor(tc.list, tc.due); got != tc.want {
				t.Errorf("\n%s\nmadeUpFor(...): got %t, want %t", tc.reason, got, tc.want)
			}
		})
	}
}

func TestReadMounted(t *testing.T) {
	folder := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, where := range []string{filepath.Join(folder, "missing"), folder} {
		if m, err := ReadMounted(where); m != nil || err != nil {
			t.Errorf("ReadMounted(%s): got %v, %v where nothing is mounted", where, m, err)
		}
	}
	write("..data", "the kubelet's own")
	write(instance.KeyRepository, `{"plan":"nightly","type":"S3"}`)
	write(instance.KeyRepositoryRevision, "1a")
	write(instance.KeyAccessKey, "id")
	m, err := ReadMounted(folder)
	if err != nil {
		t.Fatal(err)
	}
	if m.Repository.Plan != "nightly" || m.Revision != "1a" || string(m.Secrets[instance.KeyAccessKey]) != "id" || len(m.Secrets) != 3 {
		t.Errorf("ReadMounted(...): got %+v", m)
	}
	write(instance.KeyRepository, `{`)
	if _, err := ReadMounted(folder); err == nil {
		t.Error("ReadMounted(...): what cannot be read counts as read")
	}
}

// TestPushKeeps shows that WAL counts as archived only where the archivist said that nobody wants it.
func TestPushKeeps(t *testing.T) {
	folder := t.TempDir()
	if err := Push(context.Background(), folder, "pg_wal/000000010000000000000001", noon()); !errors.Is(err, errUnknown) {
		t.Errorf("Push(...): got %v before the archivist said anything, want %v", err, errUnknown)
	}
	if err := os.WriteFile(filepath.Join(folder, fileDiscard), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Push(context.Background(), folder, "pg_wal/000000010000000000000001", noon()); err != nil {
		t.Errorf("Push(...): got %v though nobody wants WAL", err)
	}
}

// TestNote shows that what is told of a failure is since when it lasts, and why it failed last.
func TestNote(t *testing.T) {
	folder := t.TempDir()
	for i, cause := range []string{"no network", "no network", "no such bucket"} {
		if err := note(folder, readFailure(folder), errors.New(cause), noon().Add(time.Duration(i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(&failure{Since: noon(), Count: 3, Cause: "no such bucket"}, readFailure(folder)); diff != "" {
		t.Errorf("readFailure(...): -want, +got:\n%s", diff)
	}
	if short, patient := timeFor(readFailure(folder)), timeFor(&failure{Count: patientEvery}); short != pushTimeFailing || patient != pushTime {
		t.Errorf("timeFor(...): got %s and, now and then, %s; want %s and %s", short, patient, pushTimeFailing, pushTime)
	}
}

func TestCutShort(t *testing.T) {
	before, timeIsUp := &failure{Count: 1, Cause: "the store is full"}, errors.New("the store did not answer in time")
	cases := map[string]struct {
		reason string
		before *failure
		limit  time.Duration
		want   string
	}{
		"First":     {reason: "The first one has all the time that there is.", limit: pushTime, want: "the store did not answer in time"},
		"Impatient": {reason: "One that had little time knows no better than the one before.", before: before, limit: pushTimeFailing, want: "the store is full"},
		"Patient":   {reason: "One that had all the time does.", before: before, limit: pushTime, want: "the store did not answer in time"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := cutShort(tc.before, tc.limit, timeIsUp); got.Error() != tc.want {
				t.Errorf("\n%s\ncutShort(...): got %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}
