package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	names "github.com/xdbcluster/xdbcluster/functions/pgbackrest"
	"github.com/xdbcluster/xdbcluster/internal/agent/pgbackrest"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
)

const (
	// look is how often PostgreSQL's state is looked at while it replays WAL.
	look = 200 * time.Millisecond

	// manyPrepared is room for more prepared transactions than the source had room for when it was backed up.
	manyPrepared = "1000"
)

// recover lets PostgreSQL, which nobody can reach, replay WAL up to the target and begin a timeline of its own, and stops it.
func (r Restorer) recover(ctx context.Context, repository, label string) error {
	had, err := r.roomOfSource(ctx)
	if err != nil {
		return err
	}
	err = r.replay(ctx, repository, label, had)
	if ended := (Ended{}); errors.As(err, &ended) && ended.Crowded() {
		had.prepared = manyPrepared // It goes on where it ended.
		return r.replay(ctx, repository, label, had)
	}
	return err
}

// A room is for what WAL may hold at once.
type room struct{ prepared, locks string }

// roomOfSource is what the source had when it was backed up.
func (r Restorer) roomOfSource(ctx context.Context) (room, error) {
	prepared, errPrepared := postgres.LastSetting(ctx, r.Binaries, r.Directory, "max_prepared_xacts")
	locks, errLocks := postgres.LastSetting(ctx, r.Binaries, r.Directory, "max_locks_per_xact")
	return room{prepared, locks}, errors.Join(errPrepared, errLocks)
}

func (r Restorer) replay(ctx context.Context, repository, label string, had room) error {
	config, signal := filepath.Join(r.Run, "postgresql.conf"), filepath.Join(r.Directory, "recovery.signal")
	if err := errors.Join(
		os.WriteFile(config, r.settings(repository, had), 0o600),
		os.WriteFile(filepath.Join(r.Run, "pg_hba.conf"), []byte("local all all reject\n"), 0o600),
		os.WriteFile(filepath.Join(r.Run, "pg_ident.conf"), nil, 0o600),
		os.WriteFile(signal, nil, 0o600),
	); err != nil {
		return fmt.Errorf("cannot write what the recovery needs: %w", err)
	}
	server, err := Start(ctx, r.Binaries, r.Directory, "config_file="+config)
	if err != nil {
		return err
	}
	for {
		select {
		case <-server.Ended():
			return cannotReplay(r.Wanted, label, server.WhyEnded())
		case <-time.After(look):
		}
		if !r.recovered(ctx, signal) {
			continue
		}
		if err := server.Stop(); err != nil {
			return err
		}
		return r.checkStopped(ctx)
	}
}

// recovered says whether PostgreSQL has come to the target and goes on from there. The state alone does not say so: the control
// file of a backup has that of the database that was backed up, until PostgreSQL begins to recover.
func (r Restorer) recovered(ctx context.Context, signal string) bool {
	if _, err := os.Stat(signal); !errors.Is(err, os.ErrNotExist) {
		return false
	}
	state, err := postgres.ClusterState(ctx, r.Binaries, r.Directory)
	return err == nil && state == "in production"
}

// checkStopped makes sure that all of it is on the disk, and that it would not recover once more.
func (r Restorer) checkStopped(ctx context.Context) error {
	state, err := postgres.ClusterState(ctx, r.Binaries, r.Directory)
	if err != nil {
		return err
	}
	if state != "shut down" {
		return fmt.Errorf("the restored database did not stop in order: it is %s", state)
	}
	return nil
}

