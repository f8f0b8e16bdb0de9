package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// EndSessions ends every session of clients, which come over the network, and returns how many. Those of the given users stay.
func (l *Local) EndSessions(ctx context.Context, except ...string) (int, error) {
	const query = `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND client_addr IS NOT NULL AND usename <> ALL ($1)`
	ended := 0
	err := l.withConnection(ctx, func(ctx context.Context, c *pgx.Conn) error {
		if err := c.QueryRow(ctx, query, except).Scan(&ended); err != nil {
			return fmt.Errorf("cannot end the sessions of clients: %w", err)
		}
		return nil
	})
	return ended, err
}
