package run

import (
	"context"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
)

const (
	// promotionTick is how often an instance that has the leader lock looks whether it can be written to.
	promotionTick = 25 * time.Millisecond

	// promotionLimit is how long it does so: Patroni labels the Pod, too.
	promotionLimit = 30 * time.Second
)

// follow makes the agent look at once when the leader is another one, and welcomes the promotion of its own instance.
func (a *Agent) follow(ctx context.Context, leader string) {
	select {
	case a.wake <- struct{}{}:
	default:
	}
	if leader == a.env.Pod && a.current().Instances > 1 {
		go a.welcome(ctx)
	}
}

// welcome labels the Pod as the primary's as soon as clients can write to it, and takes that label from all others. Patroni
// does the former at its next turn, about a second later, and the latter never: a Pod that was lost keeps it.
func (a *Agent) welcome(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, promotionLimit)
	defer cancel()
	for {
		if accepts, err := postgres.AcceptsWrites(ctx); err == nil && accepts {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(promotionTick):
		}
	}
	label := patroni.PrimaryLabel(a.current().Version)
	if err := a.kube.SetRole(ctx, label); err != nil {
		a.log.Warn("Cannot label the Pod as the primary; Patroni does", "error", err.Error())
	}
	if _, err := a.kube.TakeRole(ctx, label); err != nil {
		a.log.Warn("Cannot take the primary's label from other Pods; it is tried again", "error", err.Error())
	}
}

// giveUpLock lets a standby take over at once from a primary whose PostgreSQL is proven to be gone, where commits wait for
// standbys. Otherwise Patroni starts it again in place: the newest transactions are nowhere else. An end in order is one of
// a restart, unless the instance itself ends or another is to take over: Patroni then waits a second before it releases
// the lock, which is to no purpose after the last process has ended.
func (a *Agent) giveUpLock(ctx context.Context, ended time.Time, crashed bool) {
	config := a.current()
	if config.Instances <= 1 || config.Synchronous == synchronyOff {
		return
	}
	stopping := ctx.Err() != nil
	ctx = context.WithoutCancel(ctx)
	if !crashed && !stopping {
		requested, err := a.kube.SwitchoverRequested(ctx)
		if err != nil {
			a.log.Warn("Cannot tell whether another instance is to take over; Patroni releases the leader lock", "error", err.Error())
		}
		if !requested {
			return
		}
	}
	released, err := a.kube.ReleaseLock(ctx, ended)
	if err != nil {
		a.log.Warn("Cannot release the leader lock; it runs out by itself", "error", err.Error())
		return
	}
	if released {
		a.log.Info("The leader lock was released: every process of PostgreSQL is gone", "crashed", crashed)
	}
}
