package volume

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// TestIncarnations restores a cluster in place, restores it again, goes back, and lets what is kept run out.
func TestIncarnations(t *testing.T) {
	folder, now := t.TempDir(), time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	open := func(wanted *instance.Incarnation) *Volume {
		t.Helper()
		v, err := Open(folder, "17", wanted, random())
		if err != nil {
			t.Fatalf("Open(%+v): %v", wanted, err)
		}
		return v
	}
	write := func(v *Volume, content string) {
		t.Helper()
		err := errors.Join(
			os.MkdirAll(filepath.Join(v.DataDirectory(), "global"), 0o700),
			os.WriteFile(filepath.Join(v.DataDirectory(), "global", "pg_control"), nil, 0o600),
			os.WriteFile(filepath.Join(v.DataDirectory(), "PG_VERSION"), []byte("17\n"), 0o600),
			os.WriteFile(filepath.Join(v.DataDirectory(), "content"), []byte(content), 0o600),
			v.RecordBirth("7", now))
		if err != nil {
			t.Fatal(err)
		}
	}
	holds := func(v *Volume, want string) {
		t.Helper()
		got, _ := os.ReadFile(filepath.Join(v.DataDirectory(), "content"))
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("the data directory: -want, +got:\n%s", diff)
		}
	}

	born := open(nil)
	write(born, "born")

	first := (*instance.Incarnation)(nil).Restored("cluster", "first", instance.Restore{}, now, time.Hour)
	restored := open(first)
	if has, err := restored.HasDatabase(); has || err != nil {
		t.Errorf("a new incarnation begins with a database (%v)", err)
	}
	if restored.Identity().SystemIdentifier != "" {
		t.Error("a new incarnation is taken for one that was born")
	}
	write(restored, "first")

	second := open(first.Restored("", "second", instance.Restore{}, now, 2*time.Hour))
	write(second, "second")

	t.Log("Back to the first one: its data is as it was, and so is that of all others")
	back := open(second.Identity().Record.Returned("first", now, time.Hour))
	holds(back, "first")
	if back.Identity().SystemIdentifier != "7" {
		t.Error("an incarnation that was brought back is not the database that it was")
	}
	if _, err := Open(folder, "17", first, random()); !errors.Is(err, ErrOlderIncarnation) {
		t.Errorf("Open(...) for a Pod of an earlier incarnation: got %v; want %v", err, ErrOlderIncarnation)
	}

	removed, err := back.RemoveExpired(now.Add(90 * time.Minute))
	if diff := cmp.Diff([]string{"cluster", "second"}, removed); diff != "" || err != nil {
		t.Errorf("RemoveExpired(...): -want, +got:\n%s%v", diff, err)
	}
	holds(open(back.Identity().Record), "first")
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 2 {
		t.Errorf("the volume holds %v (%v); want the identity and the one that is left", entries, err)
	}

	t.Log("And to the one that the cluster was born with, as long as it is kept")
	if gone := back.Identity().Record.Returned("cluster", now.Add(90*time.Minute), time.Hour); gone != nil {
		t.Errorf("what was removed is still offered: %+v", gone)
	}
}

// TestIncarnationOriginal goes back to what the cluster was born with, whose folder has another name on each volume.
func TestIncarnationOriginal(t *testing.T) {
	folder, now := t.TempDir(), time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	born, err := Open(folder, "17", nil, random())
	if err != nil {
		t.Fatal(err)
	}
	restored := (*instance.Incarnation)(nil).Restored("cluster", "first", instance.Restore{}, now, time.Hour)
	if _, err := Open(folder, "17", restored, random()); err != nil {
		t.Fatal(err)
	}
	back, err := Open(folder, "17", restored.Returned("cluster", now, time.Hour), random())
	if err != nil {
		t.Fatal(err)
	}
	if back.DataDirectory() != born.DataDirectory() {
		t.Errorf("the data directory is %s; want that of before, %s", back.DataDirectory(), born.DataDirectory())
	}
	again, err := Open(folder, "17", back.Identity().Record.Restored("", "second", instance.Restore{}, now, time.Hour), random())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.RemoveExpired(now); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(born.DataDirectory())); err != nil {
		t.Errorf("what is kept was removed: %v", err)
	}
}
