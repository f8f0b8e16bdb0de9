// Package run is the agent's main task: it holds the volume, keeps Patroni running, puts what the function wants in force,
// fences, and reports.
package run

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/internal/agent/archive"
	"github.com/xdbcluster/xdbcluster/internal/agent/fence"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/metrics"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
	"github.com/xdbcluster/xdbcluster/internal/agent/supervise"
	"github.com/xdbcluster/xdbcluster/internal/agent/volume"
)

const (
	// tick is how often the agent looks.
	tick = time.Second

	// patience is how long PostgreSQL may take to stop in order. The kubelet kills the container some seconds later.
	patience = 110 * time.Second

	// refusedRetry is how often the agent looks again at what it refused.
	refusedRetry = 5 * time.Second
)

// synchronyOff is a Config.Synchronous: commits wait for no standby.
const synchronyOff = "Off"

// An Environment is what an instance's Pod says about itself.
type Environment struct {
	Pod       string
	Namespace string
	PodIP     string
	PodUID    string
	Node      string

	// Incarnation is the content of instance.EnvIncarnation.
	Incarnation string
}

// An Agent runs one instance.
type Agent struct {
	env      Environment
	log      *slog.Logger
	cluster  naming.Cluster
	kube     *kube.Client
	postgres *postgres.Local
	alive    *heartbeat
	ready    *readiness
	metrics  *metrics.Collector

	// incarnation is the one that this Pod was made for. Nil for the one that the cluster was born with.
	incarnation *instance.Incarnation

	// led says that an instance has the leader lock, as far as this one knows.
	led atomic.Bool

	// electorate is the last primary other than this instance, and who could confirm its commits. Nil when this one was the primary since,
	// or where replication is asynchronous.
	electorate atomic.Pointer[kube.Sync]

	// refusal is why this instance was not promoted last, because too few voted. Nil when it was promoted since.
	refusal atomic.Pointer[string]

	// waitsFor is what was reported last of why the instance does not start.
	waitsFor instance.Incident

	mu     sync.Mutex
	config instance.Config
	wake   chan struct{}
}

// New returns the agent of an instance.
func New(ctx context.Context, env Environment, log *slog.Logger) (*Agent, error) {
	config, err := LoadConfig(instance.FolderConfig)
	if err != nil {
		return nil, err
	}
	incarnation, err := parseIncarnation(env.Incarnation)
	if err != nil {
		return nil, err
	}
	cluster := naming.Cluster{Namespace: env.Namespace, Name: config.Cluster, Incarnation: incarnation.Scope()}
	client, err := kube.New(cluster, env.Pod)
	if err != nil {
		return nil, err
	}
	local, err := postgres.Open(ctx)
	if err != nil {
		return nil, err
	}
	return &Agent{
		env: env, log: log, cluster: cluster, kube: client, postgres: local, alive: &heartbeat{}, ready: &readiness{answers: local.Ping}, metrics: metrics.New(config.Cluster, env.Pod),
		incarnation: incarnation, config: config, wake: make(chan struct{}, 1),
	}, nil
}

// Run returns when the context has ended and PostgreSQL has stopped, or when the instance cannot go on.
func (a *Agent) Run(ctx context.Context) error {
	a.alive.beat(time.Now())
	go a.alive.serve(ctx, a.metrics, a.ready.check, a.mayPromote, a.log)
	last, err := a.kube.LastReport(ctx)
	if err != nil {
		a.log.Warn("Cannot read the last report; it starts anew", "error", err.Error())
	}
	vol, since, err := a.openVolume(ctx)
	if err != nil {
		return err
	}
	a.giveUpInheritedLock(ctx, since)
	if err := a.awaitEquipment(ctx); err != nil {
		return err
	}
	if err := a.awaitBeginning(ctx, vol); err != nil {
		return err
	}
	served, err := mountedCertificate() // Before anything loads it: a newer one is seen to be another.
	if err != nil {
		return err
	}
	if err := a.writePatroniConfig(vol, false); err != nil {
		return err
	}
	watchdog, err := fence.NewWatchdog(patroni.WatchdogDevice())
	if err != nil {
		return err
	}
	go watchdog.Run(context.WithoutCancel(ctx), a.log) // A Patroni that shuts down renews its lock, too.
	go a.kube.WatchConfig(ctx, a.log, a.change)
	go a.kube.WatchElection(ctx, a.log, func(leader string) { a.follow(ctx, leader) }, a.noteElectorate)

	supervisor := a.supervisor(ctx, vol)
	archivist := a.archivist(vol)
	loop := newLoop(a, vol, supervisor, newGuard(a, vol, supervisor, watchdog), archivist, served, last)
	go archivist.Run(ctx)
	go loop.guard.run(ctx)
	go loop.checkup.run(ctx)
	go loop.removeExpired(ctx)
	go a.leaveWhenEnding(ctx)
	ended := make(chan error, 1)
	go func() { ended <- supervisor.Run(ctx, patience) }()
	for {
		select {
		case err := <-ended:
			loop.reportStopped(context.WithoutCancel(ctx))
			return err
		case <-a.wake:
		case <-time.After(loop.pause(time.Now())):
		}
		a.alive.beat(time.Now())
		if ctx.Err() == nil {
			loop.turn(ctx)
		}
	}
}

