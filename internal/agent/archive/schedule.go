package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/schedule"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
)

const (
	// scheduleInterval is how often the schedule is looked at, and tidyInterval how often Backups are looked for that name what
	// is no longer there.
	scheduleInterval = 2 * time.Second
	tidyInterval     = 10 * time.Minute

	// firstRetry is how long after a first backup was asked for another one is, when that has failed.
	firstRetry = time.Hour
)

// A known repository is what was seen of it last.
type known struct {
	mu   sync.Mutex
	last *kube.Known
}

func (k *known) set(last kube.Known) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = &last
}

func (k *known) get() *kube.Known {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last
}

// Inventory is what is known to be in the repository that is in force. Nil when nothing is known.
func (a *Archivist) Inventory() *instance.Inventory {
	last, archive := a.known.get(), a.Status().Archive
	if last == nil || archive == nil || last.Inventory.Repository != archive.Repository {
		return nil
	}
	return &last.Inventory
}

// keepSchedule creates Backups when they are due, as long as this instance is the primary of a database that is archived, and
// takes those away that name what is no longer there.
func (a *Archivist) keepSchedule(ctx context.Context) {
	tidied, said := time.Time{}, ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(scheduleInterval):
		}
		now := time.Now()
		err := a.keepDue(ctx, now)
		if err == nil && a.primary.Load() && a.Inventory() != nil && now.Sub(tidied) > tidyInterval {
			tidied = now
			err = a.tidy(ctx, now)
		}
		if err != nil && err.Error() != said {
			said = err.Error()
			a.log.Warn("The schedule of backups cannot be kept now; it is tried again", "error", said)
		}
	}
}

// keepDue creates the Backup that is due now, if any.
func (a *Archivist) keepDue(ctx context.Context, now time.Time) error {
	archive := a.Status().Archive
	last := a.known.get()
	if archive == nil || archive.Since == nil || last == nil || !a.primary.Load() {
		return nil
	}
	mounted, err := ReadMounted(a.secret)
	if err != nil || mounted == nil || mounted.Repository.ID() != archive.Repository {
		return err
	}
	d, err := due(mounted.Repository, *archive, last.Inventory, last.Schedule, now)
	if err != nil {
		return err
	}
	a.overdue.Store(d.Overdue)
	verified, err := judge(mounted.Repository, *archive, *last, now)
	if err != nil {
		return err
	}
	a.verified.Store(verified)
	if err := a.create(ctx, mounted.Repository.Plan, d); err != nil {
		return err
	}
	if d.Remember == last.Schedule {
		return nil
	}
	if err := a.kube.WriteSchedule(ctx, d.Remember); err != nil {
		return err
	}
	next := *last
	next.Schedule = d.Remember
	a.known.set(next)
	return nil
}

// create creates the Backup that is due, if any.
func (a *Archivist) create(ctx context.Context, plan string, d decision) error {
	if d.Backup == "" {
		return nil
	}
	list, err := a.kube.ScheduledBackups(ctx, plan)
	if err != nil || madeUpFor(list, d) {
		return err
	}
	name := plan + "-" + d.At.UTC().Format("060102150405") // Two first backups, of a database before and after a restore, may be due in a minute.
	if err := a.kube.CreateBackup(ctx, plan, name, d.Backup); err != nil {
		return err
	}
	a.log.Info("A backup is due", "backup", name, "type", string(d.Backup))
	return nil
}

// madeUpFor says whether a Backup of the schedule makes up for the one that is due, because it has not begun yet and copies as much:
// every time that comes while none can be taken would have one of its own otherwise. The first backup that was asked for before may
// also go on.
func madeUpFor(list []v1alpha1.Backup, d decision) bool {
	most := []v1alpha1.BackupType{v1alpha1.BackupFull, v1alpha1.BackupDifferential, v1alpha1.BackupIncremental}
	return slices.ContainsFunc(list, func(b v1alpha1.Backup) bool {
		if b.DeletionTimestamp != nil {
			return false
		}
		if d.Again {
			return !b.Status.Phase.Final()
		}
		kind := v1alpha1.BackupFull
		if s := b.Spec.PhysicalBackupSpec; s != nil && s.BackupType != "" {
			kind = s.BackupType
		}
		waits := b.Status.Phase == "" || b.Status.Phase == v1alpha1.BackupPending
		return waits && slices.Index(most, kind) <= slices.Index(most, d.Backup)
	})
}

