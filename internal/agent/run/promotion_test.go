package run

import (
	"context"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
)

func TestLacks(t *testing.T) {
	cases := map[string]struct {
		reason   string
		member   patroni.Member
		timeline int
		want     bool
	}{
		"Followed": {
			reason:   "It has what the last primary wrote, as far as it was confirmed.",
			member:   patroni.Member{Role: "replica", Timeline: 16},
			timeline: 16,
		},
		"CrashedBefore": {
			reason:   "Another one was promoted after it had crashed.",
			member:   patroni.Member{Role: "replica", Timeline: 15},
			timeline: 16,
			want:     true,
		},
		"Primary": {
			reason:   "A primary is not taken out of an election that it has won.",
			member:   patroni.Member{Role: "primary", Timeline: 15},
			timeline: 16,
		},
		"NoHistory": {
			reason: "A cluster that has just been born has none.",
			member: patroni.Member{Role: "replica", Timeline: 1},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := lacks(tc.member, tc.timeline); got != tc.want {
				t.Errorf("\n%s\nlacks(%+v, %d) = %t, want %t", tc.reason, tc.member, tc.timeline, got, tc.want)
			}
		})
	}
}

func TestNeededVotes(t *testing.T) {
	sync := kube.Sync{Leader: "a-0", Standbys: []string{"a-1", "a-2"}, Quorum: 1}
	cases := map[string]struct {
		reason string
		sync   kube.Sync
		pod    string
		want   votes
	}{
		"Standby": {
			reason: "With what one more of those that could confirm has, a standby is known to have every commit.",
			sync:   sync, pod: "a-1", want: votes{voters: []string{"a-0", "a-1", "a-2"}, needed: 1},
		},
		"OnlyStandby": {
			reason: "A standby that every commit waited for has all of them.",
			sync:   kube.Sync{Leader: "a-0", Standbys: []string{"a-1"}}, pod: "a-1", want: votes{voters: []string{"a-0", "a-1"}},
		},
		"Outsider": {
			reason: "One that no commit waited for needs one answer more.",
			sync:   kube.Sync{Leader: "a-0", Standbys: []string{"a-2"}}, pod: "a-1", want: votes{voters: []string{"a-0", "a-2"}, needed: 1},
		},
		"LastPrimary": {
			reason: "Patroni promotes the last primary without any vote.",
			sync:   sync, pod: "a-0",
		},
		"Asynchronous": {
			reason: "Patroni counts no votes.",
			pod:    "a-1",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := neededVotes(tc.sync, tc.pod)
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(votes{})); diff != "" {
				t.Errorf("\n%s\nneededVotes(%+v, %q): -want, +got:\n%s", tc.reason, tc.sync, tc.pod, diff)
			}
		})
	}
}

func TestNoteElectorate(t *testing.T) {
	before := kube.Sync{Leader: "a-1", Standbys: []string{"a-0", "a-2"}, Quorum: 1}
	cases := map[string]struct {
		reason string
		seen   []kube.Sync
		want   *kube.Sync
	}{
		"OwnPromotion": {
			reason: "Patroni writes this instance's name there before it promotes: who could confirm before that has to vote.",
			seen:   []kube.Sync{before, {Leader: "a-0"}}, want: &before,
		},
		"LastPrimary": {
			reason: "An instance that has seen no other primary is the last one.",
			seen:   []kube.Sync{{Leader: "a-0", Standbys: []string{"a-1"}}},
		},
		"Asynchronous": {
			reason: "Where commits wait for nobody there is nobody to ask.",
			seen:   []kube.Sync{before, {}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			a := &Agent{env: Environment{Pod: "a-0"}}
			for _, state := range tc.seen {
				a.noteElectorate(state)
			}
			if diff := cmp.Diff(tc.want, a.electorate.Load()); diff != "" {
				t.Errorf("\n%s\nnoteElectorate(%+v): -want, +got:\n%s", tc.reason, tc.seen, diff)
			}
		})
	}
}

