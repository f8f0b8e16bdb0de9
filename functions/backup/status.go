package backup

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/jobs"
)

// status shows what the plan says. It decides nothing.
func status(seen facts, p plan) *v1alpha1.BackupStatus {
	r := p.Report
	s := &v1alpha1.BackupStatus{
		Phase: r.Phase, Reason: r.Reason, Message: r.Message, Label: r.Label, Type: r.Type, Prior: r.Prior, Source: r.Source,
		StartTime: kubeTime(r.Start), CompleteTime: kubeTime(r.Stop),
		LSN: between(r.LSN), WAL: between(r.WAL),
	}
	if v := seen.Verification; v != nil {
		s.Verification = &v1alpha1.BackupVerification{Time: metav1.Time{Time: v.Time.UTC()}, Result: v.Result, Message: v.Message}
	}
	if expiry := p.expiry(); !expiry.IsZero() && r.Phase == v1alpha1.BackupSucceeded {
		s.RetainExpireTime = kubeTime(&expiry)
	}
	if r.Start == nil || r.Stop == nil {
		return s
	}
	took := r.Stop.Sub(*r.Start)
	s.Duration = took.String()
	s.Size = &v1alpha1.BackupSize{
		Database: quantity(r.Database), Copied: quantity(r.Copied), Repository: quantity(r.Repository), RepositorySet: quantity(r.RepositorySet),
	}
	if took > 0 {
		s.Throughput = fmt.Sprintf("%.1fMi/s", float64(r.Copied)/took.Seconds()/(1<<20))
	}
	return s
}

func between(ends [2]string) *v1alpha1.BackupRange {
	if ends[0] == "" {
		return nil
	}
	return &v1alpha1.BackupRange{Start: ends[0], Stop: ends[1]}
}

// quantity writes a number of bytes in whole KiB: to the byte nobody can read it.
func quantity(bytes int64) string {
	const kib = 1 << 10
	return resource.NewQuantity((bytes+kib-1)/kib*kib, resource.BinarySI).String()
}

func kubeTime(t *time.Time) *metav1.Time {
	if t == nil {
		return nil
	}
	return &metav1.Time{Time: t.UTC()}
}

func progress(b request, p plan) jobs.Progress {
	return jobs.Progress{
		Phase: string(p.Report.Phase), Reason: p.Report.Reason, Message: p.Report.Message,
		Begun: p.Report.Phase != v1alpha1.BackupPending, Final: p.Report.Phase.Final(),
		Failed: p.Report.Phase == v1alpha1.BackupFailed, Stalled: p.Stalled(b),
	}
}
