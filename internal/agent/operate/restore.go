package operate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/ledger"
	"github.com/xdbcluster/xdbcluster/internal/agent/restore"
	"github.com/xdbcluster/xdbcluster/internal/agent/volume"
)

const (
	// roomPart is how much more room a restore needs than the database had when it was backed up, as one part of it: WAL that is
	// replayed, and what was written since.
	roomPart = 10
)

// Reasons of a Restore's phases.
const (
	reasonTargetMissing = "TargetMissing"
	reasonNotKept       = "NotKept"
	reasonNoRoom        = "NoRoom"
	reasonNoRepository  = "WaitsForBackupPlan"
	reasonStoreFails    = "WaitsForStore"
	reasonLocked        = "WaitsForRepository"
	reasonRestoring     = "Restoring"
	reasonTimedOut      = "TimedOut"
)

// beginRestore looks whether the database that is wanted is there, and writes in the ledger that it is to be. From then on the
// function stops the instances and lets them start again with another incarnation, whose first instance restores the database.
func (o *Operator) beginRestore(ctx context.Context, record ledger.Ledger, version string) (bool, error) {
	if _, _, refused := o.next(ctx, record); refused != nil {
		return o.refuse(ctx, record, version, *refused)
	}
	release, waits := o.holdRepository(ctx)
	defer release()
	if waits != "" {
		return false, o.tell(ctx, *pending(reasonLocked, waits))
	}
	// What has expired until the lock was free is seen only now.
	next, found, refused := o.next(ctx, record)
	if refused != nil {
		return o.refuse(ctx, record, version, *refused)
	}

	now := time.Now()
	started, deadline, keptUntil := now.UTC(), now.UTC().Add(o.operation.Restore.Timeout), now.UTC().Add(keep(*o.operation.Restore))
	intent := instance.OperationReport{
		Phase: v1alpha1.OperationInProgress, Reason: reasonRestoring, StartedAt: &started, KeptUntil: &keptUntil,
		OldIncarnation: current(record), NewIncarnation: next.ID, Backup: found,
		Message: "The instances are stopped, and start again with the restored database. What is there now is kept.",
	}
	if reports, err := o.kube.Reports(ctx); err == nil {
		if name, primary, ok := instance.Primary(reports); ok {
			intent.OldPrimary, intent.TimelineBefore = name, primary.Timeline
		}
	}
	entry := o.entry(intent)
	entry.Deadline = &deadline
	if err := o.kube.WriteLedger(ctx, record.With(o.operation.Key(), entry, now).Becoming(next), version); err != nil {
		return false, err
	}
	o.log.Info("The restore begins", "from", intent.OldIncarnation, "to", intent.NewIncarnation, "backup", found)
	if err := o.tell(ctx, intent); err != nil {
		o.log.Warn("Cannot report that the restore begins", "error", err.Error())
	}
	return true, o.conclude(ctx, o.awaitRestored(ctx, intent))
}

// refuse tells what is in the way of a restore, and remembers it when it stays there.
func (o *Operator) refuse(ctx context.Context, record ledger.Ledger, version string, refused instance.OperationReport) (bool, error) {
	if !refused.Phase.Final() {
		return false, o.tell(ctx, refused)
	}
	now := time.Now()
	entry := o.entry(finished(refused, now))
	if err := o.kube.WriteLedger(ctx, record.With(o.operation.Key(), entry, now), version); err != nil {
		return false, err
	}
	return true, o.tell(ctx, entry.Report)
}

// keep returns how long what was before is kept, from the restore's beginning: until nobody puts it back any more because the restore
// fails, and then for as long as was asked for.
func keep(task instance.RestoreTask) time.Duration { return task.Timeout + task.KeepFor }

// current returns the ID of the incarnation that is.
func current(record ledger.Ledger) string {
	if record.Incarnation != nil {
		return record.Incarnation.ID
	}
	return record.Birth.Incarnation
}

// next returns the incarnation that is to be and the backup that it begins with, or what is in the way.
func (o *Operator) next(ctx context.Context, record ledger.Ledger) (*instance.Incarnation, string, *instance.OperationReport) {
	task, now := *o.operation.Restore, time.Now()
	if task.Kept != "" {
		if next := record.Incarnation.Returned(task.Kept, now, keep(task)); next != nil {
			return next, "", nil
		}
		return nil, "", rejected(reasonNotKept, fmt.Sprintf("The data of the incarnation %s is not on the volumes%s. Nothing was done.", task.Kept, listed(record.Incarnation)))
	}
	found, refused := o.find(ctx)
	if refused != nil {
		return nil, "", refused
	}
	reports, err := o.kube.Reports(ctx)
	if err != nil {
		return nil, "", pending(reasonStoreFails, "The API server does not answer: "+err.Error()+".")
	}
	if message := lacksRoom(found.Size, reports); message != "" {
		return nil, "", rejected(reasonNoRoom, message)
	}
	id, err := volume.NewIncarnation(rand.Reader)
	if err != nil {
		return nil, "", pending(reasonStoreFails, err.Error())
	}
	task.Target.Incarnation = found.Incarnation // What was checked is what is restored.
	return record.Incarnation.Restored(current(record), id, task.Target, now, keep(task)), found.Label, nil
}

