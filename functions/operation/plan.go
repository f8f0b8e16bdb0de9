package operation

import (
	"fmt"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
)

const (
	// overtime is how long a Job may take to come to an end after ValidUntil, beside the time that a restore takes. One that has
	// begun ends, or is judged, within minutes.
	overtime = 15 * time.Minute

	// waiting is how often a cluster is looked for that is not there.
	waiting = 10 * time.Second

	// callAgain is how often an operation is looked at to which nothing happens any more.
	callAgain = 24 * time.Hour
)

// Reasons of phases that the function itself comes to. The Job has more.
const (
	reasonNotYet         = "NotYet"
	reasonClusterMissing = "ClusterMissing"
	reasonStarting       = "Starting"
	reasonExpired        = "Expired"
	reasonJobFailed      = "JobFailed"
)

// A plan is what is to be.
type plan struct {
	// Report is what the status shows.
	Report instance.OperationReport

	// Rights says that the Job's ServiceAccount and Role are to be, Job that it itself is to be.
	Rights bool
	Job    bool

	// CallAgain is when to look again though nothing changed.
	CallAgain time.Duration
}

// Ready says whether nobody needs to look: it came to an end that is as it should be, or that somebody has seen.
func (p plan) Ready(o request) bool { return p.Report.Phase.Final() && !p.Stalled(o) }

// Stalled says whether somebody has to look at how it ended.
func (p plan) Stalled(o request) bool {
	failed := p.Report.Phase == v1alpha1.OperationFailed || p.Report.Phase == v1alpha1.OperationRejected
	return failed && !o.Acknowledged
}

// makePlan never starts a Job whose outcome is known, nor one before its time. That a Job starts does not mean that
// anything is done: it asks the ledger first. So one is started also for what has long expired: it may have been done.
func makePlan(o request, seen facts, now time.Time) plan {
	late := now.After(o.Task.ValidUntil)
	hadItsTime := seen.Job != nil && now.After(latest(o.Task.ValidUntil, seen.Created).Add(o.longest()))
	switch {
	case seen.Report != nil && seen.Report.Phase.Final():
		return plan{Report: *seen.Report, CallAgain: callAgain}
	case seen.Failed:
		return givenUp(started(o, seen, now), v1alpha1.OperationFailed, reasonJobFailed,
			fmt.Sprintf("Its Job has given up: read the log of the Job %s. Look at the DBCluster's status to see which instance is the primary.", o.Objects()))
	case hadItsTime:
		return overdue(o, seen, now)
	case seen.Job != nil:
		return started(o, seen, now)
	case !o.begun(now):
		return pending(reasonNotYet, "It begins at requestedAt.", min(o.Task.RequestedAt.Sub(now), callAgain))
	case seen.Instances == nil && late && seen.Answered:
		return givenUp(plan{CallAgain: callAgain}, v1alpha1.OperationExpired, reasonExpired,
			"It could not be begun before validUntil, and nothing was done. "+noCluster(o))
	case seen.Instances == nil:
		return pending(reasonClusterMissing, noCluster(o), waiting)
	default:
		return started(o, seen, now)
	}
}

// latest returns the later one: a Job may begin until validUntil, or begins after that to say that it is too late.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// overdue is the plan when a Job has had its time and has come to no end. It stays: when it comes to one, that counts.
func overdue(o request, seen facts, now time.Time) plan {
	p := started(o, seen, now)
	if p.Report.Phase == v1alpha1.OperationInProgress {
		return givenUp(p, v1alpha1.OperationFailed, v1alpha1.ReasonOutcomeUnknown,
			"It was begun, and what became of it is not known: its Job has not come to an end. Look at the DBCluster's status to see which instance is the primary.")
	}
	return givenUp(p, v1alpha1.OperationExpired, reasonExpired, fmt.Sprintf(
		"It could not be begun before validUntil, and nothing was done. The last that its Job %s said: %s", o.Objects(), p.Report.Message))
}

func noCluster(o request) string {
	return fmt.Sprintf("The namespace %s has no DBCluster %s with instances. Check dbclusterRef.", o.Namespace, o.Cluster.Name)
}

func pending(reason, message string, again time.Duration) plan {
	return plan{
		Report:    instance.OperationReport{Phase: v1alpha1.OperationPending, Reason: reason, Message: message},
		CallAgain: max(again, time.Second),
	}
}

// started is the plan while there is a Job, or is to be one.
func started(o request, seen facts, now time.Time) plan {
	p := plan{
		Report:    instance.OperationReport{Phase: v1alpha1.OperationPending, Reason: reasonStarting, Message: "Its Job starts."},
		Rights:    true,
		Job:       seen.Job != nil || seen.Permitted && seen.Instances != nil,
		CallAgain: max(o.Task.ValidUntil.Add(o.longest()).Sub(now), overtime),
	}
	if seen.Report != nil {
		p.Report = *seen.Report
	}
	return p
}

// givenUp is a plan that shows what the function itself has come to.
func givenUp(p plan, phase v1alpha1.OperationPhase, reason, message string) plan {
	p.Report.Phase, p.Report.Reason, p.Report.Message = phase, reason, message
	return p
}

// requires asks for the cluster's StatefulSet until the Job has said how it ended. What is asked for must not follow from what was
// answered: Crossplane asks until the answer changes nothing.
func requires(o request, seen facts) map[string]compose.Selector {
	if seen.Failed || seen.Report != nil && seen.Report.Phase.Final() {
		return nil
	}
	return map[string]compose.Selector{
		requiredInstances: {APIVersion: "apps/v1", Kind: "StatefulSet", Namespace: o.Namespace, Name: o.Cluster.StatefulSet()},
	}
}
