// Package health decides what is to be done about an instance that runs and is not well: one that answers no new connection,
// and a standby that does not follow. What died, or was lost with its node, is Patroni's concern.
package health

import "github.com/xdbcluster/xdbcluster/functions/instance"

// A Sign is what one check saw.
type Sign struct {
	// Silent says that PostgreSQL runs and did not answer a new connection.
	Silent bool

	// Primary says that the instance is the primary, and CanFailOver that a standby could take over without losing a commit.
	Primary     bool
	CanFailOver bool

	// Astray says that a standby does not follow, makes no progress, and could: a primary serves, and lets it copy.
	Astray bool

	// Unknown says that nobody said how the instance is. What was seen before stands.
	Unknown bool
}

// A Remedy is what is to be done.
type Remedy int

// Remedies.
const (
	// Nothing: the instance is well, or may become so by itself.
	Nothing Remedy = iota

	// FailOver: PostgreSQL is killed, so that a standby can take over.
	FailOver

	// Restart: PostgreSQL is killed, and started again in place.
	Restart

	// CopyAnew: the standby's data is replaced by a copy of the primary's.
	CopyAnew
)

// A Judge counts signs in a row. The zero value is ready for use.
type Judge struct {
	silent int
	astray int
}

// Silent is how many checks in a row were not answered.
func (j *Judge) Silent() int { return j.silent }

// Astray is how many checks in a row, but for those that could not tell, found a standby that does not follow.
func (j *Judge) Astray() int { return j.astray }

// Next returns what is to be done after another sign. A remedy has as many checks to show its effect as it took to come to it.
func (j *Judge) Next(s Sign, h instance.Health) Remedy {
	j.count(s)
	switch {
	case j.silent >= h.FailoverThreshold && s.Primary && s.CanFailOver && !h.NoFailover:
		j.silent = 0
		return FailOver
	case j.silent >= h.HealThreshold && !h.NoHeal:
		j.silent = 0
		return Restart
	case j.astray >= h.HealThreshold && !h.NoHeal:
		j.astray = 0
		return CopyAnew
	}
	return Nothing
}

func (j *Judge) count(s Sign) {
	if s.Silent {
		j.silent++
	} else {
		j.silent = 0
	}
	switch {
	case s.Astray:
		j.astray++
	case !s.Unknown:
		j.astray = 0
	}
}
