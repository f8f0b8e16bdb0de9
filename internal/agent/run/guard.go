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
	"github.com/xdbcluster/xdbcluster/internal/agent/volume"
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

	// born says that the database was handed over to whoever may log in.
	born func() bool

	fence    *fence.Fence
	watchdog *fence.Watchdog

	// primary is what Patroni said last, or PostgreSQL since: a Patroni that does not answer has not said anything else.
	primary       bool
	storeLastSeen int64
	heard         time.Time // When Patroni was seen to reach its store.

	// fenced says that PostgreSQL was killed, and was not seen to run since.
	fenced atomic.Bool
}

func newGuard(a *Agent, v *volume.Volume, s *supervise.Supervisor, w *fence.Watchdog) *guard {
	now := time.Now()
	return &guard{
		supervisor: s, postgres: a.postgres, metrics: a.metrics, log: a.log, ttl: a.ttl, config: a.current,
		born:  func() bool { return v.Identity().Born != nil },
		fence: fence.New(a.ttl(), now), watchdog: w, heard: now,
	}
}

// run goes on while the instance ends, too, and until its process does: a Patroni that hangs then leaves a primary behind.
func (g *guard) run(ctx context.Context) {
	for {
		g.look(context.WithoutCancel(ctx), ctx.Err() != nil)
		<-time.After(g.pause())
	}
}

func (g *guard) pause() time.Duration {
	if g.primary || g.watchdog.State().Armed {
		return tick
	}
	return standbyTick
}

func (g *guard) look(ctx context.Context, ending bool) {
	seen := g.observe(ctx)
	g.rousePatroni(ctx)
	if !g.fence.MustKill(seen, g.ttl(), time.Now()) || !g.born() { // Nobody else can have a database that is only being made.
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
	g.watchdog.Disarm()
}

func (g *guard) observe(ctx context.Context) fence.Observation {
	before := g.watchdog.State()
	said := g.ask(ctx)
	if before.Orphaned && said.answered && g.isNoPrimary(ctx) {
		g.watchdog.Disarm()
	}
	if said.reached {
		g.heard = said.asked
	}
	return fence.Observation{Primary: g.primary, Confirmed: confirmed(g.watchdog.State(), said, g.primary)}
}

// A patroniAnswer is what Patroni said to the guard.
type patroniAnswer struct {
	asked    time.Time
	answered bool

	// reached says that it has reached its store since it was asked before, or all members confirm the primary while that is away.
	reached bool
}

// confirmed returns when Patroni was last known to hold PostgreSQL in check. From when it has the lock, and promotes, until nobody can write
// any more its watchdog alone says so: it may answer, and read its store, while the lock runs out. Before that it must read its store,
// or say that this is a standby.
func confirmed(w fence.WatchdogState, said patroniAnswer, primary bool) time.Time {
	if !w.Armed && (said.reached || said.answered && !primary) {
		return said.asked
	}
	return w.Confirmed
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

// ask also notes whether PostgreSQL is a primary's. A Patroni that does not answer may have promoted it since it was asked last: it says so
// itself.
func (g *guard) ask(ctx context.Context) patroniAnswer {
	asked := time.Now()
	member, err := g.patroni.Member(ctx)
	if err != nil {
		g.primary = g.primary || g.acceptsWrites(ctx)
		g.storeLastSeen = 0 // The next answer may be another Patroni's.
		return patroniAnswer{asked: asked}
	}
	g.primary = member.IsPrimary() && member.State != "stopped"
	moved := g.storeLastSeen != 0 && member.StoreLastSeen != g.storeLastSeen
	g.storeLastSeen = member.StoreLastSeen
	return patroniAnswer{asked: asked, answered: true, reached: moved || member.FailsafeActive && g.patroni.Alive(ctx)}
}

// isNoPrimary says whether PostgreSQL is seen to be a standby's, or to take no commits: it is not there, starts, or shuts down. One that hangs
// may be anything.
func (g *guard) isNoPrimary(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, tick)
	defer cancel()
	accepts, err := g.postgres.AcceptsWrites(ctx)
	if err == nil {
		return !accepts
	}
	answer := g.postgres.Ask(ctx, tick)
	return answer == postgres.Absent || answer == postgres.Busy
}

// acceptsWrites says whether PostgreSQL says within a tick that it is a primary's.
func (g *guard) acceptsWrites(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, tick)
	defer cancel()
	accepts, err := g.postgres.AcceptsWrites(ctx)
	return err == nil && accepts
}
