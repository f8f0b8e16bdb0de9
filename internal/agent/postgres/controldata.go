package postgres

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrNotShutDown says that PostgreSQL did not end in order.
var ErrNotShutDown = errors.New("PostgreSQL did not shut down in order")

// ShutdownCheckpoint returns where the last record of a primary's WAL begins, in bytes, and its timeline, whose PostgreSQL has shut
// down in order: it is the checkpoint of the shutdown.
func ShutdownCheckpoint(ctx context.Context, binaries, dataDirectory string) (position uint64, timeline int, err error) {
	out, err := controlData(ctx, binaries, dataDirectory)
	if err != nil {
		return 0, 0, err
	}
	return shutdownCheckpoint(out)
}

// ClusterState returns what PostgreSQL says about itself in the control file, for example "in production" or "shut down".
func ClusterState(ctx context.Context, binaries, dataDirectory string) (string, error) {
	out, err := controlData(ctx, binaries, dataDirectory)
	if err != nil {
		return "", err
	}
	return parseControlData(out)["Database cluster state"], nil
}

// LastSetting returns what a setting was when PostgreSQL last ran, by its name in the control file, for example "max_connections".
func LastSetting(ctx context.Context, binaries, dataDirectory, name string) (string, error) {
	out, err := controlData(ctx, binaries, dataDirectory)
	if err != nil {
		return "", err
	}
	value, there := parseControlData(out)[name+" setting"]
	if !there {
		return "", fmt.Errorf("the control file does not say what %s was", name)
	}
	return value, nil
}

// HasChecksums says whether pages have checksums.
func HasChecksums(ctx context.Context, binaries, dataDirectory string) (bool, error) {
	out, err := controlData(ctx, binaries, dataDirectory)
	if err != nil {
		return false, err
	}
	version, there := parseControlData(out)["Data page checksum version"]
	if !there {
		return false, errors.New("cannot tell whether pages have checksums")
	}
	return version != "0", nil
}

func controlData(ctx context.Context, binaries, dataDirectory string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(binaries, "pg_controldata"), "-D", dataDirectory) //nolint:gosec // The image's own program.
	cmd.Env = []string{"LC_ALL=C"}
	out, err := cmd.Output()
	// PID 1 reaps every process of its container, this one too, so that its exit status may be gone. What it printed says
	// enough: without it nothing can be parsed.
	if err != nil && !errors.Is(err, syscall.ECHILD) {
		return nil, fmt.Errorf("cannot read the control file: %w", err)
	}
	return out, nil
}

func parseControlData(out []byte) map[string]string {
	values := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok {
			values[name] = strings.TrimSpace(value)
		}
	}
	return values
}

func shutdownCheckpoint(out []byte) (position uint64, timeline int, err error) {
	values := parseControlData(out)
	if values["Database cluster state"] != "shut down" {
		return 0, 0, ErrNotShutDown
	}
	position, errPosition := ParsePosition(values["Latest checkpoint location"])
	timeline, errTimeline := strconv.Atoi(values["Latest checkpoint's TimeLineID"])
	return position, timeline, errors.Join(errPosition, errTimeline)
}

// ParsePosition reads a position in the WAL (an LSN), for example 16/B374D848.
func ParsePosition(text string) (uint64, error) {
	high, low, ok := strings.Cut(text, "/")
	if !ok {
		return 0, fmt.Errorf("cannot parse the position %q in the WAL", text)
	}
	h, errHigh := strconv.ParseUint(high, 16, 32)
	l, errLow := strconv.ParseUint(low, 16, 32)
	if err := errors.Join(errHigh, errLow); err != nil {
		return 0, fmt.Errorf("cannot parse the position %q in the WAL: %w", text, err)
	}
	return h<<32 | l, nil
}

// FormatPosition writes a position in the WAL (an LSN).
func FormatPosition(position uint64) string {
	return fmt.Sprintf("%X/%X", position>>32, position&math.MaxUint32)
}

// segmentSize is how large a WAL segment is, and segmentName how long the name of its file: the timeline, and two halves of its
// number.
const (
	segmentSize = 16 << 20
	segmentName = 24
)

// SegmentStart returns where a WAL segment begins, by the name of its file, for example 000000010000000A000000FF.
func SegmentStart(name string) (uint64, error) {
	if len(name) != segmentName {
		return 0, fmt.Errorf("cannot parse the name %q of a WAL segment", name)
	}
	log, errLog := strconv.ParseUint(name[8:16], 16, 32)
	segment, errSegment := strconv.ParseUint(name[16:], 16, 32)
	if err := errors.Join(errLog, errSegment); err != nil {
		return 0, fmt.Errorf("cannot parse the name %q of a WAL segment: %w", name, err)
	}
	return log<<32 | segment*segmentSize, nil
}
