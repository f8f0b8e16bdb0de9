package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	patroninames "github.com/xdbcluster/xdbcluster/functions/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/archive"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/report"
	"github.com/xdbcluster/xdbcluster/internal/agent/supervise"
	"github.com/xdbcluster/xdbcluster/internal/agent/volume"
)

const (
	// hurriedTick is how often the agent looks while the instance becomes what its Config says, and hurry is how long it
	// does so at most: what lasts longer waits for a person.
	hurriedTick = 300 * time.Millisecond
	hurry       = 30 * time.Second

	// stepLasts is how long a step of a start must last to be reported.
	stepLasts = 1500 * time.Millisecond

	// reloadTime is how long after a change PostgreSQL may still say that settings wait for a restart, though they do not.
	reloadTime = time.Second

	// refreshInterval is how often the kubelet is asked again for what it has not done.
	refreshInterval = 10 * time.Second

	// labelInterval is how often the Pod is labelled with what its instance is, though that is what it was.
	labelInterval = 10 * time.Second

	// labelSpreads is how long it takes at most until no node leads new connections of the rw Service to a Pod that has lost the label.
	labelSpreads = 3 * time.Second

	// volumeInterval is how often the agent asks after a volume that is growing.
	volumeInterval = 3 * time.Second

	// ownedInterval is how often the agent looks for state of Patroni's that nobody owns.
	ownedInterval = 5 * time.Minute

	// startLimit is for how long PostgreSQL may end whenever it is started before people are told. Patroni tries every few seconds.
	startLimit = 30 * time.Second

	// full is how full a volume may be before someone should know.
	full = 0.85
)

// Codes of incidents that only agents report. The others are in package instance.
const (
	incidentFenced      = "PrimaryFenced"
	incidentDiskFilling = "DataDiskFilling"
	incidentBehind      = "TimelineMissing"
	incidentUnconfirmed = "PromotionUnconfirmed"
	incidentNoStart     = "PostgreSQLDoesNotStart"
)

// errNotBorn says that the database did not answer yet.
var errNotBorn = errors.New("the database did not answer yet")

// A loop holds what the agent remembers from one turn to the next.
type loop struct {
	*Agent

	volume     *volume.Volume
	supervisor *supervise.Supervisor
	patroni    patroni.Client
	guard      *guard
	checkup    *checkup
	archivist  *archive.Archivist
	incidents  incidents

	// primary is what Patroni said last: one that does not answer has not said anything else.
	primary bool

	written   *instance.Report
	stepSince time.Time // Since when there is something else to report. Zero when there is not.
	appliedBy instance.AppliedBy

	// busy says that a step which takes long is being taken, and resting until when none is tried again after one failed.
	busy       atomic.Bool
	resting    atomic.Int64
	settled    *settlement // What was seen when nothing was left to be done. Nil when something may be.
	alone      bool        // No other Pod has the label of the primary.
	downSince  time.Time   // Since when PostgreSQL has not run. Zero while it does.
	labelled   string      // What the loop has labelled the Pod with.
	labelledAt time.Time
	demoted    time.Time // When the Pod lost the primary's label. Zero once the clients that came by that were sent away.
	woken      time.Time // When Patroni was made to look.

	noFailover   bool      // What Patroni was told last of whether standbys take over by themselves.
	beginsWith   string    // SettingsHash of those with which Patroni begins a database.
	behind       bool      // What Patroni was told last of whether this instance lacks the cluster's last timeline.
	unledSince   time.Time // Since when nobody has the leader lock. Zero while somebody does.
	followsSince time.Time // Since when another instance has the leader lock. Zero while none has.
	entitled     bool      // This instance is named as the one that may be promoted where they do not.

	internalSet bool // The passwords of the system's own users are those that are mounted.

	// pendingSince is since when a restart has been pending, unsettledSince since when the instance is not yet what its
	// Config says. Zero when that is not so.
	pendingSince   time.Time
	unsettledSince time.Time

	owned      bool
	kept       bool // What was wanted when it was owned.
	ownChecked time.Time
	exporter   bool    // The metrics exporter can log in.
	used       float64 // How full the volume is, from 0 to 1.
	free       string  // How much room is left on it.

	adminRevision string // Of the credentials that were set.
	certificate   certificate
	served        certificate // What PostgreSQL and Patroni have loaded.
	diskSize      string
	diskChecked   time.Time
	diskRequest   string
	refreshed     time.Time
	complaints    map[string]string
}

