package supervise

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// limit is how long a test waits for what happens at once.
const limit = 10 * time.Second

// An instance is a Supervisor over a stand-in for Patroni, which starts a stand-in for PostgreSQL: copies of the shell, so
// that processes are told apart by the files that they run, as in a container.
type instance struct {
	*testing.T

	folder  string
	died    chan time.Time
	crashed atomic.Bool

	restarts atomic.Int64
	stop     context.CancelFunc
	ended    chan error
	*Supervisor
}

// start runs a Supervisor in this process, which adopts orphans as PID 1 does. Patroni's stand-in runs the script.
func start(t *testing.T, script string) *instance {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	i := &instance{T: t, folder: t.TempDir(), died: make(chan time.Time, 1), ended: make(chan error, 1)}
	shell, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(shell)
	if err != nil {
		t.Fatal(err)
	}
	postgres := filepath.Join(i.folder, "postgres")
	if err := os.WriteFile(postgres, raw, 0o700); err != nil {
		t.Fatal(err)
	}
	i.Supervisor = &Supervisor{
		Command:       []string{"/bin/sh", "-c", "cd " + i.folder + "; echo $$ >>patroni.pids; " + script},
		Env:           os.Environ(),
		DataDirectory: func() string { return i.folder },
		Executable:    postgres,
		BeforeRestart: func() { i.restarts.Add(1) },
		Gone:          func(at time.Time, crashed bool) { i.died <- at; i.crashed.Store(crashed) },
		Log:           slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(t.Context())
	i.stop = cancel
	go func() { i.ended <- i.Supervisor.Run(ctx, 2*limit) }()
	t.Cleanup(func() {
		cancel()
		_ = i.KillPatroni()
		_ = i.KillPostgreSQL()
	})
	return i
}

// A postmaster with a backend of its own session, as pg_ctl starts it: the backend survives the postmaster. The shell lets what runs in the
// background ignore the signal that asks a postmaster to end.
const startPostgreSQL = `env --default-signal=INT ./postgres 1000 & echo $! >postmaster.pid; ./postgres 1000 & wait`

func (i *instance) eventually(what string, check func() bool) {
	i.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if check() {
			return
		}
	}
	i.Fatalf("it did not come about that %s", what)
}

func (i *instance) running() int {
	pids, err := i.postgres()
	if err != nil {
		i.Fatal(err)
	}
	return len(pids)
}

func (i *instance) starts() int {
	raw, err := os.ReadFile(filepath.Join(i.folder, "patroni.pids"))
	if err != nil {
		return 0
	}
	return strings.Count(string(raw), "\n")
}

// inOwnProcess makes a test run in a process of its own: a Supervisor reaps for as long as its process lives. It says whether
// this is that process.
func inOwnProcess(t *testing.T) bool {
	t.Helper()
	const mark = "XDB_TEST_SUPERVISOR"
	if os.Getenv(mark) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v") //nolint:gosec // This very program.
	cmd.Env = append(os.Environ(), mark+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
	return false
}

// end lets the container end, which must not take as long as the patience with PostgreSQL.
func (i *instance) end() {
	i.Helper()
	i.stop()
	select {
	case err := <-i.ended:
		if err != nil {
			i.Errorf("Run(...) = %v", err)
		}
	case <-time.After(limit):
		i.Fatal("the Supervisor does not end: PostgreSQL was not asked to, or does not obey")
	}
}

// TestSupervisor shows what becomes of the processes when Patroni and the postmaster are killed.
func TestSupervisor(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	i := start(t, startPostgreSQL)
	i.eventually("PostgreSQL runs", func() bool { return i.running() == 2 })

	t.Log("The postmaster is killed under Patroni")
	postmaster := i.postmaster()
	before := time.Now()
	// Patroni's stand-in reaps what it started; the real one leaves that to PID 1.
	if err := i.KillPatroni(); err != nil {
		t.Fatal(err)
	}
	i.eventually("Patroni runs again", func() bool { return i.starts() == 2 && i.restarts.Load() == 1 && i.running() == 4 })
	if err := os.WriteFile(filepath.Join(i.folder, "postmaster.pid"), []byte(strconv.Itoa(postmaster)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(postmaster, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case at := <-i.died:
		if at.Before(before) {
			t.Errorf("it died at %s, before it was killed at %s", at, before)
		}
	case <-time.After(limit):
		t.Fatal("nobody was told that PostgreSQL died")
	}
	i.eventually("it is told apart from an end in order", i.crashed.Load)
	if n := i.running(); n > 0 {
		t.Errorf("%d processes of PostgreSQL are left after its death was told", n)
	}

	t.Log("The end")
	i.end()
}

// TestEndWithoutPatroni lets the container end while Patroni is not there: PostgreSQL is asked to end all the same, and what is to be done
// after its end is done before the container's.
func TestEndWithoutPatroni(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	i := start(t, `[ -s postmaster.pid ] || { env --default-signal=INT ./postgres 1000 & echo $! >postmaster.pid; }; exec sleep 1000`)
	i.eventually("PostgreSQL runs", func() bool { return i.running() == 1 })
	for starts := range 2 { // It is started again at once, and then after a second.
		i.eventually("Patroni runs", func() bool { return i.starts() == starts+1 })
		if err := i.KillPatroni(); err != nil {
			t.Fatal(err)
		}
	}
	i.end()
	if len(i.died) != 1 || i.running() != 0 {
		t.Errorf("the Supervisor has ended, %d were told of PostgreSQL's end, and %d of its processes are left", len(i.died), i.running())
	}
}
