// Package gitserver runs a Git server beside the local cluster: smart http, to read only, because that is what Flux
// clones from. Whoever wants to change a repository pushes to its folder.
package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/cgi" //nolint:gosec // CVE-2016-5386 was fixed in Go 1.6.3.
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 10 * time.Second
	stopTimeout  = 5 * time.Second
)

// A Server is a background process that serves the bare repositories in a folder.
type Server struct {
	// Dir holds the repositories, the process's binary, its log and its process id.
	Dir string

	// Address is where it listens, for example 10.89.0.1:5080. The address must be there before the server is started.
	Address string

	// Project is this project's folder, which the server is built in.
	Project string
}

// Handler serves the bare repositories in a folder.
func Handler(dir string) (http.Handler, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("cannot find git (apt-get install git): %w", err)
	}
	return &cgi.Handler{
		Path: git,
		Args: []string{"http-backend"},
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"},
	}, nil
}

// URL returns the address that a repository is cloned from.
func (s Server) URL(repository string) string {
	return "http://" + s.Address + "/" + repository + ".git"
}

// Repository returns the folder of a repository, which is what to push to. It makes the repository when there is none.
func (s Server) Repository(ctx context.Context, name string) (string, error) {
	dir := filepath.Join(s.Dir, name+".git")
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err == nil {
		return dir, nil
	}
	out, err := exec.CommandContext(ctx, "git", "init", "--quiet", "--bare", "--initial-branch=main", dir).CombinedOutput() //nolint:gosec // A folder of the caller's.
	if err != nil {
		return "", fmt.Errorf("cannot create Git repository %q: %w: %s", dir, err, out)
	}
	return dir, nil
}

// Start makes the server run and returns when it answers. It does nothing when it runs already.
func (s Server) Start(ctx context.Context) error {
	if s.answers(ctx) {
		return nil
	}
	if err := s.Stop(); err != nil {
		return err
	}
	if err := os.MkdirAll(s.Dir, 0o750); err != nil {
		return fmt.Errorf("cannot create the Git server's folder: %w", err)
	}
	binary := filepath.Join(s.Dir, "git-server")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./test/cluster/gitserver/serve") //nolint:gosec // A folder of the caller's.
	build.Dir = s.Project
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the Git server: %w\n%s", err, out)
	}
	if err := s.spawn(binary); err != nil {
		return err
	}
	return s.await(ctx)
}

// spawn starts the process in a session of its own, so that it outlives its parent.
func (s Server) spawn(binary string) error {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open the Git server's log: %w", err)
	}
	defer log.Close() //nolint:errcheck // The process has a descriptor of its own.

	cmd := exec.Command(binary, "--address", s.Address, "--dir", s.Dir) //nolint:gosec,noctx // It outlives any context of ours.
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start the Git server: %w", err)
	}
	pid := strconv.Itoa(cmd.Process.Pid)
	if err := os.WriteFile(s.pidFile(), []byte(pid), 0o600); err != nil {
		return fmt.Errorf("cannot note the Git server's process id %s: %w", pid, err)
	}
	if err := cmd.Process.Release(); err != nil {
		return fmt.Errorf("cannot let go of the Git server: %w", err)
	}
	return nil
}

func (s Server) await(ctx context.Context) error {
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) {
		if s.answers(ctx) {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("the Git server does not answer on %s after %s: see %s", s.Address, startTimeout, s.logFile())
}

// Stop ends the process, if it runs.
func (s Server) Stop() error {
	pid, err := s.pid()
	if err != nil || pid == 0 {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot stop the Git server, process %d: %w", pid, err)
	}
	for deadline := time.Now().Add(stopTimeout); isServer(pid); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("the Git server, process %d, runs on %s after it was told to stop", pid, stopTimeout)
		}
	}
	if err := os.Remove(s.pidFile()); err != nil {
		return fmt.Errorf("cannot forget the Git server's process id: %w", err)
	}
	return nil
}

// pid returns the server's process id, or 0 when it does not run.
func (s Server) pid() (int, error) {
	raw, err := os.ReadFile(s.pidFile())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot read the Git server's process id: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0, fmt.Errorf("cannot parse the Git server's process id in %q: %w", s.pidFile(), err)
	}
	if !isServer(pid) {
		return 0, nil
	}
	return pid, nil
}

// isServer says whether a process is a Git server of ours: after a restart of the machine, its id may be another's.
func isServer(pid int) bool {
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return err == nil && strings.Contains(string(line), "git-server")
}

func (s Server) answers(ctx context.Context) bool {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func (s Server) pidFile() string { return filepath.Join(s.Dir, "git-server.pid") }
func (s Server) logFile() string { return filepath.Join(s.Dir, "git-server.log") }
