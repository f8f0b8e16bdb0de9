package backupplan

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/functiontest"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/jobs"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// eleven is when a backup is to be tried, an hour ago.
func eleven() time.Time { return functiontest.Now().Add(-time.Hour) }

func TestPlanTrial(t *testing.T) {
	verifying := func(change ...func(*request)) request {
		return nightly(append([]func(*request){func(r *request) { r.Verification = &verification{Schedule: "0 11 * * *"} }}, change...)...)
	}
	able := func(f *facts) {
		f.Instances, f.Version, f.Disk = &jobs.Instances{Image: "image"}, "17", v1alpha1.DiskSpec{Size: resource.MustParse("10Gi")}
	}
	permitted := func(f *facts) { f.Trial.Permitted = true }
	job := func(due time.Time, change ...func(*jobs.Seen)) func(*facts) {
		return func(f *facts) {
			f.Trial.Job, f.Trial.Permitted = &compose.Resource{}, true
			f.Task = instance.VerificationTask{Cluster: "orders", Version: "17", Due: due, Points: true}
			for _, c := range change {
				c(&f.Trial)
			}
		}
	}
	failed := func(s *jobs.Seen) { s.Failed = true }
	complete := func(s *jobs.Seen) { s.Complete = true }
	tried := func(handled time.Time, result v1alpha1.VerificationResult) func(*facts) {
		return func(f *facts) {
			f.Verifications = instance.Verifications{
				Repository: nightly().Repository.ID(), Handled: handled, Count: 1,
				Last: instance.Verification{Time: handled, Result: result, Message: "It is so.", Label: "night"},
			}
		}
	}
	since := func(at time.Time) func(*facts) {
		return func(f *facts) { f.Schedule.Verification, f.Schedule.VerificationSince = "0 11 * * *", at }
	}
	type args struct {
		request request
		seen    facts
	}
	type want struct {
		Rights    bool
		Job       bool
		Due       time.Time
		Next      time.Time
		CallAgain time.Duration
		Status    compose.Truth
		Reason    string
		Phase     v1alpha1.BackupPlanPhase
		Ready     bool
	}
	tomorrow := eleven().Add(24 * time.Hour)
	until := tomorrow.Sub(functiontest.Now()) + time.Second
	cases := map[string]struct {
		reason string
		args   args
		want   want
	}{
		"NotScheduled": {
			reason: "Where backups are not tried nothing is made, and that is told.",
			args:   args{nightly(), working(able)},
			want:   want{Status: compose.Unknown, Reason: v1alpha1.ReasonNotScheduled, Phase: v1alpha1.BackupPlanActive, Ready: true},
		},
		"Due": {
			reason: "What came due since the oldest backup is tried, with rights first.",
			args:   args{verifying(), working(able)},
			want: want{
				Rights: true, Due: eleven(), Next: tomorrow, CallAgain: until,
				Status: compose.Unknown, Reason: v1alpha1.ReasonNotVerified, Phase: v1alpha1.BackupPlanActive, Ready: true,
			},
		},
		"Permitted": {
			reason: "With rights there is the Job.",
			args:   args{verifying(), working(able, permitted)},
			want: want{
				Rights: true, Job: true, Due: eleven(), Next: tomorrow, CallAgain: until,
				Status: compose.Unknown, Reason: v1alpha1.ReasonNotVerified, Phase: v1alpha1.BackupPlanActive, Ready: true,
			},
		},
		"NoInstances": {
			reason: "It runs what the instances run, and waits until that is known.",
			args:   args{verifying(), working(permitted)},
			want: want{
				Rights: true, Due: eleven(), Next: tomorrow, CallAgain: until,
				Status: compose.Unknown, Reason: v1alpha1.ReasonNotVerified, Phase: v1alpha1.BackupPlanActive, Ready: true,
			},
		},
		"Stopped": {
			reason: "A DBCluster that is stopped has backups that can be tried.",
			args:   args{verifying(), working(able, permitted, func(f *facts) { f.Stopped, f.Archive = true, nil })},
			want: want{
				Rights: true, Job: true, Due: eleven(), Next: tomorrow, CallAgain: until,
				Status: compose.Unknown, Reason: v1alpha1.ReasonNotVerified, Phase: v1alpha1.BackupPlanPaused, Ready: true,
			},
		},
		"Running": {
			reason: "A Job stays until its outcome is recorded.",
			args:   args{verifying(), working(able, job(eleven(), complete))},
			want: want{
				Rights: true, Job: true, Due: eleven(), Next: tomorrow, CallAgain: until,
				Status: compose.Unknown, Reason: v1alpha1.ReasonNotVerified, Phase: v1alpha1.BackupPlanActive, Ready: true,
			},
		},
		"RunningForLong": {
			reason: "It is not begun anew when the next one has come due meanwhile.",
			args:   args{verifying(), working(able, job(eleven().Add(-24*time.Hour)))},
			want: want{
				Rights: true, Job: true, Due: eleven().Add(-24 * time.Hour), Next: tomorrow, CallAgain: until,
				Status: compose.Unknown, Reason: v1alpha1.ReasonNotVerified, Phase: v1alpha1.BackupPlanActive, Ready: true,
			},
		},
		"Recorded": {
			reason: "After that nothing is left of it.",
			args:   args{verifying(), working(able, job(eleven(), complete), tried(eleven().Add(time.Minute), v1alpha1.VerificationSucceeded))},
			want: want{
				Next: tomorrow, CallAgain: until,
				Status: compose.True, Reason: v1alpha1.ReasonVerified, Phase: v1alpha1.BackupPlanActive, Ready: true,
			},
		},
		"RecordedAndDueAgain": {
			reason: "A Job of an earlier time goes before the next one is made, which has the same name.",
			args:   args{verifying(), working(able, job(eleven().Add(-24*time.Hour), complete), tried(eleven().Add(-time.Hour), v1alpha1.VerificationSucceeded))},
			want: want{
				Rights: true, Next: tomorrow, CallAgain: soon,
				Status: compose.True, Reason: v1alpha1.ReasonVerified, Phase: v1alpha1.BackupPlanActive, Ready: true,
			},
		},
		"JobFailed": {
			reason: "A Job that has given up is told of, and stays to be looked at.",
			args:   args{verifying(), working(able, job(eleven(), failed))},
			want: want{
				Rights: true, Job: true, Due: eleven(), Next: tomorrow, CallAgain: until,
				Status: compose.False, Reason: v1alpha1.ReasonVerificationFailed, Phase: v1alpha1.BackupPlanFailing,
			},
		},
		"JobFailedAndDueAgain": {
			reason: "It stays until the next one is due.",
			args:   args{verifying(), working(able, job(eleven().Add(-24*time.Hour), failed))},
			want: want{
				Rights: true, Next: tomorrow, CallAgain: soon,
				Status: compose.False, Reason: v1alpha1.ReasonVerificationFailed, Phase: v1alpha1.BackupPlanFailing,
			},
		},
		"JobUnreadable": {
			reason: "A Job of which nobody knows what it is for goes.",
			args:   args{verifying(), working(able, job(time.Time{}))},
			want: want{
				Rights: true, Next: tomorrow, CallAgain: soon,
				Status: compose.Unknown, Reason: v1alpha1.ReasonNotVerified, Phase: v1alpha1.BackupPlanActive, Ready: true,
			},
		},
		"Damaged": {
			reason: "A backup that is damaged is told of until another one is tried.",
			args:   args{verifying(), working(able, tried(eleven(), v1alpha1.VerificationDamaged))},
			want: want{
				Next: tomorrow, CallAgain: until,
				Status: compose.False, Reason: v1alpha1.ReasonBackupDamaged, Phase: v1alpha1.BackupPlanFailing,
			},
		},
		"NotTried": {
			reason: "So is one that could not be tried.",
			args:   args{verifying(), working(able, tried(eleven(), v1alpha1.VerificationFailed))},
			want: want{
				Next: tomorrow, CallAgain: until,
				Status: compose.False, Reason: v1alpha1.ReasonVerificationFailed, Phase: v1alpha1.BackupPlanFailing,
			},
		},
		"OverdueOfAnotherSchedule": {
			reason: "What was due before the plan had this schedule is not overdue.",
			args: args{verifying(), working(able, job(eleven().Add(-24*time.Hour)), tried(eleven().Add(-47*time.Hour), v1alpha1.VerificationSucceeded),
				since(eleven().Add(-23*time.Hour)))},
			want: want{
				Rights: true, Job: true, Due: eleven().Add(-24 * time.Hour), Next: tomorrow, CallAgain: until,
				Status: compose.True, Reason: v1alpha1.ReasonVerified, Phase: v1alpha1.BackupPlanActive, Ready: true,
			},
		},
		"Overdue": {
			reason: "A day after it was due it should be over.",
			args: args{verifying(), working(able, job(eleven().Add(-24*time.Hour)), tried(eleven().Add(-47*time.Hour), v1alpha1.VerificationSucceeded),
				since(eleven().Add(-48*time.Hour)))},
			want: want{
				Rights: true, Job: true, Due: eleven().Add(-24 * time.Hour), Next: tomorrow, CallAgain: until,
				Status: compose.False, Reason: v1alpha1.ReasonVerificationOverdue, Phase: v1alpha1.BackupPlanFailing,
			},
		},
		"Paused": {
			reason: "A plan that is paused tries none, and none is overdue.",
			args:   args{verifying(func(r *request) { r.Repository.Paused = true }), working(able, permitted, tried(eleven().Add(-72*time.Hour), v1alpha1.VerificationSucceeded))},
			want:   want{Status: compose.True, Reason: v1alpha1.ReasonVerified, Phase: v1alpha1.BackupPlanPaused, Ready: true},
		},
		"NoBackup": {
			reason: "Without a backup there is nothing to try.",
			args:   args{verifying(), working(able, permitted, func(f *facts) { f.Inventory.Backups = nil })},
			want:   want{Next: tomorrow, CallAgain: until, Status: compose.Unknown, Reason: v1alpha1.ReasonNotVerified, Phase: v1alpha1.BackupPlanPending},
		},
		"OnlyDamaged": {
			reason: "Nor with those only that are damaged.",
			args: args{verifying(), working(able, permitted, func(f *facts) { f.Inventory.Backups[0].Damaged = true },
				tried(eleven().Add(-24*time.Hour), v1alpha1.VerificationDamaged))},
			want: want{Next: tomorrow, CallAgain: until, Status: compose.False, Reason: v1alpha1.ReasonBackupDamaged, Phase: v1alpha1.BackupPlanFailing},
		},
		"OtherStore": {
			reason: "What was found in the store before is of no interest any more.",
			args: args{verifying(), working(able, func(f *facts) {
				f.Verifications = instance.Verifications{Repository: "before", Handled: functiontest.Now(), Count: 3, Last: instance.Verification{Result: v1alpha1.VerificationDamaged}}
			})},
			want: want{
				Rights: true, Due: eleven(), Next: tomorrow, CallAgain: until,
				Status: compose.Unknown, Reason: v1alpha1.ReasonNotVerified, Phase: v1alpha1.BackupPlanActive, Ready: true,
			},
		},
		"ScheduleRefused": {
			reason: "With a schedule that never comes nothing is tried, and another condition says so.",
			args:   args{nightly(func(r *request) { r.Verification = &verification{Schedule: "0 25 * * *"} }), working(able, permitted)},
			want:   want{Status: compose.Unknown, Reason: v1alpha1.ReasonNotScheduled, Phase: v1alpha1.BackupPlanFailing},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p, err := makePlan(tc.args.request, tc.args.seen, functiontest.Now(), functiontest.Rand(1))
			if err != nil {
				t.Fatal(err)
			}
			got := want{
				Rights: p.Trial.Rights, Job: p.Trial.Job, Due: p.Trial.Task.Due, Next: p.Trial.Next, CallAgain: p.Trial.CallAgain,
				Status: p.Trial.Verdict.Status, Reason: p.Trial.Verdict.Reason, Phase: p.Phase, Ready: p.Ready(),
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nmakePlan(...): -want, +got:\n%s", tc.reason, diff)
			}
			if p.Trial.Verdict.Message == "" {
				t.Errorf("\n%s\nmakePlan(...): nobody is told", tc.reason)
			}
		})
	}
}

