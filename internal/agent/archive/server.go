package archive

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/pgbackrest"
)

// serverRetry is how long to wait before a server that ended is started again.
const serverRetry = 2 * time.Second

// A server is pgBackRest's own, which lets Jobs of backups read this instance's files.
type server struct {
	log *slog.Logger

	process     *os.Process
	ended       chan struct{} // Closed when the process has ended.
	started     time.Time
	certificate [sha256.Size]byte
}

// keep runs the server while it is wanted, and lets it know of a renewed certificate.
func (s *server) keep(wanted bool, folder string) error {
	if !wanted {
		s.stop()
		return nil
	}
	certificate, err := mountedCertificate()
	if err != nil {
		return err
	}
	if s.process == nil {
		s.certificate = certificate
		return s.start(folder)
	}
	select {
	case <-s.ended:
		s.log.Warn("pgBackRest's server has ended; it is started again")
		s.process = nil
		return nil
	default:
	}
	if certificate == s.certificate {
		return nil
	}
	s.certificate = certificate
	if err := s.process.Signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("cannot let pgBackRest's server know of the new certificate: %w", err)
	}
	return nil
}

func (s *server) start(folder string) error {
	if time.Since(s.started) < serverRetry {
		return nil
	}
	s.started = time.Now()
	config := filepath.Join(folder, fileServer)
	if err := replace(config, pgbackrest.RenderServer(folder)); err != nil {
		return err
	}
	cmd := exec.Command("pgbackrest", "--config="+config, "server") //nolint:gosec,noctx // The project's own arguments; it ends with the container.
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start pgBackRest's server: %w", err)
	}
	ended := make(chan struct{})
	s.process, s.ended = cmd.Process, ended
	go func() {
		_ = cmd.Wait() // PID 1 reaps it, so that its status may be gone; that it ended is all that matters.
		close(ended)
	}()
	return nil
}

func (s *server) stop() {
	if s.process == nil {
		return
	}
	_ = syscall.Kill(-s.process.Pid, syscall.SIGTERM) // With all that it serves; it may have ended by itself.
	s.process = nil
}

// mountedCertificate identifies what the server shows its clients.
func mountedCertificate() ([sha256.Size]byte, error) {
	parts := make([][]byte, 0, 2)
	for _, key := range []string{instance.KeyInternalCertificate, instance.KeyInternalAuthority} {
		raw, err := os.ReadFile(filepath.Join(instance.FolderTLS, key))
		if err != nil {
			return [sha256.Size]byte{}, fmt.Errorf("cannot read the certificate: %w", err)
		}
		parts = append(parts, raw)
	}
	return sha256.Sum256(bytes.Join(parts, []byte{0})), nil
}
