// Package process starts the servers of the local cluster so that they outlive the command that started them, and stops
// them by the process ids it wrote down.
package process

import (
	"context"
	"errors"
	"fmt"
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
}

// A Supervisor keeps pid files and logs in a folder.
type Supervisor struct {
	Folder string
}

// Start starts a process unless it runs already. The process gets a session of its own.
func (s Supervisor) Start(ctx context.Context, p Process) error {
	if s.Running(p.Name) {
		return nil
	}
	if err := os.MkdirAll(s.Folder, 0o750); err != nil {
		return fmt.Errorf("cannot create the folder of processes: %w", err)
	}
	log, err := os.OpenFile(s.LogFile(p.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("cannot open the log of %q: %w", p.Name, err)
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
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start %q: %w", p.Name, err)
	}
	if err := s.remember(p.Name, cmd.Process.Pid); err != nil {
		return err
	}
	return cmd.Process.Release()
}

// Running says whether the process that was started under a name still runs.
func (s Supervisor) Running(name string) bool {
	_, ok := s.pid(name)
	return ok
}

// LogFile is where a process's output goes.
func (s Supervisor) LogFile(name string) string {
	return filepath.Join(s.Folder, name+".log")
}

// Stop ends a process: politely first, and outright after the given time.
func (s Supervisor) Stop(name string, patience time.Duration) error {
	pid, ok := s.pid(name)
	if !ok {
		return s.forget(name)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot stop %q: %w", name, err)
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if !s.Running(name) {
			return s.forget(name)
		}
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot kill %q: %w", name, err)
	}
	return s.forget(name)
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

// remember writes down pid and start time: a pid alone may by now be somebody else's.
func (s Supervisor) remember(name string, pid int) error {
	started, err := startTime(pid)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.pidFile(name), fmt.Appendf(nil, "%d %s\n", pid, started), 0o600); err != nil {
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

func (s Supervisor) pid(name string) (int, bool) {
	raw, err := os.ReadFile(s.pidFile(name))
	if err != nil {
		return 0, false
	}
	first, started, _ := strings.Cut(strings.TrimSpace(string(raw)), " ")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return 0, false
	}
	now, err := startTime(pid)
	return pid, err == nil && now == started
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
