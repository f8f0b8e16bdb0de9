package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
)

const (
	// timelineWait is how long it is waited for an instance that does not say which timeline it has.
	timelineWait = time.Second

	// electionTime is how long an election takes that nothing stands in the way of.
	electionTime = 2 * time.Second
)

// errNotEntitled says that this instance is not to take over by itself.
var errNotEntitled = errors.New("availability.enableAutoFailover is false, and this instance was not the primary: it takes over when a Failover or a Switchover says so")

// mayPromote says whether this instance, which has won the leader lock, may be promoted: Patroni goes by how much WAL instances have, not
// of which timeline. One that lacks a timeline which another one has may lack what was acknowledged on that, and is promoted only
// when a Failover says so. Where standbys do not take over by themselves it must be the last primary, or who was to follow that.
func (a *Agent) mayPromote(ctx context.Context) error {
	lock, err := a.kube.Lock(ctx)
	if err != nil {
		return err
	}
	if a.current().Health.NoFailover && lock.Entitled != a.env.Pod {
		return errNotEntitled
	}
	if lock.Inherited && lock.Holder == a.env.Pod {
		return nil
	}
	own, latest, err := a.timelines(ctx)
	if err != nil || own >= latest {
		return err
	}
	if !lock.Admits(a.env.Pod, time.Now()) {
		return fmt.Errorf("this instance has timeline %d, and the last one is %d: it may lack what was acknowledged since, and is promoted only by a Failover with allowDataLoss", own, latest)
	}
	return a.postgres.SkipTimelines(ctx, own, latest)
}

// timelines returns the timeline that this instance has, and the last one: that Patroni has written down, or that another instance has.
func (a *Agent) timelines(ctx context.Context) (own, latest int, _ error) {
	var (
		group                        sync.WaitGroup
		written                      int
		state                        kube.Sync
		errOwn, errWritten, errState error
	)
	group.Go(func() { own, errOwn = postgres.Timeline(ctx, patroni.UserReplication) })
	group.Go(func() { written, errWritten = a.kube.LastTimeline(ctx) })
	group.Go(func() { state, errState = a.kube.Sync(ctx) })
	group.Wait()
	if err := errors.Join(errOwn, errWritten, errState); err != nil {
		return 0, 0, err
	}
	others := a.peers(state)
	return own, max(written, latestTimeline(ctx, others, votes(state, a.env.Pod, len(others)), a.timelineOf)), nil
}

// votes returns how many others must say which timeline they have, so that one of them has every commit. It is Patroni's own rule of how
// many it must have seen that are not ahead.
func votes(state kube.Sync, pod string, others int) int {
	switch {
	case state.Leader == "" || state.Leader == pod:
		return others // Patroni asks for none.
	case slices.Contains(state.Standbys, pod):
		return min(state.Quorum, others)
	}
	return min(state.Quorum+1, others)
}

// isBehind says whether this instance lacks the cluster's last timeline, which matters while nobody is the primary: a crashed primary that
// has not followed the next one yet may have more WAL than who has, and those would wait for it. Nobody is asked while all is well.
func (l *loop) isBehind(ctx context.Context, member *patroni.Member) (bool, error) {
	if member == nil || member.Timeline == 0 {
		return l.behind, nil
	}
	if l.led.Load() && !member.Unlocked {
		l.unledSince = time.Time{}
	} else if l.unledSince.IsZero() {
		l.unledSince = time.Now()
	}
	if l.unledSince.IsZero() && !l.behind {
		return false, nil
	}
	last, err := l.lastTimeline(ctx, member.Timeline)
	if err != nil {
		return l.behind, err
	}
	if !lacks(*member, last) {
		return false, nil
	}
	lock, err := l.kube.Lock(ctx)
	if err != nil {
		return l.behind, err
	}
	return !lock.Admits(l.env.Pod, time.Now()), nil
}

// lacks says whether an instance has not followed the primary of a timeline. One that is a primary may be about to begin the next.
func lacks(member patroni.Member, timeline int) bool {
	return !member.IsPrimary() && member.Timeline < timeline
}

// lastTimeline returns the last one that is known of. Patroni may not have written it down yet, and an instance have it all the same: the
// others are asked when it does not say enough, and no election has come to an end.
func (l *loop) lastTimeline(ctx context.Context, own int) (int, error) {
	written, err := l.kube.LastTimeline(ctx)
	if err != nil || written > own || l.unledSince.IsZero() || time.Since(l.unledSince) < electionTime {
		return written, err
	}
	state, err := l.kube.Sync(ctx)
	if err != nil {
		return 0, err
	}
	others := l.peers(state)
	return max(written, latestTimeline(ctx, others, len(others), l.timelineOf)), nil
}

// peers returns the other instances, and those that are about to be removed among them while commits wait for them.
func (a *Agent) peers(state kube.Sync) []string {
	var names []string
	for ordinal := range a.current().Instances {
		names = append(names, a.cluster.Pod(ordinal))
	}
	names = append(append(names, state.Leader), state.Standbys...)
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" || name == a.env.Pod })
}

// latestTimeline returns the latest timeline that an instance says it has, when so many have said theirs, or all that do in time. One
// that does not say says zero.
func latestTimeline(ctx context.Context, instances []string, needed int, ask func(ctx context.Context, instance string) int) int {
	ctx, cancel := context.WithTimeout(ctx, timelineWait)
	defer cancel()
	said := make(chan int, len(instances))
	for _, name := range instances {
		go func() { said <- ask(ctx, name) }()
	}
	latest, answers := 0, 0
	for range instances {
		if answers >= needed {
			break
		}
		if timeline := <-said; timeline > 0 {
			latest = max(latest, timeline)
			answers++
		}
	}
	return latest
}

// timelineOf returns the timeline of an instance. Zero when it does not say.
func (a *Agent) timelineOf(ctx context.Context, name string) int {
	password, err := readSecret(instance.FolderCredentials, instance.KeyReplicationPassword)
	if err != nil {
		a.log.Warn("Cannot ask another instance for its timeline", "instance", name, "error", err.Error())
		return 0
	}
	timeline, err := postgres.Remote{Host: a.host(name), User: patroni.UserReplication, Password: password}.Timeline(ctx)
	if err != nil {
		return 0 // It is not there, or starts.
	}
	return timeline
}
