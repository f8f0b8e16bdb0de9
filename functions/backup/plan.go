package backup

import (
	"fmt"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
)

const (
	// waiting is how often something is looked for that is not there.
	waiting = 30 * time.Second

	// callAgain is how often a backup is looked at to which nothing happens.
	callAgain = 24 * time.Hour
)

// Reasons of phases that the function itself comes to. The Job has more.
const (
	reasonPlanMissing    = "PlanMissing"
	reasonOtherCluster   = "OtherCluster"
	reasonClusterMissing = "ClusterMissing"
	reasonClusterStopped = "ClusterStopped"
	reasonStarting       = "Starting"
	reasonJobFailed      = "JobFailed"
	reasonExpired        = "Expired"
)

// A plan is what is to be.
type plan struct {
	// Report is what the status shows.
	Report instance.BackupReport

	// Rights says that the Job's ServiceAccount and Role are to be, Job that it itself is to be.
	Rights bool
	Job    bool

	// CallAgain is when to look again though nothing changed.
	CallAgain time.Duration
}

// Ready says whether nobody needs to look: it was taken, or somebody has seen how it failed.
func (p plan) Ready(b request) bool { return p.Report.Phase.Final() && !p.Stalled(b) }

// Stalled says whether somebody has to look at how it ended.
func (p plan) Stalled(b request) bool {
	return p.Report.Phase == v1alpha1.BackupFailed && !b.Acknowledged
}

// expiry returns until when a backup is kept at least.
func (p plan) expiry() time.Time {
	if p.Report.Stop == nil || p.Report.RetainDays == 0 {
		return time.Time{}
	}
	return p.Report.Stop.Add(time.Duration(p.Report.RetainDays) * 24 * time.Hour)
}

func makePlan(b request, seen facts, now time.Time) plan {
	switch {
	case seen.Report != nil && seen.Report.Phase == v1alpha1.BackupSucceeded:
		return kept(seen, now)
	case seen.Report != nil && seen.Report.Phase.Final():
		return plan{Report: *seen.Report, CallAgain: callAgain}
	case seen.Failed:
		p := started(seen)
		p.Report.Phase, p.Report.Reason = v1alpha1.BackupFailed, reasonJobFailed
		p.Report.Message = fmt.Sprintf("Its Job has given up: read the log of the Job %s, and create another Backup.", b.Objects())
		return p
	case seen.Job != nil:
		return started(seen)
	case seen.PlanAnswered && seen.PlanCluster == "":
		return pending(reasonPlanMissing, fmt.Sprintf("Waiting for the BackupPlan %s in the namespace %s. Check backupPlanRef.", b.Task.Plan, b.Namespace))
	case seen.PlanAnswered && seen.PlanCluster != b.Cluster.Name:
		return pending(reasonOtherCluster, fmt.Sprintf("The BackupPlan %s is for the DBCluster %s: create a Backup whose dbclusterRef and backupPlanRef belong together.", b.Task.Plan, seen.PlanCluster))
	case seen.Instances == nil:
		return pending(reasonClusterMissing, fmt.Sprintf("Waiting for the DBCluster %s in the namespace %s to have instances. Check dbclusterRef.", b.Cluster.Name, b.Namespace))
	case seen.Stopped:
		return pending(reasonClusterStopped, fmt.Sprintf("Waiting for the DBCluster %s, which is stopped.", b.Cluster.Name))
	case !seen.Certificate:
		return pending(reasonStarting, fmt.Sprintf("Waiting for the DBCluster %s to let its BackupPlan read its files.", b.Cluster.Name))
	default:
		return started(seen)
	}
}

// kept is the plan of a backup that was taken: it expires when it is no longer in the repository.
func kept(seen facts, now time.Time) plan {
	p := plan{Report: *seen.Report, CallAgain: callAgain}
	if expiry := p.expiry(); !expiry.IsZero() && now.Before(expiry) {
		p.CallAgain = min(callAgain, expiry.Sub(now)+time.Second)
		return p
	}
	if seen.Stored != nil && !seen.Stored[p.Report.Label] {
		p.Report.Phase, p.Report.Reason = v1alpha1.BackupExpired, reasonExpired
		p.Report.Message = "It is not in the repository any more: its BackupPlan did not need it."
	}
	return p
}

func pending(reason, message string) plan {
	return plan{Report: instance.BackupReport{Phase: v1alpha1.BackupPending, Reason: reason, Message: message}, CallAgain: waiting}
}

// started is the plan while there is a Job, or is to be one.
func started(seen facts) plan {
	p := plan{
		Report:    instance.BackupReport{Phase: v1alpha1.BackupPending, Reason: reasonStarting, Message: "Its Job starts."},
		Rights:    true,
		Job:       seen.Job != nil || seen.Permitted && seen.Instances != nil,
		CallAgain: callAgain,
	}
	if seen.Report != nil {
		p.Report = *seen.Report
	}
	return p
}

// requires asks for what a Job needs until that has said how it ended, and from then on for what tells whether the backup is still
// there, as soon as it need not be. What is asked for must not follow from what was answered: Crossplane asks until the answer
// changes nothing.
func requires(b request, seen facts, p plan, now time.Time) map[string]compose.Selector {
	core := func(kind, name string) compose.Selector {
		return compose.Selector{APIVersion: "v1", Kind: kind, Namespace: b.Namespace, Name: name}
	}
	said := v1alpha1.BackupPending
	if seen.Report != nil {
		said = seen.Report.Phase
	}
	if said == v1alpha1.BackupSucceeded && !now.Before(p.expiry()) {
		return map[string]compose.Selector{requiredInventory: core("ConfigMap", b.Cluster.Inventory())}
	}
	if said.Final() || seen.Failed {
		return nil
	}
	return map[string]compose.Selector{
		requiredCertificate: core("Secret", b.Cluster.BackupCertificate()),
		requiredInstances:   {APIVersion: "apps/v1", Kind: "StatefulSet", Namespace: b.Namespace, Name: b.Cluster.StatefulSet()},
		requiredPlan: {
			APIVersion: v1alpha1.GroupVersion().String(), Kind: v1alpha1.KindBackupPlan, Namespace: b.Namespace, Name: b.Task.Plan,
		},
	}
}
