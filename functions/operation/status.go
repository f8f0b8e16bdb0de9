package operation

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
)

// status shows what the plan says. It decides nothing.
func status(o request, p plan) (map[string]any, error) {
	r := p.Report
	return compose.Content(&v1alpha1.OperationStatus{
		Phase: r.Phase, Reason: r.Reason, Message: r.Message,
		ValidUntil: kubeTime(&o.Task.ValidUntil), StartedAt: kubeTime(r.StartedAt), FinishedAt: kubeTime(r.FinishedAt),
		OldPrimary: r.OldPrimary, NewPrimary: r.NewPrimary,
		TimelineBefore: r.TimelineBefore, TimelineAfter: r.TimelineAfter,
		WritePause: r.WritePause, DataLoss: r.DataLoss,
	})
}

func kubeTime(t *time.Time) *metav1.Time {
	if t == nil {
		return nil
	}
	return &metav1.Time{Time: *t}
}

func conditions(o request, p plan) []compose.Condition {
	reconciling := compose.Condition{Type: v1alpha1.ConditionReconciling, Status: compose.True, Reason: p.Report.Reason, Message: p.Report.Message}
	stalled := compose.Condition{Type: v1alpha1.ConditionStalled, Status: compose.False, Reason: v1alpha1.ReasonNotStalled, Message: "Nothing needs a person."}
	if reconciling.Reason == "" {
		reconciling.Reason = string(p.Report.Phase)
	}
	if p.Report.Phase.Final() {
		reconciling.Status, reconciling.Reason = compose.False, string(p.Report.Phase)
	}
	if p.Stalled(o) {
		stalled.Status, stalled.Reason = compose.True, string(p.Report.Phase)
		stalled.Message = p.Report.Message + " Set acknowledged to true once you have seen to it."
	}
	return []compose.Condition{reconciling, stalled}
}

// events tell that the operation has come to another phase.
func events(seen facts, p plan) []compose.Event {
	phase := p.Report.Phase
	if phase == seen.Phase || phase == v1alpha1.OperationPending {
		return nil
	}
	severity := compose.Normal
	if phase == v1alpha1.OperationFailed || phase == v1alpha1.OperationRejected {
		severity = compose.Warning
	}
	return []compose.Event{{Severity: severity, Reason: string(phase), Message: p.Report.Message}}
}
