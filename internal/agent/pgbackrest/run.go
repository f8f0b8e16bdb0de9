// Package pgbackrest runs pgBackRest, reads what it says is in a repository, and says in words what is wrong when it fails.
package pgbackrest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/pgbackrest"
)

// lingering is how long a process that was killed may keep what it prints to open.
const lingering = 5 * time.Second

// A Failure is a command of pgBackRest's that failed.
type Failure struct {
	// Command that failed, for example backup.
	Command string

	// Status is its exit status. -1 when it was killed.
	Status int

	// Output is what it printed.
	Output string
}

// Error says what is wrong in words.
func (f *Failure) Error() string { return Cause(f.Output) }

// Codes of pgBackRest's errors. See its src/build/error/error.yaml.
const (
	codeChecksum    = 26
	codeFormat      = 29
	codeFileOpen    = 41
	codeFileMissing = 55
	codeCrypto      = 95
)

// Damaged says whether a restore has failed because what was read is not what was written, or is not there any more, though the
// store answers.
func (f *Failure) Damaged() bool {
	if f.Command != "restore" {
		return false
	}
	switch f.Status {
	case codeChecksum, codeFormat, codeFileMissing:
		return true
	case codeFileOpen:
		return strings.Contains(f.Output, "unable to load backup manifest")
	case codeCrypto: // Certificates have it, too.
		return strings.Contains(f.Output, "cipher") || strings.Contains(f.Output, "unable to flush")
	}
	return false
}

// A Program is pgBackRest with a configuration.
type Program struct {
	// Config is the file.
	Config string
}

// Run runs a command and returns what it prints. An error is a *Failure, unless the command could not be started.
func (p Program) Run(ctx context.Context, command string, args ...string) (string, error) {
	// A shell tells the exit status: PID 1 of a container reaps every process, this one too, and its status may be gone.
	const script = `"$@"; echo "exit status $?" >&2`
	all := append([]string{"-c", script, "sh", "pgbackrest", "--config=" + p.Config, "--stanza=" + pgbackrest.Stanza, command}, args...)
	cmd := exec.CommandContext(ctx, "/bin/sh", all...) //nolint:gosec // The project's own arguments.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = lingering
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	out, said := &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, said
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("cannot start pgBackRest: %w", err)
	}
	waited := cmd.Wait()
	status, output := exitStatus(said.String())
	if status == 0 {
		return out.String(), nil
	}
	if ctx.Err() != nil {
		output += "\ntime is up: " + context.Cause(ctx).Error()
	} else if status < 0 && waited != nil && !errors.Is(waited, syscall.ECHILD) {
		output += "\n" + waited.Error()
	}
	return out.String(), &Failure{Command: command, Status: status, Output: output}
}

// exitStatus takes the line with the exit status off what was printed. The status is -1 when there is none.
func exitStatus(printed string) (int, string) {
	found := regexp.MustCompile(`(?s)^(.*)exit status (\d+)\n$`).FindStringSubmatch(printed)
	if found == nil {
		return -1, printed
	}
	status, err := strconv.Atoi(found[2])
	if err != nil {
		return -1, printed
	}
	return status, found[1]
}
