package backup

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/functiontest"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/jobs"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

func TestMakePlan(t *testing.T) {
	now := functiontest.Now()
	ask := request{
		Operation: naming.Operation{Namespace: "shop", Kind: "backup", Name: "before-upgrade"},
		Cluster:   naming.Cluster{Namespace: "shop", Name: "orders"},
		Task:      instance.BackupTask{Name: "before-upgrade", Cluster: "orders", Plan: "nightly", Type: v1alpha1.BackupFull},
	}
	acknowledged := ask
	acknowledged.Acknowledged = true
	there := &jobs.Instances{Image: "postgresql:17", Certificate: "orders-tls", Credentials: "orders-credentials-1"}
	job := &compose.Resource{}
	said := func(phase v1alpha1.BackupPhase) *instance.BackupReport {
		return &instance.BackupReport{Phase: phase, Message: "It says so."}
	}
	taken := func(ago time.Duration) *instance.BackupReport {
		stop := now.Add(-ago)
		return &instance.BackupReport{Phase: v1alpha1.BackupSucceeded, Message: "It is complete.", Label: "label", Stop: &stop, RetainDays: 1}
	}
	ready := facts{PlanAnswered: true, PlanCluster: "orders", Instances: there, Certificate: true, Seen: jobs.Seen{Permitted: true}}
	but := func(change func(*facts)) facts {
		f := ready
		change(&f)
		return f
	}

	type args struct {
		request request
		seen    facts
	}
	type want struct {
		Phase                       v1alpha1.BackupPhase
		Reason                      string
		Rights, Job, Ready, Stalled bool
		CallAgain                   time.Duration
		Asks                        int
	}
	cases := map[string]struct {
		reason string
		args   args
		want   want
	}{
		"NothingSeen": {
			reason: "What was not looked up is not known to be missing.",
			args:   args{ask, facts{}},
			want:   want{Phase: v1alpha1.BackupPending, Reason: reasonClusterMissing, CallAgain: waiting, Asks: 3},
		},
		"PlanMissing": {
			reason: "A plan that may come is waited for.",
			args:   args{ask, facts{PlanAnswered: true}},
			want:   want{Phase: v1alpha1.BackupPending, Reason: reasonPlanMissing, CallAgain: waiting, Asks: 3},
		},
		"OtherCluster": {
			reason: "A plan of another cluster has another repository.",
			args:   args{ask, but(func(f *facts) { f.PlanCluster = "carts" })},
			want:   want{Phase: v1alpha1.BackupPending, Reason: reasonOtherCluster, CallAgain: waiting, Asks: 3},
		},
		"ClusterStopped": {
			reason: "There is nothing to read from a cluster that is stopped.",
			args:   args{ask, but(func(f *facts) { f.Stopped = true })},
			want:   want{Phase: v1alpha1.BackupPending, Reason: reasonClusterStopped, CallAgain: waiting, Asks: 3},
		},
		"NotLetIn": {
			reason: "The instances must know the Job.",
			args:   args{ask, but(func(f *facts) { f.Certificate = false })},
			want:   want{Phase: v1alpha1.BackupPending, Reason: reasonStarting, CallAgain: waiting, Asks: 3},
		},
		"Rights": {
			reason: "The Job starts once it has its rights.",
			args:   args{ask, but(func(f *facts) { f.Permitted = false })},
			want:   want{Phase: v1alpha1.BackupPending, Reason: reasonStarting, Rights: true, CallAgain: callAgain, Asks: 3},
		},
		"Start": {
			reason: "With all it needs the Job starts.",
			args:   args{ask, ready},
			want:   want{Phase: v1alpha1.BackupPending, Reason: reasonStarting, Rights: true, Job: true, CallAgain: callAgain, Asks: 3},
		},
		"PlanGoneMidway": {
			reason: "A Job that has begun is not taken away because its plan is gone.",
			args:   args{ask, facts{PlanAnswered: true, Report: said(v1alpha1.BackupInProgress), Seen: jobs.Seen{Job: job}}},
			want:   want{Phase: v1alpha1.BackupInProgress, Rights: true, Job: true, CallAgain: callAgain, Asks: 3},
		},
		"JobGaveUp": {
			reason: "That a Job gave up is shown, and no other is started in its place.",
			args:   args{ask, but(func(f *facts) { f.Job, f.Failed = job, true })},
			want:   want{Phase: v1alpha1.BackupFailed, Reason: reasonJobFailed, Rights: true, Job: true, Stalled: true, CallAgain: callAgain},
		},
		"Failed": {
			reason: "Somebody is to look at one that failed.",
			args:   args{ask, facts{Report: said(v1alpha1.BackupFailed)}},
			want:   want{Phase: v1alpha1.BackupFailed, Stalled: true, CallAgain: callAgain},
		},
		"Acknowledged": {
			reason: "Once somebody has, it does not hold up what waits for it.",
			args:   args{acknowledged, facts{Report: said(v1alpha1.BackupFailed)}},
			want:   want{Phase: v1alpha1.BackupFailed, Ready: true, CallAgain: callAgain},
		},
		"Taken": {
			reason: "A backup is looked at again when it may be gone, and until then the inventory does not matter.",
			args:   args{ask, facts{Report: taken(time.Hour), Stored: map[string]bool{}}},
			want:   want{Phase: v1alpha1.BackupSucceeded, Ready: true, CallAgain: 23*time.Hour + time.Second},
		},
		"Kept": {
			reason: "One that the plan still needs is kept for longer.",
			args:   args{ask, facts{Report: taken(25 * time.Hour), Stored: map[string]bool{"label": true}}},
			want:   want{Phase: v1alpha1.BackupSucceeded, Ready: true, CallAgain: callAgain, Asks: 1},
		},
		"InventoryNotSeen": {
			reason: "What nobody has said is not taken for gone.",
			args:   args{ask, facts{Report: taken(25 * time.Hour)}},
			want:   want{Phase: v1alpha1.BackupSucceeded, Ready: true, CallAgain: callAgain, Asks: 1},
		},
		"Expired": {
			reason: "One that is no longer in the repository says so.",
			args:   args{ask, facts{Report: taken(25 * time.Hour), Stored: map[string]bool{"other": true}}},
			want:   want{Phase: v1alpha1.BackupExpired, Reason: reasonExpired, Ready: true, CallAgain: callAgain, Asks: 1},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := makePlan(tc.args.request, tc.args.seen, now)
			got := want{
				Phase: p.Report.Phase, Reason: p.Report.Reason, Rights: p.Rights, Job: p.Job, CallAgain: p.CallAgain,
				Ready: p.Ready(tc.args.request), Stalled: p.Stalled(tc.args.request), Asks: len(requires(tc.args.request, tc.args.seen, p, now)),
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nmakePlan(...): -want, +got:\n%s", tc.reason, diff)
			}
			if p.Report.Message == "" {
				t.Errorf("\n%s\nmakePlan(...): nobody is told", tc.reason)
			}
		})
	}
}