func newLoop(a *Agent, v *volume.Volume, s *supervise.Supervisor, g *guard, archivist *archive.Archivist, served certificate, last instance.Report) *loop {
	labelled := ""
	if last.Pod == a.env.PodUID && last.Role == instance.RolePrimary {
		labelled = patroninames.PrimaryLabel(a.current().Version)
	}
	return &loop{
		Agent: a, labelled: labelled, volume: v, supervisor: s, guard: g, checkup: newCheckup(a, s), archivist: archivist, incidents: incidents{},
		served: served, appliedBy: last.AppliedBy, complaints: map[string]string{}, noFailover: a.current().Health.NoFailover,
		beginsWith: a.current().SettingsHash,
	}
}

// turn looks, acts, and reports.
func (l *loop) turn(ctx context.Context) {
	config := l.current()
	l.supervisor.Look()
	member := l.observe(ctx)
	l.reportPromotion(ctx, member)
	l.complain("Patroni's configuration", l.keepPatroniConfig(ctx, config, member))
	l.noteHealth(member)
	l.noteStart(member, time.Now())
	l.noteRefusal(time.Now())
	l.lookAtVolume(ctx, config)
	l.lookAtMounts(ctx, config)
	if l.primary {
		l.own(ctx, config)
	}

	facts := report.Facts{
		PodUID: l.env.PodUID, Node: l.env.Node, Incarnation: l.incarnation.At(), Config: config, Member: member,
		SystemIdentifier: l.volume.Identity().SystemIdentifier, DataDirectory: l.volume.DataDirectory(),
	}
	l.archivist.SetPrimary(l.primary)
	if member != nil && member.State == "running" {
		l.complain("label", l.label(ctx, config, *member))
		l.complain("clients", l.sendAway(ctx, *member, time.Now()))
		if !l.checkup.silent() { // The agent's own connections may work all the same.
			l.act(ctx, config, member, &facts)
		}
	} else if l.mayCorrect(member) {
		l.complain("parameters", l.correctParameters(ctx, config))
	}
	facts.AppliedBy, facts.AdminRevision = l.appliedBy, l.adminRevision
	facts.CertificateRevision, facts.CertificateExpiry = l.served.Revision, l.certificate.Expiry
	facts.DataDiskSize, facts.DataDiskFree = l.diskSize, l.free
	archiving := l.archivist.Status()
	facts.Archive, facts.Incidents = archiving.Archive, append(l.incidents.list(), archiving.Incidents...)
	built := report.Build(facts)
	l.metrics.Report(built, l.used, config.Instances > 1 && config.Synchronous != synchronyOff)
	l.metrics.Archived(l.archivist.Metrics())
	l.write(ctx, built)
}

// pause is how long to wait until the next turn.
func (l *loop) pause(now time.Time) time.Duration {
	if l.written != nil && settled(*l.written, l.current()) {
		l.unsettledSince = time.Time{}
		return tick
	}
	if l.unsettledSince.IsZero() {
		l.unsettledSince = now
	}
	if now.Sub(l.unsettledSince) < hurry {
		return hurriedTick
	}
	return tick
}

// settled says whether an instance reports to be all that its Config says.
func settled(r instance.Report, c instance.Config) bool {
	return r.Serves() && len(r.PendingRestart) == 0 && r.SettingsHash == c.SettingsHash &&
		r.CertificateRevision == c.CertificateRevision && (r.Role != instance.RolePrimary || r.AdminRevision == c.AdminRevision)
}

