package operate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
)

func well() view {
	return view{
		Lock: kube.Lock{Holder: "a-0", Position: 100}, Synchronous: true,
		Sync: kube.Sync{Leader: "a-0", Standbys: []string{"a-1", "a-2"}, Quorum: 1},
		Members: map[string]member{
			"a-0": {Primary: true, Running: true, Timeline: 3, Position: 100, Streams: []string{"a-1", "a-2"}},
			"a-1": {Running: true, Timeline: 3, Position: 90},
			"a-2": {Running: true, Timeline: 3, Position: 100},
		},
	}
}

// with returns a view that is changed.
func with(v view, change func(*view)) view {
	change(&v)
	return v
}

func gone(name string) func(*view) { return func(v *view) { delete(v.Members, name) } }

func unlocked(v *view) { v.Lock.Last, v.Lock.Holder = v.Lock.Holder, "" }

func TestDecide(t *testing.T) {
	type args struct {
		operation instance.Operation
		view      view
	}
	type want struct {
		Action    action
		Candidate string
		Reason    string
		DataLoss  string
	}
	switchover := instance.Operation{Kind: v1alpha1.KindSwitchover}
	failover := instance.Operation{Kind: v1alpha1.KindFailover}
	withLoss := instance.Operation{Kind: v1alpha1.KindFailover, AllowDataLoss: true}
	cases := map[string]struct {
		reason string
		args   args
		want   want
	}{
		"Switchover": {
			reason: "The standby that has the most of the WAL takes over.",
			args:   args{switchover, well()},
			want:   want{Action: switchOver, Candidate: "a-2"},
		},
		"SwitchoverToNamed": {
			reason: "A standby that follows and confirms may be named.",
			args:   args{instance.Operation{Kind: v1alpha1.KindSwitchover, NewPrimary: "a-1"}, well()},
			want:   want{Action: switchOver, Candidate: "a-1"},
		},
		"SwitchoverToThePrimary": {
			reason: "What is so already needs nothing.",
			args:   args{instance.Operation{Kind: v1alpha1.KindSwitchover, NewPrimary: "a-0"}, well()},
			want:   want{Action: finish, Reason: reasonAlready},
		},
		"SwitchoverUnexpectedPrimary": {
			reason: "Another primary than the one that was looked at means that somebody decided on what is no longer so.",
			args:   args{instance.Operation{Kind: v1alpha1.KindSwitchover, ExpectPrimary: "a-2"}, well()},
			want:   want{Action: reject, Reason: reasonOtherPrimary},
		},
		"FailoverUnexpectedLastPrimary": {
			reason: "Who was the primary last counts when nobody is: what it acknowledged was not to be given up.",
			args: args{instance.Operation{Kind: v1alpha1.KindFailover, ExpectPrimary: "a-2", AllowDataLoss: true}, with(well(), func(v *view) {
				v.Lock.Holder, v.Lock.Last = "", "a-0"
			})},
			want: want{Action: reject, Reason: reasonOtherPrimary},
		},
		"SwitchoverToOneThatDoesNotConfirm": {
			reason: "A standby that commits do not wait for is no candidate.",
			args:   args{instance.Operation{Kind: v1alpha1.KindSwitchover, NewPrimary: "a-1"}, with(well(), func(v *view) { v.Sync.Standbys = []string{"a-2"} })},
			want:   want{Action: settle, Reason: reasonNoCandidate},
		},
		"SwitchoverWithoutStandby": {
			reason: "There must be one that answers.",
			args:   args{switchover, with(with(well(), gone("a-1")), gone("a-2"))},
			want:   want{Action: settle, Reason: reasonNoCandidate},
		},
		"SwitchoverWithoutPrimary": {
			reason: "A switchover waits for a primary: it is for clusters that are well.",
			args:   args{switchover, with(well(), gone("a-0"))},
			want:   want{Action: wait, Reason: reasonNoPrimary},
		},
		"SwitchoverAsynchronous": {
			reason: "Where commits wait for nobody, a standby that streams takes over: the primary ends in order.",
			args: args{switchover, with(well(), func(v *view) {
				v.Synchronous, v.Sync = false, kube.Sync{}
			})},
			want: want{Action: switchOver, Candidate: "a-2"},
		},
		"FailoverFromPrimary": {
			reason: "A primary that serves gives up in order.",
			args:   args{failover, well()},
			want:   want{Action: switchOver, Candidate: "a-2"},
		},
		"FailoverWhileTheLockLasts": {
			reason: "A primary that does not answer may go on acknowledging until its lock has run out.",
			args:   args{withLoss, with(well(), gone("a-0"))},
			want:   want{Action: wait, Reason: reasonWaitsForLock},
		},
		"FailoverOfALostPrimary": {
			reason: "With both standbys seen, the one that is ahead has every commit.",
			args:   args{failover, with(with(well(), gone("a-0")), unlocked)},
			want:   want{Action: failOver, Candidate: "a-2", DataLoss: "none"},
		},
		"FailoverToTheOneBehind": {
			reason: "One that is behind another lacks what that one may have confirmed.",
			args:   args{instance.Operation{Kind: v1alpha1.KindFailover, NewPrimary: "a-1"}, with(with(well(), gone("a-0")), unlocked)},
			want:   want{Action: settle, Reason: reasonWouldLose},
		},
		"FailoverOfPrimaryAndStandby": {
			reason: "Alone, one of two that could confirm may lack what the other has.",
			args:   args{failover, with(with(with(well(), gone("a-0")), gone("a-2")), unlocked)},
			want:   want{Action: settle, Reason: reasonWouldLose},
		},
		"FailoverWithLoss": {
			reason: "Data is lost only when that is allowed, and then it is said how much.",
			args:   args{withLoss, with(with(with(well(), gone("a-0")), gone("a-2")), unlocked)},
			want:   want{Action: failOver, Candidate: "a-1", DataLoss: "a-1 lacks 10 bytes of the WAL that the last primary is known to have written, and what it wrote after that"},
		},
		"FailoverToOneThatHasNotFollowed": {
			reason: "How much WAL it has says nothing: it is of an older timeline.",
			args:   args{withLoss, with(with(with(well(), gone("a-0")), gone("a-2")), func(v *view) { unlocked(v); v.Timeline = 4 })},
			want:   want{Action: failOver, Candidate: "a-1", DataLoss: "a-1 has timeline 3 and has not followed the last primary, which had timeline 4: it lacks all that was acknowledged since that was promoted"},
		},
		"FailoverAfterThePrimaryWentOnAlone": {
			reason: "A primary that could not wait for anybody acknowledged what nobody else has.",
			args:   args{failover, with(with(with(well(), gone("a-0")), unlocked), func(v *view) { v.Sync.Standbys = nil })},
			want:   want{Action: settle, Reason: reasonWouldLose},
		},
		"FailoverWithPatroni3": {
			reason: "The one standby that Patroni 3 picks has every commit.",
			args:   args{failover, with(with(well(), gone("a-0")), func(v *view) { unlocked(v); v.Sync = kube.Sync{Leader: "a-0", Standbys: []string{"a-2"}} })},
			want:   want{Action: failOver, Candidate: "a-2", DataLoss: "none"},
		},
		"FailoverWithoutAnybody": {
			reason: "There must be an instance to promote.",
			args:   args{withLoss, with(view{Lock: kube.Lock{Last: "a-0"}}, func(*view) {})},
			want:   want{Action: settle, Reason: reasonNoCandidate},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := decide(tc.args.operation, tc.args.view)
			if diff := cmp.Diff(tc.want, want{d.Action, d.Candidate, d.Reason, d.DataLoss}); diff != "" {
				t.Errorf("\n%s\ndecide(...): -want, +got:\n%s", tc.reason, diff)
			}
			if d.Message == "" && (d.Action == wait || d.Action == settle || d.Action == reject) {
				t.Errorf("\n%s\ndecide(...): nobody is told why", tc.reason)
			}
		})
	}
}

