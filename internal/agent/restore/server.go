package restore

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	// stopTime bounds how long a PostgreSQL that nobody uses may take to stop.
	stopTime = time.Minute

	// tail is how much of PostgreSQL's log is kept, to say why it failed.
	tail = 16 << 10
)

// A Server is a PostgreSQL that runs for a while on a database that was restored.
type Server struct {
	cmd   *exec.Cmd
	log   *lastOf
	ended chan struct{}
}

// Start starts PostgreSQL with settings that count for more than those in any file, name=value each. It is stopped when the
// context ends.
func Start(ctx context.Context, binaries, directory string, settings ...string) (*Server, error) {
	arguments := []string{"-D", directory}
	for _, setting := range settings {
		arguments = append(arguments, "-c", setting)
	}
	s := &Server{log: &lastOf{limit: tail}, ended: make(chan struct{})}
	s.cmd = exec.CommandContext(ctx, filepath.Join(binaries, "postgres"), arguments...) //nolint:gosec // The project's own arguments.
	s.cmd.Stdout, s.cmd.Stderr = os.Stdout, io.MultiWriter(os.Stderr, s.log)
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGINT) }
	s.cmd.WaitDelay = stopTime
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start PostgreSQL: %w", err)
	}
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait() // What it wrote to the directory says how it ended.
	}()
	return s, nil
}

// Ended is closed when it has ended.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// WhyEnded says why it has ended by itself.
func (s *Server) WhyEnded() Ended { return Ended{Log: s.log.String()} }

// Stop returns when it has ended.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return fmt.Errorf("cannot stop PostgreSQL: %w", err)
	}
	<-s.ended
	return nil
}

// Ended is a PostgreSQL that has ended before its time.
type Ended struct {
	// Log is what it wrote last.
	Log string
}

// Error gives what it said last.
func (e Ended) Error() string {
	fatal := regexp.MustCompile(`(?m)^.*(?:FATAL|PANIC):\s+(.*)$`).FindAllStringSubmatch(e.Log, -1)
	if len(fatal) == 0 {
		return "PostgreSQL has ended, and said nothing about why; it was killed, or its node has no memory left"
	}
	return "PostgreSQL says: " + fatal[len(fatal)-1][1]
}

// Early says whether it has found that the archive ends before the target.
func (e Ended) Early() bool {
	return strings.Contains(e.Log, "recovery ended before configured recovery target was reached")
}

// Crowded says whether it has ended because there were more prepared transactions than it had room for.
func (e Ended) Crowded() bool {
	return strings.Contains(e.Log, "maximum number of prepared transactions reached")
}

// Unread says whether it has ended because a segment could not be had that may well be in the archive.
func (e Ended) Unread() bool {
	return regexp.MustCompile(`FATAL:[^\n]*could not restore file "[^"]+" from archive`).MatchString(e.Log)
}

// Damaged says whether it has ended because of what is in its files or in the WAL, or not.
func (e Ended) Damaged() bool {
	return regexp.MustCompile(`could not locate (?:a valid|required) checkpoint record|invalid (?:primary )?checkpoint record|` +
		`\[(?:ChecksumError|FormatError|CryptoError)\]|WAL ends before|recovery ended before configured recovery target was reached|` +
		`invalid page in block|WAL contains references to invalid pages|incorrect checksum in control file|` +
		`(?:FATAL|PANIC):[^\n]*(?:No such file or directory|could not read block|invalid data in file|could not access status of transaction)`).MatchString(e.Log)
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
