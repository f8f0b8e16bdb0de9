package dbcluster

import (
	"fmt"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
)

const (
	// requiredClaim is the name under which the claim is asked for.
	requiredClaim = "claim"

	// orphanAgain is how soon an orphan is looked at again: the claim that was seen may have been an older one.
	orphanAgain = 2 * time.Second

	// orphanSettled is how long that may be so.
	orphanSettled = time.Minute
)

// observeOrphan says whether the claim has another composite. Crossplane makes two for a claim that is deleted and created
// again at once: its cache has not seen yet that the new claim was bound. The two would fight over every object for ever.
func observeOrphan(in compose.Input) bool {
	for _, claim := range in.Required[requiredClaim] {
		name := claim.Text("spec", "resourceRef", "name")
		return name != "" && name != in.Composite.Text("metadata", "name")
	}
	return false
}

// orphan is the output of a composite whose claim has another one: it wants nothing, so that the other gets all. One that
// has a StatefulSet is never treated so.
func orphan(c cluster, xr *compose.Resource, now time.Time) compose.Output {
	again := callAgain
	if now.Sub(xr.Time("metadata", "creationTimestamp")) < orphanSettled {
		again = orphanAgain
	}
	return compose.Output{
		Incomplete: true,
		Conditions: []compose.Condition{{
			Type: v1alpha1.ConditionStalled, Status: compose.True, Reason: v1alpha1.ReasonOrphaned,
			Message: fmt.Sprintf("The DBCluster %s in the namespace %s has another composite resource. This one has no database and nothing else: delete it.", c.Name, c.Namespace),
		}},
		Requires: requires(c, facts{}),
		TTL:      again,
	}
}