func TestLatestTimeline(t *testing.T) {
	const (
		silent      = -1
		starting    = -2
		startingFor = 3 * time.Second
	)
	one := votes{voters: []string{"a-1", "a-2"}, needed: 1}
	cases := map[string]struct {
		reason    string
		timelines map[string]int
		votes     votes
		want      census
		wait      time.Duration
	}{
		"All": {
			reason:    "The latest counts.",
			timelines: map[string]int{"a-1": 15, "a-2": 16}, want: census{latest: 16},
		},
		"OneIsGone": {
			reason:    "Who says nothing has no vote.",
			timelines: map[string]int{"a-1": 0, "a-2": 16}, votes: one, want: census{latest: 16},
		},
		"OneIsSilent": {
			reason:    "When enough have voted nobody else is waited for.",
			timelines: map[string]int{"a-1": silent, "a-2": 16}, votes: one, want: census{latest: 16},
		},
		"NoVoteNeeded": {
			reason:    "Where nobody has to vote it is still asked whether somebody has a later timeline, and not for long.",
			timelines: map[string]int{"a-1": silent, "a-2": 16}, want: census{latest: 16}, wait: timelineWait,
		},
		"NobodyIsThere": {
			reason:    "Where nobody has to vote nobody may be there.",
			timelines: map[string]int{"a-1": 0, "a-2": 0},
		},
		"VoteMissing": {
			reason:    "Without a vote that is needed it is not known whether there is a later timeline.",
			timelines: map[string]int{"a-1": 0, "a-2": 0}, votes: one, want: census{missed: 1}, wait: voteWait,
		},
		"NoVoter": {
			reason:    "What another one says is heard, and is no vote.",
			timelines: map[string]int{"a-1": 0, "a-2": 0, "a-3": 17}, votes: one, want: census{latest: 17, missed: 1}, wait: voteWait,
		},
		"VoteSilent": {
			reason:    "One that hangs is waited for as long.",
			timelines: map[string]int{"a-1": silent, "a-2": 0}, votes: one, want: census{missed: 1}, wait: voteWait,
		},
		"VoteLate": {
			reason:    "One that starts is asked again.",
			timelines: map[string]int{"a-1": starting, "a-2": 0}, votes: one, want: census{latest: 15}, wait: startingFor,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				ask := func(ctx context.Context, instance string) int {
					switch timeline := tc.timelines[instance]; {
					case timeline == silent:
						<-ctx.Done()
						return 0
					case timeline == starting && time.Since(began) < startingFor:
						return 0
					case timeline == starting:
						return 15
					default:
						return timeline
					}
				}
				got := latestTimeline(t.Context(), slices.Collect(maps.Keys(tc.timelines)), tc.votes, ask)
				if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(census{})); diff != "" {
					t.Errorf("\n%s\nlatestTimeline(%v, %+v): -want, +got:\n%s", tc.reason, tc.timelines, tc.votes, diff)
				}
				if waited := time.Since(began); waited != tc.wait {
					t.Errorf("\n%s\nlatestTimeline(%v, %+v) took %s, want %s", tc.reason, tc.timelines, tc.votes, waited, tc.wait)
				}
			})
		})
	}
}

func TestNoteRefusal(t *testing.T) {
	start := time.Date(2026, 1, 15, 3, 0, 0, 0, time.UTC)
	reason := "too few say which timeline they have"
	type turn struct {
		after         time.Duration
		led, isLeader bool
	}
	cases := map[string]struct {
		reason string
		turns  []turn
		want   bool
	}{
		"NoLeader": {
			reason: "It lasts for as long as there is no primary.",
			turns:  []turn{{after: 0}, {after: time.Hour}},
			want:   true,
		},
		"OtherTries": {
			reason: "Another one has the lock, and may be refused, too.",
			turns:  []turn{{after: 0, led: true}, {after: voteWait, led: true}, {after: 2 * voteWait}},
			want:   true,
		},
		"TriesAgain": {
			reason: "The lock is its own, and it is asked again.",
			turns:  []turn{{after: 0, led: true, isLeader: true}, {after: time.Minute, led: true, isLeader: true}},
			want:   true,
		},
		"OtherLeads": {
			reason: "Another one was promoted.",
			turns:  []turn{{after: 0, led: true}, {after: voteWait + electionTime + time.Second, led: true}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			l := &loop{Agent: &Agent{ready: &readiness{}}, incidents: incidents{}}
			l.refusal.Store(&reason)
			for _, turn := range tc.turns {
				l.led.Store(turn.led)
				l.ready.leads.Store(turn.isLeader)
				l.noteRefusal(start.Add(turn.after))
			}
			if _, got := l.incidents[incidentUnconfirmed]; got != tc.want {
				t.Errorf("\n%s\nincident raised: %t, want %t", tc.reason, got, tc.want)
			}
		})
	}
}