// A decision is what is due, and what is to be remembered of it.
type decision struct {
	// Backup that is to be taken. Empty when none is due.
	Backup v1alpha1.BackupType

	// At is when it was due.
	At time.Time

	// Again says that it is the first backup, and was asked for before.
	Again bool

	// Overdue says that the newest backup is older than it should be.
	Overdue bool

	Remember instance.Schedule
}

// due says what is due. The first backup of a database at a place is: nothing can be restored before it. What came due while
// nobody looked is made up for once. What came due while the plan was paused, or had other schedules, is not.
func due(r instance.Repository, archive instance.Archive, inventory instance.Inventory, remembered instance.Schedule, now time.Time) (decision, error) {
	schedules, err := schedule.Parse(r.Schedules)
	if err != nil {
		return decision{}, err
	}
	d := decision{Remember: remembered}
	plan, err := planOf(r)
	if err != nil {
		return decision{}, err
	}
	minute := now.UTC().Truncate(time.Minute)
	if remembered.Plan != plan {
		d.Remember.Plan, d.Remember.Handled = plan, minute
	}
	if remembered.Verification != r.Verification {
		d.Remember.Verification, d.Remember.VerificationSince = r.Verification, minute
	}
	if r.Paused {
		return d, nil
	}
	if newest := len(inventory.Backups) - 1; newest >= 0 {
		_, d.Overdue = schedules.Overdue(inventory.Backups[newest].Start, now)
	}
	first := archive.Repository + "@" + archive.Since.UTC().Format(time.RFC3339)
	d.Again = remembered.First == first
	if oldestUsable(inventory, archive) == nil && (!d.Again || now.Sub(remembered.FirstAt) >= firstRetry) {
		d.Backup, d.At = v1alpha1.BackupFull, now
		d.Remember.First, d.Remember.FirstAt, d.Remember.Handled = first, minute, minute
		return d, nil
	}
	d.Again = false
	if kind, at, isDue := schedules.Due(d.Remember.Handled, now); isDue {
		d.Backup, d.At, d.Remember.Handled = kind, at, at
	}
	return d, nil
}

// planOf identifies schedules, and whether they are kept.
func planOf(r instance.Repository) (string, error) {
	raw, err := json.Marshal(map[string]any{"schedules": r.Schedules, "paused": r.Paused})
	if err != nil {
		return "", fmt.Errorf("cannot encode the schedules: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8]), nil
}

// oldestUsable returns the oldest backup that can be restored and brought forward to now. Nil when there is none.
func oldestUsable(inventory instance.Inventory, archive instance.Archive) *instance.StoredBackup {
	if inventory.Repository != archive.Repository {
		return nil
	}
	for i, b := range inventory.Backups {
		if !b.Damaged && !b.Start.Before(archive.Since.Truncate(time.Second)) {
			return &inventory.Backups[i]
		}
	}
	return nil
}

// tidy deletes the Backups of the schedule that name what is no longer in the repository, and failed ones that are older than
// anything in it would be.
func (a *Archivist) tidy(ctx context.Context, now time.Time) error {
	inventory := a.Inventory()
	mounted, err := ReadMounted(a.secret)
	if err != nil || mounted == nil || inventory == nil || !a.primary.Load() {
		return err
	}
	list, err := a.kube.ScheduledBackups(ctx, mounted.Repository.Plan)
	if err != nil {
		return err
	}
	for _, name := range obsolete(list, *inventory, time.Duration(mounted.Repository.RetainDays)*24*time.Hour, now) {
		if err := a.kube.DeleteBackup(ctx, name); err != nil {
			return err
		}
		a.log.Info("A Backup was deleted that named what is no longer in the repository", "backup", name)
	}
	return nil
}

// obsolete returns the names of Backups that are of no more use. One that is new may not be in the inventory yet; one that has
// expired was, also when backups are kept for longer now.
func obsolete(list []v1alpha1.Backup, inventory instance.Inventory, retention time.Duration, now time.Time) []string {
	var names []string
	for _, b := range list {
		old := now.Sub(b.CreationTimestamp.Time) > retention
		stored := slices.ContainsFunc(inventory.Backups, func(s instance.StoredBackup) bool { return s.Label == b.Status.Label })
		switch {
		case b.Spec.Manual:
		case b.Status.Phase == v1alpha1.BackupExpired,
			old && b.Status.Phase == v1alpha1.BackupFailed,
			old && b.Status.Phase == v1alpha1.BackupSucceeded && !stored:
			names = append(names, b.Name)
		}
	}
	return names
}