func (l *loop) observe(ctx context.Context) *patroni.Member {
	member, err := l.patroni.Member(ctx)
	if err != nil {
		l.complain("patroni", err)
		return nil
	}
	l.complain("patroni", nil)
	l.primary = member.IsPrimary() && member.State != "stopped"
	l.alone, l.internalSet, l.entitled = l.alone && l.primary, l.internalSet && l.primary, l.entitled && l.primary
	return &member
}

// noteHealth reports what the guard and the checkup have found.
func (l *loop) noteHealth(member *patroni.Member) {
	now := time.Now()
	if member != nil && member.State == "running" {
		l.guard.fenced.Store(false)
	}
	if l.guard.fenced.Load() {
		l.incidents.raise(incidentFenced, fmt.Sprintf("Patroni did not renew the leader lock for almost %s, so PostgreSQL was killed before another instance could become primary. It starts again by itself; look for what stalled the node %s.", l.ttl(), l.env.Node), now)
	} else {
		l.incidents.clear(incidentFenced)
	}
	found := l.checkup.found.Load()
	for _, code := range []string{incidentSilent, incidentAstray} {
		if found == nil || found.Code != code {
			l.incidents.clear(code)
		}
	}
	if found != nil {
		l.incidents.raise(found.Code, found.Message, now)
	}
}

// noteStart reports why PostgreSQL ends whenever it is started.
func (l *loop) noteStart(member *patroni.Member, now time.Time) {
	if member != nil && member.State == "running" {
		l.downSince = time.Time{}
		l.incidents.clear(incidentNoStart)
		return
	}
	if l.downSince.IsZero() {
		l.downSince = now
	}
	cause, at := l.supervisor.Journal.Cause()
	if now.Sub(l.downSince) < startLimit || now.Sub(at) > startLimit || at.Before(l.downSince.Add(startLimit/2)) || l.supervisor.Recovery() != "" {
		return // It was said when PostgreSQL ended, or PostgreSQL recovers by now.
	}
	l.incidents.raise(incidentNoStart, fmt.Sprintf("PostgreSQL ends whenever it is started: %s. It is tried again and again. If a parameter is the cause, correct primarySpec.parameters; the Pod's log has more.", cause), now)
}

// label labels the Pod with what its instance is, and again from time to time: one that had the leader lock for a moment may have set or
// taken a label late. An instance that does not run keeps its label, so that clients are refused, until another one takes it.
func (l *loop) label(ctx context.Context, config instance.Config, member patroni.Member) error {
	if member.IsStandby() && l.ready.leads.Load() {
		return nil // It is being promoted, and was labelled when it got the lock.
	}
	role := roleLabel(config.Version, member)
	if role == "" || role == l.labelled && time.Since(l.labelledAt) < labelInterval {
		return nil
	}
	if err := l.kube.SetRole(ctx, role); err != nil {
		return err
	}
	if l.labelled == patroninames.PrimaryLabel(config.Version) && member.IsStandby() {
		l.demoted = time.Now()
	}
	l.labelled, l.labelledAt = role, time.Now()
	return nil
}

// sendAway ends the sessions of clients that were led here as to the primary, and came when it was one no more. All that they wrote would be
// refused for as long as they keep their connection. Clients of the ro Service connect again.
func (l *loop) sendAway(ctx context.Context, member patroni.Member, now time.Time) error {
	if !member.IsStandby() {
		l.demoted = time.Time{}
	}
	if l.demoted.IsZero() || now.Sub(l.demoted) < labelSpreads {
		return nil
	}
	ended, err := l.postgres.EndSessions(ctx, patroni.UserReplication, patroni.UserRewind, patroni.UserMetrics)
	if err != nil {
		return err
	}
	l.demoted = time.Time{}
	if ended > 0 {
		l.log.Info("Clients had come to what was the primary; their sessions were ended, so that they find the new one", "sessions", ended)
	}
	return nil
}

// roleLabel returns how an instance that runs is labelled. Empty while it is about to become something else.
func roleLabel(version string, member patroni.Member) string {
	switch {
	case member.IsPrimary():
		return patroninames.PrimaryLabel(version)
	case member.IsStandby():
		return patroninames.StandbyLabel(version)
	}
	return ""
}

