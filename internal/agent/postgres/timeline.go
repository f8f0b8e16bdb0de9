package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Timeline returns the timeline that a PostgreSQL writes or, on a standby, replays. It fails for a user that must not replicate.
func (r Remote) Timeline(ctx context.Context) (int, error) {
	config, err := r.config()
	if err != nil {
		return 0, err
	}
	return timeline(ctx, &config.Config)
}

// Timeline returns the same of the PostgreSQL of this container, as the user that replicates.
func Timeline(ctx context.Context, user string) (int, error) {
	config, err := pgconn.ParseConfig(socket(user))
	if err != nil {
		return 0, fmt.Errorf("cannot make the connection's settings: %w", err)
	}
	return timeline(ctx, config)
}

// timeline asks the sender of WAL: no function of SQL tells which timeline a standby replays.
func timeline(ctx context.Context, config *pgconn.Config) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	config.RuntimeParams["replication"] = "true"
	c, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return 0, fmt.Errorf("cannot connect to %s for replication: %w", config.Host, err)
	}
	results, err := c.Exec(ctx, "IDENTIFY_SYSTEM").ReadAll()
	if err = errors.Join(err, c.Close(ctx)); err != nil {
		return 0, fmt.Errorf("cannot ask %s for its timeline: %w", config.Host, err)
	}
	return parseTimeline(results)
}

// parseTimeline reads the second column of the answer to IDENTIFY_SYSTEM.
func parseTimeline(results []*pgconn.Result) (int, error) {
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) < 2 {
		return 0, errors.New("cannot read a timeline from an answer that is no row of IDENTIFY_SYSTEM")
	}
	number, err := strconv.Atoi(string(results[0].Rows[0][1]))
	if err != nil {
		return 0, fmt.Errorf("cannot parse a timeline: %w", err)
	}
	return number, nil
}

// SkipTimelines lets the PostgreSQL of this container begin, when it is promoted, a timeline after the latest: those after its own have
// been begun by another instance. Two timelines of one number would be taken for the same by a standby that has the other, and by the archive.
func (l *Local) SkipTimelines(ctx context.Context, own, latest int) error {
	folder := ""
	err := l.withConnection(ctx, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, "SELECT current_setting('data_directory')").Scan(&folder)
	})
	if err != nil {
		return fmt.Errorf("cannot ask PostgreSQL where its data is: %w", err)
	}
	return skipTimelines(filepath.Join(folder, "pg_wal"), own, latest)
}

// skipTimelines writes a history for each of them: PostgreSQL picks the first number that has none (findNewestTimeLine in timeline.c). By
// what they say they branch off where the WAL begins, so that a recovery that looks for the latest timeline does not go on with one.
func skipTimelines(folder string, own, latest int) error {
	for number := own + 1; number <= latest; number++ {
		name := filepath.Join(folder, fmt.Sprintf("%08X.history", number))
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot take a timeline's number: %w", err)
		}
		_, err = fmt.Fprintf(file, "%d\t0/1\tbegun by another instance\n", own)
		if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
			return fmt.Errorf("cannot take the number of timeline %d: %w", number, err)
		}
	}
	return nil
}
