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
	// timelineWait is how long it is waited for an instance that does not say which timeline it has, and voteWait for one that must: a
	// refusal costs more, because Patroni does not try again for as long as the leader lock lives.
	timelineWait = time.Second
	voteWait     = 8 * time.Second

	// askPause is how long to wait before an instance that must say which timeline it has is asked again. It may be starting.
	askPause = 200 * time.Millisecond

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
	if err != nil && !errors.Is(err, errTooFew) || err == nil && own >= latest {
		return err
	}
	if lock.Admits(a.env.Pod, time.Now()) {
		return a.postgres.SkipTimelines(ctx, own, latest)
	}
	if err != nil {
		reason := err.Error()
		a.refusal.Store(&reason)
		return fmt.Errorf("%w: this instance may lack what was acknowledged; it is asked again, or promoted by a Failover with allowDataLoss", err)
	}
	return fmt.Errorf("this instance has timeline %d, and the last one is %d: it may lack what was acknowledged since, and is promoted only by a Failover with allowDataLoss", own, latest)
}

// timelines returns the timeline that this instance has, and the last one: that Patroni has written down, or that another instance has.
// With errTooFew it is the last one that is known.
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
	// Patroni writes its own name there before it promotes, and leaves nothing of the last primary's.
	if last := a.electorate.Load(); last != nil && state.Leader == a.env.Pod {
		state = *last
	}
	asked := latestTimeline(ctx, a.peers(state), neededVotes(state, a.env.Pod), a.timelineOf)
	latest, err := asked.result()
	return own, max(written, latest), err
}

// noteElectorate remembers who must say that a later promotion of this instance loses nothing.
func (a *Agent) noteElectorate(state kube.Sync) {
	switch {
	case state.Leader == "":
		a.electorate.Store(nil)
	case state.Leader != a.env.Pod:
		a.electorate.Store(&state)
	}
}

// votes are who must say which timeline they have, so that one of them has every commit, and how many of them.
type votes struct {
	voters []string
	needed int
}

// neededVotes goes by Patroni's own rule of how many it must have seen with a PostgreSQL that runs and is not ahead. It asks for none where
// nobody else was the primary since, or replication is asynchronous.
func neededVotes(state kube.Sync, pod string) votes {
	if state.Leader == "" || state.Leader == pod {
		return votes{}
	}
	// The last primary has all that was acknowledged, too, if it is there again.
	voters := append([]string{state.Leader}, state.Standbys...)
	if slices.Contains(state.Standbys, pod) {
		return votes{voters: voters, needed: state.Quorum}
	}
	return votes{voters: voters, needed: state.Quorum + 1}
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

// noteRefusal reports that this instance won the leader lock and was not promoted, until it is or another one has had the lock for longer
// than an instance that is asked whether it may be promoted.
func (l *loop) noteRefusal(now time.Time) {
	if !l.led.Load() || l.ready.leads.Load() {
		l.followsSince = time.Time{}
	} else if l.followsSince.IsZero() {
		l.followsSince = now
	}
	if !l.followsSince.IsZero() && now.Sub(l.followsSince) > voteWait+electionTime {
		l.refusal.Store(nil)
	}
	reason := l.refusal.Load()
	if reason == nil {
		l.incidents.clear(incidentUnconfirmed)
		return
	}
	l.incidents.raise(incidentUnconfirmed, fmt.Sprintf("The instance could have become the primary, and did not: %s. It may lack transactions that were acknowledged, and is asked again by itself. Bring the other instances back, above all the last primary; if they are lost for good, commit a Failover with allowDataLoss.", *reason), now)
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
	return max(written, latestTimeline(ctx, l.peers(state), votes{}, l.timelineOf).latest), nil
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

// errTooFew says that it is not known whether another instance has a later timeline.
var errTooFew = errors.New("too few of the instances that could confirm commits say which timeline they have")

// A census is what instances said of their timelines.
type census struct {
	latest int
	missed int // How many votes.
}

func (c census) result() (latest int, _ error) {
	if c.missed > 0 {
		return c.latest, fmt.Errorf("%w: %d more would do", errTooFew, c.missed)
	}
	return c.latest, nil
}

// latestTimeline asks instances for their timelines. Where somebody has to vote it ends when enough have, and asks again who does not
// say; otherwise it asks everybody once, and does not wait for long. One that does not say says zero.
func latestTimeline(ctx context.Context, instances []string, v votes, ask func(ctx context.Context, instance string) int) census {
	wait := timelineWait
	if v.needed > 0 {
		wait = voteWait
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	type answer struct {
		voter    bool
		timeline int
	}
	said := make(chan answer, len(instances))
	for _, name := range instances {
		voter := slices.Contains(v.voters, name)
		go func() {
			timeline := ask(ctx, name)
			for voter && timeline == 0 && v.needed > 0 && pause(ctx, askPause) {
				timeline = ask(ctx, name)
			}
			said <- answer{voter, timeline}
		}()
	}
	c := census{missed: v.needed}
	for range instances {
		a := <-said
		c.latest = max(c.latest, a.timeline)
		if a.voter && a.timeline > 0 && c.missed > 0 {
			c.missed--
		}
		if v.needed > 0 && c.missed == 0 {
			break
		}
	}
	return c
}

// pause waits, and says whether the context has not ended.
func pause(ctx context.Context, length time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(length):
		return true
	}
}

// timelineOf returns the timeline of an instance. Zero when it does not say.
func (a *Agent) timelineOf(ctx context.Context, name string) int {
	password, err := readSecret(instance.FolderCredentials, instance.KeyReplicationPassword)
	if err != nil {
		a.log.Warn("Cannot ask another instance for its timeline", "instance", name, "error", err.Error())
		return 0
	}
	timeline, err := postgres.Remote{Host: a.host(name), User: patroni.UserReplication, Password: password}.Timeline(ctx)
	if postgres.Refuses(err) { // A vote that never comes would keep everybody from being promoted.
		member, err := patroni.At(a.host(name)).Member(ctx)
		if err != nil || member.State != "running" {
			return 0
		}
		return member.Timeline
	}
	if err != nil {
		return 0 // It is not there, or starts.
	}
	return timeline
}
