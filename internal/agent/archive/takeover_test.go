package archive

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTakeOver(t *testing.T) {
	directory := t.TempDir()
	status := filepath.Join(directory, "pg_wal", "archive_status")
	if err := os.MkdirAll(status, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{
		"pg_wal/000000010000000000000007", "pg_wal/archive_status/000000010000000000000007.done", // Received; perhaps never archived.
		"pg_wal/000000010000000000000008", "pg_wal/archive_status/000000010000000000000008.ready",
		"pg_wal/archive_status/000000010000000000000006.done",                                    // Of a segment that is gone.
		"pg_wal/000000010000000000000009.partial",                                                // Where the timeline was left.
		"pg_wal/archive_status/000000010000000000000009.partial.done",                            // It stays what it is.
		"pg_wal/00000002.history",                                                                // Of this timeline.
		"pg_wal/000000020000000000000009", "pg_wal/archive_status/000000020000000000000009.done", // Archived by this primary.
		"pg_wal/00000002000000000000000A",
	} {
		if err := os.WriteFile(filepath.Join(directory, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{1, 0} {
		got, err := takeOver(directory)
		if err != nil || got != want {
			t.Errorf("takeOver(...): %d, %v; want %d", got, err, want)
		}
	}
	entries, err := os.ReadDir(status)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	want := []string{
		"000000010000000000000006.done", "000000010000000000000007.ready", "000000010000000000000008.ready", "000000010000000000000009.partial.done", "000000020000000000000009.done",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("What PostgreSQL is to archive: -want, +got:\n%s", diff)
	}
}
