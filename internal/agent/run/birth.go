package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/restore"
	"github.com/xdbcluster/xdbcluster/internal/agent/volume"
)

// restoreRetry is how long to wait before a restore that failed is tried again. The wait doubles up to restoreRetryMost.
const (
	restoreRetry     = 2 * time.Second
	restoreRetryMost = 30 * time.Second
)

// birthRetry is how often the agent asks again what Patroni knows of the cluster.
const birthRetry = 200 * time.Millisecond

// A beginning is how an instance on a volume where no database was ever seen to answer begins.
type beginning int

const (
	// beginAsItIs leaves the volume and Patroni's state as they are.
	beginAsItIs beginning = iota

	// beginAnew removes what an interrupted birth, or an earlier cluster of the same name, left. Patroni would wait for ever
	// for the instance that it takes to be at it.
	beginAnew

	// beginAsCopy removes what an interrupted copy left; Patroni copies the database from the primary.
	beginAsCopy

	// beginLater waits until the first instance has made the database.
	beginLater

	// beginNever starts nothing: the cluster's database was born, and an empty one must not take its place.
	beginNever
)

// A situation is what an instance finds that has no database of its own.
type situation struct {
	// First says that the instance is the one that makes a cluster's database. The others copy it.
	First bool

	// Alone says that the cluster has no other instance that could have the database.
	Alone bool

	// HasDatabase says that there is a database in the data directory, whole enough to be started.
	HasDatabase bool

	// KeptElsewhere says that another instance has a volume from an earlier cluster of the same name.
	KeptElsewhere bool

	// State is what Patroni wrote down of the cluster.
	State kube.PatroniState
}

// begin decides by what Patroni wrote down of the cluster. It marks a birth that is going on with an empty identifier, replaces that
// when there is a database, and takes the leader lock before anybody can log in. A database that it does not hand over then has a place
// in no plan of Patroni's: it would be a standby for ever.
func begin(s situation) beginning {
	born := s.State.SystemIdentifier != ""
	switch {
	case !s.First && born && s.State.Ours && s.HasDatabase:
		return beginAsItIs
	case !s.First && born && s.State.Ours:
		return beginAsCopy
	case !s.First:
		return beginLater
	case s.HasDatabase && s.State.Initialized && (!born || !s.State.Led && !s.State.Ours):
		return beginAnew
	case s.HasDatabase:
		return beginAsItIs
	case born && s.State.Ours && s.Alone:
		return beginNever
	case born && (s.State.Ours || s.KeptElsewhere):
		return beginAsCopy
	case s.KeptElsewhere:
		return beginNever
	}
	return beginAnew
}

// awaitBeginning returns when Patroni can start on a volume. It asks the API server about one without a database only: the
// others start while the API server is away.
func (a *Agent) awaitBeginning(ctx context.Context, vol *volume.Volume) error {
	if vol.Identity().SystemIdentifier != "" {
		return nil
	}
	stop := a.alive.keep(ctx)
	defer stop()
	for pause := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		s, err := a.situation(ctx, vol)
		if err != nil {
			a.log.Warn("Cannot tell yet whether the cluster's database was born", "error", err.Error())
			pause = birthRetry
			continue
		}
		switch begin(s) {
		case beginAsItIs:
			return nil
		case beginAnew:
			return a.beginAnew(ctx, vol)
		case beginAsCopy:
			return vol.Clear()
		case beginLater:
			pause = birthRetry
		case beginNever:
			a.reportWaiting(ctx, instance.IncidentDataVolumeEmpty, fmt.Sprintf("The instance does not start: the cluster's database %s was born, and its data volume is empty. Put the volume's content back; or, if there are backups or the data is to be given up, delete the DBCluster and all its volumes and create it again, with ifBackupsExist Restore to begin with the backups.", s.State.SystemIdentifier))
			pause = refusedRetry
		}
	}
}

func (a *Agent) situation(ctx context.Context, vol *volume.Volume) (situation, error) {
	config := a.current()
	state, err := a.kube.PatroniState(ctx, config.Owner)
	if err != nil {
		return situation{}, err
	}
	has, err := vol.HasDatabase()
	if err != nil {
		return situation{}, err
	}
	s := situation{First: a.ordinal() == 0, Alone: config.Instances <= 1, HasDatabase: has, State: state}
	// What other volumes have of another incarnation is not what this one begins with.
	if s.First && !state.Ours && (a.incarnation == nil || a.incarnation.Restore == nil) {
		kept, err := a.kube.KeptVolume(ctx, config.Owner.Created, maximumInstances)
		if err != nil {
			return situation{}, err
		}
		s.KeptElsewhere = kept != ""
	}
	return s, nil
}

// maximumInstances that a cluster can have.
const maximumInstances = 6

func (a *Agent) ordinal() int {
	ordinal, ok := naming.Cluster{Name: a.current().Cluster}.Ordinal(a.env.Pod)
	if !ok {
		return maximumInstances // It never makes a database.
	}
	return ordinal
}

func (a *Agent) beginAnew(ctx context.Context, vol *volume.Volume) error {
	if err := vol.Clear(); err != nil {
		return err
	}
	forgotten, err := a.kube.ForgetPatroniState(ctx)
	if err != nil {
		return err
	}
	if len(forgotten) > 0 {
		a.log.Info("Removed what Patroni knew of a database that is not there", "configMaps", forgotten)
	}
	if wanted, source := a.toRestore(); wanted != nil {
		return a.restore(ctx, vol, *wanted, source)
	}
	return a.inherit(ctx, vol)
}

