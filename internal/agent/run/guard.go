package run

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/xdbcluster/xdbcluster/internal/agent/fence"
	"github.com/xdbcluster/xdbcluster/internal/agent/metrics"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
	"github.com/xdbcluster/xdbcluster/internal/agent/supervise"
)

// A guard kills PostgreSQL when nobody has confirmed for too long that this is the primary. It stands beside the loop: that
// may wait for an API server or a database that does not answer, and the fence must close in time all the same.
type guard struct {
	supervisor *supervise.Supervisor
	patroni    patroni.Client
	metrics    *metrics.Collector
	log        *slog.Logger
	ttl        func() time.Duration

	fence *fence.Fence

	// primary is what Patroni said last: one that does not answer has not said anything else.
	primary       bool
	storeLastSeen int64

	// fenced says that PostgreSQL was killed, and that no primary of this instance has been confirmed since.
	fenced atomic.Bool
}

func newGuard(a *Agent, s *supervise.Supervisor) *guard {
	return &guard{supervisor: s, metrics: a.metrics, log: a.log, ttl: a.ttl, fence: fence.New(a.ttl(), time.Now())}
}

// run goes on while the instance ends, too: a Patroni that hangs then leaves a primary behind.
func (g *guard) run(ctx context.Context) {
	for {
		g.look(context.WithoutCancel(ctx), ctx.Err() != nil)
		time.Sleep(tick)
	}
}

func (g *guard) look(ctx context.Context, ending bool) {
	confirmed := g.confirmed(ctx)
	if confirmed {
		g.fenced.Store(false)
	}
	if !g.fence.MustKill(fence.Observation{Primary: g.primary, Confirmed: confirmed}, time.Now()) {
		return
	}
	if ending && postgres.Ask(ctx, tick) == postgres.Busy {
		return // It shuts down, and has ended the connections of all clients.
	}
	g.log.Error("Fenced: the leader lock was not renewed in time")
	g.fenced.Store(true)
	g.metrics.Count(metrics.EventFenced)
	if err := errors.Join(g.supervisor.KillPatroni(), g.supervisor.KillPostgreSQL()); err != nil {
		g.log.Error("Cannot kill every process of PostgreSQL; it is tried again", "error", err.Error())
		return
	}
	g.fence, g.primary = fence.New(g.ttl(), time.Now()), false
}

// confirmed says whether Patroni holds the primary in check: it has reached its store since it was asked before, or all
// members confirm the primary while that is away.
func (g *guard) confirmed(ctx context.Context) bool {
	member, err := g.patroni.Member(ctx)
	if err != nil {
		return false
	}
	g.primary = member.IsPrimary() && member.State != "stopped"
	confirmed := member.StoreLastSeen != g.storeLastSeen || member.FailsafeActive && g.patroni.Alive(ctx)
	g.storeLastSeen = member.StoreLastSeen
	return confirmed
}