// TestVerification plays a verification through, call by call: what is there, what is asked for, and that nothing is left of it.
func TestVerification(t *testing.T) {
	in := functiontest.Load(t, "testdata/due")
	plane := functiontest.NewControlPlane()
	for name, object := range in.Observed {
		plane.Objects[name], plane.Refs[name] = &unstructured.Unstructured{Object: functiontest.Content(t, object)}, true
	}
	call := func() compose.Output {
		t.Helper()
		observed := plane.Observed()
		in.Observed = functiontest.Resources(t, observed)
		out, err := Compose(in)
		if err != nil {
			t.Fatal(err)
		}
		if refused, _ := plane.Apply(t, observed, out); len(refused) > 0 {
			t.Fatalf("%v are refused", refused)
		}
		return out
	}
	instances := in.Required[requiredInstances]
	delete(in.Required, requiredInstances)

	if out := call(); out.Objects[naming.PrefixVerification+naming.ObjectJob].Content != nil {
		t.Error("there is a Job before its rights")
	} else if _, asked := out.Requires[requiredInstances]; !asked {
		t.Error("nobody asks what the instances run")
	}
	in.Required[requiredInstances] = instances
	call()
	out := call()
	functiontest.Golden(t, "testdata/due/want.yaml", map[string]any{
		"requires": out.Requires, "conditions": out.Conditions, "status": out.Status, "objects": trialOf(out), "ttl": out.TTL.String(),
	})

	t.Log("The image changes while it runs: the Job stays as it is")
	job := plane.Objects[naming.PrefixVerification+naming.ObjectJob].DeepCopy()
	container := instances[0].Objects("spec", "template", "spec", "containers")[0]
	container.Fields["image"] = structpb.NewStringValue("registry.example.org/postgresql:17-newer")
	call()
	if diff := cmp.Diff(job.Object["spec"], plane.Objects[naming.PrefixVerification+naming.ObjectJob].Object["spec"]); diff != "" {
		t.Errorf("the Job has changed: %s", diff)
	}

	t.Log("It writes its outcome down, and everything of it goes")
	recorded, err := json.Marshal(instance.Verifications{}.With(repositoryOf(t, in), instance.Verification{
		Time: functiontest.Now(), Result: v1alpha1.VerificationSucceeded, Message: "Well.", Label: "night", Target: "to the end of the backup",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := unstructured.SetNestedField(plane.Objects[naming.ObjectInventory].Object, string(recorded), "data", instance.VerificationKey); err != nil {
		t.Fatal(err)
	}
	out = call()
	if left := trialOf(out); len(left) > 0 {
		t.Errorf("%d objects are left", len(left))
	}
	if _, asked := out.Requires[requiredInstances]; asked {
		t.Error("a plan that rests watches the instances")
	}
	verified := functiontest.Content(t, out.Status)["lastVerifiedTime"]
	if want := functiontest.Now().Format(time.RFC3339); verified != want {
		t.Errorf("lastVerifiedTime is %v, want %q", verified, want)
	}
}

// trialOf returns what an output has of the Job that tries a backup.
func trialOf(out compose.Output) map[string]compose.Object {
	of := map[string]compose.Object{}
	for name, object := range out.Objects {
		if strings.HasPrefix(name, naming.PrefixVerification) {
			of[name] = object
		}
	}
	return of
}

func repositoryOf(t *testing.T, in compose.Input) string {
	t.Helper()
	r, err := decode(in.Composite)
	if err != nil {
		t.Fatal(err)
	}
	return r.Repository.ID()
}