// find returns the backup from which the target can be reached, or what is in the way.
func (o *Operator) find(ctx context.Context) (restore.Choice, *instance.OperationReport) {
	found, err := restore.New(o.operation.Restore.Target, instance.FolderRepository, "", "", o.log).Find(ctx)
	refusal := restore.Refusal{}
	switch {
	case errors.Is(err, restore.ErrNoRepository):
		return found, pending(reasonNoRepository, fmt.Sprintf("Waiting for the BackupPlan of the DBCluster %s, which says where its backups are.", o.cluster.Name))
	case errors.As(err, &refusal):
		return found, rejected(reasonTargetMissing, refusal.Message+" Nothing was done.")
	case err != nil:
		return found, pending(reasonStoreFails, "The store does not say what is in it: "+err.Error()+". It is asked again.")
	}
	return found, nil
}

// lacksRoom says which instances have no room for another database beside the one that they have.
func lacksRoom(size int64, reports map[string]instance.Report) string {
	needed := *resource.NewQuantity(size+size/roomPart, resource.BinarySI)
	var lacking []string
	for name, r := range reports {
		free, err := resource.ParseQuantity(r.DataDiskFree)
		if err == nil && free.Cmp(needed) < 0 {
			lacking = append(lacking, fmt.Sprintf("%s has about %s free", name, free.String()))
		}
	}
	if len(lacking) == 0 {
		return ""
	}
	slices.Sort(lacking)
	return fmt.Sprintf("The restored database needs %dMi beside the one that is there, which is kept, and %s. Nothing was done: enlarge the DataDisk, and commit another Restore.",
		needed.Value()>>20+1, strings.Join(lacking, ", "))
}

func listed(i *instance.Incarnation) string {
	if i == nil || len(i.Kept) == 0 {
		return ": none is kept"
	}
	names := make([]string, 0, len(i.Kept))
	for _, k := range i.Kept {
		names = append(names, fmt.Sprintf("%s until %s", k.ID, k.Until.UTC().Format(time.RFC3339)))
	}
	return ": kept are " + strings.Join(names, ", ")
}

func rejected(reason, message string) *instance.OperationReport {
	return &instance.OperationReport{Phase: v1alpha1.OperationRejected, Reason: reason, Message: message}
}

func pending(reason, message string) *instance.OperationReport {
	return &instance.OperationReport{Phase: v1alpha1.OperationPending, Reason: reason, Message: message}
}

// holdRepository takes the repository's lock and keeps it until it is released: what is to be read must not expire meanwhile. It
// returns what is waited for when it cannot be had.
func (o *Operator) holdRepository(ctx context.Context) (release func(), waits string) {
	if o.operation.Restore.Kept == "" {
		if waits := o.repository.Take(ctx); waits != "" {
			return func() {}, waits
		}
	}
	return o.keepRepository(ctx), ""
}

// keepRepository keeps the repository's lock for what goes on without it, too. What is kept on the volumes needs no repository.
func (o *Operator) keepRepository(ctx context.Context) (release func()) {
	if o.operation.Restore.Kept != "" {
		return func() {}
	}
	return o.repository.Keep(ctx)
}

// resumeRestore looks on at a restore that a process before has begun.
func (o *Operator) resumeRestore(ctx context.Context, intent instance.OperationReport) instance.OperationReport {
	defer o.keepRepository(ctx)()
	return o.awaitRestored(ctx, intent)
}

// awaitRestored returns what became of a restore that was begun. One that fails, or takes too long, is put back.
func (o *Operator) awaitRestored(ctx context.Context, intent instance.OperationReport) instance.OperationReport {
	for {
		now := time.Now()
		report, err := o.restored(ctx, intent, now)
		switch {
		case err != nil:
			o.log.Warn("Cannot tell how far the restore is; it is looked again", "error", err.Error())
		case report.Phase.Final() && report.FinishedAt != nil:
			return report
		case report.Phase.Final():
			return finished(report, now)
		default:
			if err := o.tell(ctx, report); err != nil {
				o.log.Warn("Cannot report how far the restore is", "error", err.Error())
			}
		}
		select {
		case <-ctx.Done():
			return intent // It goes on from the ledger.
		case <-time.After(tick):
		}
	}
}

