package run

import (
	"context"
	"slices"
	"time"

	kerrors "k8s.io/apimachinery/pkg/api/errors"

	patroninames "github.com/xdbcluster/xdbcluster/functions/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/metrics"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
	"github.com/xdbcluster/xdbcluster/internal/agent/volume"
)

const (
	// promotionTick is how often an instance that has the leader lock looks whether it can be written to.
	promotionTick = 25 * time.Millisecond

	// followingTick is how often a standby looks whether it receives WAL, and followingTime for how long, once another instance has
	// the leader lock: that is promoted meanwhile, and whoever followed it before then is cut off once more.
	followingTick = 100 * time.Millisecond
	followingTime = 5 * time.Second

	// leavingTick is how often the primary is asked to let a standby that ends go, and leavingTime for how long.
	leavingTick = 250 * time.Millisecond
	leavingTime = 5 * time.Second

	// killingTime is how long after PID 1 of a container has ended every other process of it is surely dead.
	killingTime = 100 * time.Millisecond

	// admission is how long a new Pod may take to be let through to the other instances, and admissionTick how often it tries.
	admission     = 2 * time.Second
	admissionTick = 100 * time.Millisecond

	// promotionLimit is how long it does so: Patroni labels the Pod, too.
	promotionLimit = 30 * time.Second
)

// follow makes the agent look at once when the leader is another one, and welcomes the promotion of its own instance, or lets it
// receive WAL from another one without delay.
func (a *Agent) follow(ctx context.Context, leader string) {
	a.led.Store(leader != "")
	a.ready.leads.Store(leader == a.env.Pod)
	a.lookAtOnce()
	switch {
	case leader == "":
	case leader == a.env.Pod:
		go a.welcome(ctx)
	case a.current().Instances > 1:
		go a.hurryAfter(ctx, leader)
	}
}

// hurryAfter lets this instance's PostgreSQL try again at once whenever it fails to receive WAL from a new leader. No commit can be
// confirmed before it does. PostgreSQL waits for wal_retrieve_retry_interval between two tries, which cannot be short always: a
// standby is not to come back to the old primary sooner than Patroni tells it of the new one.
func (a *Agent) hurryAfter(ctx context.Context, leader string) {
	ctx, cancel := context.WithTimeout(ctx, followingTime)
	defer cancel()
	for {
		if err := a.postgres.Hurry(ctx, a.host(leader)); err != nil && ctx.Err() == nil {
			a.log.Debug("Cannot let PostgreSQL look for WAL at once; it does so by itself", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(followingTick):
		}
	}
}

// hurryPromotion lets this instance's PostgreSQL look at once whether it is promoted, until it is.
func (a *Agent) hurryPromotion(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(followingTick):
		}
		if err := a.postgres.HurryPromotion(ctx); err != nil && ctx.Err() == nil {
			a.log.Debug("Cannot let PostgreSQL look at once whether it is promoted; it does so by itself", "error", err.Error())
		}
	}
}

// welcome leads clients to this instance, which has the leader lock, and away from all others. They lose the label last, and still
// before this one serves: a Service with nobody behind it does not refuse clients, it lets them wait.
func (a *Agent) welcome(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, promotionLimit)
	defer cancel()
	if !a.current().Health.NoFailover { // Otherwise this instance may give the lock back.
		a.becomePrimary(ctx)
	}
	go a.hurryPromotion(ctx)
	for {
		if accepts, err := a.postgres.AcceptsWrites(ctx); err == nil && accepts {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(promotionTick):
		}
	}
	a.electorate.Store(nil)
	a.refusal.Store(nil)
	a.metrics.Count(metrics.EventPromoted)
	defer a.lookAtOnce() // Clients come first, then the report.
	a.becomePrimary(ctx)
}

// leaveWhenEnding lets the primary's Patroni look at once when this instance ends as a standby. That takes it from those that commits wait
// for, at the end of its pause otherwise, and until then this one's Patroni does not stop PostgreSQL.
func (a *Agent) leaveWhenEnding(ctx context.Context) {
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leavingTime)
	defer cancel()
	for {
		sync, err := a.kube.Sync(ctx)
		if err == nil && !slices.Contains(sync.Standbys, a.env.Pod) {
			return
		}
		if err == nil {
			err = patroni.At(a.host(sync.Leader)).Wake(ctx, a.current())
		}
		if err != nil && ctx.Err() == nil {
			a.log.Debug("Cannot let the primary look at once; it does so by itself", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(leavingTick):
		}
	}
}

