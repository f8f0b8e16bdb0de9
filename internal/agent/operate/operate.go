// Package operate carries an operation out, once: it asks the cluster's ledger whether it is still to be done, writes there
// that it begins, lets Patroni do it, and finds out from the database itself what became of it. It can be killed at any
// point: what was begun is judged afterwards, and never begun again.
package operate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
	"github.com/xdbcluster/xdbcluster/internal/agent/repository"
)

const (
	// tick is how often the cluster is looked at.
	tick = time.Second

	// hurriedTick is how often it is looked at while an operation is in progress.
	hurriedTick = 300 * time.Millisecond

	// patience is how long what is in the way may last before the operation is rejected: a standby that has just come back
	// takes some seconds to follow.
	patience = 30 * time.Second

	// limit is how long an operation may take before its outcome is taken for unknown.
	limit = 3 * time.Minute

	// calm is how long nothing may have changed before an operation that was begun is taken for not carried out.
	calm = 15 * time.Second

	// stuck is how long there may be no primary before the request to Patroni is taken back.
	stuck = 30 * time.Second

	// lockMargin is how much longer than its ttl a leader lock must stay unrenewed before it counts as lost.
	lockMargin = 5 * time.Second

	// instances is how many a cluster can have.
	instances = 6
)

// An Operator carries one operation out.
type Operator struct {
	operation  instance.Operation
	hash       string
	names      naming.Operation
	cluster    naming.Cluster
	repository *repository.Lock
	password   string
	kube       *kube.Client
	log        *slog.Logger

	told     instance.OperationReport // What was reported last.
	inTheWay time.Time                // Since when something is in the way. Zero when nothing is.
	lock     kube.Lock                // The leader lock as it was seen to change last, and when that was.
	lockSeen time.Time
	known    []string // The instances that have answered, and the last primary: nobody else is asked while the operation is in progress.
}

// New returns the operator of an operation in a namespace. The password is the user's that the cluster keeps for its own
// purposes.
func New(operation instance.Operation, namespace, pod, password string, log *slog.Logger) (*Operator, error) {
	hash, err := operation.Hash()
	if err != nil {
		return nil, err
	}
	cluster := naming.Cluster{Namespace: namespace, Name: operation.Cluster}
	client, err := kube.New(cluster, pod)
	if err != nil {
		return nil, err
	}
	return &Operator{
		operation: operation, hash: hash, cluster: cluster, repository: repository.NewLock(client, pod, log), password: password, kube: client, log: log,
		names: naming.Operation{Namespace: namespace, Kind: strings.ToLower(operation.Kind), Name: operation.Name},
	}, nil
}

// Run returns when the operation's outcome is known and reported.
func (o *Operator) Run(ctx context.Context) error {
	for {
		done, err := o.turn(ctx)
		if err != nil {
			o.log.Warn("Cannot go on now; it is tried again", "error", err.Error())
		}
		if done && err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(tick):
		}
	}
}

// turn takes the next step, and says whether there is none left.
func (o *Operator) turn(ctx context.Context) (bool, error) {
	record, version, err := o.kube.Ledger(ctx)
	if err != nil {
		return false, err
	}
	o.cluster.Incarnation = record.Incarnation.Scope()
	o.kube = o.kube.For(o.cluster)
	now := time.Now()
	verdict := record.Judge(o.operation, o.hash, now)
	switch {
	case verdict.Judge:
		if err := o.tell(ctx, verdict.Report); err != nil {
			return false, err
		}
		return true, o.conclude(ctx, o.resume(ctx, verdict.Report))
	case verdict.Begin && o.operation.Clones():
		return o.beginClone(ctx, record, version)
	case verdict.Begin && o.operation.Restore != nil:
		return o.beginRestore(ctx, record, version)
	case verdict.Begin:
		return o.begin(ctx, func(entry instance.LedgerEntry) error {
			return o.kube.WriteLedger(ctx, record.With(o.operation.Key(), entry, now), version)
		})
	case verdict.Remember:
		entry := o.entry(finished(verdict.Report, now))
		if err := o.kube.WriteLedger(ctx, record.With(o.operation.Key(), entry, now), version); err != nil {
			return false, err
		}
		return true, o.tell(ctx, entry.Report)
	default:
		return verdict.Report.Phase.Final(), o.tell(ctx, verdict.Report)
	}
}

// resume returns what became of an operation that was begun by a process before.
func (o *Operator) resume(ctx context.Context, intent instance.OperationReport) instance.OperationReport {
	if o.operation.Clones() {
		return o.resumeClone(ctx, intent)
	}
	if o.operation.Restore != nil {
		return o.resumeRestore(ctx, intent)
	}
	return o.await(ctx, intent, func() bool { return false })
}

