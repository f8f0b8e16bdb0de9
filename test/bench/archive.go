package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/test/cluster/objectstore"
)

// quietLimit bounds how long a change may take to the archive.
const quietLimit = 3 * time.Minute

// archived asks whether what was written up to a position is in the archive: PostgreSQL names the newest segment that is.
const archived = "select coalesce(last_archived_wal >= pg_walfile_name('%s'), false) from pg_stat_archiver"

type archiveCommand struct{ repeated }

// Run measures how long a row that is written to a quiet database is in no archive. It needs the local cluster's object store.
func (c archiveCommand) Run(ctx context.Context, b *bench, r *report) error {
	lag := &measurement{what: "row committed to a quiet database, to it being in the archive", atMost: "60 s", unit: seconds}
	bucket := filepath.Join(objectstore.Buckets(), backupStore)
	defer os.RemoveAll(bucket) //nolint:errcheck // A bucket of the local cluster that stays does no harm.
	key := client.ObjectKey{Namespace: namespace, Name: "quiet"}
	err := b.inNamespace(ctx, func(ctx context.Context) error {
		return b.withApplication(ctx, namespace, func(ctx context.Context, a application) error {
			return cleanly(ctx, func(ctx context.Context) error {
				if err := a.startArchiving(ctx, key, bucket); err != nil {
					return err
				}
				for i := range c.Runs {
					if err := b.Progress.Step(fmt.Sprintf("Row %d", i+1), func() error { return a.writeQuietly(ctx, key, lag) }); err != nil {
						return err
					}
				}
				return nil
			}, func(ctx context.Context) error { return a.removeBackups(ctx, key) })
		})
	})
	if err != nil {
		return err
	}
	return r.table(lag)
}

// startArchiving makes a database that is backed up.
func (a application) startArchiving(ctx context.Context, key client.ObjectKey, bucket string) error {
	location, err := a.location(ctx, bucket)
	if err != nil {
		return err
	}
	if err := a.apply(ctx, key, smallSpec()); err != nil {
		return err
	}
	if err := a.WaitClaimReady(ctx, key); err != nil {
		return err
	}
	if _, err := a.firstRow(ctx, key); err != nil {
		return err
	}
	_, err = a.firstBackup(ctx, key, location)
	return err
}

// writeQuietly writes a row at a random moment, and waits until it is archived.
func (a application) writeQuietly(ctx context.Context, key client.ObjectKey, lag *measurement) error {
	ctx, cancel := context.WithTimeout(ctx, quietLimit)
	defer cancel()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(rand.Int64N(int64(20 * time.Second)))): //nolint:gosec // Not a secret.
	}
	position, err := a.sql(ctx, key, "insert into first default values; select pg_current_wal_insert_lsn()")
	if err != nil {
		return err
	}
	committed := time.Now()
	err = until(ctx, time.Second, "the row is archived", func(ctx context.Context) (string, bool) {
		out, err := a.sql(ctx, key, fmt.Sprintf(archived, position))
		return fmt.Sprint(out, err), err == nil && out == "t"
	})
	if err != nil {
		return err
	}
	lag.took(time.Since(committed))
	return nil
}