// settings are those of a PostgreSQL that recovers. Where nobody can log in, there is no hot standby, and without one settings
// need not be what the primary's were, but for the room. They are less than the new cluster's: Patroni starts PostgreSQL
// with those that it last had if they are more, and only a restart puts the cluster's own in force.
func (r Restorer) settings(repository string, had room) []byte {
	values := map[string]string{
		"listen_addresses":          "",
		"unix_socket_directories":   r.Run,
		"hba_file":                  filepath.Join(r.Run, "pg_hba.conf"),
		"ident_file":                filepath.Join(r.Run, "pg_ident.conf"),
		"hot_standby":               "off",
		"archive_mode":              "off",
		"logging_collector":         "off",
		"max_connections":           "10",
		"max_wal_senders":           "0",
		"max_worker_processes":      "1",
		"max_prepared_transactions": had.prepared,
		"max_locks_per_transaction": had.locks,
		"restore_command":           restoreCommand(repository),
		// What was replayed makes room at once: a volume as large as the database's is enough, however much WAL follows the backup.
		"max_wal_size":             "256MB",
		"min_wal_size":             "32MB",
		"recovery_target_timeline": "latest",
		"recovery_target_action":   "promote",
	}
	switch {
	case r.Wanted.Time != nil:
		values["recovery_target_time"] = r.Wanted.Time.UTC().Format("2006-01-02 15:04:05.999999+00")
	case r.Wanted.LSN != "":
		values["recovery_target_lsn"] = r.Wanted.LSN
	case r.Wanted.XID != 0:
		// WAL has the lower half of the number, without the epoch.
		values["recovery_target_xid"] = strconv.FormatUint(uint64(r.Wanted.XID)&math.MaxUint32, 10) //nolint:gosec // It is positive.
	case r.Wanted.Name != "":
		values["recovery_target_name"] = r.Wanted.Name
	case r.Wanted.Immediate, r.Wanted.Backup != "":
		values["recovery_target"] = "immediate"
	}
	quote := strings.NewReplacer("'", "''", `\`, `\\`)
	out := &bytes.Buffer{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(out, "%s = '%s'\n", name, quote.Replace(values[name]))
	}
	return out.Bytes()
}

// restoreCommand gets a segment. PostgreSQL takes an exit status of up to 125 for the end of the archive, and would go on without
// the rest when the store is away or the volume full; pgBackRest's for that is 1, and every other one is to end the recovery
// (PostgreSQL's manual, 25.3.5).
func restoreCommand(repository string) string {
	return fmt.Sprintf(`pgbackrest --config=%s --stanza=%s archive-get %%f "%%p"; status=$?; test $status -le 1 || status=200; exit $status`, repository, names.Stanza)
}

// A cannot is why WAL cannot be replayed up to the target.
type cannot struct {
	why string
	Ended
}

func (c cannot) Error() string { return "cannot replay WAL up to the target: " + c.why }

func (c cannot) Unwrap() error { return c.Ended }

// cannotReplay says why PostgreSQL ended before its time. What was before the end of the backup is a Refusal.
func cannotReplay(wanted instance.Restore, label string, ended Ended) error {
	switch {
	case strings.Contains(ended.Log, "requested recovery stop point is before consistent recovery point"):
		return refuse("it is from before the end of the backup %s, with which the restore begins. Choose an older backup, where there is one.", label)
	case ended.Early():
		return cannot{missing(wanted, label, lastTransaction(ended.Log)), ended}
	case ended.Unread():
		return cannot{pgbackrest.Cause(ended.Log), ended}
	}
	return cannot{ended.Error(), ended}
}

// missing says that the archive ended before the target, and what can be done. Last is what it ended with.
func missing(wanted instance.Restore, label, last string) string {
	if wanted.Searched() {
		return fmt.Sprintf("it is not in what was archived from the end of the backup %s on%s. Check it. If it was over when that backup was complete, "+
			"set backup to an older one; if the BackupPlan was away for a while in between, which leaves a gap, to the first one after that", label, last)
	}
	return "the archive ends before it" + last + ". Choose an earlier target, or none for all that is archived"
}

func lastTransaction(log string) string {
	found := regexp.MustCompile(`last completed transaction was at log time ([^\n]+)`).FindAllStringSubmatch(log, -1)
	if len(found) == 0 {
		return ""
	}
	return ": the last transaction in it is of " + found[len(found)-1][1]
}

// Target says in words up to where is restored.
func Target(wanted instance.Restore) string {
	switch {
	case wanted.Time != nil:
		return "to " + rfc3339(*wanted.Time)
	case wanted.LSN != "":
		return "to " + wanted.LSN
	case wanted.XID != 0:
		return fmt.Sprintf("to the end of the transaction %d", wanted.XID)
	case wanted.Name != "":
		return fmt.Sprintf("to the restore point %q", wanted.Name)
	case wanted.Immediate:
		return "to the end of the newest backup"
	case wanted.Backup != "":
		return "to the end of the backup " + wanted.Backup
	}
	return "to the end of the archive"
}