// begin looks whether the operation can be carried out now, and does so. Before anything is done, remember must have written
// in the ledger that it begins, in the very version that was asked.
func (o *Operator) begin(ctx context.Context, remember func(instance.LedgerEntry) error) (bool, error) {
	v, err := o.look(ctx)
	if err != nil {
		return false, err
	}
	now := time.Now()
	d := o.patiently(decide(o.operation, v), now)
	report := instance.OperationReport{Phase: v1alpha1.OperationPending, Reason: d.Reason, Message: d.Message}
	switch d.Action {
	case wait, settle:
		return false, o.tell(ctx, report)
	case reject, finish:
		report.Phase = v1alpha1.OperationRejected
		if d.Action == finish {
			report.Phase, report.OldPrimary, report.NewPrimary = v1alpha1.OperationSucceeded, v.Lock.Holder, v.Lock.Holder
		}
		entry := o.entry(finished(report, now))
		if err := remember(entry); err != nil {
			return false, err
		}
		return true, o.tell(ctx, entry.Report)
	case switchOver, failOver:
	}

	started, deadline := now.UTC(), now.UTC().Add(limit)
	intent := instance.OperationReport{
		Phase: v1alpha1.OperationInProgress, StartedAt: &started, DataLoss: d.DataLoss,
		OldPrimary: lastPrimary(v), NewPrimary: d.Candidate, TimelineBefore: timeline(v),
		Message: d.Candidate + " is to become the primary.",
	}
	entry := o.entry(intent)
	entry.Deadline = &deadline
	if err := remember(entry); err != nil {
		return false, err
	}
	if err := o.tell(ctx, intent); err != nil {
		o.log.Warn("Cannot report that the operation begins", "error", err.Error())
	}
	if time.Since(now) > calm {
		return false, nil // This process was suspended meanwhile, and another one may have judged what it began.
	}
	o.log.Info("The operation begins", "from", intent.OldPrimary, "to", intent.NewPrimary)
	return true, o.conclude(ctx, o.act(ctx, d, intent))
}

// patiently turns what has been in the way for too long into a rejection.
func (o *Operator) patiently(d decision, now time.Time) decision {
	if d.Action != settle {
		o.inTheWay = time.Time{}
		return d
	}
	if o.inTheWay.IsZero() {
		o.inTheWay = now
	}
	if now.Sub(o.inTheWay) > patience {
		d.Action = reject
	}
	return d
}

// act asks Patroni, writes through the Service meanwhile to measure the pause, and returns what became of it.
func (o *Operator) act(ctx context.Context, d decision, intent instance.OperationReport) instance.OperationReport {
	if err := o.permit(ctx, d); err != nil {
		o.log.Warn("Cannot name who may be promoted; it matters only where standbys do not take over by themselves, or where the candidate lacks a timeline", "error", err.Error())
	}
	writer := o.startWriter(ctx)
	if d.Action == switchOver {
		writer.awaitFirst(ctx)
	}
	answered := make(chan error, 1)
	go func() {
		if d.Action == switchOver {
			answered <- patroni.At(o.host(intent.OldPrimary)).SwitchOver(ctx, intent.OldPrimary, d.Candidate)
			return
		}
		answered <- o.failOver(ctx, d.Candidate)
	}()
	over := false
	report := o.await(ctx, intent, func() bool {
		select {
		case err := <-answered:
			over = true
			if err != nil {
				o.log.Warn("Patroni did not do it", "error", err.Error())
			}
		default:
		}
		return !over
	})
	if report.Phase == v1alpha1.OperationSucceeded {
		o.awaitFollowers(ctx, report.NewPrimary)
		report.WritePause = writer.stop().Round(time.Millisecond).String()
		return report
	}
	writer.stop()
	if err := o.kube.Entitle(ctx, intent.OldPrimary); err != nil {
		o.log.Warn("Cannot name the old primary as the one that may be promoted; it does so itself", "error", err.Error())
	}
	return report
}

// permit names who may be promoted. Who is promoted without a primary is proven to have every commit, or is to be promoted though it may
// lack some: the instance itself cannot know.
func (o *Operator) permit(ctx context.Context, d decision) error {
	if d.Action == failOver {
		return o.kube.Admit(ctx, d.Candidate, time.Now().Add(limit))
	}
	return o.kube.Entitle(ctx, d.Candidate)
}