// act does what can be done while PostgreSQL answers. Each task stands alone: one that fails is tried again at the next
// turn and keeps no other from its work.
func (l *loop) act(ctx context.Context, config instance.Config, member *patroni.Member, facts *report.Facts) {
	if l.led.Load() { // Patroni makes a database, and takes the leader lock when it is done.
		l.complain("birth", l.volume.RecordBirth(member.SystemIdentifier, time.Now()))
	}
	if member.IsPrimary() && l.volume.Identity().Born != nil { // Nobody is let into one that may be made again.
		l.actAsPrimary(ctx, config, facts)
	}
	l.complain("certificate", l.serveCertificate(ctx))

	settings, err := l.postgres.Settings(ctx, slices.Collect(maps.Keys(config.Parameters)))
	l.complain("settings", err)
	if err != nil {
		return
	}
	facts.Settings = settings
	current, err := l.patroni.DynamicConfig(ctx)
	l.complain("dynamic configuration", err)
	if err != nil {
		return
	}
	facts.Given = len(patroni.Changes(config, current)) == 0
	facts.Heeded = l.noFailover == config.Health.NoFailover && (!l.primary || l.kept == config.KeepState)
	l.noteRefusedParameters(ctx)
	needed := l.restartNeeded(*facts)
	if member.IsPrimary() {
		l.keepOrder(ctx, config, *facts, needed)
	}
}

func (l *loop) actAsPrimary(ctx context.Context, config instance.Config, facts *report.Facts) {
	l.complain("parameters", l.giveParameters(ctx, config))
	l.complain("administrator", l.setAdministrator(ctx))
	if !l.exporter {
		err := l.postgres.EnsureMetricsRole(ctx, patroni.UserMetrics)
		l.complain("metrics", err)
		l.exporter = err == nil
	}
	if config.Instances == 1 && l.ordinal() == 0 {
		facts.ReadyFor = 1
		return
	}
	l.takeRole(ctx, config)
	l.complain("credentials of standbys", l.setInternal(ctx))
	replication, err := l.postgres.Replication(ctx, patroni.UserReplication)
	l.complain("replication", err)
	facts.Replication = replication
	facts.ReadyFor = l.readyFor(config, replication)
	l.wakePatroni(ctx, config, replication)
}

// own looks often until Patroni's state is owned, and seldom after: Patroni makes some of it only when it needs it.
func (l *loop) own(ctx context.Context, config instance.Config) {
	interval := tick
	if l.owned && l.entitled && l.kept == config.KeepState {
		interval = ownedInterval
	}
	now := time.Now()
	if now.Sub(l.ownChecked) < interval {
		return
	}
	l.ownChecked = now
	owned, err := l.kube.Own(ctx, config.Owner, config.KeepState)
	l.complain("owner", err)
	err = l.keepLedger(ctx, now)
	l.complain("ledger", err)
	l.owned, l.kept = owned && err == nil, config.KeepState
	err = l.entitle(ctx)
	l.complain("entitlement", err)
	l.entitled = err == nil
}

// entitle names this instance as the one that may be promoted where standbys do not take over by themselves.
func (l *loop) entitle(ctx context.Context) error {
	lock, err := l.kube.Lock(ctx)
	if err != nil || lock.Holder != l.env.Pod || lock.Entitled == l.env.Pod && lock.Admitted == "" {
		return err
	}
	return l.kube.Entitle(ctx, l.env.Pod)
}

