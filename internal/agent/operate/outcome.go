package operate

import (
	"fmt"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
)

// outcome says what became of an operation, by what every PostgreSQL itself says, and whether that is sure. It is the same
// whether this process began it or one before. Asked is the instance that the claim names: where it names none, any other than the
// old primary is as good as the one that was chosen.
func outcome(asked string, intent instance.OperationReport, standings map[string]postgres.Standing) (instance.OperationReport, bool) {
	name, newest := "", postgres.Standing{}
	for n, s := range standings {
		if s.Primary && s.Timeline > newest.Timeline {
			name, newest = n, s
		}
	}
	if name == "" || newest.Timeline <= intent.TimelineBefore {
		return intent, false
	}
	wanted := intent.NewPrimary
	intent.NewPrimary, intent.TimelineAfter, intent.Reason = name, newest.Timeline, ""
	switch {
	case name == wanted, name != intent.OldPrimary && asked == "":
		intent.Phase = v1alpha1.OperationSucceeded
		intent.Message = fmt.Sprintf("%s is the primary, on timeline %d.", name, newest.Timeline)
		if intent.DataLoss == "" {
			intent.DataLoss = "none"
		}
	case name == intent.OldPrimary:
		intent.Phase, intent.Reason = v1alpha1.OperationFailed, reasonPutBack
		intent.Message = fmt.Sprintf("%s could not take over, so %s is the primary again. No acknowledged commit was lost. Look at %s, and commit another one if it is still wanted.", wanted, name, wanted)
		intent.DataLoss = "none"
	default:
		intent.Phase, intent.Reason = v1alpha1.OperationFailed, reasonOtherPrimary
		intent.Message = fmt.Sprintf("%s took over in place of %s, which could not. Look at %s, and commit a Switchover if it is still wanted.", name, wanted, wanted)
	}
	return intent, true
}

// primaryIn says whether any PostgreSQL calls itself the primary.
func primaryIn(standings map[string]postgres.Standing) bool {
	for _, s := range standings {
		if s.Primary {
			return true
		}
	}
	return false
}

// unchanged says whether the primary is the one before, on the timeline before.
func unchanged(intent instance.OperationReport, standings map[string]postgres.Standing) bool {
	s, ok := standings[intent.OldPrimary]
	return ok && s.Primary && s.Timeline == intent.TimelineBefore
}
