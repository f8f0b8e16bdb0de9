package postgres

import (
	"context"
	"fmt"
	"math/bits"
	"regexp"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// lagUnit is what lag is given in, and lagNoticed is the least that is given at all.
const (
	lagUnit    = int64(1) << 20
	lagNoticed = 16 * lagUnit
)

// A sender is a line of pg_stat_replication.
type sender struct {
	Name  string
	State string
	Sync  string
	Lag   int64
}

// Replication returns what the primary sees of the standbys that log in as a user. Copies that are being taken are not
// among them.
func (l *Local) Replication(ctx context.Context, user string) (*instance.Replication, error) {
	const query = `SELECT application_name, state, sync_state, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::bigint
FROM pg_stat_replication WHERE usename = $1 AND state IN ('catchup', 'streaming') ORDER BY application_name, pid`
	var senders []sender
	names := ""
	err := l.withConnection(ctx, func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, query, user)
		if err != nil {
			return fmt.Errorf("cannot read the state of replication: %w", err)
		}
		if senders, err = pgx.CollectRows(rows, pgx.RowToStructByPos[sender]); err != nil {
			return fmt.Errorf("cannot read the state of replication: %w", err)
		}
		if err := c.QueryRow(ctx, "SELECT current_setting('synchronous_standby_names')").Scan(&names); err != nil {
			return fmt.Errorf("cannot read which standbys are synchronous: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return replication(names, senders), nil
}

func replication(names string, senders []sender) *instance.Replication {
	r := &instance.Replication{Needed: needed(names)}
	for _, s := range senders {
		standby := instance.Standby{
			Name: s.Name, Streaming: s.State == "streaming", Synchronous: s.Sync == "sync" || s.Sync == "quorum", LagBytes: coarse(s.Lag),
		}
		if last := len(r.Standbys) - 1; last >= 0 && r.Standbys[last].Name == s.Name {
			r.Standbys[last] = standby // The connection before has not ended yet.
			continue
		}
		r.Standbys = append(r.Standbys, standby)
	}
	return r
}

// needed returns how many standbys a value of synchronous_standby_names asks for. A list without a number asks for one.
func needed(names string) int {
	if names == "" {
		return 0
	}
	found := regexp.MustCompile(`^(?:ANY |FIRST )?(\d+) ?\(`).FindStringSubmatch(names)
	if found == nil {
		return 1
	}
	number, err := strconv.Atoi(found[1])
	if err != nil {
		return 1
	}
	return number
}

// coarse rounds a lag up to a power of two, so that a report changes seldom.
func coarse(lag int64) int64 {
	if lag < lagNoticed {
		return 0
	}
	return int64(1) << bits.Len64(uint64(lag-1)) //nolint:gosec // Positive.
}
