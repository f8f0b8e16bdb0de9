package run

import (
	"context"
	"fmt"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/archive"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/restore"
	"github.com/xdbcluster/xdbcluster/internal/agent/volume"
)

// planPatience is how long a BackupPlan may take to come into force before somebody should know.
const planPatience = 10 * time.Second

// An inheritance is what an instance does about backups of an earlier cluster of the name, before it makes an empty database.
type inheritance int

const (
	// inheritNothing makes an empty database.
	inheritNothing inheritance = iota

	// inheritLater waits for what says where the backups would be.
	inheritLater

	// inheritUnknown waits for the store: an empty database must not take the place of one that may be in it.
	inheritUnknown

	// inheritRefused waits for somebody to say what is to be done.
	inheritRefused

	// inheritAll restores what there is.
	inheritAll
)

// A legacy is what is known of backups of an earlier cluster.
type legacy struct {
	Policy v1alpha1.IfBackupsExist

	// Awaited is the BackupPlan that has not said yet where backups are kept. Planned says that one has.
	Awaited string
	Planned bool

	// Mounted says that the instance has what that BackupPlan says.
	Mounted bool

	// Kept is what there is, and Err why that cannot be told.
	Kept *restore.Kept
	Err  error
}

// ask says whether the store is to be asked.
func (l legacy) ask() bool {
	return l.Policy != v1alpha1.BackupsIgnored && l.Awaited == "" && l.Planned && l.Mounted
}

func inherit(l legacy) inheritance {
	switch {
	case l.Policy == v1alpha1.BackupsIgnored, l.Awaited == "" && !l.Planned:
		return inheritNothing
	case l.Awaited != "", !l.Mounted:
		return inheritLater
	case l.Err != nil:
		return inheritUnknown
	case l.Kept == nil:
		return inheritNothing
	case l.Policy == v1alpha1.BackupsRestored:
		return inheritAll
	}
	return inheritRefused
}

// An heir is an instance that is about to make its cluster's database.
type heir struct {
	*Agent

	volume    *volume.Volume
	began     time.Time
	refreshed time.Time
	code      string // Of what was reported, and said is its message.
	said      string
	pause     time.Duration // Before what failed is tried again.
}

