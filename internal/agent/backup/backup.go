// Package backup takes one backup: it waits until the database is archived, takes the repository's lock, lets pgBackRest copy the
// files of an instance, and reports. It can be killed at any point: what is complete is found again by its annotation, and what is
// not is not offered to anybody, and gone with the next backup.
package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	names "github.com/xdbcluster/xdbcluster/functions/pgbackrest"
	"github.com/xdbcluster/xdbcluster/internal/agent/archive"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/pgbackrest"
	"github.com/xdbcluster/xdbcluster/internal/agent/repository"
)

const (
	// tick is how often a backup that waits looks again.
	tick = 2 * time.Second

	// patience is how long it waits for what must come by itself. Another backup is waited for however long it takes.
	patience = time.Hour

	// tries is how often pgBackRest may fail, and retry how long to wait after that.
	tries = 3
	retry = 20 * time.Second

	// processes is how many copy at a time.
	processes = 2

	// day is what pgBackRest counts retention in.
	day = 24 * time.Hour
)

// Reasons of phases.
const (
	reasonNotArchived = "WaitsForArchive"
	reasonNoPrimary   = "WaitsForPrimary"
	reasonLocked      = "WaitsForRepository"
	reasonCopying     = "Copying"
	reasonFailed      = "BackupFailed"
	reasonGaveUp      = "WaitedTooLong"
)

// A Taker takes one backup.
type Taker struct {
	task    instance.BackupTask
	names   naming.Operation
	cluster naming.Cluster
	lock    *repository.Lock
	kube    *kube.Client
	log     *slog.Logger
	told    instance.BackupReport
}

// New returns the taker of a backup, which runs in a Pod.
func New(task instance.BackupTask, namespace, pod string, log *slog.Logger) (*Taker, error) {
	cluster := naming.Cluster{Namespace: namespace, Name: task.Cluster}
	client, err := kube.New(cluster, pod)
	if err != nil {
		return nil, err
	}
	return &Taker{
		task: task, cluster: cluster, lock: repository.NewLock(client, pod, log), kube: client, log: log,
		names: naming.Operation{Namespace: namespace, Kind: strings.ToLower(v1alpha1.KindBackup), Name: task.Name},
	}, nil
}

// Run returns when the outcome is reported.
func (t *Taker) Run(ctx context.Context) error {
	report, err := t.take(ctx)
	if err != nil {
		return err
	}
	t.log.Info("The backup has ended", "phase", string(report.Phase), "label", report.Label, "message", report.Message)
	for {
		if err = t.tell(ctx, report); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(tick):
		}
	}
}

// take returns the outcome. An error means that the Pod is to be started again.
func (t *Taker) take(ctx context.Context) (instance.BackupReport, error) {
	for failed := 1; ; failed++ {
		p, waits, err := t.wait(ctx)
		if err != nil {
			return instance.BackupReport{}, err
		}
		if p == nil {
			return gaveUp(waits), nil
		}
		report, err := t.copy(ctx, *p)
		if err == nil {
			return report, nil
		}
		if ctx.Err() != nil {
			return instance.BackupReport{}, ctx.Err()
		}
		if failed == tries {
			return instance.BackupReport{
				Phase: v1alpha1.BackupFailed, Reason: reasonFailed, Source: p.Source,
				Message: fmt.Sprintf("It failed %d times, and nothing of it is kept. The last time: %s.", failed, err),
			}, nil
		}
		t.log.Warn("The backup failed; it is tried again", "error", err.Error())
		again := instance.BackupReport{
			Phase: v1alpha1.BackupInProgress, Reason: reasonFailed, Source: p.Source, Message: fmt.Sprintf("It is tried again: %s.", err),
		}
		if err := t.tellAndWait(ctx, again, retry); err != nil {
			return instance.BackupReport{}, err
		}
	}
}

// wait returns nothing and what was waited for when that took too long. Others' work on the repository takes as long as it takes.
func (t *Taker) wait(ctx context.Context) (*preparation, instance.BackupReport, error) {
	began := time.Now()
	for {
		p, waits, err := t.prepare(ctx)
		if err != nil || p != nil {
			return p, waits, err
		}
		if waits.Reason != reasonLocked && time.Since(began) > patience {
			return nil, waits, nil
		}
		if err := t.tellAndWait(ctx, waits, tick); err != nil {
			return nil, waits, err
		}
	}
}

func gaveUp(waits instance.BackupReport) instance.BackupReport {
	waits.Phase, waits.Reason = v1alpha1.BackupFailed, reasonGaveUp
	waits.Message = fmt.Sprintf("It has waited for %s, and nothing was done. %s Create another Backup once that is so.", patience, waits.Message)
	return waits
}

