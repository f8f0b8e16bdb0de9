package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Suffixes of the files in which PostgreSQL keeps whether a segment is still to be archived, or was.
const (
	ready = ".ready"
	done  = ".done"
)

// timelineLength is how much of a segment's name is its timeline, and segmentLength how long such a name is.
const (
	timelineLength = 8
	segmentLength  = 24
)

// takeOver lets a new primary archive the segments of the timelines before its own that it still has. What it received while it was a
// standby PostgreSQL takes for archived (see its walreceiver.c), whether or not the primary before came to do so: one that could not
// leaves a hole that nobody notices, and that ends every recovery. What is in the archive already is pushed again, to no effect.
func takeOver(directory string) (segments int, err error) {
	status := filepath.Join(directory, "pg_wal", "archive_status")
	entries, err := os.ReadDir(filepath.Join(directory, "pg_wal"))
	if err != nil {
		return 0, fmt.Errorf("cannot list the WAL: %w", err)
	}
	timeline := ""
	var names []string
	for _, entry := range entries {
		if name := entry.Name(); isSegment(name) {
			names, timeline = append(names, name), max(timeline, name[:timelineLength])
		}
	}
	var errs []error
	for _, name := range names {
		if name[:timelineLength] == timeline || !exists(filepath.Join(status, name+done)) {
			continue
		}
		if err := os.Rename(filepath.Join(status, name+done), filepath.Join(status, name+ready)); err != nil {
			errs = append(errs, fmt.Errorf("cannot let the segment %q be archived: %w", name, err))
			continue
		}
		segments++
	}
	return segments, errors.Join(errs...)
}

// isSegment says whether a file of the WAL is a whole segment.
func isSegment(name string) bool {
	return len(name) == segmentLength && strings.Trim(name, "0123456789ABCDEF") == ""
}
