package run

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// readinessAge is how long an answer counts. Anybody may ask: it must not keep PostgreSQL busy.
const readinessAge = 500 * time.Millisecond

// A readiness says whether clients are to be led to this instance. It is PostgreSQL that they want: a Patroni that is silent does not
// take an instance out of the Services.
type readiness struct {
	answers func(ctx context.Context) error // Whether PostgreSQL does.

	// leads says that this instance has the leader lock, as far as it knows.
	leads atomic.Bool

	mu     sync.Mutex
	asked  time.Time
	err    error
	served bool // PostgreSQL has answered since this container began.
}

// check returns why clients are not to be led here. A primary that starts again stays where they find it: one that is refused tries
// again at once, and one that reaches nobody waits for its timeout.
func (r *readiness) check(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.asked) >= readinessAge {
		r.err = r.answers(ctx)
		r.asked, r.served = time.Now(), r.served || r.err == nil
	}
	if r.served && r.leads.Load() {
		return nil
	}
	return r.err
}
