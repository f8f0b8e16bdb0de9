package operate

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/ledger"
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

// TestPutBackIsWrittenDownWithItsOutcome kills a Restore at the one write that puts back what was before: the next process must find why
// that was done, or a restore that goes on.
func TestPutBackIsWrittenDownWithItsOutcome(t *testing.T) {
	now := time.Now().UTC()
	cluster := naming.Cluster{Namespace: "shop", Name: "orders"}
	began, hash := now.Add(-2*time.Hour), "f00d"
	operation := instance.Operation{Kind: v1alpha1.KindRestore, Name: "back", Restore: &instance.RestoreTask{Timeout: time.Hour, KeepFor: 2 * time.Hour}}
	intent := instance.OperationReport{Phase: v1alpha1.OperationInProgress, StartedAt: &began, OldIncarnation: "before", NewIncarnation: "next"}
	var born *instance.Incarnation
	record := ledger.Ledger{
		Birth:       &instance.Birth{Since: began, Incarnation: "before"},
		Incarnation: born.Restored("before", "next", instance.Restore{}, began, keep(*operation.Restore)),
	}.With(operation.Key(), instance.LedgerEntry{Hash: hash, Report: intent}, now)
	data, err := record.Data()
	if err != nil {
		t.Fatal(err)
	}
	api := fake.NewClientset(
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: cluster.Ledger(), ResourceVersion: "1"}, Data: data},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: cluster.Reports()}},
	)
	o := &Operator{operation: operation, hash: hash, kube: kube.With(api, nil, cluster, "back-1"), log: slog.New(slog.DiscardHandler)}

	first, err := o.restored(t.Context(), intent, now)
	if err != nil || first.Phase != v1alpha1.OperationFailed || first.Reason != reasonTimedOut {
		t.Fatalf("restored(...): %s %s: %s, %v; want that it failed, because it has had its time", first.Phase, first.Reason, first.Message, err)
	}
	written, _, err := o.kube.Ledger(t.Context())
	if err != nil || written.Incarnation.ID != "before" {
		t.Fatalf("the incarnation is %+v (%v); want what was before", written.Incarnation, err)
	}
	second, err := o.restored(t.Context(), intent, now.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("What the next process says: -want, +got:\n%s", diff)
	}
}
