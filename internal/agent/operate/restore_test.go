package operate

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
)

func TestProgress(t *testing.T) {
	until := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	begun := instance.OperationReport{Phase: v1alpha1.OperationInProgress, OldIncarnation: "old", NewIncarnation: "new", Backup: "label", KeptUntil: &until}
	primary := func(incarnation int) instance.Report {
		return instance.Report{Incarnation: incarnation, Role: instance.RolePrimary, State: instance.StateRunning, Timeline: 4}
	}
	waits := func(incarnation int, code string) instance.Report {
		return instance.Report{Incarnation: incarnation, Role: instance.RoleUnknown, Incidents: []instance.Incident{{Code: code, Message: "Said."}}}
	}

	type want struct {
		Phase   v1alpha1.OperationPhase
		Primary string
		Message string
		Failure string
	}
	cases := map[string]struct {
		reason  string
		born    bool
		reports map[string]instance.Report
		want    want
	}{
		"OldPrimary": {
			reason:  "A primary of the database before says nothing about the restored one.",
			reports: map[string]instance.Report{"orders-0": primary(1)},
			want:    want{Phase: v1alpha1.OperationInProgress},
		},
		"Restored": {
			reason:  "The restore is done when there is a primary of its incarnation.",
			reports: map[string]instance.Report{"orders-0": primary(2), "orders-1": primary(1)},
			want:    want{Phase: v1alpha1.OperationSucceeded, Primary: "orders-0", Message: "The restored database is in place"},
		},
		"BornAndAway": {
			reason:  "What has served is not put back because nobody serves now.",
			born:    true,
			reports: map[string]instance.Report{"orders-0": waits(2, instance.IncidentRestoreRefused)},
			want:    want{Phase: v1alpha1.OperationInProgress, Message: "The restored database is in place. Waiting for its primary."},
		},
		"Refused": {
			reason:  "What is not in the archive cannot be restored, however long one waits.",
			reports: map[string]instance.Report{"orders-0": waits(2, instance.IncidentRestoreRefused)},
			want:    want{Phase: v1alpha1.OperationInProgress, Failure: "Said."},
		},
		"RefusedBefore": {
			reason:  "What an earlier restore was refused for is not this one's.",
			reports: map[string]instance.Report{"orders-0": waits(1, instance.IncidentRestoreRefused)},
			want:    want{Phase: v1alpha1.OperationInProgress},
		},
		"Fails": {
			reason:  "A store that does not answer may answer later.",
			reports: map[string]instance.Report{"orders-0": waits(2, instance.IncidentRestoreFails)},
			want:    want{Phase: v1alpha1.OperationInProgress, Message: "Said."},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			report, failure := progress(begun, 2, tc.born, tc.reports)
			got := want{Phase: report.Phase, Primary: report.NewPrimary, Message: report.Message, Failure: failure}
			if strings.HasPrefix(got.Message, tc.want.Message) {
				got.Message = tc.want.Message
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestLacksRoom(t *testing.T) {
	const gib = 1 << 30
	cases := map[string]struct {
		reason string
		size   int64
		free   map[string]string
		want   string
	}{
		"Enough": {reason: "There is room for the database and a tenth more.", size: 10 * gib, free: map[string]string{"orders-0": "12Gi"}},
		"Unknown": {
			reason: "An instance that never said how much room it has is not in the way.",
			size:   10 * gib, free: map[string]string{"orders-0": ""},
		},
		"Lacking": {
			reason: "Every instance must have the room: the database is copied to all.",
			size:   10 * gib, free: map[string]string{"orders-0": "12Gi", "orders-1": "8Gi"},
			want: "The restored database needs 11265Mi beside the one that is there, which is kept, and orders-1 has about 8Gi free. Nothing was done: enlarge the DataDisk, and commit another Restore.",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			reports := map[string]instance.Report{}
			for pod, free := range tc.free {
				reports[pod] = instance.Report{DataDiskFree: free}
			}
			if diff := cmp.Diff(tc.want, lacksRoom(tc.size, reports)); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestSuperseded shows that nothing is claimed of a restore whose incarnation another one has taken the place of.
func TestSuperseded(t *testing.T) {
	got := superseded(instance.OperationReport{Phase: v1alpha1.OperationInProgress, NewIncarnation: "new"})
	if got.Phase != v1alpha1.OperationFailed || got.Reason != v1alpha1.ReasonOutcomeUnknown || !strings.Contains(got.Message, "new is not what runs") {
		t.Errorf("it says %s, %s: %s", got.Phase, got.Reason, got.Message)
	}
}
