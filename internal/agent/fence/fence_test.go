package fence

import (
	"testing"
	"time"
)

func TestMustKill(t *testing.T) {
	type step struct {
		at          time.Duration
		observation Observation
		want        bool
	}
	primary := Observation{Primary: true}
	confirmed := Observation{Primary: true, Confirmed: true}
	standby := Observation{Confirmed: true}
	silent := Observation{}

	cases := map[string]struct {
		reason string
		steps  []step
	}{
		"ConfirmedPrimaryLives": {
			reason: "A primary whose lock is renewed is never killed.",
			steps:  []step{{0, confirmed, false}, {30 * time.Second, confirmed, false}, {60 * time.Second, confirmed, false}},
		},
		"StalledPatroni": {
			reason: "A primary is killed before its lock ends, and not much earlier.",
			steps:  []step{{0, confirmed, false}, {16900 * time.Millisecond, primary, false}, {17 * time.Second, primary, true}},
		},
		"StandbyIsNoDanger": {
			reason: "A standby acknowledges nothing, however long Patroni is silent.",
			steps:  []step{{0, standby, false}, {time.Hour, silent, false}},
		},
		"Promoted": {
			reason: "The time without confirmation counts from when Patroni last said that the instance is a standby.",
			steps:  []step{{0, standby, false}, {time.Hour, standby, false}, {time.Hour + 16*time.Second, primary, false}, {time.Hour + 17*time.Second, primary, true}},
		},
		"StalledWhilePromoted": {
			reason: "The lock runs from when Patroni took it, however late PostgreSQL accepts writes after that.",
			steps:  []step{{0, standby, false}, {5 * time.Second, silent, false}, {16 * time.Second, silent, false}, {17 * time.Second, primary, true}},
		},
		"ConfirmedAgain": {
			reason: "One confirmation starts the time anew.",
			steps: []step{
				{0, confirmed, false},
				{16 * time.Second, primary, false},
				{16500 * time.Millisecond, confirmed, false},
				{33 * time.Second, primary, false},
				{33500 * time.Millisecond, primary, true},
			},
		},
		"NeverConfirmed": {
			reason: "An instance that comes up as primary has as long as any other to be confirmed.",
			steps:  []step{{16 * time.Second, primary, false}, {17 * time.Second, primary, true}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			f := New(20*time.Second, start)
			for _, s := range tc.steps {
				if got := f.MustKill(s.observation, start.Add(s.at)); got != s.want {
					t.Errorf("\n%s\nMustKill(%+v) after %s: got %t, want %t", tc.reason, s.observation, s.at, got, s.want)
				}
			}
		})
	}
}