// failOver lets Patroni promote an instance. While that lacks a timeline Patroni refuses, until its agent has seen that it is permitted.
func (o *Operator) failOver(ctx context.Context, candidate string) error {
	for deadline := time.Now().Add(calm); ; {
		err := patroni.At(o.host(candidate)).FailOver(ctx, candidate)
		if !errors.Is(err, patroni.ErrNotPossible) || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		time.Sleep(hurriedTick)
	}
}

// await returns what became of an operation that was begun. It looks until that is clear, or for as long as one may take: however long
// ago it began, whoever resumes it has to look first. While Patroni is busy with it nothing else is clear but success.
func (o *Operator) await(ctx context.Context, intent instance.OperationReport, busy func() bool) instance.OperationReport {
	began := time.Now()
	var calmSince, goneSince time.Time
	for {
		now := time.Now()
		standings, handover := o.standings(ctx)
		report, sure := outcome(o.operation.NewPrimary, intent, standings)
		pending := handover != kube.Handover{}
		goneSince = since(goneSince, !primaryIn(standings), now)
		calmSince = since(calmSince, !busy() && !pending && unchanged(intent, standings), now)
		switch {
		case sure:
			return finished(report, now)
		case ctx.Err() != nil:
			return intent // It goes on from the ledger.
		case now.Sub(began) > limit:
			return finished(unknown(intent, "It is not known what became of it: no instance said so in time."), now)
		case now.Sub(calmSince) > calm && !calmSince.IsZero():
			return finished(notCarriedOut(intent), now)
		case now.Sub(goneSince) > stuck && !goneSince.IsZero() && pending:
			o.takeBack(ctx)
		}
		select {
		case <-ctx.Done():
		case <-time.After(hurriedTick):
		}
	}
}

// since returns since when something holds: the zero time when it does not.
func since(before time.Time, holds bool, now time.Time) time.Time {
	if !holds {
		return time.Time{}
	}
	if before.IsZero() {
		return now
	}
	return before
}

// takeBack puts things back: Patroni elects as if nothing had been asked for.
func (o *Operator) takeBack(ctx context.Context) {
	o.log.Warn("No instance has taken over; Patroni is to elect as if nothing had been asked for")
	if err := o.kube.TakeBack(ctx); err != nil {
		o.log.Warn("Cannot take the request back", "error", err.Error())
	}
}

// conclude writes the outcome into the ledger, however long that takes, and reports it.
func (o *Operator) conclude(ctx context.Context, report instance.OperationReport) error {
	if !report.Phase.Final() {
		return ctx.Err()
	}
	o.log.Info("The operation has ended", "phase", string(report.Phase), "message", report.Message)
	for {
		err := o.remember(ctx, report)
		if err == nil {
			return o.tell(ctx, report)
		}
		o.log.Warn("Cannot write the outcome down; it is tried again", "error", err.Error())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(tick):
		}
	}
}

func (o *Operator) remember(ctx context.Context, report instance.OperationReport) error {
	record, version, err := o.kube.Ledger(ctx)
	if err != nil {
		return err
	}
	if version == "" {
		return errors.New("the ledger is gone")
	}
	return o.kube.WriteLedger(ctx, record.With(o.operation.Key(), o.entry(report), time.Now()), version)
}

func (o *Operator) entry(report instance.OperationReport) instance.LedgerEntry {
	return instance.LedgerEntry{Hash: o.hash, ValidUntil: o.operation.ValidUntil, Report: report}
}

// tell reports when there is something new to tell.
func (o *Operator) tell(ctx context.Context, report instance.OperationReport) error {
	if report == o.told {
		return nil
	}
	if err := o.kube.WriteOperation(ctx, o.names.Objects(), report); err != nil {
		return err
	}
	o.told = report
	return nil
}

// awaitFollowers gives the other instances time to follow the new primary: until then another loss would be felt.
func (o *Operator) awaitFollowers(ctx context.Context, primary string) {
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		members := o.members(ctx)
		if m := members[primary]; m.Primary && len(m.Streams) >= len(members)-1 {
			return
		}
		time.Sleep(hurriedTick)
	}
}

// look sees the cluster as Patroni and its store show it.
func (o *Operator) look(ctx context.Context) (view, error) {
	lock, errLock := o.kube.Lock(ctx)
	state, errSync := o.kube.Sync(ctx)
	last, errLast := o.kube.LastTimeline(ctx)
	if err := errors.Join(errLock, errSync, errLast); err != nil {
		return view{}, err
	}
	v := view{Lock: o.held(lock, time.Now()), Sync: state, Timeline: last, Members: o.members(ctx)}
	o.known = slices.Collect(maps.Keys(v.Members))
	if primary := lastPrimary(v); primary != "" && !slices.Contains(o.known, primary) {
		o.known = append(o.known, primary)
	}
	v.Synchronous = o.synchronous(ctx, v)
	return v, nil
}

