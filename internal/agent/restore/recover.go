package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	names "github.com/xdbcluster/xdbcluster/functions/pgbackrest"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
)

// look is how often PostgreSQL's state is looked at while it replays WAL.
const look = 200 * time.Millisecond

// recover lets PostgreSQL, which nobody can reach, replay WAL up to the target and begin a timeline of its own, and stops it.
func (r Restorer) recover(ctx context.Context, repository string) error {
	config, signal := filepath.Join(r.Run, "postgresql.conf"), filepath.Join(r.Directory, "recovery.signal")
	if err := errors.Join(
		os.WriteFile(config, r.settings(repository), 0o600),
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
			return cannotReplay(server.WhyEnded())
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

// cannotReplay is a Refusal where the archive ends before the target: that does not change.
func cannotReplay(ended Ended) error {
	if ended.early() {
		return Refusal{Message: fmt.Sprintf("cannot replay WAL up to the target: %s.", ended), Cause: ended}
	}
	return fmt.Errorf("cannot replay WAL up to the target: %w", ended)
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
// need not be what the primary's were, but for room for prepared transactions.
func (r Restorer) settings(repository string) []byte {
	values := map[string]string{
		"listen_addresses":          "",
		"unix_socket_directories":   r.Run,
		"hba_file":                  filepath.Join(r.Run, "pg_hba.conf"),
		"ident_file":                filepath.Join(r.Run, "pg_ident.conf"),
		"hot_standby":               "off",
		"archive_mode":              "off",
		"logging_collector":         "off",
		"max_prepared_transactions": "1000",
		"restore_command":           fmt.Sprintf(`pgbackrest --config=%s --stanza=%s archive-get %%f "%%p"`, repository, names.Stanza),
		"recovery_target_timeline":  "latest",
		"recovery_target_action":    "promote",
	}
	switch {
	case r.Wanted.Backup != "":
		values["recovery_target"] = "immediate"
	case r.Wanted.Time != nil:
		values["recovery_target_time"] = r.Wanted.Time.UTC().Format("2006-01-02 15:04:05.999999+00")
	case r.Wanted.LSN != "":
		values["recovery_target_lsn"] = r.Wanted.LSN
	}
	out := &bytes.Buffer{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(out, "%s = '%s'\n", name, strings.ReplaceAll(values[name], "'", "''"))
	}
	return out.Bytes()
}

// whyEnded says why PostgreSQL ended before its time, by what it wrote last.
func whyEnded(log string) string {
	if (Ended{Log: log}).early() {
		return "the archive ends before it" + lastTransaction(log) + ". Choose an earlier target, or none for all that is archived"
	}
	fatal := regexp.MustCompile(`(?m)^.*(?:FATAL|PANIC):\s+(.*)$`).FindAllStringSubmatch(log, -1)
	if len(fatal) == 0 {
		return "PostgreSQL has ended, and said nothing about why; it was killed, or its node has no memory left"
	}
	return "PostgreSQL says: " + fatal[len(fatal)-1][1]
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
	case wanted.Backup != "":
		return "to the end of the backup " + wanted.Backup
	case wanted.Time != nil:
		return "to " + rfc3339(*wanted.Time)
	case wanted.LSN != "":
		return "to " + wanted.LSN
	}
	return "to the end of the archive"
}
