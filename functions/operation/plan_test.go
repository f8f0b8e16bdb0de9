package operation

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/functiontest"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/jobs"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

func TestMakePlan(t *testing.T) {
	now := functiontest.Now()
	ask := func(ago time.Duration) request {
		return request{
			Operation: naming.Operation{Namespace: "shop", Kind: "switchover", Name: "move"},
			Cluster:   naming.Cluster{Namespace: "shop", Name: "orders"},
			Task:      instance.Operation{RequestedAt: now.Add(-ago), ValidUntil: now.Add(-ago).Add(time.Hour)},
		}
	}
	said := func(phase v1alpha1.OperationPhase) *instance.OperationReport {
		return &instance.OperationReport{Phase: phase, Message: "It says so."}
	}
	there := &jobs.Instances{Image: "postgresql:17", Certificate: "orders-tls", Credentials: "orders-credentials-1"}
	job := &compose.Resource{}

	type args struct {
		request request
		seen    facts
	}
	type want struct {
		Phase       v1alpha1.OperationPhase
		Reason      string
		Rights, Job bool
		CallAgain   time.Duration
	}
	cases := map[string]struct {
		reason string
		args   args
		want   want
	}{
		"NothingSeen": {
			reason: "What was not looked up is not known to be missing.",
			args:   args{ask(time.Minute), facts{}},
			want:   want{Phase: v1alpha1.OperationPending, Reason: reasonClusterMissing, CallAgain: waiting},
		},
		"ClusterMissing": {
			reason: "A cluster that may come is waited for.",
			args:   args{ask(time.Minute), facts{Answered: true}},
			want:   want{Phase: v1alpha1.OperationPending, Reason: reasonClusterMissing, CallAgain: waiting},
		},
		"ClusterMissingAndLate": {
			reason: "It is not waited for longer than the operation is valid.",
			args:   args{ask(2 * time.Hour), facts{Answered: true}},
			want:   want{Phase: v1alpha1.OperationExpired, Reason: reasonExpired, CallAgain: callAgain},
		},
		"BeforeItsTime": {
			reason: "One that is asked for in advance waits for its time.",
			args:   args{ask(-time.Hour), facts{Answered: true, Instances: there}},
			want:   want{Phase: v1alpha1.OperationPending, Reason: reasonNotYet, CallAgain: time.Hour},
		},
		"Rights": {
			reason: "The Job starts once it has its rights.",
			args:   args{ask(time.Minute), facts{Answered: true, Instances: there}},
			want:   want{Phase: v1alpha1.OperationPending, Reason: reasonStarting, Rights: true, CallAgain: 74 * time.Minute},
		},
		"Start": {
			reason: "With its rights and a cluster the Job starts.",
			args:   args{ask(time.Minute), facts{Answered: true, Instances: there, Seen: jobs.Seen{Permitted: true}}},
			want:   want{Phase: v1alpha1.OperationPending, Reason: reasonStarting, Rights: true, Job: true, CallAgain: 74 * time.Minute},
		},
		"StartLate": {
			reason: "A Job is started for what has long expired, too: the ledger may remember that it was done.",
			args:   args{ask(48 * time.Hour), facts{Answered: true, Instances: there, Seen: jobs.Seen{Permitted: true}}},
			want:   want{Phase: v1alpha1.OperationPending, Reason: reasonStarting, Rights: true, Job: true, CallAgain: overtime},
		},
		"ClusterGoneMidway": {
			reason: "A Job that has begun is not taken away because its cluster cannot be seen.",
			args:   args{ask(time.Minute), facts{Answered: true, Report: said(v1alpha1.OperationInProgress), Seen: jobs.Seen{Job: job, Created: now}}},
			want:   want{Phase: v1alpha1.OperationInProgress, Rights: true, Job: true, CallAgain: 74 * time.Minute},
		},
		"JobGaveUp": {
			reason: "That a Job gave up is shown, and no other is started in its place.",
			args:   args{ask(time.Minute), facts{Seen: jobs.Seen{Job: job, Failed: true}}},
			want:   want{Phase: v1alpha1.OperationFailed, Reason: reasonJobFailed, Rights: true, Job: true, CallAgain: 74 * time.Minute},
		},
		"BegunLate": {
			reason: "One that waited until shortly before validUntil, and then began, has its time from there.",
			args:   args{ask(65 * time.Minute), facts{Report: said(v1alpha1.OperationInProgress), Seen: jobs.Seen{Job: job, Created: now.Add(-65 * time.Minute)}}},
			want:   want{Phase: v1alpha1.OperationInProgress, Rights: true, Job: true, CallAgain: overtime},
		},
		"OverdueInProgress": {
			reason: "Nothing stays in progress for ever.",
			args:   args{ask(2 * time.Hour), facts{Report: said(v1alpha1.OperationInProgress), Seen: jobs.Seen{Job: job, Created: now.Add(-time.Hour)}}},
			want:   want{Phase: v1alpha1.OperationFailed, Reason: v1alpha1.ReasonOutcomeUnknown, Rights: true, Job: true, CallAgain: overtime},
		},
		"OverdueSilent": {
			reason: "Nothing stays pending for ever.",
			args:   args{ask(2 * time.Hour), facts{Seen: jobs.Seen{Job: job, Created: now.Add(-time.Hour)}}},
			want:   want{Phase: v1alpha1.OperationExpired, Reason: reasonExpired, Rights: true, Job: true, CallAgain: overtime},
		},
		"LateJobHasItsTime": {
			reason: "A Job that was started late has its time, too.",
			args:   args{ask(2 * time.Hour), facts{Seen: jobs.Seen{Job: job, Created: now.Add(-time.Minute)}}},
			want:   want{Phase: v1alpha1.OperationPending, Reason: reasonStarting, Rights: true, Job: true, CallAgain: overtime},
		},
		"Over": {
			reason: "Once the outcome is known neither the Job nor its rights are kept.",
			args:   args{ask(time.Minute), facts{Answered: true, Instances: there, Report: said(v1alpha1.OperationSucceeded), Seen: jobs.Seen{Permitted: true, Job: job}}},
			want:   want{Phase: v1alpha1.OperationSucceeded, CallAgain: callAgain},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := makePlan(tc.args.request, tc.args.seen, now)
			got := want{Phase: p.Report.Phase, Reason: p.Report.Reason, Rights: p.Rights, Job: p.Job, CallAgain: p.CallAgain}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nmakePlan(...): -want, +got:\n%s", tc.reason, diff)
			}
			if p.Report.Message == "" {
				t.Errorf("\n%s\nmakePlan(...): nobody is told", tc.reason)
			}
		})
	}
}

