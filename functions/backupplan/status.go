package backupplan

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/pgbackrest"
)

// archiveUnknown is the state of archiving when no primary says.
const archiveUnknown = "Unknown"

// status explains the plan to people. It decides nothing.
func status(r request, seen facts, p plan) *v1alpha1.BackupPlanStatus {
	s := &v1alpha1.BackupPlanStatus{Phase: p.Phase, Archive: &v1alpha1.ArchiveStatus{State: archiveUnknown}}
	if !p.Next.IsZero() {
		s.NextBackupTime = kubeTime(p.Next)
	}
	current := seen.Archive != nil && seen.Archive.Repository == p.Repository.ID()
	if current {
		s.Archive = &v1alpha1.ArchiveStatus{State: string(seen.Archive.State)}
		if seen.Archive.Last != nil {
			s.Archive.LastArchivedTime = kubeTime(*seen.Archive.Last)
		}
	}
	for _, v := range p.Verdicts {
		if v.Type == v1alpha1.ConditionArchiving && v.Status == compose.False {
			s.Archive.Message = v.Message
		}
	}
	s.Repository = repository(seen, p)
	if len(p.Backups) > 0 {
		newest := p.Backups[len(p.Backups)-1]
		s.LastBackupTime = kubeTime(newest.Stop)
		s.RecoveryWindow = window(r, seen, p, current)
	}
	s.LastVerifiedTime, s.Verification = verificationStatus(r, p.Trial)
	return s
}

// verificationStatus shows when a backup was last found to be sound, and what came of the last one that was tried.
func verificationStatus(r request, t trial) (*metav1.Time, *v1alpha1.VerificationStatus) {
	if r.Verification == nil && t.Tried == nil {
		return nil, nil
	}
	s := &v1alpha1.VerificationStatus{}
	if !t.Next.IsZero() {
		s.NextTime = kubeTime(t.Next)
	}
	if t.Tried == nil {
		return nil, s
	}
	last := t.Tried.Last
	s.Time, s.Result, s.Message, s.Label, s.Target = kubeTime(last.Time), last.Result, last.Message, last.Label, last.Target
	s.Checks, s.Duration = last.Checks, last.Duration
	if t.Tried.Sound != nil {
		s.LastVerifiedTime = kubeTime(*t.Tried.Sound)
	}
	return s.LastVerifiedTime, s
}

func repository(seen facts, p plan) *v1alpha1.RepositoryStatus {
	s := &v1alpha1.RepositoryStatus{Backups: len(p.Backups), Damaged: p.Damaged}
	if seen.Archive != nil && seen.Archive.Repository == p.Repository.ID() && seen.Archive.Path != "" {
		s.Path = pgbackrest.URL(p.Repository, seen.Archive.Path)
	}
	if len(p.Backups) == 0 {
		return s
	}
	size := int64(0)
	for _, b := range p.Backups {
		size += b.Size
	}
	s.Size = resource.NewQuantity(size, resource.BinarySI).String()
	s.OldestBackup, s.NewestBackup = p.Backups[0].Label, p.Backups[len(p.Backups)-1].Label
	return s
}

// window returns what the database can be restored to. What was archived since the newest backup counts, where every moment is
// offered.
func window(r request, seen facts, p plan, current bool) *v1alpha1.RecoveryWindow {
	end := p.Backups[len(p.Backups)-1].Stop
	if r.PITR && current && seen.Archive.State == instance.Archiving && seen.Archive.Last != nil && seen.Archive.Last.After(end) {
		end = *seen.Archive.Last
	}
	return &v1alpha1.RecoveryWindow{Begin: *kubeTime(p.Backups[0].Stop), End: *kubeTime(end)}
}

// conditions returns every condition of the plan, also those that say that all is well: one that is left out would keep what it
// said before.
func conditions(p plan) []compose.Condition {
	reconciling := compose.Condition{
		Type: v1alpha1.ConditionReconciling, Status: compose.False, Reason: v1alpha1.ReasonRolledOut, Message: "The plan is in force.",
	}
	stalled := compose.Condition{
		Type: v1alpha1.ConditionStalled, Status: compose.False, Reason: v1alpha1.ReasonNotStalled, Message: "Nothing needs a person.",
	}
	list := make([]compose.Condition, 0, 2+len(p.Verdicts))
	for _, v := range p.Verdicts {
		if v.Stalls && stalled.Status == compose.False {
			stalled.Status, stalled.Reason, stalled.Message = compose.True, v.Reason, v.Message
		}
		if v.Waits() && reconciling.Status == compose.False {
			reconciling.Status, reconciling.Reason, reconciling.Message = compose.True, v1alpha1.ReasonProgressing, v.Message
		}
		list = append(list, v.Condition)
	}
	if stalled.Status == compose.True {
		reconciling.Status, reconciling.Reason, reconciling.Message = compose.False, stalled.Reason, stalled.Message
	}
	return append([]compose.Condition{reconciling, stalled}, list...)
}

// events tell what a person would want to be told of at the time.
func events(seen facts, told []compose.Condition) []compose.Event {
	var list []compose.Event
	for _, c := range told {
		before := seen.Conditions[c.Type]
		if before.Status == string(c.Status) && before.Reason == c.Reason {
			continue
		}
		switch {
		case c.Type == v1alpha1.ConditionStalled && c.Status == compose.True,
			c.Type == v1alpha1.ConditionArchiving && c.Reason == v1alpha1.ReasonArchivingFails,
			c.Type == v1alpha1.ConditionBackedUp && c.Reason == v1alpha1.ReasonBackupOverdue,
			c.Type == v1alpha1.ConditionVerified && c.Status == compose.False:
			list = append(list, compose.Event{Severity: compose.Warning, Reason: c.Reason, Message: c.Message})
		case c.Status == compose.True && slices.Contains([]string{v1alpha1.ConditionArchiving, v1alpha1.ConditionBackedUp, v1alpha1.ConditionVerified}, c.Type):
			list = append(list, compose.Event{Severity: compose.Normal, Reason: c.Reason, Message: c.Message})
		}
	}
	return list
}

func kubeTime(t time.Time) *metav1.Time {
	return &metav1.Time{Time: t.UTC().Truncate(time.Second)}
}
