// Package backupplan says what a BackupPlan becomes: a Secret that tells the instances of its DBCluster where to archive, and
// what they and the Jobs of backups need to share a repository.
package backupplan

import (
	"github.com/xdbcluster/xdbcluster/functions/compose"
)

// Compose makes the desired state of a BackupPlan.
func Compose(in compose.Input) (compose.Output, error) {
	r, err := decode(in.Composite)
	if err != nil {
		return compose.Output{}, err
	}
	seen := observe(in, r)
	r = r.atDefault(seen.Credentials)
	p, err := makePlan(r, seen, in.Now, in.Rand)
	if err != nil {
		return compose.Output{}, err
	}
	objects, err := objects(r, seen, p)
	if err != nil {
		return compose.Output{}, err
	}
	told := conditions(p)
	return compose.Output{
		Objects:    objects,
		Incomplete: !p.Ready(),
		Status:     status(r, seen, p),
		Conditions: told,
		Events:     events(seen, told),
		Requires:   requires(r, p),
		TTL:        p.CallAgain,
	}, nil
}