// becomePrimary labels the Pod as the primary's, and no other Pod.
func (a *Agent) becomePrimary(ctx context.Context) {
	label := patroninames.PrimaryLabel(a.current().Version)
	if err := a.kube.SetRole(ctx, label); err != nil {
		a.log.Warn("Cannot label the Pod as the primary; it is tried again", "error", err.Error())
	}
	if _, err := a.kube.TakeRole(ctx, label); err != nil {
		a.log.Warn("Cannot take the primary's label from other Pods; it is tried again", "error", err.Error())
	}
}

// afterEnd is called when every process of PostgreSQL is gone. An instance that ends does not wait for Patroni when that has nothing
// left to do: it would take another second, in which the volume's next container has to wait.
func (a *Agent) afterEnd(ctx context.Context, vol *volume.Volume, ended time.Time, crashed bool, killPatroni func() error) {
	done := a.giveUpLock(ctx, vol, ended, crashed, killPatroni)
	if !done || ctx.Err() == nil {
		return
	}
	if err := killPatroni(); err != nil {
		a.log.Warn("Cannot kill Patroni; it ends by itself", "error", err.Error())
	}
}

// giveUpLock lets a standby take over at once from a primary whose PostgreSQL is proven to be gone, where commits wait for
// standbys. Otherwise Patroni starts it again in place: the newest transactions are nowhere else. An end in order is one of
// a restart, unless the instance itself ends or another is to take over: Patroni then waits a second before it releases
// the lock, which is to no purpose after the last process has ended.
//
// After a crash Patroni is started anew. The others ask it what it has before they elect, and one that recovers its PostgreSQL lets
// them wait for that; and this instance must not be back, with WAL that nobody else has, before they follow the new primary.
//
// It returns whether Patroni could not do anything more about the lock: it is not this instance's, or nobody else's to be, or the
// Pod is gone and its rights with it.
func (a *Agent) giveUpLock(ctx context.Context, vol *volume.Volume, ended time.Time, crashed bool, killPatroni func() error) bool {
	config := a.current()
	if config.Instances <= 1 || config.Synchronous == synchronyOff {
		return config.Instances <= 1
	}
	done, err := a.handOn(context.WithoutCancel(ctx), vol, ended, crashed, ctx.Err() != nil, killPatroni)
	if err != nil {
		a.log.Warn("Cannot release the leader lock early; it runs out by itself", "error", err.Error())
		return kerrors.IsUnauthorized(err)
	}
	return done
}

// handOn releases the lock if it goes to another instance, and says whether it does.
func (a *Agent) handOn(ctx context.Context, vol *volume.Volume, ended time.Time, crashed, stopping bool, killPatroni func() error) (bool, error) {
	lock, err := a.kube.Lock(ctx)
	if err != nil {
		return false, err
	}
	if lock.Holder != "" && lock.Holder != a.env.Pod {
		return true, nil // What is asked of the others is none of this one's business.
	}
	handover, err := a.kube.Handover(ctx)
	if err != nil || !goesOn(handover.Concerns(a.env.Pod), crashed, stopping, a.current().Health.NoFailover) {
		return false, err
	}
	if handover != (kube.Handover{}) {
		// Patroni would promote whoever is named in it without asking what that has.
		if err := a.kube.TakeBack(ctx); err != nil {
			return false, err
		}
	}
	heir := ""
	if !crashed {
		heir = a.heir(ctx, vol, handover.To)
	} else if err := killPatroni(); err != nil {
		a.log.Warn("Cannot start Patroni anew; the others may have to wait for its answer", "error", err.Error())
	}
	if handover.To != "" && heir != handover.To {
		a.log.Warn("The instance that was to take over may lack a commit; another one does", "instance", handover.To)
	}
	released, err := a.kube.ReleaseLock(ctx, ended, heir)
	if released {
		a.metrics.Count(metrics.EventReleased)
		a.log.Info("The leader lock was released: every process of PostgreSQL is gone", "crashed", crashed, "heir", heir)
	}
	return err == nil, err
}