// TestVerification shows that a backup says what came of trying it, and nothing else when that cannot be read.
func TestVerification(t *testing.T) {
	report := func(verification string) *compose.Resource {
		return functiontest.Resource(t, &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{
			instance.BackupKey: `{"phase":"Succeeded","label":"night"}`, instance.VerificationKey: verification,
		}}})
	}
	cases := map[string]struct {
		reason string
		report *compose.Resource
		want   any
	}{
		"Damaged": {
			reason: "What is damaged says so, and why.",
			report: report(`{"time":"2026-03-01T04:00:00Z","result":"Damaged","message":"A file is another one."}`),
			want:   map[string]any{"time": "2026-03-01T04:00:00Z", "result": "Damaged", "message": "A file is another one."},
		},
		"NotTried":   {reason: "Of a backup that was not tried nothing is said.", report: report("")},
		"Unreadable": {reason: "Nor of what cannot be read.", report: report(`{"time":1}`)},
		"NoReport":   {reason: "Nor before the Job has said anything."},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			seen := facts{Verification: observeVerification(tc.report), Report: observeReport(tc.report)}
			shown := functiontest.Content(t, status(seen, plan{}))
			if diff := cmp.Diff(tc.want, shown["verification"]); diff != "" {
				t.Errorf("\n%s\nstatus(...): verification: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
