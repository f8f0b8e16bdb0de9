// Package supervise is what PID 1 of an instance's container does with processes: it starts Patroni, reaps whatever ends,
// and kills what PostgreSQL leaves behind.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// restartDelays is how long to wait before Patroni is started again, the first time at once: PostgreSQL goes on under no
// one's control until then. The last one repeats.
func restartDelays() []time.Duration {
	return []time.Duration{0, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second}
}

// calm is how long Patroni must have run for its next end to count as the first.
const calm = time.Minute

// tellingTime is how long Gone may take at the end of the container.
const tellingTime = 5 * time.Second

// A Supervisor runs one command for as long as the container lives.
type Supervisor struct {
	// Command is Patroni's command line.
	Command []string

	// Env of the command.
	Env []string

	// DataDirectory tells which process is the postmaster.
	DataDirectory func() string

	// Executable tells a PostgreSQL process by the file that it runs, for example /usr/lib/postgresql/17/bin/postgres.
	Executable string

	// BeforeRestart is called when the command has ended by itself, before it is started again.
	BeforeRestart func()

	// Gone is called when the postmaster ended and every process that it left is gone, with the time at which it was found
	// to have ended, and whether that was not in order. Nobody acknowledges anything any more then.
	Gone func(at time.Time, crashed bool)

	// Log says what ends and what is killed.
	Log *slog.Logger

	// Journal remembers what the command and PostgreSQL write.
	Journal Journal

	mu     sync.Mutex
	child  int
	output *os.File // What both write to.

	// told has a value once Gone has returned.
	told chan struct{}

	// known is the postmaster that was seen last: one that ends in order takes its file away first.
	known atomic.Int64
}

// Run starts the command, starts it again whenever it ends, and reaps all orphans, until the context ends. Then it asks the
// command to end, which stops PostgreSQL in an orderly way, or does so itself where the command has ended before. Either may take the given
// patience, and what is left then is killed.
func (s *Supervisor) Run(ctx context.Context, patience time.Duration) error {
	finish, err := s.listen()
	if err != nil {
		return err
	}
	defer finish()
	ended := make(chan struct{}, 1)
	s.told = make(chan struct{}, 1)
	go s.reap(ended)

	for attempt := 0; ; attempt++ {
		started := time.Now()
		if err := s.start(); err != nil {
			return err
		}
		if stop := s.wait(ctx, ended); stop {
			return s.shutDown(ended, patience)
		}
		if time.Since(started) > calm {
			attempt = 0
		}
		delays := restartDelays()
		delay := delays[min(attempt, len(delays)-1)]
		s.Log.Warn("Patroni ended; PostgreSQL stays as it is until Patroni is back or the fence closes", "startedAgainIn", delay.String())
		select {
		case <-ctx.Done():
			return s.stopPostgreSQL(patience)
		case <-time.After(delay):
		}
		s.BeforeRestart()
	}
}

// listen passes on what the command and PostgreSQL write, which goes on writing there when another command is started. What it returns ends
// that when everything has been passed on.
func (s *Supervisor) listen() (finish func(), _ error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot make a pipe: %w", err)
	}
	s.output = writer
	passedOn := make(chan struct{})
	go func() {
		s.Journal.copy(os.Stderr, reader)
		close(passedOn)
	}()
	return func() {
		_ = writer.Close() // Nothing was written through it here.
		select {
		case <-passedOn:
		case <-time.After(tellingTime):
		}
	}, nil
}

// KillPatroni ends the command outright, also when it is stopped. Run starts it again.
func (s *Supervisor) KillPatroni() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == 0 {
		return nil
	}
	return kill(s.child)
}

// Reload tells Patroni to read its configuration and certificates again.
func (s *Supervisor) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == 0 {
		return nil
	}
	if err := syscall.Kill(s.child, syscall.SIGHUP); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot tell Patroni to reload: %w", err)
	}
	return nil
}

// KillPostgreSQL kills every PostgreSQL process of the container. What was acknowledged is in the WAL; the next start
// recovers it.
func (s *Supervisor) KillPostgreSQL() error {
	pids, err := s.postgres()
	if err != nil {
		return err
	}
	errs := []error{}
	for _, pid := range pids {
		errs = append(errs, kill(pid))
	}
	if len(pids) > 0 {
		s.Log.Warn("PostgreSQL processes were killed", "count", len(pids))
	}
	return errors.Join(errs...)
}

func (s *Supervisor) start() error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", os.DevNull, err)
	}
	defer null.Close() //nolint:errcheck // Nothing was written.
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := os.StartProcess(s.Command[0], s.Command, &os.ProcAttr{
		Env: s.Env, Files: []*os.File{null, os.Stdout, s.output}, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return fmt.Errorf("cannot start %q: %w", s.Command[0], err)
	}
	s.child = p.Pid
	s.Log.Info("Patroni started", "pid", p.Pid)
	return p.Release()
}

