// Package operation says what a claim that is carried out once becomes: a Job, which asks the cluster's own record (its
// ledger) whether it is still to be done, does it, and reports. The function decides nothing of that. It waits for the time
// and for the cluster, starts the Job, and shows what the Job says; whatever it gets wrong because it sees old objects, the
// ledger puts right.
package operation

import (
	"github.com/xdbcluster/xdbcluster/functions/compose"
)

// Compose makes the desired state of a Switchover, a Failover or a Restore.
func Compose(in compose.Input) (compose.Output, error) {
	o, err := decode(in.Composite)
	if err != nil {
		return compose.Output{}, err
	}
	seen := observe(in)
	if seen.Instances != nil {
		o.Cluster.Incarnation = seen.Instances.Incarnation
	}
	p := makePlan(o, seen, in.Now)
	objects, err := objects(o, seen, p)
	if err != nil {
		return compose.Output{}, err
	}
	told := progress(o, p)
	return compose.Output{
		Objects:    objects,
		Incomplete: !p.Ready(o),
		Status:     status(o, p),
		Conditions: told.Conditions(),
		Events:     told.Events(string(seen.Phase)),
		Requires:   requires(o, seen),
		TTL:        p.CallAgain,
	}, nil
}