// restore makes the cluster's database from a backup. It goes on until there is one: an empty database
// must not take its place.
func (a *Agent) restore(ctx context.Context, vol *volume.Volume, wanted instance.Restore, source string) error {
	restorer := restore.New(wanted, source, vol.MakingDirectory(), patroni.BinaryFolder(a.current().Version), a.log)
	for pause := restoreRetry; ; pause = min(2*pause, restoreRetryMost) {
		began := time.Now()
		_, err := restorer.Restore(ctx)
		if err == nil {
			return vol.Adopt()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		wait := max(pause, time.Since(began)) // What copied for hours, and did not find its target, does not copy again at once.
		a.reportWaiting(ctx, a.restoreIncident(err), a.restoreMessage(wanted, err))
		if errors.Is(err, restore.ErrNoRepository) {
			pause, wait = restoreRetry, restoreRetry
			if err := a.kube.Refresh(ctx, time.Now().UTC().Format(time.RFC3339)); err != nil {
				a.log.Warn("Cannot ask for the BackupPlan's Secret to be mounted", "error", err.Error())
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// awaitDiscard returns when what a Patroni that has ended left of a birth is not in the way of the next one.
func (a *Agent) awaitDiscard(ctx context.Context, vol *volume.Volume, kill func() error) {
	for {
		err := a.discardStillborn(ctx, vol, kill)
		if err == nil {
			return
		}
		a.log.Warn("Cannot tell yet whether Patroni was at making a database, or remove that", "error", err.Error())
		if !pause(ctx, birthRetry) {
			return
		}
	}
}

// discardStillborn removes a database that a Patroni which has ended was at making, so that the next one makes another. What it could not
// remove all of is removed the next time.
func (a *Agent) discardStillborn(ctx context.Context, vol *volume.Volume, kill func() error) error {
	if vol.Identity().SystemIdentifier != "" {
		return nil
	}
	s, err := a.situation(ctx, vol)
	if err != nil || !s.State.Initialized || begin(s) != beginAnew {
		return err
	}
	if err := kill(); err != nil {
		return err
	}
	if err := vol.Clear(); err != nil {
		return err
	}
	if _, err := a.kube.ForgetPatroniState(ctx); err != nil {
		return err
	}
	a.log.Warn("Patroni ended before the database that it made was ready; it is made again")
	return nil
}

func (a *Agent) restoreIncident(err error) string {
	switch {
	case errors.Is(err, restore.ErrNoRepository):
		return instance.IncidentRestoreWaits
	case a.isFinal(err):
		return instance.IncidentRestoreRefused
	}
	return instance.IncidentRestoreFails
}

// isFinal says whether a restore that failed would fail again. A cluster that is restored in place adds nothing to its archive
// meanwhile: what is not in it now will never be.
func (a *Agent) isFinal(err error) bool {
	refusal, ended := restore.Refusal{}, restore.Ended{}
	return errors.As(err, &refusal) || a.incarnation != nil && errors.As(err, &ended) && ended.Early()
}

// toRestore returns which database the instance begins with, and the folder that says where its backups are.
func (a *Agent) toRestore() (*instance.Restore, string) {
	if a.incarnation != nil {
		return a.incarnation.Restore, instance.FolderRepository
	}
	return a.current().Restore, instance.FolderSource
}

func (a *Agent) restoreMessage(wanted instance.Restore, err error) string {
	of := fmt.Sprintf("The DBCluster %s of the namespace %s is not restored %s", wanted.Cluster, wanted.Namespace, restore.Target(wanted))
	switch {
	case errors.Is(err, restore.ErrNoRepository) && wanted.ByGrant:
		return fmt.Sprintf("%s yet: no BackupPlan there grants its backups to this namespace. Have %s added to grants of that BackupPlan, whose condition GrantsAccepted says when it is in force, or set bootstrap.restore.backupPlanOf to Self and create a BackupPlan of this DBCluster with the same location and credentials of its own.", of, a.env.Namespace)
	case errors.Is(err, restore.ErrNoRepository):
		return of + " yet: there is no BackupPlan that says where its backups are. Create it; bootstrap.restore.backupPlanOf says whose it is."
	case a.isFinal(err) && a.incarnation != nil:
		return of + ": " + strings.TrimSuffix(err.Error(), ".") + "."
	case a.isFinal(err):
		return of + ": " + err.Error() + " Nothing was touched, and it is tried again: a first backup may be still to come. If none is, delete this DBCluster with its volumes, and create it with another target."
	}
	return of + ", and that is tried again: " + err.Error() + "."
}

// forgetMissing lets an instance whose database is gone copy it from the others. It says whether there are any that have
// the same database.
func (a *Agent) forgetMissing(ctx context.Context, vol *volume.Volume) (bool, error) {
	config := a.current()
	if config.Instances <= 1 {
		return false, nil
	}
	state, err := a.kube.PatroniState(ctx, config.Owner)
	if err != nil {
		return false, err
	}
	if !state.Ours || state.SystemIdentifier != vol.Identity().SystemIdentifier {
		return false, nil
	}
	a.log.Warn("The database is not on its volume any more; it is copied from the primary", "systemIdentifier", state.SystemIdentifier)
	return true, vol.Forget()
}
