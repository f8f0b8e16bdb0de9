// Package dbcluster says what a DBCluster becomes. The data flows one way: decode reads the composite, observe states what
// is seen, plan decides, objects shapes, status explains.
package dbcluster

import (
	"github.com/xdbcluster/xdbcluster/functions/compose"
)

// Compose makes the desired state of a DBCluster.
func Compose(in compose.Input) (compose.Output, error) {
	c, err := decode(in.Composite, in.Config)
	if err != nil {
		return compose.Output{}, err
	}
	seen := observe(in)
	if seen.Orphaned && !seen.Started {
		return orphan(c, in.Composite, in.Now), nil
	}
	p, err := makePlan(c, seen, in.Now, in.Rand)
	if err != nil {
		return compose.Output{}, err
	}
	c.Incarnation = p.Incarnation.Scope()
	contents, mark, err := objects(c, p)
	if err != nil {
		return compose.Output{}, err
	}
	r := makeRollout(c, seen, p, mark)
	primaries := seen.Succession.follow(primary(c, seen), in.Now)
	told := conditions(c, seen, p, r)

	return compose.Output{
		Objects:    ready(contents, seen, r),
		Incomplete: !p.Instances,
		Status:     status(c, seen, p, r, primaries, in.Now),
		Conditions: told,
		Events:     append(events(seen, told), primaries.events(c, seen)...),
		Requires:   requires(c, seen),
		TTL:        ttl(p, r, in.Now),
	}, nil
}