// openVolume waits for the volume, and as long as it must not be used: what is on it is worth more than a Pod that is up.
// It returns since when this process has it.
func (a *Agent) openVolume(ctx context.Context) (_ *volume.Volume, since time.Time, _ error) {
	stop := a.alive.keep(ctx)
	defer stop()
	if err := volume.Lock(ctx, instance.FolderVolume, func() {
		a.reportWaiting(ctx, "DataVolumeInUse", "Another container still uses the data volume. The instance starts when that has ended; if its node is lost, make sure that it is off and delete the old Pod.")
	}); err != nil {
		return nil, since, err
	}
	since = time.Now()
	for {
		vol, err := a.tryVolume(ctx)
		if err == nil {
			return vol, since, nil
		}
		if !isRefusal(err) {
			return nil, since, err
		}
		a.reportWaiting(ctx, instance.IncidentDataVolumeRefused, fmt.Sprintf("The instance does not start: %s.", err))
		select {
		case <-ctx.Done():
			return nil, since, ctx.Err()
		case <-time.After(refusedRetry):
		}
	}
}

// tryVolume opens the volume, after it has done about it what can be done without a person.
func (a *Agent) tryVolume(ctx context.Context) (*volume.Volume, error) {
	vol, err := volume.Open(instance.FolderVolume, a.current().Version, a.incarnation, rand.Reader)
	switch {
	case errors.Is(err, volume.ErrOlderIncarnation):
		return nil, errors.Join(err, a.remindOf(ctx, vol.Identity().Record))
	case errors.Is(err, volume.ErrDataMissing):
		forgotten, forgetErr := a.forgetMissing(ctx, vol)
		if forgotten && forgetErr == nil {
			return vol, nil
		}
		return nil, errors.Join(err, forgetErr)
	}
	return vol, err
}

// isRefusal says whether a volume is as it is, and must not be used.
func isRefusal(err error) bool {
	return errors.Is(err, volume.ErrNotOurs) || errors.Is(err, volume.ErrDataMissing) || errors.Is(err, volume.ErrOtherVersion) ||
		errors.Is(err, volume.ErrOlderIncarnation)
}

// reportWaiting says why the instance does not start. What it says again is no news: each report has Crossplane look at the cluster.
func (a *Agent) reportWaiting(ctx context.Context, code, message string) {
	a.log.Warn(message, "incident", code)
	if a.waitsFor.Code == code && a.waitsFor.Message == message {
		return
	}
	a.reportStarting(ctx, instance.Incident{Code: code, Message: message, Since: time.Now().UTC().Format(time.RFC3339)})
}

func (a *Agent) reportStarting(ctx context.Context, incidents ...instance.Incident) {
	a.waitsFor = instance.Incident{}
	report := instance.Report{
		Pod: a.env.PodUID, Node: a.env.Node, Incarnation: a.incarnation.At(), Role: instance.RoleUnknown, State: instance.StateStarting,
		Incidents: incidents,
	}
	if err := a.kube.WriteReport(ctx, report); err != nil {
		a.log.Warn("Cannot report", "error", err.Error())
		return
	}
	if len(incidents) > 0 {
		a.waitsFor = incidents[0]
	}
}

func (a *Agent) writePatroniConfig(vol *volume.Volume, behind bool) error {
	replication, err := readSecret(instance.FolderCredentials, instance.KeyReplicationPassword)
	if err != nil {
		return err
	}
	rewind, err := readSecret(instance.FolderCredentials, instance.KeyRewindPassword)
	if err != nil {
		return err
	}
	rendered, err := patroni.Render(patroni.Settings{
		Config: a.current(), Scope: a.cluster.Scope(), Pod: a.env.Pod, Namespace: a.env.Namespace, PodIP: a.env.PodIP,
		DataDirectory: vol.DataDirectory(), Behind: behind, ReplicationPassword: replication, RewindPassword: rewind,
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(patroni.ConfigFile(), rendered, 0o600); err != nil {
		return fmt.Errorf("cannot write Patroni's configuration: %w", err)
	}
	return writeAuthorities()
}

func (a *Agent) supervisor(ctx context.Context, vol *volume.Volume) *supervise.Supervisor {
	binaries := patroni.BinaryFolder(a.current().Version)
	s := &supervise.Supervisor{
		Command:       []string{"/usr/bin/patroni", patroni.ConfigFile()},
		Env:           append(os.Environ(), "HOME="+instance.FolderRun, "LANG=C.UTF-8", "PATH="+binaries+":"+os.Getenv("PATH")),
		DataDirectory: vol.DataDirectory,
		Executable:    filepath.Join(binaries, "postgres"),
		Log:           a.log,
	}
	s.BeforeRestart = func() { a.awaitDiscard(ctx, vol, s.KillPostgreSQL) }
	s.Gone = func(at time.Time, crashed bool) { a.afterEnd(ctx, vol, at, crashed, s.KillPatroni) }
	return s
}

func (a *Agent) archivist(vol *volume.Volume) *archive.Archivist {
	return archive.New(a.cluster, a.kube, a.postgres, a.log,
		func() bool { return a.current().Backup != nil },
		func() archive.Database {
			return archive.Database{SystemIdentifier: vol.Identity().SystemIdentifier, Directory: vol.DataDirectory()}
		})
}

func (a *Agent) current() instance.Config {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.config
}

func (a *Agent) change(c instance.Config) {
	a.mu.Lock()
	a.config = c
	a.mu.Unlock()
	a.lookAtOnce()
}

// lookAtOnce makes the loop take its next turn now.
func (a *Agent) lookAtOnce() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *Agent) ttl() time.Duration {
	return time.Duration(a.current().Patroni.TTL) * time.Second
}
