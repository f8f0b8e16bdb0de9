// Package fence decides when a primary that nobody may be holding in check any more must be stopped.
//
// A Patroni that is stopped, hung or dead cannot demote its PostgreSQL. Once the leader lock runs out another instance
// may be promoted, and there would be two that acknowledge writes. There is no watchdog device in a container, so the
// agent, which is PID 1 there, is one.
package fence

import "time"

// Margin is how long before the lock's end the agent acts, so that its own delays and the kill fit in.
const Margin = 3 * time.Second

// An Observation is what the agent sees at one moment.
type Observation struct {
	// Primary says that PostgreSQL accepts writes, or may.
	Primary bool

	// Confirmed is when Patroni was last known to hold PostgreSQL in check: it had renewed the lock, or all members had confirmed
	// the primary while the API server could not be reached (failsafe mode), or it said that this is no primary.
	Confirmed time.Time
}

// A Fence remembers when the primary was confirmed last. The zero value is not usable; call New.
type Fence struct {
	ttl       time.Duration
	longer    time.Time // Since when the lock is to live longer.
	confirmed time.Time
}

// New returns a fence for a leader lock of a time to live. The time is from the monotonic clock, as are all times here: a
// change of the wall clock must neither fence nor keep from fencing.
func New(ttl time.Duration, now time.Time) *Fence {
	return &Fence{ttl: ttl, confirmed: now}
}

// MustKill says whether every PostgreSQL process has to be killed now. The time to live is what the lock is to have now.
func (f *Fence) MustKill(o Observation, ttl time.Duration, now time.Time) bool {
	f.follow(ttl, now)
	if o.Confirmed.After(f.confirmed) {
		f.confirmed = o.Confirmed
	}
	// A promotion that Patroni did not live to see the end of can come late: the lock runs from when it was asked for.
	return o.Primary && now.Sub(f.confirmed) >= f.ttl-Margin
}

// follow takes a shorter time to live at once, and a longer one when that has passed: the lock that is there may have been renewed with
// the one before.
func (f *Fence) follow(ttl time.Duration, now time.Time) {
	switch {
	case ttl <= f.ttl:
		f.ttl, f.longer = ttl, time.Time{}
	case f.longer.IsZero():
		f.longer = now
	case now.Sub(f.longer) >= ttl:
		f.ttl, f.longer = ttl, time.Time{}
	}
}
