package run

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	patroninames "github.com/xdbcluster/xdbcluster/functions/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/order"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/report"
)

// rest is how long no step is tried after one failed.
const rest = 5 * time.Second

// A settlement is what the primary saw of the cluster when nothing was left to be done. While it sees the same, it asks the
// API server nothing.
type settlement struct {
	revision  string
	instances int
	settings  string
	streaming string
}

func newSettlement(c instance.Config, r *instance.Replication) settlement {
	s := settlement{revision: c.Revision, instances: c.Instances, settings: c.SettingsHash}
	for _, standby := range r.Standbys {
		s.streaming += standby.Name + "=" + strconv.FormatBool(standby.Streaming) + " "
	}
	return s
}

// keepOrder takes the next step of a change that concerns all instances: the primary sees to it, standbys first.
func (l *loop) keepOrder(ctx context.Context, config instance.Config, facts report.Facts, pending bool) {
	replication := facts.Replication
	if replication == nil {
		replication = &instance.Replication{}
	}
	now := newSettlement(config, replication)
	if l.busy.Load() || time.Now().UnixNano() < l.resting.Load() || !pending && (config.Instances == 1 && l.ordinal() == 0 || l.settled != nil && *l.settled == now) {
		return
	}
	l.settled = nil
	pods, reports, err := l.others(ctx)
	l.complain("order", err)
	if err != nil {
		return
	}
	cluster := l.cluster(config, facts, pending, pods, reports)
	step := order.Next(cluster)
	if step.Kind == order.Nothing && current(config, cluster, reports) {
		l.settled = &now
	}
	l.take(ctx, step, pods)
}

// others returns the Pods of all instances, and what the instances say.
func (l *loop) others(ctx context.Context) (map[string]kube.Pod, map[string]instance.Report, error) {
	list, err := l.kube.Pods(ctx)
	if err != nil {
		return nil, nil, err
	}
	reports, err := l.kube.Reports(ctx)
	if err != nil {
		return nil, nil, err
	}
	pods := make(map[string]kube.Pod, len(list))
	for _, p := range list {
		pods[p.Name] = p
	}
	return pods, reports, nil
}

func (l *loop) cluster(config instance.Config, facts report.Facts, pending bool, pods map[string]kube.Pod, reports map[string]instance.Report) order.Cluster {
	outdated := func(p kube.Pod) bool { return config.Revision != "" && p.Revision != config.Revision }
	c := order.Cluster{
		Primary:      order.Instance{Name: l.env.Pod, Ordinal: l.ordinal(), Outdated: config.Instances > 1 && outdated(pods[l.env.Pod]), Pending: pending},
		PrimaryFirst: len(report.Lowered(facts)) > 0,
		Wanted:       config.Instances,
		Quorum:       patroni.Quorum(config),
	}
	for _, name := range slices.Sorted(maps.Keys(pods)) {
		ordinal, ok := naming.Cluster{Name: config.Cluster}.Ordinal(name)
		if !ok || name == l.env.Pod {
			continue
		}
		standby := order.Standby{
			Instance: order.Instance{Name: name, Ordinal: ordinal, Outdated: outdated(pods[name]), Pending: len(reports[name].PendingRestart) > 0},
			Ending:   pods[name].Ending,
		}
		if seen := facts.Replication; seen != nil {
			c.Synchronous = seen.Needed > 0
			for _, s := range seen.Standbys {
				if s.Name == name {
					standby.Streaming, standby.Synchronous, standby.LagBytes = s.Streaming, s.Synchronous, s.LagBytes
				}
			}
		}
		c.Standbys = append(c.Standbys, standby)
	}
	return c
}

// current says whether every standby reports to be as the Config says, so that none of them is about to need a step.
func current(config instance.Config, c order.Cluster, reports map[string]instance.Report) bool {
	return !slices.ContainsFunc(c.Standbys, func(s order.Standby) bool {
		return s.Ordinal < config.Instances && reports[s.Name].SettingsHash != config.SettingsHash
	})
}

