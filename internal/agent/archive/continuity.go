package archive

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/pgbackrest"
)

// lookTime bounds a look at what is in the archive.
const lookTime = 20 * time.Second

// segmentsPerLog is how many segments of segmentSize the second part of a segment's name counts.
const segmentsPerLog = 1 << 32 / segmentSize

// A position is the number of a segment in the WAL, whichever its timeline is.
type position uint64

// positionOf returns that of a segment's name, which isSegment.
func positionOf(segment string) position {
	log, _ := strconv.ParseUint(segment[timelineLength:2*timelineLength], 16, 32)
	number, _ := strconv.ParseUint(segment[2*timelineLength:], 16, 32)
	return position(log*segmentsPerLog + number)
}

func (p position) of(timeline int) string {
	return fmt.Sprintf("%08X%08X%08X", timeline, p/segmentsPerLog, p%segmentsPerLog)
}

// A trail is the WAL that an instance has without a gap.
type trail struct {
	// Preceding is the name of the segment before it: what must be in the archive once the instance archives the rest. Empty when there is
	// no WAL, or all from the beginning.
	Preceding string

	// Written is when its oldest segment was. The one before was written earlier.
	Written time.Time
}

// findTrail looks at the WAL in a data directory. Files that are left over from before a gap in it do not count.
func findTrail(directory string) (trail, error) {
	entries, err := os.ReadDir(filepath.Join(directory, "pg_wal"))
	if err != nil {
		return trail{}, fmt.Errorf("cannot list the WAL: %w", err)
	}
	timeline := 0
	written := map[position]time.Time{}
	for _, entry := range entries {
		name := entry.Name()
		if !isSegment(name) {
			continue
		}
		number, err := strconv.ParseInt(name[:timelineLength], 16, 32)
		if err != nil {
			return trail{}, fmt.Errorf("cannot parse the timeline of the segment %q: %w", name, err)
		}
		info, err := entry.Info()
		if err != nil {
			return trail{}, fmt.Errorf("cannot look at the segment %q: %w", name, err)
		}
		timeline, written[positionOf(name)] = max(timeline, int(number)), info.ModTime()
	}
	oldest := beginning(slices.Collect(maps.Keys(written)))
	if oldest == 0 {
		return trail{}, nil
	}
	history, err := os.ReadFile(filepath.Join(directory, "pg_wal", fmt.Sprintf("%08X.history", timeline)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return trail{}, fmt.Errorf("cannot read the history of the timeline: %w", err)
	}
	branches, err := parseHistory(history)
	if err != nil {
		return trail{}, err
	}
	return trail{Preceding: (oldest - 1).of(timelineAt(branches, timeline, oldest-1)), Written: written[oldest]}, nil
}

// beginning returns where the last run of positions without a gap begins.
func beginning(positions []position) position {
	slices.Sort(positions)
	if len(positions) == 0 {
		return 0
	}
	first := len(positions) - 1
	for first > 0 && positions[first]-positions[first-1] == 1 {
		first--
	}
	return positions[first]
}

// A branch says where a timeline was left for the next one of a history.
type branch struct {
	timeline int
	left     position
}

// parseHistory reads the history of a timeline: a line for each one before, with the LSN where it was left.
func parseHistory(raw []byte) ([]branch, error) {
	var list []branch
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		b, high, low := branch{}, uint64(0), uint64(0)
		if n, err := fmt.Sscanf(lines.Text(), "%d\t%X/%X", &b.timeline, &high, &low); err != nil && n > 0 {
			return nil, fmt.Errorf("cannot parse the history of a timeline at %q: %w", lines.Text(), err)
		} else if n == 0 {
			continue // A comment, or empty.
		}
		b.left = position((high<<32 | low) / segmentSize)
		list = append(list, b)
	}
	return list, nil
}

// timelineAt returns the timeline of the segment that a recovery to the last timeline reads at a position. The one in which a timeline was
// left it reads from the next.
func timelineAt(history []branch, last int, p position) int {
	for _, b := range history {
		if p < b.left {
			return b.timeline
		}
	}
	return last
}

// proveContinuity makes sure that nothing is missing in the archive before what this instance, the primary now, has left to archive. The one
// before may not have come to it, and a standby removes what it needs no more. Nothing can be brought forward past such a gap.
func (a *Archivist) proveContinuity(ctx context.Context, now time.Time) error {
	if a.trail.Preceding == "" || !a.primary.Load() || a.since == nil || now.Before(a.nextProof) || readFailure(a.folder) != nil {
		return nil
	}
	if a.trail.Written.Before(*a.since) { // What is before was never to be archived.
		a.trail = trail{}
		return nil
	}
	a.nextProof = now.Add(retryMost)
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	missing, err := lacks(ctx, pgbackrest.Program{Config: filepath.Join(a.folder, fileConfig)}, a.trail.Preceding)
	if err != nil {
		return fmt.Errorf("cannot see whether the archive has %s: %w", a.trail.Preceding, err)
	}
	if missing {
		err = a.beginAnew(ctx, now)
	}
	if err == nil {
		a.trail = trail{}
	}
	return err
}

// lacks says whether a segment is missing in an archive that has older ones.
func lacks(ctx context.Context, program pgbackrest.Program, segment string) (bool, error) {
	stanza, err := program.Info(ctx)
	if err != nil {
		return false, err
	}
	if !isSegment(stanza.FirstWAL) || positionOf(stanza.FirstWAL) > positionOf(segment) {
		return false, nil // Archiving began later, or what is older has expired.
	}
	archived, err := program.IsArchived(ctx, stanza, segment)
	return !archived, err
}

// beginAnew lets the recovery window begin now: what was backed up before cannot be brought forward to now, and a full backup is taken.
func (a *Archivist) beginAnew(ctx context.Context, now time.Time) error {
	record, version, err := a.kube.Ledger(ctx)
	if err != nil || record.Archive == nil || record.Archive.Repository != a.inForce.ID {
		return err
	}
	record = record.Archived(&instance.ArchiveRecord{Repository: a.inForce.ID, Since: now.UTC().Truncate(time.Second)})
	if err := a.kube.WriteLedger(ctx, record, version); err != nil {
		return err
	}
	a.since = &record.Archive.Since
	a.gap = &instance.Incident{
		Code: instance.IncidentArchiveGap, Since: now.UTC().Format(time.RFC3339),
		Message: fmt.Sprintf("The archive lacks the WAL up to %s: the primary before was lost before it had archived it, and this one does not have it any more. "+
			"The database has it; backups up to now can only be restored to a time before the gap. A full backup is taken, and the recovery window begins with that.", a.trail.Preceding),
	}
	a.log.Error(a.gap.Message, "incident", a.gap.Code)
	return nil
}

// brokenOff is the incident of a gap in the archive. It lasts until a backup after it is complete.
func (a *Archivist) brokenOff() *instance.Incident {
	if a.gap == nil || !a.primary.Load() || a.since == nil {
		return nil
	}
	inventory := a.Inventory()
	if inventory != nil && oldestUsable(*inventory, instance.Archive{Repository: a.inForce.ID, Since: a.since}) != nil {
		return nil
	}
	return a.gap
}