// keepPatroniConfig lets Patroni know whether standbys take over by themselves, whether this instance may, and with which parameters a database
// begins: one that did not come up may with others.
func (l *loop) keepPatroniConfig(ctx context.Context, config instance.Config, member *patroni.Member) error {
	behind, err := l.isBehind(ctx, member)
	unborn := l.volume.Identity().Born == nil
	if err != nil || config.Health.NoFailover == l.noFailover && behind == l.behind && (!unborn || config.SettingsHash == l.beginsWith) {
		return err
	}
	if err := l.writePatroniConfig(l.volume, behind); err != nil {
		return err
	}
	l.noFailover, l.behind, l.beginsWith = config.Health.NoFailover, behind, config.SettingsHash
	l.incidents.clear(incidentBehind)
	if behind {
		l.incidents.raise(incidentBehind, "The instance has not followed the last primary, so that it may lack transactions that were acknowledged, and it does not become the primary. It follows the next one by itself. While there is none, bring the other instances back, above all the last primary; if they are lost for good, commit a Failover with allowDataLoss.", time.Now())
		l.log.Warn("This instance takes no part in elections: it lacks the cluster's last timeline")
	}
	if err := l.supervisor.Reload(); err != nil {
		return err
	}
	return l.patroni.Wake(ctx, config) // It reloads when it looks.
}

// keepLedger begins the cluster's record of operations when there is none of this database.
func (l *loop) keepLedger(ctx context.Context, now time.Time) error {
	identity := l.volume.Identity()
	if identity.Born == nil {
		return errNotBorn
	}
	record, version, err := l.kube.Ledger(ctx)
	if err != nil {
		return err
	}
	if record.Incarnation.At() > l.incarnation.At() {
		return nil // This instance is about to be stopped.
	}
	record, changed := record.Becoming(l.incarnation).Born(identity.SystemIdentifier, identity.Incarnation, *identity.Born, now)
	if !changed {
		return nil
	}
	return l.kube.WriteLedger(ctx, record, version)
}

// giveParameters lets Patroni have the parameters, which hands them to every instance and reloads.
func (l *loop) giveParameters(ctx context.Context, config instance.Config) error {
	current, err := l.patroni.DynamicConfig(ctx)
	if err != nil {
		return err
	}
	changes := patroni.Changes(config, current)
	if len(changes) == 0 {
		return nil
	}
	if err := l.patroni.Patch(ctx, changes); err != nil {
		return err
	}
	l.log.Info("Patroni's dynamic configuration was changed", "changes", slices.Sorted(maps.Keys(changes)))
	l.appliedBy, l.pendingSince = instance.AppliedByReload, time.Time{}
	return nil
}

// mayCorrect says whether PostgreSQL does not run here, and no primary elsewhere gives it parameters with which it would.
func (l *loop) mayCorrect(member *patroni.Member) bool {
	return member != nil && l.volume.Identity().Born != nil && (!l.led.Load() || l.ready.leads.Load())
}

// correctParameters gives a PostgreSQL that may not start because of its parameters the claim's, and nothing else: who may be promoted,
// and when, is not changed while there is no primary.
func (l *loop) correctParameters(ctx context.Context, config instance.Config) error {
	current, err := l.patroni.DynamicConfig(ctx)
	if err != nil {
		return err
	}
	changed, ok := patroni.Changes(config, current)["postgresql"]
	if !ok {
		return nil
	}
	if err := l.patroni.Patch(ctx, map[string]any{"postgresql": changed}); err != nil {
		return err
	}
	l.log.Info("PostgreSQL does not run, and was given the parameters of the claim")
	return nil
}

func (l *loop) noteRefusedParameters(ctx context.Context) {
	refused, err := l.postgres.FileErrors(ctx)
	l.complain("refused parameters", err)
	if err != nil {
		return
	}
	if len(refused) == 0 {
		l.incidents.clear(instance.IncidentParametersFailed)
		return
	}
	l.incidents.raise(instance.IncidentParametersFailed, fmt.Sprintf("PostgreSQL refuses the value of %s (%s); the value before stays in force. Correct primarySpec.parameters.", refused[0].Name, refused[0].Error), time.Now())
}

// restartNeeded says whether settings wait for a restart of PostgreSQL, and have waited for a while: a reload may still be
// on its way.
func (l *loop) restartNeeded(facts report.Facts) bool {
	pending := report.PendingRestart(facts)
	if !facts.Given || len(pending) == 0 {
		l.pendingSince = time.Time{}
		return false
	}
	if l.pendingSince.IsZero() {
		l.pendingSince = time.Now()
	}
	return time.Since(l.pendingSince) >= reloadTime
}

