package repository

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/pgbackrest"
)

// A lease is a lock that another one may take away.
type lease struct {
	mu       sync.Mutex
	holder   string
	released bool
}

func (l *lease) TakeRepository(_ context.Context, holder string, _ time.Duration, _ time.Time) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder != "" && l.holder != holder {
		return l.holder, nil
	}
	l.holder = holder
	return "", nil
}

func (l *lease) ReleaseRepository(_ context.Context, holder string, _ time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.released = l.holder == holder
	return nil
}

func (l *lease) heldBy() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holder
}

func (l *lease) lose(to string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holder = to
}

// TestLock shows that whoever loses the lock is told to stop, and that nobody has it while another one does.
func TestLock(t *testing.T) {
	there := &lease{}
	lock := NewLock(there, "backup", slog.New(slog.DiscardHandler))
	lock.renewal = time.Millisecond
	if waits := lock.Take(t.Context()); waits != "" {
		t.Fatalf("a lock that nobody has cannot be taken: %s", waits)
	}
	held, release := lock.Hold(t.Context())
	if held.Err() != nil {
		t.Fatalf("the lock is lost at once: %v", context.Cause(held))
	}
	there.lose("verification")
	select {
	case <-held.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("nobody is told that the lock was lost")
	}
	if diff := cmp.Diff("the repository's lock was lost to verification", context.Cause(held).Error()); diff != "" {
		t.Errorf("Hold(): cause: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff("Waiting for the repository, which verification uses now.", lock.Take(t.Context())); diff != "" {
		t.Errorf("Take(): -want +got:\n%s", diff)
	}
	release()
	if there.released {
		t.Error("another one's lock was released")
	}
}

// TestKeep shows that a lock that was lost is taken again once nobody has it.
func TestKeep(t *testing.T) {
	there := &lease{holder: "backup"}
	lock := NewLock(there, "copy", slog.New(slog.DiscardHandler))
	lock.renewal = time.Millisecond
	release := lock.Keep(t.Context())
	there.lose("")
	for deadline := time.Now().Add(10 * time.Second); there.heldBy() != "copy"; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the lock is held by %q; want copy", there.heldBy())
		}
	}
	release()
	if !there.released {
		t.Error("the lock was not released")
	}
}

func TestInventory(t *testing.T) {
	at := time.Date(2026, time.March, 1, 2, 0, 0, 0, time.UTC)
	got := Inventory("id", pgbackrest.Stanza{There: true, Backups: []pgbackrest.Backup{
		{Label: "A", Type: "full", Start: at, Stop: at.Add(time.Minute), Repository: 7, Annotations: map[string]string{pgbackrest.AnnotationName: "nightly"}},
		{Label: "B", Type: "incr", Start: at, Stop: at, Damaged: true},
	}})
	want := instance.Inventory{Repository: "id", Backups: []instance.StoredBackup{
		{Label: "A", Type: "full", Start: at, Stop: at.Add(time.Minute), Size: 7, Name: "nightly"},
		{Label: "B", Type: "incr", Start: at, Stop: at, Damaged: true},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Inventory(): -want +got:\n%s", diff)
	}
}
