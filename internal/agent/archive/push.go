package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/xdbcluster/xdbcluster/internal/agent/pgbackrest"
)

const (
	// pushTime bounds the archiving of a segment. While the store does not take them it is shorter: PostgreSQL cannot shut down
	// while it waits for the command, and calls it three times more. Now and then a slow store is given its time nevertheless.
	pushTime        = time.Minute
	pushTimeFailing = 15 * time.Second
	patientEvery    = 5
)

// errUnknown says that the archivist has not said yet where WAL is to go.
var errUnknown = errors.New("the agent does not know yet where WAL is to be archived; it is kept")

// Push archives a segment: what PostgreSQL calls for each one, in its data directory. It returns an error when the segment is to
// be kept and tried again.
func Push(ctx context.Context, folder, segment string, now time.Time) error {
	if exists(filepath.Join(folder, fileDiscard)) {
		return nil
	}
	config := filepath.Join(folder, fileConfig)
	if !exists(config) {
		return errUnknown
	}
	before := readFailure(folder)
	limit := timeFor(before)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := pgbackrest.Program{Config: config}.Run(ctx, "archive-push", segment)
	if err == nil {
		return remove(filepath.Join(folder, fileFailure))
	}
	if ctx.Err() != nil {
		err = cutShort(before, limit, err)
	}
	return fmt.Errorf("cannot archive %s: %w", filepath.Base(segment), errors.Join(err, note(folder, before, err, now)))
}

func timeFor(before *failure) time.Duration {
	if before == nil || before.Count%patientEvery == 0 {
		return pushTime
	}
	return pushTimeFailing
}

// cutShort returns why a command failed whose time was up. One that had less time than pgBackRest takes to give up has not come to say
// what is wrong: that is what it was before.
func cutShort(before *failure, limit time.Duration, err error) error {
	if before == nil || limit == pushTime {
		return err
	}
	return errors.New(before.Cause)
}

// note writes down that the command failed, for the archivist to report.
func note(folder string, before *failure, err error, now time.Time) error {
	f := failure{Since: now.UTC(), Count: 1, Cause: err.Error()}
	if before != nil {
		f.Since, f.Count = before.Since, before.Count+1
	}
	raw, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("cannot encode a failure: %w", err)
	}
	return replace(filepath.Join(folder, fileFailure), raw)
}
