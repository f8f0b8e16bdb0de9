// Package postgres speaks SQL to the PostgreSQL of the same container, over its socket, as its administrator.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// statementTimeout bounds every statement of the agent's own.
const statementTimeout = 5 * time.Second

// connectTimeout bounds the connecting before it.
const connectTimeout = 2 * time.Second

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

// connect opens a connection for one task. The agent asks seldom, and a connection that it kept would be one that a
// restart has to break.
func connect(ctx context.Context, patience time.Duration) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres sslmode=disable", instance.FolderSocket, instance.PortPostgreSQL))
	if err != nil {
		return nil, fmt.Errorf("cannot make the connection's settings: %w", err)
	}
	config.ConnectTimeout = patience
	config.RuntimeParams["application_name"] = "xdb-agent"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to PostgreSQL: %w", err)
	}
	return conn, nil
}

// withConnection does one task with a connection.
func withConnection(ctx context.Context, task func(ctx context.Context, c *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	c, err := connect(ctx, connectTimeout)
	if err != nil {
		return err
	}
	return errors.Join(task(ctx, c), c.Close(ctx))
}

// Settings returns what the named settings are now, and all that wait for a restart, by name. The recovery targets, which Patroni
// writes down for a standby and takes away again when it writes the configuration of one that was promoted, wait for nothing: only
// a start with a recovery reads them.
func Settings(ctx context.Context, names []string) (map[string]Setting, error) {
	const query = `SELECT name, coalesce(setting, ''), coalesce(unit, ''), coalesce(current_setting(name, true), ''), context, source, pending_restart
FROM pg_settings WHERE name = ANY($1) OR pending_restart AND name NOT LIKE 'recovery\_target%'`
	found := map[string]Setting{}
	err := withConnection(ctx, func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, query, names)
		if err != nil {
			return fmt.Errorf("cannot read settings: %w", err)
		}
		settings, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Setting])
		if err != nil {
			return fmt.Errorf("cannot read settings: %w", err)
		}
		for _, s := range settings {
			found[s.Name] = s
		}
		return nil
	})
	return found, err
}

// A FileError is a line of the configuration that PostgreSQL refuses.
type FileError struct {
	Name  string
	Error string
}

// FileErrors returns the settings whose values PostgreSQL refuses, but not those that only wait for a restart.
func FileErrors(ctx context.Context) ([]FileError, error) {
	const query = `SELECT coalesce(name, ''), error FROM pg_file_settings
WHERE error IS NOT NULL AND error <> 'setting could not be applied' AND error NOT LIKE '%cannot be changed without restarting the server'
ORDER BY name`
	var found []FileError
	err := withConnection(ctx, func(ctx context.Context, c *pgx.Conn) error {
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

// AcceptsWrites says whether PostgreSQL is a primary's.
func AcceptsWrites(ctx context.Context) (bool, error) {
	accepts := false
	err := withConnection(ctx, func(ctx context.Context, c *pgx.Conn) error {
		if err := c.QueryRow(ctx, "SELECT NOT pg_is_in_recovery()").Scan(&accepts); err != nil {
			return fmt.Errorf("cannot ask PostgreSQL whether it is in recovery: %w", err)
		}
		return nil
	})
	return accepts, err
}

// Reload makes PostgreSQL read its configuration and its certificate again.
func Reload(ctx context.Context) error {
	return withConnection(ctx, func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.Exec(ctx, "SELECT pg_reload_conf()"); err != nil {
			return fmt.Errorf("cannot reload PostgreSQL: %w", err)
		}
		return nil
	})
}