// goesOn says whether the lock goes to another instance: that was asked for, or this one failed, or it ends.
func goesOn(asked, crashed, stopping, noFailover bool) bool {
	switch {
	case asked:
		return true
	case crashed:
		return !noFailover
	}
	return stopping
}

// giveUpInheritedLock does the same for the container that had this instance before, which could not do it itself: it was
// killed, or its Pod was deleted by force and with it the Pod's rights. That this process has the volume's lock proves that
// the other's PID 1 has ended, and with PID 1 the kernel kills every process of its container. Where no standby answers,
// PostgreSQL starts in place.
func (a *Agent) giveUpInheritedLock(ctx context.Context, since time.Time) {
	config := a.current()
	if config.Instances <= 1 || config.Synchronous == synchronyOff || config.Health.NoFailover {
		return
	}
	lock, err := a.kube.Lock(ctx)
	if err != nil || lock.Holder != a.env.Pod {
		return
	}
	if !a.awaitStandby(ctx) {
		return
	}
	if err := a.kube.TakeBack(ctx); err != nil {
		return // Patroni would promote whoever is named in it without asking the others what they have.
	}
	// The kernel closes a process's files, and with them the volume's lock, an instant before it kills the others.
	time.Sleep(killingTime - time.Since(since))
	released, err := a.kube.ReleaseLock(ctx, since, "")
	if err != nil {
		a.log.Warn("Cannot release the leader lock of this instance's last container; PostgreSQL starts in place", "error", err.Error())
		return
	}
	if released {
		a.log.Info("The leader lock of this instance's last container was released: that has ended")
	}
}

// awaitStandby says whether PostgreSQL runs on an instance that could take over. A new Pod is given a moment to find that out:
// NetworkPolicies may let it reach nobody yet.
func (a *Agent) awaitStandby(ctx context.Context) bool {
	for deadline := time.Now().Add(admission); ; {
		standbys, err := a.standbys(ctx)
		if a.anyRuns(ctx, standbys) {
			return true
		}
		if err == nil && len(standbys) == 0 || ctx.Err() != nil || time.Now().After(deadline) {
			return false
		}
		time.Sleep(admissionTick)
	}
}

// standbyAnswers says whether PostgreSQL runs on an instance that could take over.
func (a *Agent) standbyAnswers(ctx context.Context) bool {
	standbys, err := a.standbys(ctx)
	return err == nil && a.anyRuns(ctx, standbys)
}

// standbys returns the instances that could take over. There are none unless commits waited at this one.
func (a *Agent) standbys(ctx context.Context) ([]string, error) {
	sync, err := a.kube.Sync(ctx)
	if err != nil || sync.Leader != a.env.Pod {
		return nil, err
	}
	return sync.Standbys, nil
}

// anyRuns says whether PostgreSQL runs on one of the instances.
func (a *Agent) anyRuns(ctx context.Context, instances []string) bool {
	return slices.ContainsFunc(instances, func(name string) bool {
		member, err := patroni.At(a.host(name)).Member(ctx)
		return err == nil && member.State == "running"
	})
}

// heir returns a standby that has all that this instance wrote before it ended in order, its last checkpoint included: the
// preferred one if that has. Empty when none is seen to have it.
func (a *Agent) heir(ctx context.Context, vol *volume.Volume, preferred string) string {
	last, timeline, err := postgres.ShutdownCheckpoint(ctx, patroni.BinaryFolder(a.current().Version), vol.DataDirectory())
	if err != nil {
		a.log.Warn("Cannot tell where the WAL ends", "error", err.Error())
		return ""
	}
	sync, err := a.kube.Sync(ctx)
	if err != nil || sync.Leader != a.env.Pod {
		return ""
	}
	// The last record proves more than having been waited for, so that the preferred one need not be among those.
	candidates := slices.DeleteFunc(append([]string{preferred}, sync.Standbys...), func(name string) bool { return name == "" })
	for _, candidate := range candidates {
		member, err := patroni.At(a.host(candidate)).Member(ctx)
		// One that was the primary before can have more WAL, of an older timeline.
		if err == nil && member.State == "running" && !member.IsPrimary() && member.Timeline == timeline && member.XLog.Received > last {
			return candidate
		}
		a.log.Info("A standby is not seen to have the last record", "instance", candidate, "state", member.State, "timeline", member.Timeline,
			"received", member.XLog.Received, "last", last, "error", err)
	}
	return ""
}
