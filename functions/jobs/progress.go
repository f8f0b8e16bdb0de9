package jobs

import (
	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
)

// A Progress is how far a claim is that a Job carries out.
type Progress struct {
	Phase   string
	Reason  string
	Message string

	// Begun says that it does not merely wait, Final that it will not get any further, Failed that it ended as it should not,
	// and Stalled that somebody has to see to that.
	Begun   bool
	Final   bool
	Failed  bool
	Stalled bool
}

// Conditions returns what kstatus tells it by.
func (p Progress) Conditions() []compose.Condition {
	reconciling := compose.Condition{Type: v1alpha1.ConditionReconciling, Status: compose.True, Reason: p.Reason, Message: p.Message}
	stalled := compose.Condition{Type: v1alpha1.ConditionStalled, Status: compose.False, Reason: v1alpha1.ReasonNotStalled, Message: "Nothing needs a person."}
	if reconciling.Reason == "" {
		reconciling.Reason = p.Phase
	}
	if p.Final {
		reconciling.Status, reconciling.Reason = compose.False, p.Phase
	}
	if p.Stalled {
		stalled.Status, stalled.Reason = compose.True, p.Phase
		stalled.Message = p.Message + " Set acknowledged to true once you have seen to it."
	}
	return []compose.Condition{reconciling, stalled}
}

// Events tell that it has come to another phase than the one before.
func (p Progress) Events(before string) []compose.Event {
	if p.Phase == before || !p.Begun {
		return nil
	}
	severity := compose.Normal
	if p.Failed {
		severity = compose.Warning
	}
	return []compose.Event{{Severity: severity, Reason: p.Phase, Message: p.Message}}
}
