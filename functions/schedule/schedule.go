// Package schedule says when backups are due, and when they are to be tried.
package schedule

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// Default is when backups are taken where nothing else is said.
const Default = "0 0 * * *"

// OverdueAfter is how long after it was due a backup may still be on its way.
const OverdueAfter = 3 * time.Hour

// A Schedules is when each type of backup is due.
type Schedules map[v1alpha1.BackupType]cron.Schedule

// Parse reads schedules in cron's notation, in UTC.
func Parse(texts map[v1alpha1.BackupType]string) (Schedules, error) {
	parsed := make(Schedules, len(texts))
	for _, kind := range slices.Sorted(maps.Keys(texts)) {
		s, err := parse(texts[kind], string(kind)+" backups")
		if err != nil {
			return nil, err
		}
		parsed[kind] = s
	}
	return parsed, nil
}

func parse(text, of string) (cron.Schedule, error) {
	s, err := cron.ParseStandard("CRON_TZ=UTC " + text)
	if err != nil {
		return nil, fmt.Errorf("the schedule %q of %s cannot be read: %w", text, of, err)
	}
	if s.Next(time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, fmt.Errorf("the schedule %q of %s never comes", text, of)
	}
	return s, nil
}

// Next returns when the next backup is due after a time. The zero time when there are no schedules.
func (s Schedules) Next(after time.Time) time.Time {
	var next time.Time
	for _, schedule := range s {
		if t := schedule.Next(after.UTC()); next.IsZero() || t.Before(next) {
			next = t
		}
	}
	return next
}

// Due returns the backup that is to be taken now, when the last one was taken care of at a time. Of several that have become
// due since it is one: that of the type which copies most. The time is when a backup was due last, so that it names what was
// missed once, however often that was.
func (s Schedules) Due(since, now time.Time) (v1alpha1.BackupType, time.Time, bool) {
	var (
		due  v1alpha1.BackupType
		last time.Time
	)
	for _, kind := range []v1alpha1.BackupType{v1alpha1.BackupFull, v1alpha1.BackupDifferential, v1alpha1.BackupIncremental} {
		schedule, ok := s[kind]
		if !ok {
			continue
		}
		at := latest(schedule, since.UTC(), now.UTC())
		if at.IsZero() {
			continue
		}
		if due == "" {
			due = kind
		}
		if at.After(last) {
			last = at
		}
	}
	return due, last, due != ""
}

// Overdue returns when a backup was due that is not there though it should be by now, when the newest one began at a time.
func (s Schedules) Overdue(newest, now time.Time) (time.Time, bool) {
	_, at, missed := s.Due(newest, now.Add(-OverdueAfter))
	return at, missed
}

// VerificationOverdueAfter is how long after it was due a verification may still be on its way: a large database is restored for
// hours.
const VerificationOverdueAfter = 24 * time.Hour

// A Verification is when backups are to be tried.
type Verification struct{ schedule cron.Schedule }

// ParseVerification reads a schedule in cron's notation, in UTC.
func ParseVerification(text string) (Verification, error) {
	s, err := parse(text, "verification")
	return Verification{schedule: s}, err
}

// Next returns when the next verification is due after a time.
func (v Verification) Next(after time.Time) time.Time { return v.schedule.Next(after.UTC()) }

// Due returns when a verification was due last, when the last one was taken care of at a time. Of several that were missed it is
// one.
func (v Verification) Due(since, now time.Time) (time.Time, bool) {
	at := latest(v.schedule, since.UTC(), now.UTC())
	return at, !at.IsZero()
}

// Overdue returns when a verification was due that should be over by now.
func (v Verification) Overdue(since, now time.Time) (time.Time, bool) {
	return v.Due(since, now.Add(-VerificationOverdueAfter))
}

// latest returns the last time after since that is not after now. It looks back no further than it has to: a schedule of every
// minute comes half a million times a year.
func latest(s cron.Schedule, since, now time.Time) time.Time {
	for _, back := range []time.Duration{time.Hour, 24 * time.Hour, 32 * 24 * time.Hour, 5 * 366 * 24 * time.Hour} {
		from := now.Add(-back)
		if from.Before(since) {
			from = since
		}
		var last time.Time
		for t := s.Next(from); !t.IsZero() && !t.After(now); t = s.Next(t) {
			last = t
		}
		if !last.IsZero() || !from.After(since) {
			return last
		}
	}
	return time.Time{}
}
