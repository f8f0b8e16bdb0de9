package archive

import (
	"context"
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
	names "github.com/xdbcluster/xdbcluster/functions/pgbackrest"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/metrics"
	"github.com/xdbcluster/xdbcluster/internal/agent/pgbackrest"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
)

const (
	// tick is how often the archivist looks at what is mounted, and healthInterval how often at what PostgreSQL says.
	tick           = time.Second
	healthInterval = 5 * time.Second

	// retry is how long it waits after it failed to reach the API server or the store. Of a store it grows.
	retry     = 2 * time.Second
	retryMost = time.Minute

	// confirmInterval is how often the primary makes sure that the ledger remembers the repository that is in force.
	confirmInterval = 5 * time.Minute

	// tryTime bounds a trial of the store.
	tryTime = 2 * time.Minute
)

// A Status is what the archivist has to say.
type Status struct {
	// Archive is what is reported. Nil where there is nothing to report.
	Archive   *instance.Archive
	Incidents []instance.Incident

	// Waiting is how many segments wait to be archived, and LastArchived when the last one was.
	Waiting      int
	LastArchived time.Time
}

// An Archivist sees to it that an instance's WAL gets to where its BackupPlan says.
type Archivist struct {
	cluster  naming.Cluster
	kube     *kube.Client
	postgres *postgres.Local
	log      *slog.Logger
	secret   string // The folder that the repository's Secret is mounted in.
	folder   string
	planned  func() bool
	database func() Database
	primary  atomic.Bool
	status   atomic.Pointer[Status]
	overdue  atomic.Bool
	verified atomic.Pointer[metrics.Verifications]
	server   *server
	known    *known

	inForce      inForce
	since        *time.Time // Since when WAL is archived there.
	confirmed    time.Time  // When the ledger was seen to remember it.
	healthLooked time.Time

	tookOver  bool               // As the primary, this instance has seen to what the one before may not have archived.
	trail     trail              // What it had when it became the primary, until it is known whether all before that is archived.
	nextProof time.Time          // When it is asked for again.
	gap       *instance.Incident // That something before it is not archived. Nil when nothing is missing.

	cleared bool // As the primary, this instance has seen to it that the ledger remembers no repository.

	unusable *instance.Incident
	tried    string        // Revision that was tried last.
	pause    time.Duration // How long to wait after the next failure.
	next     time.Time     // When something that failed is tried again.
	said     string
}

// A Database is the one on an instance's volume.
type Database struct {
	SystemIdentifier string
	Directory        string
}

// InForce is what the command follows. Another one is put in force when any of it is another.
type inForce struct {
	Revision  string
	Directory string
	ID        string
	Path      string
	URL       string
	Plan      string
}

// New returns the archivist of an instance. Planned says whether the function knows of a BackupPlan.
func New(cluster naming.Cluster, client *kube.Client, local *postgres.Local, log *slog.Logger, planned func() bool, database func() Database) *Archivist {
	return &Archivist{
		cluster: cluster, kube: client, postgres: local, log: log, planned: planned, database: database,
		secret: instance.FolderRepository, folder: Folder(), server: &server{log: log}, known: &known{},
	}
}

// SetPrimary says whether this instance is the primary.
func (a *Archivist) SetPrimary(primary bool) { a.primary.Store(primary) }

// Status returns what there is to say. It is never nil.
func (a *Archivist) Status() Status {
	if s := a.status.Load(); s != nil {
		return *s
	}
	return Status{}
}

