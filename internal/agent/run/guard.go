package run

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/fence"
	"github.com/xdbcluster/xdbcluster/internal/agent/metrics"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
	"github.com/xdbcluster/xdbcluster/internal/agent/supervise"
)

const (
	// standbyTick is how often the guard of a standby looks. One that becomes the primary in between is seen long before the
	// fence would have to close.
	standbyTick = 5 * time.Second

	// missedPauses is how many of its own pauses Patroni may not reach its store before it is woken.
	missedPauses = 2

	// patroniPatience is how long a Patroni may not reach its store, and its loop not run, before it is started again.
	patroniPatience = 30 * time.Second
)

// A guard kills PostgreSQL when nobody has confirmed for too long that this is the primary, and a Patroni that hangs, which a
// standby's may for ever. It stands beside the loop: that may wait for an API server or a database that does not answer, and
// the fence must close in time all the same.
type guard struct {
	supervisor *supervise.Supervisor
	patroni    patroni.Client
	postgres   *postgres.Local
	metrics    *metrics.Collector
	log        *slog.Logger
	ttl        func() time.Duration
	config     func() instance.Config

	fence *fence.Fence

	// primary is what Patroni said last, or PostgreSQL since: a Patroni that does not answer has not said anything else.
	primary       bool
	storeLastSeen int64
	heard         time.Time // When Patroni was seen to reach its store.

	// fenced says that PostgreSQL was killed, and was not seen to run since.
	fenced atomic.Bool
}

func newGuard(a *Agent, s *supervise.Supervisor) *guard {
	now := time.Now()
	return &guard{supervisor: s, postgres: a.postgres, metrics: a.metrics, log: a.log, ttl: a.ttl, config: a.current, fence: fence.New(a.ttl(), now), heard: now}
}

// run goes on while the instance ends, too, and until its process does: a Patroni that hangs then leaves a primary behind.
func (g *guard) run(ctx context.Context) {
	for {
		g.look(context.WithoutCancel(ctx), ctx.Err() != nil)
		<-time.After(g.pause())
	}
}

func (g *guard) pause() time.Duration {
	if g.primary {
		return tick
	}
	return standbyTick
}

func (g *guard) look(ctx context.Context, ending bool) {
	answered, reached := g.ask(ctx)
	if reached {
		g.heard = time.Now()
	}
	g.rousePatroni(ctx)
	seen := fence.Observation{Primary: g.primary, Confirmed: reached || answered && !g.primary}
	if !g.fence.MustKill(seen, g.ttl(), time.Now()) {
		return
	}
	if ending && g.postgres.Ask(ctx, tick) == postgres.Busy {
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

// rousePatroni wakes a Patroni that does not reach its store, and starts one again that hangs. PostgreSQL goes on meanwhile. Patroni goes by
// the wall clock, so that it sleeps for as long as that was set back, until somebody wakes it.
func (g *guard) rousePatroni(ctx context.Context) {
	config, silence := g.config(), time.Since(g.heard)
	if silence < time.Duration(missedPauses*config.Patroni.LoopWait)*time.Second {
		return
	}
	if silence < patroniPatience || g.patroni.Alive(ctx) {
		go g.wakePatroni(ctx, config) // The fence does not wait for one that hangs.
		return
	}
	g.log.Error("Patroni hangs; it is killed and started again")
	if err := g.supervisor.KillPatroni(); err != nil {
		g.log.Error("Cannot kill Patroni; it is tried again", "error", err.Error())
		return
	}
	g.heard = time.Now()
	g.metrics.Count(metrics.EventHealed)
}

func (g *guard) wakePatroni(ctx context.Context, config instance.Config) {
	ctx, cancel := context.WithTimeout(ctx, tick)
	defer cancel()
	if err := g.patroni.Wake(ctx, config); err != nil {
		g.log.Debug("Cannot wake Patroni, which does not reach its store", "error", err.Error())
	}
}

// ask says whether Patroni answers, and whether it holds the primary in check: it has reached its store since it was asked before,
// or all members confirm the primary while that is away. One that does not answer may have promoted PostgreSQL since it was asked
// last, which then says so itself.
func (g *guard) ask(ctx context.Context) (answered, reached bool) {
	member, err := g.patroni.Member(ctx)
	if err != nil {
		g.primary = g.primary || g.acceptsWrites(ctx)
		return false, false
	}
	g.primary = member.IsPrimary() && member.State != "stopped"
	reached = member.StoreLastSeen != g.storeLastSeen || member.FailsafeActive && g.patroni.Alive(ctx)
	g.storeLastSeen = member.StoreLastSeen
	return true, reached
}

// acceptsWrites says whether PostgreSQL says within a tick that it is a primary's.
func (g *guard) acceptsWrites(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, tick)
	defer cancel()
	accepts, err := g.postgres.AcceptsWrites(ctx)
	return err == nil && accepts
}
