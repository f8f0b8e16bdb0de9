package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// LastArchived returns when the last WAL segment was archived. The zero time when none was since PostgreSQL counts.
func (l *Local) LastArchived(ctx context.Context) (time.Time, error) {
	var last *time.Time
	err := l.withConnection(ctx, func(ctx context.Context, c *pgx.Conn) error {
		if err := c.QueryRow(ctx, "SELECT last_archived_time FROM pg_stat_archiver").Scan(&last); err != nil {
			return fmt.Errorf("cannot ask PostgreSQL how archiving goes: %w", err)
		}
		return nil
	})
	if last == nil {
		return time.Time{}, err
	}
	return *last, err
}
