// Package order says what the primary of a cluster does next to bring the cluster to what it is to be: one step at a time,
// standbys first, and never one that would leave nobody to take over.
package order

import "slices"

// An Instance of a cluster.
type Instance struct {
	// Name of its Pod.
	Name string

	// Ordinal of its Pod.
	Ordinal int

	// Outdated says that its Pod has an older template than the one that is to run.
	Outdated bool

	// Pending says that settings of its PostgreSQL wait for a restart.
	Pending bool
}

// A Standby is an instance that is not the primary.
type Standby struct {
	Instance

	// Ending says that its Pod is being deleted.
	Ending bool

	// Streaming says that it receives every record as it is written.
	Streaming bool

	// Synchronous says that it can confirm commits.
	Synchronous bool

	// LagBytes is how far its replay is behind.
	LagBytes int64
}

// A Cluster is what the primary sees.
type Cluster struct {
	Primary Instance

	// PrimaryFirst says that a setting which waits for a restart can be lowered only on the primary: a standby takes its
	// value from there, and does not start with less.
	PrimaryFirst bool

	// Standbys that have a Pod.
	Standbys []Standby

	// Wanted is how many instances there are to be. Those whose ordinal is not below it are about to be taken away.
	Wanted int

	// Synchronous says that commits wait for standbys, so that only one of those has every acknowledged commit.
	Synchronous bool

	// Quorum says that any of the standbys can confirm a commit. One that streams and cannot yet is about to be able to;
	// until then commits may wait for just the one that would be restarted.
	Quorum bool
}

// A Kind of step.
type Kind string

// Kinds of steps.
const (
	// Nothing is to be done.
	Nothing Kind = "Nothing"

	// Wait until the standbys are well.
	Wait Kind = "Wait"

	// ReplacePod of the target, which the StatefulSet makes anew.
	ReplacePod Kind = "ReplacePod"

	// Restart PostgreSQL on the target.
	Restart Kind = "Restart"

	// SwitchOver to the target.
	SwitchOver Kind = "SwitchOver"
)

// A Step is what to do next.
type Step struct {
	Kind   Kind
	Target string
}

// Next returns the next step.
func Next(c Cluster) Step {
	for _, s := range c.Standbys {
		// It serves nobody as it is, and may be waiting for just this.
		if s.Outdated && !s.Streaming && !s.Ending {
			return Step{ReplacePod, s.Name}
		}
	}
	if !c.whole() {
		return Step{Kind: Wait}
	}
	if c.Primary.Pending && c.PrimaryFirst {
		return Step{Restart, c.Primary.Name}
	}
	for _, s := range c.Standbys {
		switch {
		case s.Outdated && !s.Ending:
			return Step{ReplacePod, s.Name}
		case s.Pending:
			return Step{Restart, s.Name}
		}
	}
	if c.Primary.Outdated || c.Primary.Pending || c.Primary.Ordinal >= c.Wanted {
		return c.leave()
	}
	return Step{Kind: Nothing}
}

// whole says whether every standby that is to be streams.
func (c Cluster) whole() bool {
	count := 1
	for _, s := range c.Standbys {
		if s.Ending {
			return false
		}
		if s.Ordinal < c.Wanted && (!s.Streaming || c.Synchronous && c.Quorum && !s.Synchronous) {
			return false
		}
		if s.Streaming {
			count++
		}
	}
	return count >= c.Wanted
}

// leave returns how the primary gives way, so that its own Pod or PostgreSQL can be restarted as a standby's.
func (c Cluster) leave() Step {
	candidates := slices.DeleteFunc(slices.Clone(c.Standbys), func(s Standby) bool {
		return s.Ordinal >= c.Wanted || !s.Streaming || s.Ending || s.Outdated || s.Pending || c.Synchronous && !s.Synchronous
	})
	if len(candidates) > 0 {
		best := slices.MinFunc(candidates, func(a, b Standby) int { return int(a.LagBytes - b.LagBytes) })
		return Step{SwitchOver, best.Name}
	}
	if c.Primary.Pending && !c.Primary.Outdated && c.Primary.Ordinal < c.Wanted {
		return Step{Restart, c.Primary.Name}
	}
	return Step{Kind: Wait}
}
