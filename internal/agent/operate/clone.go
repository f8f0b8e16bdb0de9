package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	kerrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/internal/agent/ledger"
)

// Reasons of the phases of a Restore that makes a copy.
const (
	reasonCloning       = "Cloning"
	reasonCloneExists   = "CloneExists"
	reasonSourceMissing = "SourceMissing"
	reasonCloneRefused  = "CloneRefused"
)

// beginClone looks whether the database that is wanted is there, writes in the ledger that a copy of it is made, and creates the
// DBCluster that begins with it.
func (o *Operator) beginClone(ctx context.Context, record ledger.Ledger, version string) (bool, error) {
	if _, _, refused := o.planClone(ctx); refused != nil {
		return o.refuse(ctx, record, version, *refused)
	}
	release, waits := o.holdRepository(ctx)
	defer release()
	if waits != "" {
		return false, o.tell(ctx, *pending(reasonLocked, waits))
	}
	// What has expired until the lock was free is seen only now.
	copied, backup, refused := o.planClone(ctx)
	if refused != nil {
		return o.refuse(ctx, record, version, *refused)
	}
	now := time.Now()
	started := now.UTC()
	intent := instance.OperationReport{
		Phase: v1alpha1.OperationInProgress, Reason: reasonCloning, StartedAt: &started, Backup: backup,
		Message: fmt.Sprintf("The DBCluster %s is created, and begins with the restored database.", copied.Name),
	}
	// Without a deadline: what else is asked of the source need not wait for the copy.
	if err := o.kube.WriteLedger(ctx, record.With(o.operation.Key(), o.entry(intent), now), version); err != nil {
		return false, err
	}
	o.log.Info("The copy begins", "dbcluster", copied.Name, "backup", backup)
	if err := o.tell(ctx, intent); err != nil {
		o.log.Warn("Cannot report that the copy begins", "error", err.Error())
	}
	return true, o.conclude(ctx, o.awaitClone(ctx, intent, func(ctx context.Context) error { return o.kube.CreateDBCluster(ctx, copied) }))
}

// planClone returns the DBCluster that is to be and the backup that it begins with, or what is in the way.
func (o *Operator) planClone(ctx context.Context) (*v1alpha1.DBCluster, string, *instance.OperationReport) {
	name := o.operation.Restore.Clone
	there, errThere := o.kube.DBCluster(ctx, name)
	source, errSource := o.kube.DBCluster(ctx, o.operation.Cluster)
	switch err := errors.Join(errThere, errSource); {
	case err != nil:
		return nil, "", pending(reasonStoreFails, "The API server does not answer: "+err.Error()+".")
	case there != nil:
		return nil, "", rejected(reasonCloneExists, fmt.Sprintf(
			"There is a DBCluster %s already, and nothing was done: commit another Restore with another clonedDBClusterConfig.dbclusterName.", name))
	case source == nil:
		return nil, "", rejected(reasonSourceMissing, fmt.Sprintf(
			"There is no DBCluster %s whose spec the copy could have. Nothing was done: create the DBCluster %s yourself, with spec.bootstrap.restore.sourceDBCluster %s.", o.operation.Cluster, name, o.operation.Cluster))
	}
	found, refused := o.find(ctx)
	if refused != nil {
		return nil, "", refused
	}
	target := o.operation.Restore.Target
	target.Incarnation = found.Incarnation // What was checked is what is restored.
	copied := cloneOf(source, name, target.Given())
	copied.Annotations = map[string]string{naming.AnnotationClonedBy: o.cloner()}
	return copied, found.Label, nil
}

// cloner says of a DBCluster that this very operation created it.
func (o *Operator) cloner() string { return o.operation.Name + "." + o.hash }