// restored returns how far a restore is. When it cannot succeed, what was before is to be again: that and the outcome are one write,
// since whoever finds the one without the other cannot know why it was put back.
func (o *Operator) restored(ctx context.Context, intent instance.OperationReport, now time.Time) (instance.OperationReport, error) {
	record, version, err := o.kube.Ledger(ctx)
	if err != nil {
		return intent, err
	}
	if entry := record.Entries[o.operation.Key()]; entry.Hash == o.hash && entry.Report.Phase.Final() {
		return entry.Report, nil // It was written, though the answer did not come.
	}
	if record.Incarnation == nil || record.Incarnation.ID != intent.NewIncarnation {
		return superseded(intent), nil
	}
	reports, err := o.kube.Reports(ctx)
	if err != nil {
		return intent, err
	}
	born := record.Alive() != nil
	report, failure := progress(intent, record.Incarnation.Number, born, reports)
	keep := time.Duration(0) // What is not complete is of no use.
	if failure == "" && !report.Phase.Final() && o.timedOut(intent, now) {
		if born {
			return succeeded(report, "", instance.Report{}), nil
		}
		failure = fmt.Sprintf("It was not done within %s. The last that was said: %s", o.operation.Restore.Timeout, report.Message)
		intent.Reason, keep = reasonTimedOut, o.operation.Restore.KeepFor // It may be complete by now.
	}
	if failure == "" {
		return report, nil
	}
	before := record.Incarnation.Returned(intent.OldIncarnation, now, keep)
	if before == nil {
		return intent, fmt.Errorf("cannot put the incarnation %s back: it is not kept", intent.OldIncarnation)
	}
	o.log.Warn("The restore failed; what was before is put back", "incarnation", before.ID, "error", failure)
	report = finished(putBack(intent, reasonPutBack, failure), now)
	return report, o.kube.WriteLedger(ctx, record.With(o.operation.Key(), o.entry(report), now).Becoming(before), version)
}

// progress returns how far a restore is by what the instances of its incarnation say, and why it cannot succeed. Once the database
// was born it does not fail any more, whatever is so now: what was written to it since must not be put back.
func progress(intent instance.OperationReport, number int, born bool, reports map[string]instance.Report) (report instance.OperationReport, failure string) {
	ours := map[string]instance.Report{}
	for name, r := range reports {
		if r.Incarnation == number {
			ours[name] = r
		}
	}
	if name, primary, found := instance.Primary(ours); found {
		return succeeded(intent, name, primary), ""
	}
	if born {
		intent.Message = "The restored database is in place. Waiting for its primary."
		return intent, ""
	}
	for _, r := range ours {
		for _, i := range r.Incidents {
			switch i.Code {
			case instance.IncidentRestoreRefused:
				return intent, i.Message
			case instance.IncidentRestoreFails, instance.IncidentRestoreWaits:
				intent.Message = i.Message
			}
		}
	}
	return intent, ""
}

// succeeded is the report of a restore whose database is there. Its primary can be unknown.
func succeeded(intent instance.OperationReport, name string, primary instance.Report) instance.OperationReport {
	intent.Phase, intent.Reason = v1alpha1.OperationSucceeded, ""
	intent.NewPrimary, intent.TimelineAfter = name, primary.Timeline
	what := "The restored database is in place"
	if intent.Backup == "" {
		what = "The database that was kept is in place"
	}
	intent.Message = fmt.Sprintf("%s. What was there before is kept until %s: a Restore with keptIncarnation %s brings it back.",
		what, intent.KeptUntil.Format(time.RFC3339), intent.OldIncarnation)
	return intent
}

// superseded is what became of a restore whose incarnation is not the one that is to be any more, while nobody looked on.
func superseded(intent instance.OperationReport) instance.OperationReport {
	intent.Phase, intent.Reason, intent.KeptUntil = v1alpha1.OperationFailed, v1alpha1.ReasonOutcomeUnknown, nil
	intent.Message = fmt.Sprintf("The incarnation %s is not what runs: it was put back, or another Restore took its place. See incarnation and keptIncarnations in the DBCluster's status, and commit another one if it is still wanted.", intent.NewIncarnation)
	return intent
}

func putBack(intent instance.OperationReport, reason, why string) instance.OperationReport {
	if intent.Reason != reasonTimedOut {
		intent.Reason = reason
	}
	intent.Phase, intent.NewIncarnation, intent.KeptUntil = v1alpha1.OperationFailed, "", nil
	intent.Message = strings.TrimSuffix(why, ".") + ". The database is again what it was before, and nothing of it is lost."
	return intent
}
