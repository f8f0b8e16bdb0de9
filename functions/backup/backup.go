// Package backup says what a Backup becomes: a Job, which reads the files of an instance through its pgBackRest server, writes
// them to the repository, and reports.
package backup

import (
	"github.com/xdbcluster/xdbcluster/functions/compose"
)

// Compose makes the desired state of a Backup.
func Compose(in compose.Input) (compose.Output, error) {
	b, err := decode(in.Composite)
	if err != nil {
		return compose.Output{}, err
	}
	seen := observe(in)
	p := makePlan(b, seen, in.Now)
	objects, err := objects(b, seen, p)
	if err != nil {
		return compose.Output{}, err
	}
	return compose.Output{
		Objects:    objects,
		Incomplete: !p.Ready(b),
		Status:     status(seen, p),
		Conditions: progress(b, p).Conditions(),
		Events:     progress(b, p).Events(string(seen.Phase)),
		Requires:   requires(b, seen, p, in.Now),
		TTL:        p.CallAgain,
	}, nil
}
