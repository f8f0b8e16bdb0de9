package archive

import (
	"context"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/schedule"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/metrics"
	"github.com/xdbcluster/xdbcluster/internal/agent/volume"
)

// failingAfter is how long the store may refuse a segment before people are told: a request fails now and then.
const failingAfter = 30 * time.Second

// segmentSize is how large a WAL segment is.
const segmentSize = 16 << 20

// report writes down what there is to say. Only a primary has something to say.
func (a *Archivist) report(ctx context.Context, now time.Time) {
	if !a.primary.Load() || a.inForce.ID == "" && a.unusable == nil {
		a.status.Store(&Status{Incidents: a.incidents(nil)})
		return
	}
	before := a.Status()
	if now.Sub(a.healthLooked) < healthInterval && before.Archive != nil && before.Archive.Repository == a.inForce.ID && a.unusable == nil {
		return
	}
	a.healthLooked = now
	if a.inForce.ID == "" {
		a.status.Store(&Status{Archive: &instance.Archive{State: instance.ArchiveStarting}, Incidents: a.incidents(nil)})
		return
	}
	a.status.Store(a.look(ctx, now, before))
}

// look asks PostgreSQL and the command how archiving goes.
func (a *Archivist) look(ctx context.Context, now time.Time, before Status) *Status {
	s := &Status{
		Waiting: waiting(a.inForce.Directory), LastArchived: before.LastArchived,
		Archive: &instance.Archive{Repository: a.inForce.ID, Path: a.inForce.Path, State: instance.Archiving, Since: a.since},
	}
	if last, err := a.postgres.LastArchived(ctx); err == nil && !last.IsZero() {
		s.LastArchived = last
		if oldest := oldestWaiting(a.inForce.Directory); !oldest.IsZero() && oldest.Before(last) {
			s.LastArchived = oldest // When a segment was pushed says nothing about those after it.
		}
	}
	if a.since != nil && s.LastArchived.After(*a.since) {
		step := s.LastArchived.UTC().Truncate(instance.ArchiveStep)
		if step.Before(*a.since) {
			step = *a.since
		}
		s.Archive.Last = &step
	}
	failed := readFailure(a.folder)
	if failed != nil && now.Sub(failed.Since) >= failingAfter {
		s.Archive.State = instance.ArchiveFailing
		s.Incidents = a.incidents(a.failing(*failed, s.Waiting))
		return s
	}
	s.Incidents = a.incidents(nil)
	return s
}

func (a *Archivist) incidents(failing *instance.Incident) []instance.Incident {
	var list []instance.Incident
	for _, i := range []*instance.Incident{a.unusable, failing, a.brokenOff(), a.unverified()} {
		if i != nil {
			list = append(list, *i)
		}
	}
	return list
}

// unverified is the incident of a backup that was tried and is not sound, or could not be tried. It lasts until the next one is.
func (a *Archivist) unverified() *instance.Incident {
	tried := a.verifications()
	if !a.primary.Load() || tried == nil || tried.Count == 0 || tried.Last.Result == v1alpha1.VerificationSucceeded {
		return nil
	}
	return &instance.Incident{
		Code: instance.IncidentVerificationFailed, Since: tried.Last.Time.UTC().Format(time.RFC3339), Message: tried.Last.Message,
	}
}

// verifications are what came of trying the backups of the repository that is in force. Nil when nothing is known, or they are not
// tried any more.
func (a *Archivist) verifications() *instance.Verifications {
	last := a.known.get()
	mounted, err := ReadMounted(a.secret)
	if last == nil || err != nil || mounted == nil || mounted.Repository.Verification == "" || a.inForce.ID == "" || last.Verifications.Repository != a.inForce.ID {
		return nil
	}
	return &last.Verifications
}

// failing is the incident of a store that takes nothing.
func (a *Archivist) failing(f failure, segments int) *instance.Incident {
	full := ""
	if usage, err := volume.Use(instance.FolderVolume); err == nil {
		full = fmt.Sprintf(" The volume is %.0f%% full, and PostgreSQL stops when it is.", 100*usage.Part)
	}
	return &instance.Incident{
		Code: instance.IncidentArchivingFails, Since: f.Since.UTC().Format(time.RFC3339),
		Message: fmt.Sprintf("WAL is not archived: %s. %s or more of it wait on the data volume, and nothing is lost.%s", f.Cause, coarse(segments), full),
	}
}

// Metrics returns what Prometheus is shown. Nil where there is nothing to show: on a standby, or without a repository that works.
func (a *Archivist) Metrics() *metrics.Backups {
	s := a.Status()
	if s.Archive == nil || s.Archive.Since == nil {
		return nil
	}
	m := &metrics.Backups{
		Since: *s.Archive.Since, Failing: s.Archive.State == instance.ArchiveFailing, Waiting: s.Waiting, LastArchived: s.LastArchived,
		Overdue: a.overdue.Load(),
	}
	if mounted, err := ReadMounted(a.secret); err == nil && mounted != nil {
		m.Retention = time.Duration(mounted.Repository.RetainDays) * 24 * time.Hour
	}
	inventory := a.Inventory()
	if inventory == nil {
		return m
	}
	for _, b := range inventory.Backups {
		m.Bytes += b.Size
		if b.Damaged {
			m.Damaged++
			continue
		}
		m.Stops = append(m.Stops, b.Stop)
	}
	m.Verifications = a.verified.Load()
	return m
}

// judge says what the metrics show of trying backups. Nil where they are not tried.
func judge(r instance.Repository, archive instance.Archive, known kube.Known, now time.Time) (*metrics.Verifications, error) {
	if r.Verification == "" || r.Paused {
		return nil, nil
	}
	schedule, err := schedule.ParseVerification(r.Verification)
	if err != nil {
		return nil, err
	}
	v, since := &metrics.Verifications{}, known.Schedule.VerificationSince
	if tried := known.Verifications; tried.Repository == archive.Repository && tried.Count > 0 {
		v.Failed = tried.Last.Result != v1alpha1.VerificationSucceeded
		if tried.Sound != nil {
			v.Sound = *tried.Sound
		}
		if tried.Handled.After(since) {
			since = tried.Handled
		}
	}
	if known.Schedule.Verification == r.Verification && oldestUsable(known.Inventory, archive) != nil {
		_, v.Overdue = schedule.Overdue(since, now)
	}
	return v, nil
}

// coarse rounds the size of segments down to a power of two, so that a report changes seldom.
func coarse(segments int) string {
	if segments == 0 {
		return "0"
	}
	rounded := int64(segmentSize) << (bits.Len(uint(segments)) - 1) //nolint:gosec // It counts files.
	return resource.NewQuantity(rounded, resource.BinarySI).String()
}

// waiting returns how many segments wait to be archived.
func waiting(directory string) int { return len(filesWaiting(directory)) }

func filesWaiting(directory string) []string {
	found, err := filepath.Glob(filepath.Join(directory, "pg_wal", "archive_status", "*"+ready))
	if err != nil {
		return nil
	}
	return found
}

// oldestWaiting returns when the first segment that waits to be archived was complete. Zero when none waits.
func oldestWaiting(directory string) time.Time {
	oldest := time.Time{}
	for _, file := range filesWaiting(directory) {
		info, err := os.Stat(file)
		if err == nil && (oldest.IsZero() || info.ModTime().Before(oldest)) {
			oldest = info.ModTime()
		}
	}
	return oldest
}
