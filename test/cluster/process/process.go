// Package process starts the servers of the local cluster so that they outlive the command that started them, and stops
// them by the process ids it wrote down.
package process

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Process is a server of the local cluster.
type Process struct {
	// Name identifies the process. Its pid and log files are called after it.
	Name string

	// Namespace is the network namespace it runs in. Empty means the machine's own.
	Namespace string

	// Command and its arguments.
	Command []string

	// Env are variables set in addition to PATH and HOME, as NAME=value.
	Env []string

	// Config are files that the process reads when it starts.
	Config []string
}

// A Supervisor keeps pid files and logs in a folder.
type Supervisor struct {
	Folder string
}

// stopTimeout is how long a process may take to end before it is killed to make way for its next version.
const stopTimeout = 10 * time.Second

// Start makes a process run. One that runs already with the same binary, arguments and configuration is left alone; one
// that runs with others is replaced. The process gets a session of its own.
func (s Supervisor) Start(ctx context.Context, p Process) error {
	identity, err := p.identity()
	if err != nil {
		return err
	}
	if s.runs(p.Name, identity) {
		return nil
	}
	if err := s.Stop(p.Name, stopTimeout); err != nil {
		return err
	}
	if err := os.MkdirAll(s.Folder, 0o750); err != nil {
		return fmt.Errorf("cannot create the folder of processes: %w", err)
	}
	cmd, err := s.launch(ctx, p)
	if err != nil {
		return fmt.Errorf("cannot start %q: %w", p.Name, err)
	}
	if err := s.remember(p.Name, cmd.Process.Pid, identity); err != nil {
		return err
	}
	return cmd.Process.Release()
}

func (s Supervisor) launch(ctx context.Context, p Process) (*exec.Cmd, error) {
	log, err := os.OpenFile(s.LogFile(p.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open its log: %w", err)
	}
	defer log.Close() //nolint:errcheck // The process has a handle of its own.

	argv := p.Command
	if p.Namespace != "" {
		argv = append([]string{"nsenter", "--net=/run/netns/" + p.Namespace}, argv...)
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...) //nolint:gosec // The cluster's own commands.
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/root"}, p.Env...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, cmd.Start()
}

// Running says whether the process that was started under a name still runs.
func (s Supervisor) Running(name string) bool {
	_, ok := s.find(name)
	return ok
}

// runs says whether a process runs as it should. One written down without an identity is taken for what it should be.
func (s Supervisor) runs(name, identity string) bool {
	r, ok := s.find(name)
	return ok && (r.identity == identity || r.identity == "")
}

// LogFile is where a process's output goes.
func (s Supervisor) LogFile(name string) string {
	return filepath.Join(s.Folder, name+".log")
}

// Stop ends a process: politely first, and outright after the given time.
func (s Supervisor) Stop(name string, patience time.Duration) error {
	r, ok := s.find(name)
	if !ok {
		return s.forget(name)
	}
	if err := syscall.Kill(r.pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot stop %q: %w", name, err)
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if !s.Running(name) {
			return s.forget(name)
		}
	}
	return s.Kill(name)
}

// Kill ends a process outright, as a power failure would.
func (s Supervisor) Kill(name string) error {
	r, ok := s.find(name)
	if !ok {
		return s.forget(name)
	}
	if err := syscall.Kill(r.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot kill %q: %w", name, err)
	}
	for deadline := time.Now().Add(stopTimeout); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if !s.Running(name) {
			return s.forget(name)
		}
	}
	return fmt.Errorf("process %d (%q) does not end although it was killed", r.pid, name)
}

// Names returns the names of all processes that were started and not stopped.
func (s Supervisor) Names() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(s.Folder, "*.pid"))
	if err != nil {
		return nil, fmt.Errorf("cannot list processes: %w", err)
	}
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".pid"))
	}
	return names, nil
}

// A record is what a pid file holds.
type record struct {
	pid int

	// started is the process's start time: a pid alone may by now be somebody else's.
	started string

	// identity is what was started, so that a change of it is seen.
	identity string
}

func (r record) String() string { return fmt.Sprintf("%d %s %s", r.pid, r.started, r.identity) }

func parseRecord(line string) (record, error) {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return record{}, fmt.Errorf("%q has no process id and start time", line)
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil {
		return record{}, fmt.Errorf("cannot parse process id: %w", err)
	}
	return record{pid: pid, started: fields[1], identity: strings.Join(fields[2:], " ")}, nil
}

func (s Supervisor) remember(name string, pid int, identity string) error {
	started, err := startTime(pid)
	if err != nil {
		return fmt.Errorf("%q ended at once: %w; see %s", name, err, s.LogFile(name))
	}
	if err := os.WriteFile(s.pidFile(name), []byte(record{pid: pid, started: started, identity: identity}.String()), 0o600); err != nil {
		return fmt.Errorf("cannot write down the process id of %q: %w", name, err)
	}
	return nil
}

func (s Supervisor) forget(name string) error {
	if err := os.Remove(s.pidFile(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot forget the process id of %q: %w", name, err)
	}
	return nil
}

// find returns what is written down about a process, and whether it still runs.
func (s Supervisor) find(name string) (record, bool) {
	raw, err := os.ReadFile(s.pidFile(name))
	if err != nil {
		return record{}, false
	}
	r, err := parseRecord(string(raw))
	if err != nil {
		return record{}, false
	}
	now, err := startTime(r.pid)
	return r, err == nil && now == r.started
}

// identity describes all that decides what a process does: binary, arguments, variables and configuration.
func (p Process) identity() (string, error) {
	binary, err := exec.LookPath(p.Command[0])
	if err != nil {
		return "", fmt.Errorf("cannot find the program of %q: %w", p.Name, err)
	}
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%q %q %q\n", p.Namespace, p.Command, p.Env) // A hash takes everything.
	// A link leads to a binary that is kept by its content, so the target's name says enough.
	if target, err := os.Readlink(binary); err == nil {
		_, _ = fmt.Fprintf(sum, "%q\n", target)
	} else if err := hashFile(sum, binary); err != nil {
		return "", err
	}
	for _, f := range p.Config {
		if err := hashFile(sum, f); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

func hashFile(sum hash.Hash, path string) error {
	f, err := os.Open(path) //nolint:gosec // A file of the cluster's own.
	if err != nil {
		return fmt.Errorf("cannot open %q: %w", path, err)
	}
	defer f.Close() //nolint:errcheck // It was only read.
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("cannot read %q: %w", path, err)
	}
	return nil
}

func (s Supervisor) pidFile(name string) string {
	return filepath.Join(s.Folder, name+".pid")
}

// startTime returns field 22 of /proc/PID/stat, in clock ticks since the machine's start; an error for a process that is
// gone or a zombie.
func startTime(pid int) (string, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", fmt.Errorf("cannot read about process %d: %w", pid, err)
	}
	_, rest, ok := strings.Cut(string(raw), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	return fields[19], nil
}
