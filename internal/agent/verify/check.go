package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
	"github.com/xdbcluster/xdbcluster/internal/agent/restore"
)

const (
	// look is how often a PostgreSQL that starts is asked whether it answers.
	look = 200 * time.Millisecond

	// answerTime bounds each of these questions.
	answerTime = 5 * time.Second

	// head is how much of what a program prints is kept: what it finds first says what is wrong.
	head = 4 << 10

	// maximumFault bounds what is repeated of it.
	maximumFault = 300

	// stopTime is how long a program may take to end that was asked to.
	stopTime = 10 * time.Second

	// exitCorrupt is pg_amcheck's exit status when it has found something, and statements how many it runs at a time.
	exitCorrupt = 2
	statements  = 2
)

// A fault is something wrong in a database that was restored.
type fault struct{ what string }

func (f fault) Error() string { return f.what }

// Damaged says that it is in what was backed up.
func (fault) Damaged() bool { return true }

// A checker looks through a database that was restored and is stopped.
type checker struct {
	// Binaries is the folder of PostgreSQL's programs, Directory the database's, and Run one for what is only needed meanwhile.
	Binaries  string
	Directory string
	Run       string
}

// check returns the checks that the database has passed. An error is a fault when something is wrong in it.
func (c checker) check(ctx context.Context) ([]string, error) {
	passed := []string{instance.CheckRestored, instance.CheckRecovered}
	there, err := postgres.HasChecksums(ctx, c.Binaries, c.Directory)
	if err != nil {
		return passed, err
	}
	if there {
		if err := c.checksums(ctx); err != nil {
			return passed, err
		}
		passed = append(passed, instance.CheckChecksums)
	}
	if err := os.MkdirAll(c.Run, 0o700); err != nil {
		return passed, fmt.Errorf("cannot make the folder that PostgreSQL needs: %w", err)
	}
	defer os.RemoveAll(c.Run) //nolint:errcheck // It is in memory, and goes with the Pod.
	server, err := c.start(ctx)
	if err != nil {
		return passed, err
	}
	passed = append(passed, instance.CheckStarted)
	if err := errors.Join(c.tables(ctx), server.Stop()); err != nil {
		return passed, err
	}
	return append(passed, instance.CheckTables), nil
}

// checksums reads every page.
func (c checker) checksums(ctx context.Context) error {
	said, status, err := c.run(ctx, "pg_checksums", "--check", "-D", c.Directory)
	switch {
	case err != nil:
		return err
	case status == 0:
		return nil
	case strings.Contains(said, "checksum verification failed"):
		return fault{"pages have another checksum than they should: " + first(said)}
	}
	return fmt.Errorf("cannot look at the checksums of pages: %s", first(said))
}

// start starts PostgreSQL, so that only programs of this container can log in. What is given here counts for more than what the
// database itself says, and nothing that it writes has to last.
func (c checker) start(ctx context.Context) (*restore.Server, error) {
	config, hba, ident := filepath.Join(c.Run, "postgresql.conf"), filepath.Join(c.Run, "pg_hba.conf"), filepath.Join(c.Run, "pg_ident.conf")
	if err := errors.Join(
		os.WriteFile(config, nil, 0o600), os.WriteFile(ident, nil, 0o600), os.WriteFile(hba, []byte("local all all trust\n"), 0o600),
	); err != nil {
		return nil, fmt.Errorf("cannot write what PostgreSQL needs: %w", err)
	}
	server, err := restore.Start(ctx, c.Binaries, c.Directory,
		"config_file="+config, "hba_file="+hba, "ident_file="+ident, "listen_addresses=", "unix_socket_directories="+c.Run, "port="+c.port(),
		"archive_mode=off", "restore_command=", "logging_collector=off", "autovacuum=off", "fsync=off", "synchronous_standby_names=",
		"shared_preload_libraries=", "max_prepared_transactions=1000")
	if err != nil {
		return nil, err
	}
	for {
		select {
		case <-server.Ended():
			return nil, fmt.Errorf("cannot start PostgreSQL on it: %w", server.WhyEnded())
		case <-time.After(look):
		}
		ask, cancel := context.WithTimeout(ctx, answerTime)
		_, status, err := c.run(ask, "pg_isready", "--quiet", "--host="+c.Run, "--port="+c.port())
		cancel()
		if err == nil && status == 0 {
			return server, nil
		}
	}
}

// tables looks through every table and index of every database.
func (c checker) tables(ctx context.Context) error {
	said, status, err := c.run(ctx, "pg_amcheck", "--host="+c.Run, "--port="+c.port(), "--username=postgres", "--no-password",
		"--all", "--install-missing", "--parent-check", "--jobs="+strconv.Itoa(statements))
	switch {
	case err != nil:
		return err
	case status == 0:
		return nil
	case status == exitCorrupt && !strings.Contains(said, "canceling statement"):
		return fault{"pg_amcheck finds faults: " + first(said)}
	}
	return fmt.Errorf("cannot look through tables and indexes: %s", first(said))
}

func (checker) port() string { return strconv.Itoa(instance.PortPostgreSQL) }

// run runs one of PostgreSQL's programs, and returns the beginning of what it says and its exit status.
func (c checker) run(ctx context.Context, program string, arguments ...string) (string, int, error) {
	said := &firstOf{limit: head}
	cmd := exec.CommandContext(ctx, filepath.Join(c.Binaries, program), arguments...) //nolint:gosec // The project's own arguments.
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PGOPTIONS=-c client_min_messages=warning -c statement_timeout=0 -c lock_timeout=0")
	both := io.MultiWriter(os.Stdout, said)
	cmd.Stdout, cmd.Stderr = both, both
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopTime
	err := cmd.Run()
	ended := &exec.ExitError{}
	switch {
	case ctx.Err() != nil:
		return "", 0, ctx.Err()
	case errors.As(err, &ended) && ended.Exited():
		return said.String(), ended.ExitCode(), nil
	case err != nil:
		return "", 0, fmt.Errorf("cannot run %s: %w", program, err)
	}
	return said.String(), 0, nil
}

// first returns the beginning of what a program says, in one line.
func first(said string) string {
	line := strings.Join(strings.Fields(said), " ")
	if line == "" {
		return "it says nothing"
	}
	if len(line) > maximumFault {
		line = strings.ToValidUTF8(line[:maximumFault], "") + "..."
	}
	return line
}

// A firstOf keeps the first of what is written to it.
type firstOf struct {
	limit int
	kept  []byte
}

func (f *firstOf) Write(p []byte) (int, error) {
	f.kept = append(f.kept, p[:min(len(p), f.limit-len(f.kept))]...)
	return len(p), nil
}

func (f *firstOf) String() string { return string(f.kept) }