// wait returns when the command has ended, or with true when it is time to stop.
func (s *Supervisor) wait(ctx context.Context, ended <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return true
	case <-ended:
		return false
	}
}

func (s *Supervisor) shutDown(ended <-chan struct{}, patience time.Duration) error {
	s.mu.Lock()
	child := s.child
	s.mu.Unlock()
	if child == 0 {
		return s.stopPostgreSQL(patience)
	}
	if err := syscall.Kill(child, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot ask Patroni to end: %w", err)
	}
	select {
	case <-time.After(patience):
		s.Log.Warn("Patroni did not end in time", "patience", patience.String())
		return errors.Join(kill(child), s.KillPostgreSQL())
	case <-ended:
		return s.stopPostgreSQL(patience)
	}
}

// stopPostgreSQL ends a PostgreSQL in order that Patroni has left, because it was not there or had just been started when the container was
// to end, and waits until Gone has returned. What is left after the given patience is killed.
func (s *Supervisor) stopPostgreSQL(patience time.Duration) error {
	pids, err := s.postgres()
	if err != nil {
		return err
	}
	postmaster := s.postmaster()
	if !slices.Contains(pids, postmaster) {
		return s.KillPostgreSQL()
	}
	s.Log.Warn("Patroni has ended and PostgreSQL has not: it is asked to end in order", "pid", postmaster)
	select {
	case <-s.told: // Of an earlier end.
	default:
	}
	if err := syscall.Kill(postmaster, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot ask PostgreSQL to end: %w", err)
	}
	for since := time.Now(); !s.gone() && time.Since(since) < patience; {
		time.Sleep(50 * time.Millisecond)
	}
	if err := s.KillPostgreSQL(); err != nil {
		return err
	}
	select {
	case <-s.told:
	case <-time.After(tellingTime):
	}
	return nil
}

// isChild says whether a process that ended was the command, which then has none.
func (s *Supervisor) isChild(pid int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pid != s.child {
		return false
	}
	s.child = 0
	return true
}

// reap waits for every child, the adopted ones among them. When the postmaster was killed, the backends it leaves may
// still acknowledge what they were doing: they are killed before anything else happens.
func (s *Supervisor) reap(ended chan<- struct{}) {
	died, crashed := time.Time{}, false
	for {
		status := syscall.WaitStatus(0)
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.ECHILD):
			time.Sleep(50 * time.Millisecond)
			continue
		case err != nil:
			continue
		}
		if abrupt := pid == s.postmaster(); abrupt || int64(pid) == s.known.Load() {
			s.Log.Warn("The postmaster ended", "pid", pid, "signal", status.Signal().String(), "exitCode", status.ExitStatus())
			if err := s.KillPostgreSQL(); err != nil {
				s.Log.Error("Cannot kill what the postmaster left", "error", err.Error())
			}
			died, crashed = time.Now(), abrupt
		}
		if !died.IsZero() && s.gone() {
			go s.tell(died, crashed)
			died = time.Time{}
		}
		if s.isChild(pid) {
			ended <- struct{}{}
		}
	}
}

func (s *Supervisor) tell(died time.Time, crashed bool) {
	s.Gone(died, crashed)
	select {
	case s.told <- struct{}{}:
	default:
	}
}

// Look notes which process the postmaster is.
func (s *Supervisor) Look() {
	if pid := s.postmaster(); pid != 0 {
		s.known.Store(int64(pid))
	}
}

// gone says whether no PostgreSQL process is left.
func (s *Supervisor) gone() bool {
	pids, err := s.postgres()
	return err == nil && len(pids) == 0
}

// postmaster returns the process id in the data directory. The file stays when the postmaster was killed, and goes when
// it ended in order.
func (s *Supervisor) postmaster() int {
	raw, err := os.ReadFile(filepath.Join(s.DataDirectory(), "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return 0
	}
	return pid
}

// Recovery is what the process that replays WAL says it is at. Empty when there is none.
func (s *Supervisor) Recovery() string {
	pids, err := s.postgres()
	if err != nil {
		return ""
	}
	for _, pid := range pids {
		title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.Contains(string(title), "startup ") {
			return string(title)
		}
	}
	return ""
}

func (s *Supervisor) postgres() ([]int, error) {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return nil, fmt.Errorf("cannot list processes: %w", err)
	}
	pids := []int{}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || target != s.Executable {
			continue // It ended meanwhile, or is something else.
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err != nil {
			return nil, fmt.Errorf("cannot read the process id in %q: %w", link, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

func kill(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot kill process %d: %w", pid, err)
	}
	return nil
}
