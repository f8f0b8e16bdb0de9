package postgres

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// A Remote is a PostgreSQL that is reached over the network, as a user with a password.
type Remote struct {
	Host     string
	User     string
	Password string
}

// Connect opens a connection, over TLS and with a proof that the server is one of the cluster's.
func (r Remote) Connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := r.config()
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["application_name"] = "xdb-operation"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to PostgreSQL: %w", err)
	}
	return conn, nil
}

func (r Remote) config() (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d user=%s dbname=postgres connect_timeout=1 sslmode=verify-ca sslrootcert=%s",
		r.Host, instance.PortPostgreSQL, r.User, filepath.Join(instance.FolderTLS, instance.KeyAuthority)))
	if err != nil {
		return nil, fmt.Errorf("cannot make the connection's settings: %w", err)
	}
	config.Password = r.Password
	return config, nil
}

// A Standing is what a PostgreSQL itself says it is.
type Standing struct {
	// Primary says that it is not in recovery.
	Primary bool

	// Timeline that a primary writes.
	Timeline int
}

// Standing asks PostgreSQL itself.
func (r Remote) Standing(ctx context.Context) (Standing, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	c, err := r.Connect(ctx)
	if err != nil {
		return Standing{}, err
	}
	var (
		s       Standing
		segment string
	)
	// The name of a WAL file begins with its timeline. The control file has the one of the last checkpoint, which may be older.
	const query = `SELECT NOT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN '00000000' ELSE pg_walfile_name(pg_current_wal_lsn()) END`
	err = c.QueryRow(ctx, query).Scan(&s.Primary, &segment)
	if err = errors.Join(err, c.Close(ctx)); err != nil {
		return Standing{}, fmt.Errorf("cannot ask PostgreSQL for its role: %w", err)
	}
	timeline, err := strconv.ParseInt(segment[:8], 16, 32)
	if err != nil {
		return Standing{}, fmt.Errorf("cannot parse the name of a WAL file %q: %w", segment, err)
	}
	s.Timeline = int(timeline)
	return s, nil
}

// Write commits something that is in the WAL and in no table, as every client's commit: it is acknowledged when those
// standbys have it that commits wait for.
func Write(ctx context.Context, c *pgx.Conn) error {
	if _, err := c.Exec(ctx, "SELECT pg_logical_emit_message(true, 'xdbcluster', 'operation')"); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	return nil
}