// held returns the lock without its holder when that has not renewed it for its ttl, by this process's own clock.
func (o *Operator) held(lock kube.Lock, now time.Time) kube.Lock {
	if o.lockSeen.IsZero() || !lock.Renewed.Equal(o.lock.Renewed) || lock.Holder != o.lock.Holder {
		o.lock, o.lockSeen = lock, now
	}
	if now.Sub(o.lockSeen) > lock.TTL+lockMargin {
		lock.Last, lock.Holder = lock.Holder, ""
	}
	return lock
}

// synchronous asks any instance whether commits are to wait for standbys. Where none answers, they did if Patroni's store
// names a primary that they waited at.
func (o *Operator) synchronous(ctx context.Context, v view) bool {
	for name := range v.Members {
		config, err := patroni.At(o.host(name)).DynamicConfig(ctx)
		if err != nil {
			continue
		}
		mode, there := config["synchronous_mode"]
		return there && mode != false && mode != "off" && mode != "false"
	}
	return v.Sync.Leader != ""
}

// members asks every instance that there can be.
func (o *Operator) members(ctx context.Context) map[string]member {
	var (
		mu    sync.Mutex
		group sync.WaitGroup
	)
	found := map[string]member{}
	for _, name := range o.possible() {
		group.Go(func() {
			m, err := patroni.At(o.host(name)).Member(ctx)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			found[name] = newMember(m)
		})
	}
	group.Wait()
	return found
}

func newMember(m patroni.Member) member {
	seen := member{Primary: m.IsPrimary(), Running: m.State == "running" || m.State == "streaming", Timeline: m.Timeline, Position: m.XLog.Position()}
	for _, f := range m.Replication {
		if f.State == "streaming" {
			seen.Streams = append(seen.Streams, f.Name)
		}
	}
	slices.Sort(seen.Streams)
	return seen
}

// standings asks every PostgreSQL itself what it is, and Patroni's store what is still to be done.
func (o *Operator) standings(ctx context.Context) (map[string]postgres.Standing, kube.Handover) {
	var (
		mu    sync.Mutex
		group sync.WaitGroup
	)
	found := map[string]postgres.Standing{}
	names := o.known
	if len(names) == 0 {
		names = o.possible()
	}
	for _, name := range names {
		group.Go(func() {
			s, err := o.remote(o.host(name)).Standing(ctx)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			found[name] = s
		})
	}
	group.Wait()
	handover, err := o.kube.Handover(ctx)
	if err != nil {
		handover = kube.Handover{To: "unknown"} // It may be still to be done.
	}
	return found, handover
}

// possible are the names of all instances that there can be.
func (o *Operator) possible() []string {
	names := make([]string, 0, instances)
	for ordinal := range instances {
		names = append(names, o.cluster.Pod(ordinal))
	}
	return names
}

func (o *Operator) host(name string) string { return o.cluster.PodHost(name) }

func (o *Operator) remote(host string) postgres.Remote {
	return postgres.Remote{Host: host, User: patroni.UserRewind, Password: o.password}
}

func finished(r instance.OperationReport, now time.Time) instance.OperationReport {
	at := now.UTC()
	r.FinishedAt = &at
	return r
}

// lastPrimary returns who is, or was last, the primary.
func lastPrimary(v view) string {
	for _, name := range []string{v.Lock.Holder, v.Lock.Last, v.Sync.Leader} {
		if name != "" {
			return name
		}
	}
	return ""
}

// timeline returns the newest timeline that an instance is on.
func timeline(v view) int {
	newest := 0
	for _, m := range v.Members {
		newest = max(newest, m.Timeline)
	}
	return newest
}

func unknown(intent instance.OperationReport, message string) instance.OperationReport {
	intent.Phase, intent.Reason, intent.NewPrimary = v1alpha1.OperationFailed, v1alpha1.ReasonOutcomeUnknown, ""
	intent.Message = message + " Look at instances in the DBCluster's status. It is not tried again."
	return intent
}

func notCarriedOut(intent instance.OperationReport) instance.OperationReport {
	intent.Phase, intent.Reason, intent.DataLoss = v1alpha1.OperationFailed, reasonNotCarriedOut, ""
	intent.Message = fmt.Sprintf("%s is the primary as before: Patroni did not carry it out. Look at instances in the DBCluster's status, and commit another one if it is still wanted.", intent.OldPrimary)
	intent.NewPrimary = ""
	return intent
}