// setAdministrator sets the mounted credentials in the database, when they are others than those set last.
func (l *loop) setAdministrator(ctx context.Context) error {
	revision, err := readSecret(instance.FolderAdmin, instance.KeyAdminRevision)
	if err != nil || revision == l.adminRevision {
		return err
	}
	user, err := readSecret(instance.FolderAdmin, instance.KeyAdminUser)
	if err != nil {
		return err
	}
	password, err := readSecret(instance.FolderAdmin, instance.KeyAdminPassword)
	if err != nil {
		return err
	}
	if err := l.postgres.EnsurePassword(ctx, user, password); err != nil {
		return err
	}
	l.log.Info("The administrator's credentials are set")
	l.adminRevision = revision
	return nil
}

// setInternal sets the passwords that standbys log in with, once after each promotion: the data may be that of an earlier
// cluster of the name, which had others.
func (l *loop) setInternal(ctx context.Context) error {
	if l.internalSet {
		return nil
	}
	for user, key := range map[string]string{
		patroni.UserReplication: instance.KeyReplicationPassword, patroni.UserRewind: instance.KeyRewindPassword,
	} {
		password, err := readSecret(instance.FolderCredentials, key)
		if err != nil {
			return err
		}
		if err := l.postgres.EnsurePassword(ctx, user, password); err != nil {
			return err
		}
	}
	l.internalSet = true
	return nil
}

// serveCertificate makes PostgreSQL and Patroni load a certificate that was renewed, and not the one that they have: Patroni sees nothing
// of its cluster for a second after it was told to.
func (l *loop) serveCertificate(ctx context.Context) error {
	mounted, err := mountedCertificate()
	if err != nil {
		return err
	}
	l.certificate = mounted
	if mounted.Loaded == l.served.Loaded {
		return nil
	}
	if err := errors.Join(writeAuthorities(), l.postgres.Reload(ctx), l.supervisor.Reload()); err != nil {
		return err
	}
	l.served = mounted
	return nil
}

// lookAtMounts asks the kubelet for Secrets that are newer than what is mounted.
func (l *loop) lookAtMounts(ctx context.Context, config instance.Config) {
	admin, err := readSecret(instance.FolderAdmin, instance.KeyAdminRevision)
	l.complain("credentials", err)
	mounted, err := mountedCertificate()
	l.complain("mounted certificate", err)
	repository, err := archive.ReadMounted(instance.FolderRepository)
	l.complain("mounted repository", err)
	planned := config.Backup == nil || repository != nil && repository.Revision == config.Backup.Revision
	if admin == config.AdminRevision && mounted.Revision == config.CertificateRevision && planned {
		return
	}
	l.refresh(ctx)
}

// refresh asks the kubelet to look at the Pod, and not more often than it can be expected to answer.
func (l *loop) refresh(ctx context.Context) {
	now := time.Now()
	if now.Sub(l.refreshed) < refreshInterval {
		return
	}
	l.refreshed = now
	l.complain("refresh", l.kube.Refresh(ctx, now.UTC().Format(time.RFC3339)))
}

// lookAtVolume grows the volume where it is smaller than wanted, and says when it fills.
func (l *loop) lookAtVolume(ctx context.Context, config instance.Config) {
	l.noteFilling()
	now := time.Now()
	if l.diskRequest == config.DataDiskSize && (atLeast(l.diskSize, config.DataDiskSize) || now.Sub(l.diskChecked) < volumeInterval) {
		return
	}
	l.diskChecked, l.diskRequest = now, config.DataDiskSize
	size, err := l.kube.GrowVolume(ctx, config.DataDiskSize)
	if size != "" {
		l.diskSize = size
	}
	switch {
	case errors.Is(err, kube.ErrCannotGrow):
		l.incidents.raise(instance.IncidentDataDiskCannotGrow, fmt.Sprintf("The data volume cannot grow to %s: %s. Set allowVolumeExpansion in its storage class, if the storage can grow. Otherwise delete the DBCluster without its volumes (volumeRetentionPolicy: Retain) and create it again with the size before: it finds its data.", config.DataDiskSize, err), now)
	case err != nil:
		l.complain("volume", err)
	default:
		l.complain("volume", nil)
		l.incidents.clear(instance.IncidentDataDiskCannotGrow)
		if !atLeast(l.diskSize, config.DataDiskSize) {
			l.refresh(ctx)
		}
	}
}