// A preparation is all that a backup needs.
type preparation struct {
	Mounted *archive.Mounted
	Program pgbackrest.Program

	// Source is the Pod whose files are read.
	Source  string
	Standby bool

	// Incarnation is the one that is backed up. Nil for the one that the cluster was born with.
	Incarnation *instance.Incarnation
}

// prepare returns nothing and what is waited for as long as something is missing.
func (t *Taker) prepare(ctx context.Context) (*preparation, instance.BackupReport, error) {
	mounted, err := archive.ReadMounted(instance.FolderRepository)
	if err != nil {
		return nil, instance.BackupReport{}, err
	}
	record, _, err := t.kube.Ledger(ctx)
	if err != nil {
		return nil, waitsFor(reasonNoPrimary, "The API server does not answer: "+err.Error()+"."), nil //nolint:nilerr // It is waited for.
	}
	reports, err := t.kube.Reports(ctx)
	if err != nil {
		return nil, waitsFor(reasonNoPrimary, "The API server does not answer: "+err.Error()+"."), nil //nolint:nilerr // It is waited for.
	}
	if mounted == nil {
		return nil, waitsFor(reasonNotArchived, "Waiting for the BackupPlan."), nil
	}
	primary, report, found := instance.Primary(reports)
	if !found || report.DataDirectory == "" {
		return nil, waitsFor(reasonNoPrimary, "Waiting for a primary of the DBCluster."), nil
	}
	if record.Archive == nil || record.Alive() == nil || record.Archive.Repository != mounted.Repository.ID() {
		return nil, waitsFor(reasonNotArchived, "Waiting for the first WAL in the repository."+said(report)), nil
	}
	source, hosts, standby := sources(t.cluster, primary, reports, mounted.Repository.Source)
	config, err := names.Settings{
		Repository: mounted.Repository, Secrets: mounted.Secrets, Folder: instance.FolderRepository, Run: archive.Folder(),
		Path:      names.Path(mounted.Repository.Prefix, t.cluster, record.Birth.Incarnation),
		Processes: processes, Instances: hosts,
	}.Render()
	if err != nil {
		return nil, instance.BackupReport{}, err
	}
	p := &preparation{Mounted: mounted, Source: source, Standby: standby, Incarnation: record.Incarnation}
	p.Program.Config = filepath.Join(archive.Folder(), "backup.conf")
	if err := errors.Join(os.MkdirAll(archive.Folder(), 0o700), os.WriteFile(p.Program.Config, config, 0o600)); err != nil {
		return nil, instance.BackupReport{}, fmt.Errorf("cannot write pgBackRest's configuration: %w", err)
	}
	if waits := t.lock.Take(ctx); waits != "" {
		return nil, waitsFor(reasonLocked, waits), nil
	}
	return p, instance.BackupReport{}, nil
}

// said returns what a primary says to be wrong with the repository.
func said(primary instance.Report) string {
	for _, i := range primary.Incidents {
		if i.Code == instance.IncidentRepositoryUnusable {
			return " " + i.Message
		}
	}
	return ""
}

func waitsFor(reason, message string) instance.BackupReport {
	return instance.BackupReport{Phase: v1alpha1.BackupPending, Reason: reason, Message: message}
}

// sources returns the instance whose files are read, and all that pgBackRest must be able to ask. A standby is read where that is
// wanted and one streams.
func sources(c naming.Cluster, primary string, reports map[string]instance.Report, wanted v1alpha1.BackupSource) (string, []names.Instance, bool) {
	host := func(name string) names.Instance {
		return names.Instance{Host: c.PodHost(name), DataDirectory: reports[name].DataDirectory}
	}
	hosts := []names.Instance{host(primary)}
	if wanted != v1alpha1.BackupFromStandby || reports[primary].Replication == nil {
		return primary, hosts, false
	}
	standbys := slices.Clone(reports[primary].Replication.Standbys)
	slices.SortFunc(standbys, func(a, b instance.Standby) int { return int(min(max(a.LagBytes-b.LagBytes, -1), 1)) })
	for _, s := range standbys {
		if s.Streaming && reports[s.Name].DataDirectory != "" {
			return s.Name, append(hosts, host(s.Name)), true
		}
	}
	return primary, hosts, false
}