// cloneOf returns the claim of a copy. It is like the source, but for what can be only one cluster's: the certificate, which has
// names in it, the password, which its Secret has under the cluster's name, and the volume.
func cloneOf(source *v1alpha1.DBCluster, name string, target v1alpha1.RestoreTarget) *v1alpha1.DBCluster {
	spec := *source.Spec.DeepCopy()
	spec.Bootstrap = &v1alpha1.BootstrapSpec{Restore: v1alpha1.RestoreSpec{SourceDBCluster: source.Name, RestoreTarget: target}}
	spec.IfBackupsExist, spec.TLS, spec.PrimarySpec.AdminUser, spec.PrimarySpec.IsStopped = "", nil, nil, false
	for i := range spec.PrimarySpec.Resources.Disks {
		spec.PrimarySpec.Resources.Disks[i].VolumeName = ""
	}
	return &v1alpha1.DBCluster{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
}

// resumeClone looks on at a copy that a process before has begun. It is not known whether that came to create it, so that one that
// is not there may have been deleted since: it is not created again.
func (o *Operator) resumeClone(ctx context.Context, intent instance.OperationReport) instance.OperationReport {
	defer o.keepRepository(ctx)()
	return o.awaitClone(ctx, intent, nil)
}

// awaitClone returns what became of a copy that was begun. Without create it must be there already.
func (o *Operator) awaitClone(ctx context.Context, intent instance.OperationReport, create func(context.Context) error) instance.OperationReport {
	for {
		report, err := o.lookAtClone(ctx, intent, create)
		switch {
		case err != nil:
			o.log.Warn("Cannot tell how far the copy is; it is looked again", "error", err.Error())
		case report.Phase.Final():
			return report
		default:
			create = nil // What was there once and is not any more was deleted.
			if err := o.tell(ctx, report); err != nil {
				o.log.Warn("Cannot report how far the copy is", "error", err.Error())
			}
		}
		select {
		case <-ctx.Done():
			return intent // It goes on from the ledger.
		case <-time.After(tick):
		}
	}
}

// lookAtClone returns how far a copy is. One that is not there is created first, if it is to be.
func (o *Operator) lookAtClone(ctx context.Context, intent instance.OperationReport, create func(context.Context) error) (instance.OperationReport, error) {
	copied, err := o.kube.DBCluster(ctx, o.operation.Restore.Clone)
	if err != nil {
		return intent, err
	}
	now := time.Now()
	if copied != nil || create == nil {
		return o.cloned(intent, copied, now), nil
	}
	if o.timedOut(intent, now) {
		return failedClone(intent, reasonTimedOut, fmt.Sprintf("The DBCluster %s could not be created within %s.", o.operation.Restore.Clone, o.operation.Restore.Timeout), now), nil
	}
	err = create(ctx)
	if denied(err) {
		return failedClone(intent, reasonCloneRefused, fmt.Sprintf("The API server refuses it: %s.", err), now), nil
	}
	return intent, err
}

// timedOut says that a copy, or a restore in place, has had its time.
func (o *Operator) timedOut(intent instance.OperationReport, now time.Time) bool {
	return now.After(intent.StartedAt.Add(o.operation.Restore.Timeout))
}

// denied says that the API server answered, and that asking again changes nothing.
func denied(err error) bool {
	return kerrors.IsInvalid(err) || kerrors.IsForbidden(err) || kerrors.IsBadRequest(err)
}

// cloned returns how far a copy is, by what the DBCluster says.
func (o *Operator) cloned(intent instance.OperationReport, copied *v1alpha1.DBCluster, now time.Time) instance.OperationReport {
	task, name := o.operation.Restore, o.operation.Restore.Clone
	switch {
	case copied == nil:
		return failedClone(intent, reasonNotCarriedOut, fmt.Sprintf("The DBCluster %s is not there: it was not created, or it was deleted since.", name), now)
	case copied.Annotations[naming.AnnotationClonedBy] != o.cloner():
		return failedClone(intent, reasonCloneExists, fmt.Sprintf("Somebody else created a DBCluster %s meanwhile.", name), now)
	}
	s := copied.Status
	if s.Rollout != nil && s.Rollout.State == v1alpha1.RolloutComplete && s.Primary != "" {
		return clonedWell(intent, copied, now)
	}
	for _, incident := range s.CriticalIncidents {
		switch incident.Code {
		case instance.IncidentRestoreRefused:
			return failedClone(intent, reasonTargetMissing, incident.Message, now)
		case instance.IncidentRestoreFails, instance.IncidentRestoreWaits:
			intent.Message = incident.Message
		}
	}
	if o.timedOut(intent, now) {
		return failedClone(intent, reasonTimedOut, fmt.Sprintf("The DBCluster %s was not there within %s. It goes on: look at its status, or delete it. The last that was said: %s", name, task.Timeout, intent.Message), now)
	}
	return intent
}

func clonedWell(intent instance.OperationReport, copied *v1alpha1.DBCluster, now time.Time) instance.OperationReport {
	intent.Phase, intent.Reason, intent.NewPrimary = v1alpha1.OperationSucceeded, "", copied.Status.Primary
	for _, i := range copied.Status.Instances {
		if i.Name == copied.Status.Primary {
			intent.TimelineAfter = i.Timeline
		}
	}
	intent.Message = fmt.Sprintf("The DBCluster %s serves the restored database, with credentials of its own%s. Commit its manifest to keep it in Git, and give it a BackupPlan.",
		copied.Name, bound(copied))
	return finished(intent, now)
}

// bound says where the credentials of a DBCluster are.
func bound(copied *v1alpha1.DBCluster) string {
	if copied.Status.Binding == nil {
		return ""
	}
	return fmt.Sprintf(" in the Secret %s", cmp.Or(copied.Status.Binding.Name, copied.Name))
}

func failedClone(intent instance.OperationReport, reason, why string, now time.Time) instance.OperationReport {
	intent.Phase, intent.Reason = v1alpha1.OperationFailed, reason
	intent.Message = why + " This Restore is not carried out again: for another copy commit another one."
	return finished(intent, now)
}
