package operation

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/jobs"
)

// status shows what the plan says. It decides nothing.
func status(o request, p plan) any {
	r := p.Report
	if o.Task.Restore != nil {
		return &v1alpha1.InPlaceRestoreStatus{
			Phase: r.Phase, Reason: r.Reason, Message: r.Message,
			ValidUntil: kubeTime(&o.Task.ValidUntil), StartedAt: kubeTime(r.StartedAt), FinishedAt: kubeTime(r.FinishedAt),
			Backup: r.Backup, OldIncarnation: r.OldIncarnation, NewIncarnation: r.NewIncarnation, OldDataKeptUntil: kubeTime(r.KeptUntil),
			NewPrimary: r.NewPrimary, TimelineBefore: r.TimelineBefore, TimelineAfter: r.TimelineAfter,
		}
	}
	return &v1alpha1.OperationStatus{
		Phase: r.Phase, Reason: r.Reason, Message: r.Message,
		ValidUntil: kubeTime(&o.Task.ValidUntil), StartedAt: kubeTime(r.StartedAt), FinishedAt: kubeTime(r.FinishedAt),
		OldPrimary: r.OldPrimary, NewPrimary: r.NewPrimary,
		TimelineBefore: r.TimelineBefore, TimelineAfter: r.TimelineAfter,
		WritePause: r.WritePause, DataLoss: r.DataLoss,
	}
}

func kubeTime(t *time.Time) *metav1.Time {
	if t == nil {
		return nil
	}
	return &metav1.Time{Time: *t}
}

func progress(o request, p plan) jobs.Progress {
	phase := p.Report.Phase
	return jobs.Progress{
		Phase: string(phase), Reason: p.Report.Reason, Message: p.Report.Message,
		Begun: phase != v1alpha1.OperationPending, Final: phase.Final(),
		Failed: phase == v1alpha1.OperationFailed || phase == v1alpha1.OperationRejected, Stalled: p.Stalled(o),
	}
}