// Run goes on until the context ends.
func (a *Archivist) Run(ctx context.Context) {
	if err := os.MkdirAll(a.folder, 0o700); err != nil {
		a.log.Error("Cannot make the folder that archiving needs; WAL is kept", "error", err.Error())
		return
	}
	defer a.server.stop()
	var scheduling sync.Once
	for {
		if err := a.turn(ctx, time.Now()); err != nil {
			a.complain(err)
			a.backOff(time.Now())
		}
		if err := errors.Join(a.takeOver(), a.proveContinuity(ctx, time.Now())); err != nil {
			a.complain(err)
		}
		a.report(ctx, time.Now())
		if a.inForce.ID != "" {
			scheduling.Do(func() {
				go a.kube.WatchInventory(ctx, a.log, a.known.set)
				go a.keepSchedule(ctx)
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(tick):
		}
	}
}

// turn takes the next step.
func (a *Archivist) turn(ctx context.Context, now time.Time) error {
	mounted, err := ReadMounted(a.secret)
	if err != nil {
		return err
	}
	if mounted == nil && a.planned() {
		return a.expect()
	}
	if err := a.server.keep(mounted != nil, a.folder); err != nil {
		return err
	}
	if a.isSettled(mounted, now) || now.Before(a.next) && (mounted == nil || mounted.Revision == a.tried) {
		return nil
	}
	record, version, err := a.kube.Ledger(ctx)
	if err != nil {
		return err
	}
	if mounted != nil {
		a.tried = mounted.Revision
	}
	s := situation{
		Mounted: mounted, Primary: a.primary.Load(), Database: a.database().SystemIdentifier, Ledger: record, InForce: a.inForce.ID != "",
	}
	return a.take(ctx, decide(s), s, version, now)
}

// takeOver lets this instance archive what the primary before may have left, once it is the primary itself.
func (a *Archivist) takeOver() error {
	if !a.primary.Load() {
		a.tookOver = false
	}
	if a.tookOver || !a.primary.Load() || a.inForce.ID == "" {
		return nil
	}
	found, err := findTrail(a.inForce.Directory)
	if err != nil {
		return err
	}
	segments, err := takeOver(a.inForce.Directory)
	if err != nil {
		return err
	}
	a.tookOver, a.trail, a.nextProof = true, found, time.Time{}
	if segments > 0 {
		a.log.Info("What the primary before may not have archived is archived again", "segments", segments)
	}
	return nil
}

// expect keeps the WAL while the kubelet is about to mount where it is to go: this instance may become the primary meanwhile, and what
// the one before archived must go on.
func (a *Archivist) expect() error {
	if a.inForce.ID != "" {
		return nil
	}
	return remove(filepath.Join(a.folder, fileDiscard))
}

// isSettled says whether the command does what it should. The ledger is asked now and then whether it remembers that.
func (a *Archivist) isSettled(mounted *Mounted, now time.Time) bool {
	if !a.primary.Load() {
		a.cleared = false
	}
	if mounted == nil {
		return exists(filepath.Join(a.folder, fileDiscard)) && (a.cleared || !a.primary.Load())
	}
	return a.inForce.Revision == mounted.Revision && a.inForce.Directory == a.database().Directory && now.Sub(a.confirmed) < confirmInterval
}

func (a *Archivist) take(ctx context.Context, next step, s situation, version string, now time.Time) error {
	switch next {
	case stay:
		return nil
	case hold:
		return remove(filepath.Join(a.folder, fileDiscard))
	case discard:
		return a.discard(ctx, s, version)
	case adopt:
		a.since = &s.Ledger.Archive.Since
		return a.adopt(s, now)
	case try:
		if err := replace(filepath.Join(a.folder, fileDiscard), nil); err != nil {
			return err
		}
		return a.try(ctx, s, version, now)
	case move:
		return a.try(ctx, s, version, now)
	}
	return nil
}

// discard lets PostgreSQL drop its WAL, and lets the cluster know that what is in a repository ends here.
func (a *Archivist) discard(ctx context.Context, s situation, version string) error {
	if s.Primary && s.Ledger.Archive != nil {
		if err := a.kube.WriteLedger(ctx, s.Ledger.Archived(nil), version); err != nil {
			return err
		}
		a.log.Info("There is no BackupPlan any more; WAL is no longer archived")
	}
	// In this order: in between the command must not find neither.
	if err := replace(filepath.Join(a.folder, fileDiscard), nil); err != nil {
		return err
	}
	a.inForce, a.since, a.unusable, a.cleared = inForce{}, nil, nil, s.Primary
	return errors.Join(remove(filepath.Join(a.folder, fileConfig)), remove(filepath.Join(a.folder, fileFailure)))
}

// adopt puts a repository in force that was seen to work with this database.
func (a *Archivist) adopt(s situation, now time.Time) error {
	wanted := a.wanted(s)
	if a.inForce != wanted {
		config, err := a.render(s, wanted)
		if err != nil {
			return err
		}
		if err := replace(filepath.Join(a.folder, fileConfig), config); err != nil {
			return err
		}
		a.log.Info("WAL is archived", "repository", wanted.URL, "plan", wanted.Plan)
	}
	a.inForce, a.unusable, a.cleared, a.confirmed, a.pause, a.said = wanted, nil, false, now, 0, ""
	return remove(filepath.Join(a.folder, fileDiscard))
}

// try makes the repository, and writes down that it works.
func (a *Archivist) try(ctx context.Context, s situation, version string, now time.Time) error {
	config, err := a.render(s, a.wanted(s))
	if err != nil {
		a.raise(s, err, now)
		return err
	}
	candidate := filepath.Join(a.folder, fileCandidate)
	if err := replace(candidate, config); err != nil {
		return err
	}
	tryCtx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	if _, err := (pgbackrest.Program{Config: candidate}).Run(tryCtx, "stanza-create"); err != nil {
		a.raise(s, err, now)
		return errors.Join(fmt.Errorf("cannot use the repository: %w", err), remove(candidate))
	}
	record := s.Ledger.Archived(&instance.ArchiveRecord{Repository: s.Mounted.Repository.ID(), Since: now.UTC().Truncate(time.Second)})
	if err := a.kube.WriteLedger(ctx, record, version); err != nil {
		return err
	}
	a.since = &record.Archive.Since
	s.Ledger = record
	return errors.Join(a.adopt(s, now), remove(candidate))
}

func (a *Archivist) wanted(s situation) inForce {
	repository := s.Mounted.Repository
	path := names.Path(repository.Prefix, a.cluster, s.Ledger.Birth.Incarnation)
	return inForce{
		Revision: s.Mounted.Revision, Directory: a.database().Directory, ID: repository.ID(), Path: path,
		URL: names.URL(repository, path), Plan: repository.Plan,
	}
}

func (a *Archivist) render(s situation, wanted inForce) ([]byte, error) {
	return names.Settings{
		Repository: s.Mounted.Repository, Path: wanted.Path, Secrets: s.Mounted.Secrets, Folder: a.secret, Run: a.folder,
		Instances: []names.Instance{{DataDirectory: wanted.Directory}},
	}.Render()
}

// raise reports that the repository cannot be used.
func (a *Archivist) raise(s situation, err error, now time.Time) {
	meanwhile := "Until it works there are no backups"
	if s.Ledger.Archive != nil {
		meanwhile = "Until it works WAL goes to the one before"
	}
	message := fmt.Sprintf("The repository of the BackupPlan %s cannot be used: %s. %s; it is tried again.", s.Mounted.Repository.Plan, err, meanwhile)
	if a.unusable == nil {
		a.unusable = &instance.Incident{Code: instance.IncidentRepositoryUnusable, Since: now.UTC().Format(time.RFC3339)}
	}
	a.unusable.Message = message
}

// backOff waits longer after each failure, and no longer than a minute.
func (a *Archivist) backOff(now time.Time) {
	a.pause = min(max(2*a.pause, retry), retryMost)
	a.next = now.Add(a.pause)
}

// complain logs what goes wrong once.
func (a *Archivist) complain(err error) {
	if err.Error() == a.said {
		return
	}
	a.said = err.Error()
	a.log.Warn("Archiving needs something that failed; it is tried again", "error", a.said)
}
