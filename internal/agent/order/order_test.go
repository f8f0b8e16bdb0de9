package order

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNext(t *testing.T) {
	standby := func(name string, ordinal int, change func(*Standby)) Standby {
		s := Standby{Instance: Instance{Name: name, Ordinal: ordinal}, Streaming: true, Synchronous: true}
		change(&s)
		return s
	}
	well := func(*Standby) {}
	outdated := func(s *Standby) { s.Outdated = true }
	pending := func(s *Standby) { s.Pending = true }

	cases := map[string]struct {
		reason string
		c      Cluster
		want   Step
	}{
		"Whole": {
			reason: "There is nothing to do.",
			c:      Cluster{Primary: Instance{Name: "p"}, Standbys: []Standby{standby("a", 1, well)}, Wanted: 2},
			want:   Step{Kind: Nothing},
		},
		"StandbyMissing": {
			reason: "Nothing that is well is touched while a standby is not there.",
			c:      Cluster{Primary: Instance{Name: "p"}, Standbys: []Standby{standby("a", 1, outdated)}, Wanted: 3},
			want:   Step{Kind: Wait},
		},
		"StandbyEnding": {
			reason: "One at a time.",
			c: Cluster{
				Primary: Instance{Name: "p", Outdated: true}, Wanted: 3,
				Standbys: []Standby{standby("a", 1, func(s *Standby) { s.Ending = true }), standby("b", 2, outdated)},
			},
			want: Step{Kind: Wait},
		},
		"BrokenAndOutdated": {
			reason: "An instance that does not serve as it is gets the new template at once: it may be the cure.",
			c: Cluster{
				Primary: Instance{Name: "p", Outdated: true}, Wanted: 3,
				Standbys: []Standby{standby("a", 1, outdated), standby("b", 2, func(s *Standby) { s.Outdated, s.Streaming = true, false })},
			},
			want: Step{ReplacePod, "b"},
		},
		"StandbysFirst": {
			reason: "The primary is the last.",
			c: Cluster{
				Primary: Instance{Name: "p", Outdated: true}, Wanted: 3,
				Standbys: []Standby{standby("a", 1, well), standby("b", 2, outdated)},
			},
			want: Step{ReplacePod, "b"},
		},
		"ThenSwitchOver": {
			reason: "The primary becomes a standby before it is replaced.",
			c: Cluster{
				Primary: Instance{Name: "p", Outdated: true}, Wanted: 3, Synchronous: true,
				Standbys: []Standby{standby("a", 1, func(s *Standby) { s.LagBytes = 1 << 24 }), standby("b", 2, well)},
			},
			want: Step{SwitchOver, "b"},
		},
		"NoSynchronousCandidate": {
			reason: "A standby that does not have every acknowledged commit is no candidate.",
			c: Cluster{
				Primary: Instance{Name: "p", Outdated: true}, Wanted: 2, Synchronous: true,
				Standbys: []Standby{standby("a", 1, func(s *Standby) { s.Synchronous = false })},
			},
			want: Step{Kind: Wait},
		},
		"NotConfirmingYet": {
			reason: "Commits wait for the other standby alone: restarting that would stop them.",
			c: Cluster{
				Primary: Instance{Name: "p", Outdated: true}, Wanted: 3, Synchronous: true, Quorum: true,
				Standbys: []Standby{standby("a", 1, func(s *Standby) { s.Synchronous = false }), standby("b", 2, outdated)},
			},
			want: Step{Kind: Wait},
		},
		"AsynchronousCandidate": {
			reason: "Patroni waits until the candidate has caught up.",
			c: Cluster{
				Primary: Instance{Name: "p", Outdated: true}, Wanted: 2,
				Standbys: []Standby{standby("a", 1, func(s *Standby) { s.Synchronous = false })},
			},
			want: Step{SwitchOver, "a"},
		},
		"PendingStandby": {
			reason: "Settings that are raised must be in force on standbys first, or they stop replaying.",
			c: Cluster{
				Primary: Instance{Name: "p", Pending: true}, Wanted: 2,
				Standbys: []Standby{standby("a", 1, pending)},
			},
			want: Step{Restart, "a"},
		},
		"PendingPrimaryFirst": {
			reason: "Settings that are lowered must be in force on the primary first, or standbys do not start.",
			c: Cluster{
				Primary: Instance{Name: "p", Pending: true}, PrimaryFirst: true, Wanted: 2,
				Standbys: []Standby{standby("a", 1, pending)},
			},
			want: Step{Restart, "p"},
		},
		"PendingPrimary": {
			reason: "A switchover is a shorter pause than a restart.",
			c:      Cluster{Primary: Instance{Name: "p", Pending: true}, Wanted: 2, Standbys: []Standby{standby("a", 1, well)}},
			want:   Step{SwitchOver, "a"},
		},
		"PendingPrimaryAlone": {
			reason: "Without a standby there is only the restart.",
			c:      Cluster{Primary: Instance{Name: "p", Pending: true}, Wanted: 1},
			want:   Step{Restart, "p"},
		},
		"PrimaryToBeTakenAway": {
			reason: "The primary moves to an instance that stays.",
			c: Cluster{
				Primary: Instance{Name: "p", Ordinal: 2}, Wanted: 1, Synchronous: true,
				Standbys: []Standby{standby("a", 0, func(s *Standby) { s.LagBytes = 1 << 24 }), standby("b", 1, well)},
			},
			want: Step{SwitchOver, "a"},
		},
		"StandbyToBeTakenAwayIsDown": {
			reason: "What is taken away need not be well.",
			c: Cluster{
				Primary: Instance{Name: "p"}, Wanted: 1,
				Standbys: []Standby{standby("a", 1, func(s *Standby) { s.Streaming = false })},
			},
			want: Step{Kind: Nothing},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Next(tc.c)); diff != "" {
				t.Errorf("\n%s\nNext(): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
