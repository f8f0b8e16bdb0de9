package run

import (
	"testing"
	"time"

	"github.com/xdbcluster/xdbcluster/internal/agent/fence"
)

func TestConfirmed(t *testing.T) {
	now := time.Now()
	renewed := now.Add(-4 * time.Second)
	armed := fence.WatchdogState{Armed: true, Confirmed: renewed}
	disarmed := fence.WatchdogState{Confirmed: renewed}

	cases := map[string]struct {
		reason   string
		watchdog fence.WatchdogState
		said     patroniAnswer
		primary  bool
		want     time.Time
	}{
		"Standby": {
			reason: "A standby is held in check for as long as its Patroni answers.",
			said:   patroniAnswer{asked: now, answered: true}, want: now,
		},
		"SilentStandby": {
			reason: "One that does not answer may promote.",
			said:   patroniAnswer{asked: now},
		},
		"Recovering": {
			reason: "A crashed primary that recovers has a lock that Patroni renews, and no watchdog yet.",
			said:   patroniAnswer{asked: now, answered: true, reached: true}, primary: true, want: now,
		},
		"RecoveringUnderOneThatHangs": {
			reason: "It is not enough that Patroni answers.",
			said:   patroniAnswer{asked: now, answered: true}, primary: true,
		},
		"Primary": {
			reason:   "A Patroni that reaches its store has not renewed the lock by that.",
			watchdog: armed, said: patroniAnswer{asked: now, answered: true, reached: true}, primary: true, want: renewed,
		},
		"Promoting": {
			reason:   "It has the lock and promotes: that it still calls PostgreSQL a standby renews nothing.",
			watchdog: armed, said: patroniAnswer{asked: now, answered: true, reached: true}, want: renewed,
		},
		"Demoted": {
			reason:   "Nobody can write any more.",
			watchdog: disarmed, said: patroniAnswer{asked: now, answered: true}, want: now,
		},
		"DemotedAndSilent": {
			reason:   "What the watchdog said last stays true.",
			watchdog: disarmed, said: patroniAnswer{asked: now}, want: renewed,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := confirmed(tc.watchdog, tc.said, tc.primary); !got.Equal(tc.want) {
				t.Errorf("\n%s\nconfirmed(...): got %s, want %s", tc.reason, got, tc.want)
			}
		})
	}
}