func (l *loop) noteFilling() {
	usage, err := volume.Use(instance.FolderVolume)
	l.complain("disk", err)
	l.used, l.free = usage.Part, usage.Room()
	if l.used < full {
		l.incidents.clear(incidentDiskFilling)
		return
	}
	l.incidents.raise(incidentDiskFilling, fmt.Sprintf("The data volume is more than %.0f%% full. PostgreSQL stops when it is full: make the DataDisk larger, or delete data.", full*100), time.Now())
}

// write reports what has changed. A step of a start that goes on has to last before it is told: each report has Crossplane apply
// again all that the claim became.
func (l *loop) write(ctx context.Context, r instance.Report) {
	if l.written != nil && reflect.DeepEqual(*l.written, r) {
		l.stepSince = time.Time{}
		return
	}
	now := time.Now()
	if l.stepSince.IsZero() {
		l.stepSince = now
	}
	if isStep(l.written, r) && now.Sub(l.stepSince) < stepLasts {
		return
	}
	l.stepSince = time.Time{}
	err := l.kube.WriteReport(ctx, r)
	l.complain("report", err)
	if err == nil {
		l.written = &r
	}
}

// reportPromotion says that this instance has become the primary, before it sees to all that a new primary has to do: who looks at the
// claim after a failover looks for that first.
func (l *loop) reportPromotion(ctx context.Context, member *patroni.Member) {
	if member == nil || l.written == nil || !promoted(*l.written, *member) {
		return
	}
	r := *l.written
	r.Role, r.State, r.Timeline = instance.RolePrimary, instance.StateRunning, member.Timeline
	l.write(ctx, r)
}

// promoted says whether an instance that was reported to be a standby is the primary.
func promoted(before instance.Report, member patroni.Member) bool {
	return before.Role == instance.RoleStandby && member.IsPrimary() && member.State == "running"
}

// isStep says whether a report differs from the one before only in how far an instance is that does not serve.
func isStep(before *instance.Report, now instance.Report) bool {
	return before != nil && !before.Serves() && !now.Serves() && reflect.DeepEqual(before.Incidents, now.Incidents)
}

// reportStopped is the last thing that an instance says.
func (l *loop) reportStopped(ctx context.Context) {
	if l.written == nil {
		return
	}
	r := *l.written
	r.State, r.Role = instance.StateStopped, instance.RoleUnknown
	if err := l.kube.WriteReport(ctx, r); err != nil {
		l.log.Warn("Cannot report the end", "error", err.Error())
	}
}

// complain logs what goes wrong with a task once, and once when it goes right again.
func (l *loop) complain(task string, err error) {
	said, now := l.complaints[task], ""
	if err != nil {
		now = err.Error()
	}
	if now == said {
		return
	}
	l.complaints[task] = now
	if err != nil {
		l.log.Warn("A task failed and is tried again", "task", task, "error", now)
		return
	}
	l.log.Info("A task that had failed is done", "task", task)
}

func atLeast(size, wanted string) bool {
	s, err := resource.ParseQuantity(size)
	if err != nil {
		return false
	}
	w, err := resource.ParseQuantity(wanted)
	return err == nil && s.Cmp(w) >= 0
}

// incidents remember since when each is there.
type incidents map[string]instance.Incident

func (i incidents) raise(code, message string, now time.Time) {
	if there, ok := i[code]; ok && there.Message == message {
		return
	}
	i[code] = instance.Incident{Code: code, Message: message, Since: now.UTC().Format(time.RFC3339)}
}

func (i incidents) clear(code string) { delete(i, code) }

func (i incidents) list() []instance.Incident {
	return slices.Collect(maps.Values(i))
}
