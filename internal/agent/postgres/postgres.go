// Package postgres speaks SQL to the PostgreSQL of the same container, over its socket, as its administrator.
package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// statementTimeout bounds every statement of the agent's own.
const statementTimeout = 5 * time.Second

// connectTimeout bounds the connecting before it, and how long a connection that was kept may take to show that it is one.
const connectTimeout = 2 * time.Second

// connections is how many the agent has at most, and idleTime how long it keeps one that it does not need.
const (
	connections = 4
	idleTime    = 2 * time.Minute
)

// A Setting is what pg_settings says about one.
type Setting struct {
	Name           string
	Value          string
	Unit           string
	Shown          string
	Context        string
	Source         string
	PendingRestart bool
}

// NeedsRestart says whether a change of the setting is in force only after a restart.
func (s Setting) NeedsRestart() bool { return s.Context == "postmaster" }

// lastsWithSession says whether a session has the setting as it was when it began, whatever was reloaded since.
func (s Setting) lastsWithSession() bool {
	return s.Context == "backend" || s.Context == "superuser-backend"
}

// A Local is the PostgreSQL of the same container. It keeps its connections: PostgreSQL begins a process for a new one, which may take
// 30 ms of a core, and the agent asks most often around a promotion, when clients wait.
type Local struct {
	pool *pgxpool.Pool
}

// Open returns the PostgreSQL of this container, whether it runs yet or not.
func Open(ctx context.Context) (*Local, error) {
	config, err := pgxpool.ParseConfig(socket("postgres"))
	if err != nil {
		return nil, fmt.Errorf("cannot make the connection's settings: %w", err)
	}
	config.ConnConfig.RuntimeParams["application_name"] = "xdb-agent"
	config.ConnConfig.ConnectTimeout, config.PingTimeout = connectTimeout, connectTimeout
	config.MaxConns, config.MaxConnIdleTime = connections, idleTime
	// A restart ends connections, and so may idle_session_timeout.
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("cannot prepare to connect to PostgreSQL: %w", err)
	}
	return &Local{pool}, nil
}

// socket is how a user connects to the PostgreSQL of this container.
func socket(user string) string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=postgres sslmode=disable", instance.FolderSocket, instance.PortPostgreSQL, user)
}

// withConnection does one task with a connection that may have been kept.
func (l *Local) withConnection(ctx context.Context, task func(ctx context.Context, c *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	c, err := l.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("cannot connect to PostgreSQL: %w", err)
	}
	defer c.Release()
	return task(ctx, c.Conn())
}

// withNewConnection does one task with a connection of its own, as a client that comes now would have it.
func (l *Local) withNewConnection(ctx context.Context, patience time.Duration, task func(ctx context.Context, c *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	config := l.pool.Config().ConnConfig
	config.ConnectTimeout = patience
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("cannot connect to PostgreSQL: %w", err)
	}
	defer c.Close(ctx) //nolint:errcheck // The task is done.
	return task(ctx, c)
}

// Settings returns what the named settings are now, and all that wait for a restart, by name. The recovery targets, which Patroni
// writes down for a standby and takes away again when it writes the configuration of one that was promoted, wait for nothing: only
// a start with a recovery reads them.
func (l *Local) Settings(ctx context.Context, names []string) (map[string]Setting, error) {
	var settings []Setting
	read := func(ctx context.Context, c *pgx.Conn) (err error) {
		settings, err = readSettings(ctx, c, names)
		return err
	}
	err := l.withConnection(ctx, read)
	if err == nil && slices.ContainsFunc(settings, Setting.lastsWithSession) {
		err = l.withNewConnection(ctx, statementTimeout, read)
	}
	found := map[string]Setting{}
	for _, s := range settings {
		found[s.Name] = s
	}
	return found, err
}

func readSettings(ctx context.Context, c *pgx.Conn, names []string) ([]Setting, error) {
	const query = `SELECT name, coalesce(setting, ''), coalesce(unit, ''), coalesce(current_setting(name, true), ''), context, source, pending_restart
FROM pg_settings WHERE name = ANY($1) OR pending_restart AND name NOT LIKE 'recovery\_target%'`
	rows, err := c.Query(ctx, query, names)
	if err != nil {
		return nil, fmt.Errorf("cannot read settings: %w", err)
	}
	settings, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Setting])
	if err != nil {
		return nil, fmt.Errorf("cannot read settings: %w", err)
	}
	return settings, nil
}

// A FileError is a line of the configuration that PostgreSQL refuses.
type FileError struct {
	Name  string
	Error string
}

// FileErrors returns the settings whose values PostgreSQL refuses, but not those that only wait for a restart.
func (l *Local) FileErrors(ctx context.Context) ([]FileError, error) {
	const query = `SELECT coalesce(name, ''), error FROM pg_file_settings
WHERE error IS NOT NULL AND error <> 'setting could not be applied' AND error NOT LIKE '%cannot be changed without restarting the server'
ORDER BY name`
	var found []FileError
	err := l.withConnection(ctx, func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, query)
		if err != nil {
			return fmt.Errorf("cannot read errors of the configuration: %w", err)
		}
		found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[FileError])
		if err != nil {
			return fmt.Errorf("cannot read errors of the configuration: %w", err)
		}
		return nil
	})
	return found, err
}

// Ping returns why PostgreSQL does not answer.
func (l *Local) Ping(ctx context.Context) error {
	return l.withConnection(ctx, func(context.Context, *pgx.Conn) error { return nil }) // A connection that was kept has shown that it is one.
}

// AcceptsWrites says whether PostgreSQL is a primary's.
func (l *Local) AcceptsWrites(ctx context.Context) (bool, error) {
	accepts := false
	err := l.withConnection(ctx, func(ctx context.Context, c *pgx.Conn) error {
		if err := c.QueryRow(ctx, "SELECT NOT pg_is_in_recovery()").Scan(&accepts); err != nil {
			return fmt.Errorf("cannot ask PostgreSQL whether it is in recovery: %w", err)
		}
		return nil
	})
	return accepts, err
}

// Reload makes PostgreSQL read its configuration and its certificate again.
func (l *Local) Reload(ctx context.Context) error {
	return l.withConnection(ctx, func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.Exec(ctx, "SELECT pg_reload_conf()"); err != nil {
			return fmt.Errorf("cannot reload PostgreSQL: %w", err)
		}
		return nil
	})
}