// take takes a step. One that takes long goes on while the loop does.
func (l *loop) take(ctx context.Context, step order.Step, pods map[string]kube.Pod) {
	switch step.Kind {
	case order.Nothing, order.Wait:
	case order.ReplacePod:
		l.log.Info("A standby's Pod is replaced, because it has an older template", "pod", step.Target)
		l.complain("replacement", l.kube.DeletePod(ctx, pods[step.Target]))
	case order.Restart:
		l.log.Info("PostgreSQL restarts to put settings in force", "instance", step.Target)
		client := l.patroni
		if step.Target != l.env.Pod {
			client = patroni.At(l.host(step.Target))
		}
		l.appliedBy, l.pendingSince = instance.AppliedByRestart, time.Time{}
		l.start(func() error { return client.Restart(ctx) })
	case order.SwitchOver:
		l.log.Info("A standby takes over in an orderly way, so that this instance can be changed", "standby", step.Target)
		l.start(func() error { return l.patroni.SwitchOver(ctx, l.env.Pod, step.Target) })
	}
}

func (l *loop) start(step func() error) {
	l.busy.Store(true)
	go func() {
		defer l.busy.Store(false)
		if err := step(); err != nil {
			l.resting.Store(time.Now().Add(rest).UnixNano())
			l.log.Error("A step failed and is tried again", "error", err.Error())
		}
	}()
}

func (a *Agent) host(pod string) string {
	return naming.Cluster{Namespace: a.env.Namespace, Name: a.current().Cluster}.PodHost(pod)
}

// takeRole takes the label of the primary from every other Pod, once after each promotion: half of all new connections
// would go to an instance that was lost, until its node is given up. It lets Patroni look, too: a primary that has just been born would
// otherwise make no room for its standbys before the end of a pause, and then wait for another until commits may wait for them.
func (l *loop) takeRole(ctx context.Context, config instance.Config) {
	if l.alone {
		return
	}
	l.complain("synchronous replication", l.patroni.Wake(ctx, config))
	taken, err := l.kube.TakeRole(ctx, patroninames.PrimaryLabel(config.Version))
	l.complain("role", err)
	l.alone = err == nil
	if len(taken) > 0 {
		l.log.Info("Other Pods were still labelled as the primary", "pods", taken)
	}
}

// wakePatroni lets Patroni change which standbys commits wait for: it would notice only at the end of its pause that one has
// begun to stream, or that one is gone and nobody can write.
func (l *loop) wakePatroni(ctx context.Context, config instance.Config, r *instance.Replication) {
	now := time.Now()
	if r == nil || config.Synchronous == synchronyOff || now.Sub(l.woken) < tick || !behind(*r, patroni.Quorum(config)) {
		return
	}
	l.woken = now
	l.complain("synchronous replication", l.patroni.Wake(ctx, config))
}

// behind says whether the standbys that commits wait for are not those that could confirm them.
func behind(r instance.Replication, quorum bool) bool {
	streaming, confirming := 0, 0
	for _, s := range r.Standbys {
		if s.Streaming {
			streaming++
		}
		if s.Streaming && s.Synchronous {
			confirming++
		}
	}
	return confirming < r.Needed || streaming > 0 && r.Needed == 0 || quorum && confirming < streaming
}

// readyFor returns the number of instances that the cluster can be brought to now: as wanted, if this is one of those that
// stay and all of the others follow it.
func (l *loop) readyFor(config instance.Config, r *instance.Replication) int {
	if r == nil || l.ordinal() >= config.Instances {
		return 0
	}
	count := 1
	for _, s := range r.Standbys {
		if ordinal, ok := (naming.Cluster{Name: config.Cluster}).Ordinal(s.Name); ok && ordinal < config.Instances && s.Streaming {
			count++
		}
	}
	if count < config.Instances {
		return 0
	}
	return config.Instances
}
