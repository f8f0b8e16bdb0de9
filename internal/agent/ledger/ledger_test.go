package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
)

func at(minutes int) time.Time { return time.Date(2026, 1, 15, 3, minutes, 0, 0, time.UTC) }

func operation() instance.Operation {
	return instance.Operation{Kind: "Switchover", Name: "move", Cluster: "orders", RequestedAt: at(10), ValidUntil: at(40)}
}

func TestJudge(t *testing.T) {
	birth := &instance.Birth{Since: at(0)}
	deadline := at(30)
	entry := func(hash string, phase v1alpha1.OperationPhase) map[string]instance.LedgerEntry {
		return map[string]instance.LedgerEntry{"Switchover.move": {Hash: hash, Deadline: &deadline, Report: instance.OperationReport{Phase: phase}}}
	}
	restoring := func(born string) Ledger {
		return Ledger{
			Birth: &instance.Birth{Since: at(0), Incarnation: born}, Incarnation: &instance.Incarnation{Number: 1, ID: "next"},
			Entries: map[string]instance.LedgerEntry{"Restore.other": {Deadline: &deadline, Report: instance.OperationReport{
				Phase: v1alpha1.OperationInProgress, OldIncarnation: "before", NewIncarnation: "next",
			}}},
		}
	}
	type args struct {
		ledger Ledger
		now    time.Time
		kept   string // What a Restore is to bring back, which is asked for then.
	}
	type want struct {
		Begin, Judge, Remember bool
		Phase                  v1alpha1.OperationPhase
		Reason                 string
	}
	cases := map[string]struct {
		reason string
		args   args
		want   want
	}{
		"New": {
			reason: "What was asked for after the birth, is not known and has not expired is begun.",
			args:   args{ledger: Ledger{Birth: birth}, now: at(11)},
			want:   want{Begin: true},
		},
		"Done": {
			reason: "What was done is not done again, however late it is asked for again.",
			args:   args{ledger: Ledger{Birth: birth, Entries: entry("h", v1alpha1.OperationSucceeded)}, now: at(59)},
			want:   want{Phase: v1alpha1.OperationSucceeded},
		},
		"DoneBeforeTheLedgersBirth": {
			reason: "What is remembered counts more than a birth that is later.",
			args:   args{ledger: Ledger{Birth: &instance.Birth{Since: at(20)}, Entries: entry("h", v1alpha1.OperationFailed)}, now: at(59)},
			want:   want{Phase: v1alpha1.OperationFailed},
		},
		"Interrupted": {
			reason: "What was begun and has no outcome is judged, not begun again.",
			args:   args{ledger: Ledger{Birth: birth, Entries: entry("h", v1alpha1.OperationInProgress)}, now: at(12)},
			want:   want{Judge: true, Phase: v1alpha1.OperationInProgress},
		},
		"OtherSpec": {
			reason: "The same name with another spec is rejected, and does not overwrite the memory of the first.",
			args:   args{ledger: Ledger{Birth: birth, Entries: entry("other", v1alpha1.OperationSucceeded)}, now: at(12)},
			want:   want{Phase: v1alpha1.OperationRejected, Reason: ReasonNameTaken},
		},
		"BeforeBirth": {
			reason: "A cluster that was built again from the same Git history repeats nothing.",
			args:   args{ledger: Ledger{Birth: &instance.Birth{Since: at(11)}}, now: at(12)},
			want:   want{Phase: v1alpha1.OperationSkipped, Reason: ReasonBeforeBirth, Remember: true},
		},
		"BeforeBirthAndLate": {
			reason: "An old operation of another cluster is skipped rather than expired: it was not for this one.",
			args:   args{ledger: Ledger{Birth: &instance.Birth{Since: at(11)}}, now: at(59)},
			want:   want{Phase: v1alpha1.OperationSkipped, Reason: ReasonBeforeBirth, Remember: true},
		},
		"Late": {
			reason: "What could not be begun in time is not begun.",
			args:   args{ledger: Ledger{Birth: birth}, now: at(41)},
			want:   want{Phase: v1alpha1.OperationExpired, Reason: ReasonExpired, Remember: true},
		},
		"Unborn": {
			reason: "A cluster that has no database yet is waited for: that it was born later will be told by its birth.",
			args:   args{now: at(12)},
			want:   want{Phase: v1alpha1.OperationPending, Reason: ReasonUnborn},
		},
		"UnbornAndLate": {
			reason: "It is not waited for longer than the operation is valid.",
			args:   args{now: at(41)},
			want:   want{Phase: v1alpha1.OperationExpired, Reason: ReasonExpired},
		},
		"OtherInProgress": {
			reason: "One operation at a time.",
			args: args{now: at(12), ledger: Ledger{Birth: birth, Entries: map[string]instance.LedgerEntry{
				"Failover.other": {Deadline: &deadline, Report: instance.OperationReport{Phase: v1alpha1.OperationInProgress}},
			}}},
			want: want{Phase: v1alpha1.OperationPending, Reason: ReasonOtherOperation},
		},
		"OtherAbandoned": {
			reason: "One whose claim was deleted midway is in the way no longer than until its deadline.",
			args: args{now: at(31), ledger: Ledger{Birth: birth, Entries: map[string]instance.LedgerEntry{
				"Failover.other": {Deadline: &deadline, Report: instance.OperationReport{Phase: v1alpha1.OperationInProgress}},
			}}},
			want: want{Begin: true},
		},
		"OtherRestoreInProgress": {
			reason: "Nothing else is begun until the restored database is there.",
			args:   args{ledger: restoring("before"), now: at(12)},
			want:   want{Phase: v1alpha1.OperationPending, Reason: ReasonOtherOperation},
		},
		"OtherRestoreBorn": {
			reason: "Once it is there, a Restore whose claim was deleted midway is not in the way of a Failover.",
			args:   args{ledger: restoring("next"), now: at(12)},
			want:   want{Begin: true},
		},
		"OtherRestoreReplaced": {
			reason: "Nor once another incarnation took its place.",
			args:   args{ledger: restoring("before").Becoming(&instance.Incarnation{Number: 2, ID: "before"}), now: at(12)},
			want:   want{Begin: true},
		},
		"OtherRestoreUndone": {
			reason: "What a Restore has put aside can be brought back though nobody looks on at it any more.",
			args:   args{ledger: restoring("before"), now: at(12), kept: "before"},
			want:   want{Begin: true},
		},
		"OtherRestoreAndAnotherKept": {
			reason: "What it has not put aside has to wait.",
			args:   args{ledger: restoring("before"), now: at(12), kept: "long-before"},
			want:   want{Phase: v1alpha1.OperationPending, Reason: ReasonOtherOperation},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := operation()
			if tc.args.kept != "" {
				o.Restore = &instance.RestoreTask{Kept: tc.args.kept}
			}
			v := tc.args.ledger.Judge(o, "h", tc.args.now)
			got := want{Begin: v.Begin, Judge: v.Judge, Remember: v.Remember, Phase: v.Report.Phase, Reason: v.Report.Reason}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nJudge(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestBorn(t *testing.T) {
	record := &instance.ArchiveRecord{Repository: "r", Since: at(0)}
	type want struct {
		Since       time.Time
		Incarnation string
		Archived    bool
		Changed     bool
	}
	cases := map[string]struct {
		reason string
		ledger Ledger
		now    time.Time
		want   want
	}{
		"AtBirth": {reason: "A ledger that is begun at birth knows all.", now: at(1), want: want{Since: at(0), Incarnation: "new", Changed: true}},
		"Lost":    {reason: "A ledger that was lost knows nothing of the time before.", now: at(30), want: want{Since: at(30), Incarnation: "new", Changed: true}},
		"Kept": {
			reason: "A ledger is begun once: whichever instance is the primary, the database keeps its name.",
			ledger: Ledger{Birth: &instance.Birth{Since: at(0), SystemIdentifier: "7", Incarnation: "old"}, Archive: record}, now: at(30),
			want: want{Since: at(0), Incarnation: "old", Archived: true},
		},
		"Unnamed": {
			reason: "A database that an older agent made gets a name, and keeps all else.",
			ledger: Ledger{Birth: &instance.Birth{Since: at(0), SystemIdentifier: "7"}, Archive: record}, now: at(30),
			want: want{Since: at(0), Incarnation: "new", Archived: true, Changed: true},
		},
		"OtherDatabase": {
			reason: "Another database of the name was born later, and nothing of it is archived.",
			ledger: Ledger{Birth: &instance.Birth{SystemIdentifier: "6", Incarnation: "old"}, Archive: record}, now: at(2),
			want: want{Since: at(0), Incarnation: "new", Changed: true},
		},
		"Restored": {
			reason: "A database that was restored in place has its incarnation's name, and nothing of it is archived.",
			ledger: Ledger{
				Birth: &instance.Birth{SystemIdentifier: "7", Incarnation: "old"}, Archive: record, Incarnation: &instance.Incarnation{ID: "restored"},
			}, now: at(2),
			want: want{Since: at(0), Incarnation: "restored", Changed: true},
		},
		"RestoredBefore": {
			reason: "A database that was restored in place is born once, too.",
			ledger: Ledger{
				Birth: &instance.Birth{Since: at(1), SystemIdentifier: "7", Incarnation: "restored"}, Archive: record, Incarnation: &instance.Incarnation{ID: "restored"},
			}, now: at(30),
			want: want{Since: at(1), Incarnation: "restored", Archived: true},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			born, changed := tc.ledger.Born("7", "new", at(0), tc.now)
			got := want{Since: born.Birth.Since, Incarnation: born.Birth.Incarnation, Archived: born.Archive != nil, Changed: changed}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nBorn(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestData shows that what is written is read again.
func TestData(t *testing.T) {
	l := Ledger{
		Birth:   &instance.Birth{Since: at(0), SystemIdentifier: "7", Incarnation: "i"},
		Archive: &instance.ArchiveRecord{Repository: "r", Since: at(1)},
		Incarnation: &instance.Incarnation{
			Number: 2, ID: "i", Since: at(1), Restore: &instance.Restore{Cluster: "c"}, Kept: []instance.KeptIncarnation{{ID: "k", Original: true, Until: at(9)}},
		},
		Entries: map[string]instance.LedgerEntry{"Switchover.move": {Hash: "h", ValidUntil: at(2)}},
	}
	data, err := l.With("Failover.move", instance.LedgerEntry{Hash: "g"}, at(3)).Data()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	l.Entries["Failover.move"] = instance.LedgerEntry{Hash: "g"}
	if diff := cmp.Diff(l, got); diff != "" {
		t.Errorf("Parse(Data()): -want, +got:\n%s", diff)
	}
}

func TestWithForgetsTheExpiredOnly(t *testing.T) {
	l := Ledger{Birth: &instance.Birth{Since: at(0), SystemIdentifier: "7"}}
	for i := range capacity + 100 {
		phase := v1alpha1.OperationSucceeded
		if i == 0 {
			phase = v1alpha1.OperationInProgress
		}
		l = l.With(fmt.Sprintf("Switchover.%d", i), instance.LedgerEntry{
			ValidUntil: at(0).Add(time.Duration(i) * time.Hour), Report: instance.OperationReport{Phase: phase},
		}, at(0).Add(50*time.Hour+time.Minute))
	}
	if _, ok := l.Entries["Switchover.0"]; !ok {
		t.Error("An operation that is in progress was forgotten.")
	}
	if _, ok := l.Entries["Switchover.50"]; ok {
		t.Error("The oldest that had expired were not forgotten.")
	}
	if _, ok := l.Entries["Switchover.51"]; !ok {
		t.Error("One that could still be begun was forgotten.")
	}
	data, err := l.Data()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l, again); diff != "" {
		t.Errorf("Parse(Data()): -want, +got:\n%s", diff)
	}
}
