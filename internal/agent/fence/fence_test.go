package fence

import (
	"cmp"
	"testing"
	"time"
)

func TestMustKill(t *testing.T) {
	// An observation is confirmed as long ago as it says, if at all.
	type observation struct {
		primary   bool
		confirmed bool
		ago       time.Duration
	}
	type step struct {
		at          time.Duration
		observation observation
		want        bool
		ttl         time.Duration // Zero means 20 s.
	}
	primary := observation{primary: true}
	confirmed := observation{primary: true, confirmed: true}
	standby := observation{confirmed: true}
	silent := observation{}

	cases := map[string]struct {
		reason string
		steps  []step
	}{
		"ConfirmedPrimaryLives": {
			reason: "A primary whose lock is renewed is never killed.",
			steps:  []step{{at: 0, observation: confirmed}, {at: 30 * time.Second, observation: confirmed}, {at: 60 * time.Second, observation: confirmed}},
		},
		"StalledPatroni": {
			reason: "A primary is killed before its lock ends, and not much earlier.",
			steps:  []step{{at: 0, observation: confirmed}, {at: 16900 * time.Millisecond, observation: primary}, {at: 17 * time.Second, observation: primary, want: true}},
		},
		"StandbyIsNoDanger": {
			reason: "A standby acknowledges nothing, however long Patroni is silent.",
			steps:  []step{{at: 0, observation: standby}, {at: time.Hour, observation: silent}},
		},
		"Promoted": {
			reason: "The time without confirmation counts from when Patroni last said that the instance is a standby.",
			steps:  []step{{at: 0, observation: standby}, {at: time.Hour, observation: standby}, {at: time.Hour + 16*time.Second, observation: primary}, {at: time.Hour + 17*time.Second, observation: primary, want: true}},
		},
		"StalledWhilePromoted": {
			reason: "The lock runs from when Patroni took it, however late PostgreSQL accepts writes after that.",
			steps:  []step{{at: 0, observation: standby}, {at: 5 * time.Second, observation: silent}, {at: 16 * time.Second, observation: silent}, {at: 17 * time.Second, observation: primary, want: true}},
		},
		"ConfirmedAgain": {
			reason: "One confirmation starts the time anew.",
			steps: []step{
				{at: 0, observation: confirmed},
				{at: 16 * time.Second, observation: primary},
				{at: 16500 * time.Millisecond, observation: confirmed},
				{at: 33 * time.Second, observation: primary},
				{at: 33500 * time.Millisecond, observation: primary, want: true},
			},
		},
		"SeenLate": {
			reason: "The time counts from the confirmation, and not from when it was seen.",
			steps: []step{
				{at: 10 * time.Second, observation: observation{primary: true, confirmed: true, ago: 4 * time.Second}},
				{at: 22900 * time.Millisecond, observation: primary},
				{at: 23 * time.Second, observation: primary, want: true},
			},
		},
		"SeenAgain": {
			reason: "An old confirmation does not take back a newer one.",
			steps: []step{
				{at: 10 * time.Second, observation: confirmed},
				{at: 11 * time.Second, observation: observation{primary: true, confirmed: true, ago: 9 * time.Second}},
				{at: 26900 * time.Millisecond, observation: primary},
			},
		},
		"ShorterLock": {
			reason: "A lock that is to live shorter than when the container began counts from then on: a standby may be promoted that soon.",
			steps: []step{
				{at: 0, observation: confirmed, ttl: 10 * time.Second},
				{at: 6900 * time.Millisecond, observation: primary, ttl: 10 * time.Second},
				{at: 7 * time.Second, observation: primary, ttl: 10 * time.Second, want: true},
			},
		},
		"LongerLock": {
			reason: "The lock that is there may live as long as before; only later ones live longer.",
			steps: []step{
				{at: 0, observation: confirmed, ttl: 90 * time.Second},
				{at: 17 * time.Second, observation: primary, ttl: 90 * time.Second, want: true},
			},
		},
		"LongerLockLater": {
			reason: "When the longer time has passed there is no other lock any more.",
			steps: []step{
				{at: 0, observation: confirmed, ttl: 90 * time.Second},
				{at: 90 * time.Second, observation: confirmed, ttl: 90 * time.Second},
				{at: 176 * time.Second, observation: primary, ttl: 90 * time.Second},
				{at: 177 * time.Second, observation: primary, ttl: 90 * time.Second, want: true},
			},
		},
		"NeverConfirmed": {
			reason: "An instance that comes up as primary has as long as any other to be confirmed.",
			steps:  []step{{at: 16 * time.Second, observation: primary}, {at: 17 * time.Second, observation: primary, want: true}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			f := New(20*time.Second, start)
			for _, s := range tc.steps {
				seen := Observation{Primary: s.observation.primary}
				if s.observation.confirmed {
					seen.Confirmed = start.Add(s.at - s.observation.ago)
				}
				if got := f.MustKill(seen, cmp.Or(s.ttl, 20*time.Second), start.Add(s.at)); got != s.want {
					t.Errorf("\n%s\nMustKill(%+v) after %s: got %t, want %t", tc.reason, s.observation, s.at, got, s.want)
				}
			}
		})
	}
}
