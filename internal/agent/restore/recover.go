package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	names "github.com/xdbcluster/xdbcluster/functions/pgbackrest"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
)

const (
	// look is how often PostgreSQL's state is looked at while it replays WAL.
	look = 200 * time.Millisecond

	// stopTime bounds how long a PostgreSQL that nobody uses may take to stop.
	stopTime = time.Minute

	// tail is how much of PostgreSQL's log is kept, to say why it failed.
	tail = 16 << 10
)

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
	log := &lastOf{limit: tail}
	cmd := exec.CommandContext(ctx, filepath.Join(r.Binaries, "postgres"), "-D", r.Directory, "-c", "config_file="+config) //nolint:gosec // The project's own arguments.
	cmd.Stdout, cmd.Stderr = os.Stdout, io.MultiWriter(os.Stderr, log)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = stopTime
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start PostgreSQL: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // What it wrote to the directory says how it ended.
	}()
	for {
		select {
		case <-ended:
			return fmt.Errorf("cannot replay WAL up to the target: %w", Ended{Log: log.String()})
		case <-time.After(look):
		}
		if !r.recovered(ctx, signal) {
			continue
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			return fmt.Errorf("cannot stop PostgreSQL: %w", err)
		}
		<-ended
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

// Ended is a PostgreSQL that has ended before its time.
type Ended struct {
	// Log is what it wrote last.
	Log string
}

func (e Ended) Error() string { return whyEnded(e.Log) }

// Damaged says whether it has ended because of what is in its files or in the WAL, or not.
func (e Ended) Damaged() bool {
	return regexp.MustCompile(`could not locate (?:a valid|required) checkpoint record|invalid (?:primary )?checkpoint record|` +
		`WAL ends before|recovery ended before configured recovery target was reached|` +
		`invalid page in block|WAL contains references to invalid pages|incorrect checksum in control file|` +
		`(?:FATAL|PANIC):[^\n]*(?:No such file or directory|could not read block|invalid data in file|could not access status of transaction)`).MatchString(e.Log)
}

// whyEnded says why PostgreSQL ended before its time, by what it wrote last.
func whyEnded(log string) string {
	if strings.Contains(log, "recovery ended before configured recovery target was reached") {
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

// A lastOf keeps the last of what is written to it.
type lastOf struct {
	limit int
	kept  []byte
}

func (l *lastOf) Write(p []byte) (int, error) {
	l.kept = append(l.kept, p...)
	if len(l.kept) > l.limit {
		l.kept = l.kept[len(l.kept)-l.limit:]
	}
	return len(p), nil
}

func (l *lastOf) String() string { return string(l.kept) }

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
