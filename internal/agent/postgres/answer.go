package postgres

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// cannotConnectNow is what PostgreSQL answers while it starts or shuts down: it takes no commit then.
const cannotConnectNow = "57P03"

// An Answer is what came of a new connection.
type Answer int

// Answers.
const (
	// Answers: PostgreSQL said something, be it that it has too many clients.
	Answers Answer = iota

	// Busy: it starts or shuts down.
	Busy

	// Absent: nothing listens.
	Absent

	// Silent: it said nothing in time.
	Silent
)

// Ask opens a new connection, as a client would, and says what came of it within a time.
func (l *Local) Ask(ctx context.Context, patience time.Duration) Answer {
	return judge(l.withNewConnection(ctx, patience, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SELECT 1")
		return err
	}))
}

func judge(err error) Answer {
	said := (*pgconn.PgError)(nil)
	switch {
	case errors.As(err, &said) && said.Code == cannotConnectNow:
		return Busy
	case err == nil, said != nil:
		return Answers
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return Absent
	}
	return Silent
}

// Refuses says whether an error is what a PostgreSQL said that runs: it has too many connections, or the password is another.
func Refuses(err error) bool { return err != nil && judge(err) == Answers }

// Streams says whether a standby receives WAL.
func (l *Local) Streams(ctx context.Context) (bool, error) {
	streams := false
	err := l.withConnection(ctx, func(ctx context.Context, c *pgx.Conn) error {
		if err := c.QueryRow(ctx, "SELECT count(*) > 0 FROM pg_stat_wal_receiver WHERE status = 'streaming'").Scan(&streams); err != nil {
			return fmt.Errorf("cannot ask PostgreSQL whether it follows: %w", err)
		}
		return nil
	})
	return streams, err
}

// Hurry makes a standby look for WAL now, if it receives none and is set to follow the host. What failed is otherwise tried again
// only after wal_retrieve_retry_interval.
func (l *Local) Hurry(ctx context.Context, host string) error {
	return l.wakeStartup(ctx, `strpos(current_setting('primary_conninfo') || ' ', ' host=' || $1 || ' ') > 0
		AND NOT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')`, host)
}

// HurryPromotion makes a standby look now whether it is to be promoted. One that has just failed to receive WAL does so otherwise only
// after wal_retrieve_retry_interval.
func (l *Local) HurryPromotion(ctx context.Context) error { return l.wakeStartup(ctx, "true") }

// wakeStartup signals PostgreSQL's startup process if a condition holds. That takes SIGHUP as a reason to look.
func (l *Local) wakeStartup(ctx context.Context, condition string, arguments ...any) error {
	return l.withConnection(ctx, func(ctx context.Context, c *pgx.Conn) error {
		pid := 0
		err := c.QueryRow(ctx, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup' AND "+condition, arguments...).Scan(&pid)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot ask PostgreSQL what it waits for: %w", err)
		}
		if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
			return fmt.Errorf("cannot signal PostgreSQL: %w", err)
		}
		return nil
	})
}
