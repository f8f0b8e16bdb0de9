package patroni

import (
	"maps"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// restartInPlace is how long, in seconds, a crashed primary may take to recover in place before another instance takes
// over, where that may lose transactions.
const restartInPlace = 300

// dynamic returns the part of Patroni's configuration that all instances share. Patroni keeps it in a ConfigMap; the
// primary's agent keeps it as it should be.
func dynamic(c instance.Config) map[string]any {
	return map[string]any{
		"ttl":           c.Patroni.TTL,
		"loop_wait":     c.Patroni.LoopWait,
		"retry_timeout": c.Patroni.RetryTimeout,
		// A primary that every member confirms goes on while the API server cannot be reached.
		"failsafe_mode":           true,
		"synchronous_mode":        synchronousMode(c),
		"synchronous_mode_strict": c.Synchronous == synchronyRequired,
		"primary_start_timeout":   primaryStartTimeout(c),
		"maximum_lag_on_failover": maximumLag(c),
		// A crashed primary that has not followed the next one yet can have more WAL than who has, and lacks what was acknowledged since.
		"check_timeline": true,
		"postgresql": map[string]any{
			"use_pg_rewind": true,
			"use_slots":     true,
			"parameters":    untyped(parameters(c)),
		},
	}
}

// What a commit waits for, as in the claim.
const (
	synchronyOff      = "Off"
	synchronyRequired = "Required"
)

// Quorum says whether any standby that streams can confirm a commit. Patroni 3, which comes with PostgreSQL 15, picks one.
func Quorum(c instance.Config) bool { return synchronousMode(c) == "quorum" }

// synchronousMode is quorum commit where Patroni has it: version 4, which comes with PostgreSQL 17. It takes effect when
// there is a standby.
func synchronousMode(c instance.Config) any {
	switch {
	case c.Synchronous == synchronyOff:
		return false
	case c.Version == "15":
		return true
	}
	return "quorum"
}

// primaryStartTimeout lets another instance take over at once from a primary that crashed, where that loses nothing and is
// wanted.
func primaryStartTimeout(c instance.Config) int {
	if c.Synchronous == synchronyOff || c.Health.NoFailover {
		return restartInPlace
	}
	return 0
}

const (
	// tolerableLag is how many bytes a standby may lack of what the primary wrote down last, where commits do not wait: Patroni's default.
	tolerableLag = 1 << 20

	// anyLag is more than there can be.
	anyLag = 1 << 50
)

// maximumLag lets the sync state alone say who has every commit, where there is one. How far a standby is behind says nothing then: the
// primary writes down where its WAL is, which may be full of what was never acknowledged, or of an older timeline.
func maximumLag(c instance.Config) int {
	if c.Synchronous == synchronyOff {
		return tolerableLag
	}
	return anyLag
}

// archiveTimeout is after how long PostgreSQL ends a segment, full or not. That a change is in the archive after a minute at most
// is promised; the rest of it is for the store.
const archiveTimeout = "50s"

// parameters are the Config's, with those that follow from the rest of it.
func parameters(c instance.Config) map[string]string {
	if c.Backup == nil {
		return c.Parameters
	}
	all := maps.Clone(c.Parameters)
	if all == nil {
		all = map[string]string{}
	}
	all["archive_timeout"] = archiveTimeout
	return all
}

func untyped(given map[string]string) map[string]any {
	all := make(map[string]any, len(given))
	for name, value := range given {
		all[name] = value
	}
	return all
}

// Changes returns what to patch Patroni's dynamic configuration with so that it is as the Config says; empty when it is.
// A parameter that is there and should not be is set to nil, which removes it.
func Changes(c instance.Config, current map[string]any) map[string]any {
	changes := map[string]any{}
	for key, want := range dynamic(c) {
		if key != "postgresql" && !same(current[key], want) {
			changes[key] = want
		}
	}
	postgresql, _ := current["postgresql"].(map[string]any)
	there, _ := postgresql["parameters"].(map[string]any)
	if changed := changedParameters(parameters(c), there); len(changed) > 0 {
		changes["postgresql"] = map[string]any{"parameters": changed}
	}
	return changes
}

func changedParameters(want map[string]string, there map[string]any) map[string]any {
	changed := map[string]any{}
	for name, value := range want {
		if !same(there[name], value) {
			changed[name] = value
		}
	}
	for name := range maps.Keys(there) {
		if _, ok := want[name]; !ok {
			changed[name] = nil
		}
	}
	return changed
}

// same compares what was written with what came back as JSON, where every number is a float.
func same(a, b any) bool {
	if n, ok := b.(int); ok {
		return a == float64(n)
	}
	return a == b
}