// copy lets pgBackRest take the backup, while the repository is locked, and returns what was taken.
func (t *Taker) copy(ctx context.Context, p preparation) (instance.BackupReport, error) {
	ctx, release := t.lock.Hold(ctx)
	defer release()
	before, err := p.Program.Info(ctx)
	if err != nil {
		return instance.BackupReport{}, err
	}
	if done := t.find(before); done != nil {
		return t.succeed(ctx, p, before, *done)
	}
	begun := instance.BackupReport{
		Phase: v1alpha1.BackupInProgress, Reason: reasonCopying, Source: p.Source, Type: t.task.Type, Message: "The files of " + p.Source + " are copied.",
	}
	if err := t.tell(ctx, begun); err != nil {
		t.log.Warn("Cannot report that the backup begins", "error", err.Error())
	}
	arguments := []string{
		"--type=" + string(typeAfter(before, t.task.Type)),
		"--annotation=" + pgbackrest.AnnotationClaim + "=" + t.task.UID, "--annotation=" + pgbackrest.AnnotationName + "=" + t.task.Name,
		retention(before, p.Mounted.Repository.RetainDays, time.Now()),
	}
	if p.Standby {
		arguments = append(arguments, "--backup-standby")
	}
	if _, err := p.Program.Run(ctx, "backup", arguments...); err != nil {
		return instance.BackupReport{}, err
	}
	after, err := p.Program.Info(ctx)
	if err != nil {
		return instance.BackupReport{}, err
	}
	done := t.find(after)
	if done == nil {
		return instance.BackupReport{}, errors.New("pgBackRest says that it took the backup, and it is not in the repository")
	}
	t.expirePast(ctx, p, time.Now())
	return t.succeed(ctx, p, after, *done)
}

// typeAfter returns the type of backup that is to be taken: nothing continues one that is damaged.
func typeAfter(s pgbackrest.Stanza, wanted v1alpha1.BackupType) v1alpha1.BackupType {
	if newest := len(s.Backups) - 1; newest >= 0 && s.Backups[newest].Damaged {
		return v1alpha1.BackupFull
	}
	return wanted
}

// retention says for how long full backups are kept. Of those that are older pgBackRest keeps the newest, from which everything since then
// can be restored. It does not know that one is damaged: where that would be the one, the newest sound one is to be kept, too.
func retention(s pgbackrest.Stanza, days int, now time.Time) string {
	kept := days
	var next time.Duration // How old the full backup after is.
	for _, b := range slices.Backward(s.Backups) {
		if b.Type != v1alpha1.BackupFull {
			continue
		}
		age := now.Sub(b.Stop)
		if age > time.Duration(days)*day && !b.Damaged {
			kept = max(kept, int((next+day-1)/day))
			break
		}
		next = age
	}
	return fmt.Sprintf("--repo1-retention-full=%d", kept)
}

// find returns the backup of this claim.
func (t *Taker) find(s pgbackrest.Stanza) *pgbackrest.Backup {
	for _, b := range s.Backups {
		if b.Annotations[pgbackrest.AnnotationClaim] == t.task.UID {
			return &b
		}
	}
	return nil
}

// succeed writes down what is in the repository now, and returns the report of a backup that is in it.
func (t *Taker) succeed(ctx context.Context, p preparation, s pgbackrest.Stanza, b pgbackrest.Backup) (instance.BackupReport, error) {
	if err := t.kube.WriteInventory(ctx, repository.Inventory(p.Mounted.Repository.ID(), s)); err != nil {
		return instance.BackupReport{}, err
	}
	report := instance.BackupReport{
		Phase: v1alpha1.BackupSucceeded, Source: p.Source, Label: b.Label, Type: b.Type, Prior: b.Prior, Start: &b.Start, Stop: &b.Stop,
		LSN: b.LSN, WAL: b.WAL, Database: b.Database, Copied: b.Copied, Repository: b.Repository, RepositorySet: b.RepositorySet,
		RetainDays: p.Mounted.Repository.RetainDays, Message: "It is complete, and so is the WAL that it needs.",
	}
	switch {
	case b.Faulty:
		report.Message = "It is complete, but pgBackRest found damaged pages in the database's files: read the log of its Job, and look at the instance's disk."
	case b.Type != t.task.Type:
		report.Message = fmt.Sprintf("It is complete. It is a %s backup, because there was none, or only a damaged one, that a %s one could continue.", b.Type, t.task.Type)
	case p.Mounted.Repository.Source == v1alpha1.BackupFromStandby && !p.Standby:
		report.Message = "It is complete. The primary's files were read, because no standby streamed."
	}
	return report, nil
}

// tell reports when there is something new to tell.
func (t *Taker) tell(ctx context.Context, report instance.BackupReport) error {
	if report == t.told {
		return nil
	}
	if err := t.kube.WriteBackup(ctx, t.names.Objects(), report); err != nil {
		return err
	}
	t.told = report
	return nil
}

func (t *Taker) tellAndWait(ctx context.Context, report instance.BackupReport, pause time.Duration) error {
	if err := t.tell(ctx, report); err != nil {
		t.log.Warn("Cannot report how far the backup is", "error", err.Error())
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}