func TestOutcome(t *testing.T) {
	intent := instance.OperationReport{Phase: v1alpha1.OperationInProgress, OldPrimary: "a-0", NewPrimary: "a-1", TimelineBefore: 3}
	type want struct {
		Sure       bool
		Phase      v1alpha1.OperationPhase
		Reason     string
		NewPrimary string
	}
	cases := map[string]struct {
		reason    string
		asked     string
		standings map[string]postgres.Standing
		want      want
	}{
		"Done": {
			reason:    "The wanted instance is the primary on a newer timeline.",
			standings: map[string]postgres.Standing{"a-0": {}, "a-1": {Primary: true, Timeline: 4}},
			want:      want{Sure: true, Phase: v1alpha1.OperationSucceeded, NewPrimary: "a-1"},
		},
		"OldPrimaryStillThere": {
			reason:    "An old primary that was cut off and calls itself that is on an older timeline.",
			standings: map[string]postgres.Standing{"a-0": {Primary: true, Timeline: 3}, "a-1": {Primary: true, Timeline: 4}},
			want:      want{Sure: true, Phase: v1alpha1.OperationSucceeded, NewPrimary: "a-1"},
		},
		"AnotherOne": {
			reason:    "That another instance took over is not what was asked for.",
			asked:     "a-1",
			standings: map[string]postgres.Standing{"a-2": {Primary: true, Timeline: 4}},
			want:      want{Sure: true, Phase: v1alpha1.OperationFailed, Reason: reasonOtherPrimary, NewPrimary: "a-2"},
		},
		"AnyOther": {
			reason:    "Where the claim names nobody, another one than was chosen will do.",
			standings: map[string]postgres.Standing{"a-2": {Primary: true, Timeline: 4}},
			want:      want{Sure: true, Phase: v1alpha1.OperationSucceeded, NewPrimary: "a-2"},
		},
		"PutBack": {
			reason:    "The old primary was promoted again.",
			standings: map[string]postgres.Standing{"a-0": {Primary: true, Timeline: 4}},
			want:      want{Sure: true, Phase: v1alpha1.OperationFailed, Reason: reasonPutBack, NewPrimary: "a-0"},
		},
		"NotYet": {
			reason:    "While the old primary is on its timeline, it may still happen.",
			standings: map[string]postgres.Standing{"a-0": {Primary: true, Timeline: 3}, "a-1": {}},
			want:      want{Phase: v1alpha1.OperationInProgress, NewPrimary: "a-1"},
		},
		"NobodyAnswers": {
			reason: "Silence says nothing.",
			want:   want{Phase: v1alpha1.OperationInProgress, NewPrimary: "a-1"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r, sure := outcome(tc.asked, intent, tc.standings)
			if diff := cmp.Diff(tc.want, want{sure, r.Phase, r.Reason, r.NewPrimary}); diff != "" {
				t.Errorf("\n%s\noutcome(...): -want, +got:\n%s", tc.reason, diff)
			}
			if sure && strings.TrimSpace(r.Message) == "" {
				t.Errorf("\n%s\noutcome(...): nobody is told", tc.reason)
			}
		})
	}
}
