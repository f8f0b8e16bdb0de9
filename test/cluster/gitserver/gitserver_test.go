package gitserver_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/xdbcluster/xdbcluster/test/cluster/gitserver"
	"github.com/xdbcluster/xdbcluster/test/cluster/process"
)

// A commit pushed to a repository's folder is what a shallow clone over http brings, and nobody can push over http.
func TestServer(t *testing.T) {
	server := gitserver.Server{
		Dir: t.TempDir(), Processes: process.Supervisor{Folder: t.TempDir()}, Address: freeAddress(t), Project: "../../..",
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	bare, err := server.Repository(t.Context(), "demo")
	if err != nil {
		t.Fatal(err)
	}

	work := t.TempDir()
	git(t, work, "init", "--quiet", "--initial-branch=main")
	if err := os.WriteFile(filepath.Join(work, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	git(t, work, "add", "file")
	git(t, work, "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "--quiet", "-m", "add a file")
	git(t, work, "push", "--quiet", bare, "main")

	clone := filepath.Join(t.TempDir(), "clone")
	git(t, work, "clone", "--quiet", "--depth=1", server.URL("demo"), clone)
	got, err := os.ReadFile(filepath.Join(clone, "file"))
	if err != nil || string(got) != "content" {
		t.Errorf("clone: got %q, %v; want the pushed content", got, err)
	}

	push := exec.CommandContext(t.Context(), "git", "push", "--quiet", server.URL("demo"), "main:other")
	push.Dir = work
	if err := push.Run(); err == nil {
		t.Error("push over http: want it refused")
	}
	if err := server.Start(t.Context()); err != nil {
		t.Errorf("second start: %v", err)
	}
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // It listened to nobody.
	return listener.Addr().String()
}