// TestComposeKeepsJob shows that a Job is desired as it is, whatever image the cluster has by now: its template cannot
// change.
func TestComposeKeepsJob(t *testing.T) {
	in := functiontest.Load(t, "testdata/upgraded")
	out, err := Compose(in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(functiontest.Content(t, in.Observed[naming.ObjectJob])["spec"], functiontest.Content(t, out.Objects[naming.ObjectJob].Content)["spec"]); diff != "" {
		t.Errorf("the Job would change (-observed +desired):\n%s", diff)
	}
	if out.Incomplete != true || out.Requires[requiredInstances] != (compose.Selector{APIVersion: "apps/v1", Kind: "StatefulSet", Namespace: "shop", Name: "orders"}) {
		t.Errorf("incomplete is %t and %v is asked for; want an operation that goes on and asks for the cluster's StatefulSet", out.Incomplete, out.Requires)
	}
}

// TestStalled shows what a person has to see to.
func TestStalled(t *testing.T) {
	cases := map[string]struct {
		reason       string
		phase        v1alpha1.OperationPhase
		acknowledged bool
		ready        bool
		stalled      compose.Truth
	}{
		"Succeeded":    {reason: "What was done needs nobody.", phase: v1alpha1.OperationSucceeded, ready: true, stalled: compose.False},
		"Skipped":      {reason: "What was for another cluster needs nobody.", phase: v1alpha1.OperationSkipped, ready: true, stalled: compose.False},
		"Expired":      {reason: "What came too late needs nobody.", phase: v1alpha1.OperationExpired, ready: true, stalled: compose.False},
		"Failed":       {reason: "A failure is seen to by a person.", phase: v1alpha1.OperationFailed, stalled: compose.True},
		"Rejected":     {reason: "A rejection is, too.", phase: v1alpha1.OperationRejected, stalled: compose.True},
		"Acknowledged": {reason: "What was seen to is no longer stalled.", phase: v1alpha1.OperationRejected, acknowledged: true, ready: true, stalled: compose.False},
		"InProgress":   {reason: "What goes on is not ready.", phase: v1alpha1.OperationInProgress, stalled: compose.False},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o, p := request{Acknowledged: tc.acknowledged}, plan{Report: instance.OperationReport{Phase: tc.phase}}
			stalled := progress(o, p).Conditions()[1].Status
			if p.Ready(o) != tc.ready || stalled != tc.stalled {
				t.Errorf("\n%s\nReady is %t and Stalled %s; want %t and %s", tc.reason, p.Ready(o), stalled, tc.ready, tc.stalled)
			}
		})
	}
}

// TestRequires shows that what is asked for stays the same when it is answered: Crossplane gives up otherwise.
func TestRequires(t *testing.T) {
	late := request{Cluster: naming.Cluster{Namespace: "shop", Name: "orders"}, Task: instance.Operation{ValidUntil: functiontest.Now().Add(-time.Hour)}}
	want := requires(late, facts{})
	if len(want) == 0 {
		t.Error("nothing is asked for")
	}
	if diff := cmp.Diff(want, requires(late, facts{Answered: true})); diff != "" {
		t.Errorf("-before the answer, +after it:\n%s", diff)
	}
}
