// Package gitserver runs a Git server beside the local cluster: smart http, to read only, because that is what Flux
// clones from. Whoever wants to change a repository pushes to its folder.
package gitserver

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi" //nolint:gosec // CVE-2016-5386 was fixed in Go 1.6.3.
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/xdbcluster/xdbcluster/test/cluster/process"
)

const (
	processName  = "git-server"
	startTimeout = 10 * time.Second
	stopTimeout  = 5 * time.Second
)

// A Server is a background process that serves the bare repositories in a folder.
type Server struct {
	// Dir holds the repositories and the process's binary.
	Dir string

	// Processes is where the process is written down.
	Processes process.Supervisor

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
	err := s.Processes.Start(ctx, process.Process{
		Name:    processName,
		Command: []string{binary, "--address", s.Address, "--dir", s.Dir},
	})
	if err != nil {
		return err
	}
	return s.await(ctx)
}

func (s Server) await(ctx context.Context) error {
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) {
		if s.answers(ctx) {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("the Git server does not answer on %s after %s: see %s", s.Address, startTimeout, s.Processes.LogFile(processName))
}

// Stop ends the process, if it runs.
func (s Server) Stop() error {
	return s.Processes.Stop(processName, stopTimeout)
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