// inherit returns when an empty database may be made, or one was restored. What the claim says about it can change meanwhile.
func (a *Agent) inherit(ctx context.Context, vol *volume.Volume) error {
	h := &heir{Agent: a, volume: vol, began: time.Now(), pause: restoreRetry}
	for {
		done, wait, err := h.turn(ctx)
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// turn looks and acts once. It says whether the instance can go on, and how long to wait otherwise.
func (h *heir) turn(ctx context.Context) (done bool, wait time.Duration, err error) {
	// What is mounted may be older than the claim's newest word.
	config, err := h.kube.Config(ctx)
	if err != nil {
		h.log.Warn("Cannot tell yet whether the cluster has a BackupPlan", "error", err.Error())
		return false, birthRetry, nil
	}
	l := h.look(ctx, config)
	if ctx.Err() != nil {
		return false, 0, ctx.Err()
	}
	switch inherit(l) {
	case inheritLater:
		if time.Since(h.began) > planPatience {
			h.say(ctx, instance.IncidentBackupPlanAwaited, awaitMessage(l))
		}
		h.refresh(ctx, l)
		return false, tick, nil
	case inheritUnknown:
		h.say(ctx, instance.IncidentBackupsUnknown, unknownMessage(l))
		return false, h.longer(), nil
	case inheritRefused:
		h.say(ctx, instance.IncidentBackupsExist, existMessage(config.Cluster, *l.Kept))
		return false, refusedRetry, nil
	case inheritAll:
		if h.code != instance.IncidentRestoreFails && h.code != instance.IncidentRestoreRefused {
			h.unsay(ctx) // What is tried again is still in trouble.
		}
		began := time.Now()
		if _, err := h.restorer(config).Restore(ctx); err != nil {
			if ctx.Err() != nil {
				return false, 0, ctx.Err()
			}
			h.say(ctx, h.restoreIncident(err), h.restoreMessage(h.predecessor(config), err))
			return false, max(h.longer(), time.Since(began)), nil
		}
		return true, 0, h.volume.Adopt()
	case inheritNothing:
		h.unsay(ctx)
	}
	return true, 0, nil
}

// look finds out what is known. It asks the store only where that matters.
func (h *heir) look(ctx context.Context, config instance.Config) legacy {
	l := legacy{Policy: config.IfBackupsExist, Awaited: config.PlanAwaited, Planned: config.Backup != nil}
	if config.Backup != nil {
		mounted, err := archive.ReadMounted(instance.FolderRepository)
		l.Mounted, l.Err = err == nil && mounted != nil && mounted.Revision == config.Backup.Revision, err
	}
	if l.ask() {
		l.Kept, l.Err = h.restorer(config).Look(ctx)
	}
	return l
}

// predecessor is all that was archived of the earlier cluster.
func (h *heir) predecessor(config instance.Config) instance.Restore {
	return instance.Restore{Namespace: h.env.Namespace, Cluster: config.Cluster}
}

func (h *heir) restorer(config instance.Config) restore.Restorer {
	// It is the cluster's own BackupPlan that says where they are, not one of bootstrap.restore.
	return restore.New(h.predecessor(config), instance.FolderRepository, h.volume.MakingDirectory(), patroni.BinaryFolder(config.Version), h.log)
}

// say reports an incident that was not reported yet.
func (h *heir) say(ctx context.Context, code, message string) {
	if message != h.said {
		h.reportWaiting(ctx, code, message)
		h.code, h.said = code, message
	}
}

// unsay takes back what was reported, before something that takes its time.
func (h *heir) unsay(ctx context.Context) {
	if h.said != "" {
		h.reportStarting(ctx)
		h.code, h.said = "", ""
	}
}

// refresh asks for the BackupPlan's Secret to be mounted.
func (h *heir) refresh(ctx context.Context, l legacy) {
	if l.Mounted || !l.Planned || time.Since(h.refreshed) < refreshInterval {
		return
	}
	h.refreshed = time.Now()
	if err := h.kube.Refresh(ctx, h.refreshed.UTC().Format(time.RFC3339)); err != nil {
		h.log.Warn("Cannot ask for the BackupPlan's Secret to be mounted", "error", err.Error())
	}
}

// longer returns how long to wait before what failed is tried again: twice as long every time.
func (h *heir) longer() time.Duration {
	pause := h.pause
	h.pause = min(2*pause, restoreRetryMost)
	return pause
}

// otherwise says what else can be done than to wait for a store.
const otherwise = " To begin with an empty database whatever there is, set ifBackupsExist to Ignore."

func awaitMessage(l legacy) string {
	if l.Awaited != "" {
		return fmt.Sprintf("The instance does not start yet: the BackupPlan %s is not in force, and there may be backups of an earlier DBCluster of this name "+
			"where it says. Its conditions say what is missing.", l.Awaited) + otherwise
	}
	return "The instance does not start yet: it waits for the kubelet to mount the Secret of the BackupPlan, to look for backups of an earlier DBCluster of this name. " +
		"Look at the Pod's events if this lasts." + otherwise
}

func unknownMessage(l legacy) string {
	return fmt.Sprintf("The instance does not start: whether there are backups of an earlier DBCluster of this name cannot be told: %s. It is tried again.", l.Err) + otherwise
}

func existMessage(cluster string, k restore.Kept) string {
	return fmt.Sprintf("The instance does not start: there are %d backups of an earlier DBCluster of this name, and an empty database would take its place. "+
		"The newest is %s of the incarnation %s, complete at %s. To begin with all that was archived, set ifBackupsExist to Restore. "+
		"To begin with less, delete this DBCluster and create it with spec.bootstrap {restore: {sourceDBCluster: %s, backupPlanOf: Self}} and in restore the target, "+
		"for example pointInTime. To begin empty, with new backups beside the old ones, set ifBackupsExist to Ignore.",
		k.Backups, k.Label, k.Incarnation, k.Stop.UTC().Format(time.RFC3339), cluster)
}
