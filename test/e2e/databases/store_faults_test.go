//go:build e2e

package databases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

const (
	// faultTime is how long the store fails in each way, at least.
	faultTime = time.Minute

	// bucketSize is how large a bucket is at first, which can become full, and roomyBucketSize what it then is. They are sizes of a
	// sparse file. Less than the first is too small for XFS, which grows in use without a right that root need not have.
	bucketSize      = 300 << 20
	roomyBucketSize = 1 << 30

	// walPath is in the paths of what is stored of WAL, and in no others.
	walPath = "/archive/db/17-1/"

	// segmentSize is how large a segment of WAL is.
	segmentSize = 16 << 20
)

// TestStoreFaults lets the object store answer badly in every way, under load: the database goes on with the primary that it has, says
// what is wrong, and catches up once the store is well; what is in the repository afterwards can be restored, with every row.
func TestStoreFaults(t *testing.T) {
	s := newScene(t)
	location := s.store()
	f := s.inFront(location)
	d := s.create("source", clusterSpec("17", 1))
	d.plan(map[string]any{"backupLocation": location})
	d.waitScheduled()
	w := d.write()
	primary := d.waitPrimary("")

	last := v1alpha1.BackupStatus{}
	for _, c := range []struct {
		name     string
		fault    fault
		incident string // What it says. Empty where archiving is to go on.
		backup   string // Taken meanwhile, if it has a name.
	}{
		{name: "Requests wait, and bodies trickle", fault: fault{one: 1, delay: 2 * time.Second, pause: 20 * time.Millisecond}},
		{name: "Every other request is one too many", fault: fault{one: 2, status: 503, code: "SlowDown"}, backup: "busy"},
		{name: "Every request fails", fault: fault{one: 1, status: 500, code: "InternalError"}, incident: "the store reports an error of its own (500 Internal Server Error)"},
		{name: "Connections are cut in the middle", fault: fault{one: 2, cut: true}, backup: "cut"},
	} {
		t.Log(c.name)
		since := time.Now()
		f.set(&c.fault)
		if c.backup != "" {
			d.askForBackup(c.backup, v1alpha1.BackupFull)
		}
		for time.Since(since) < faultTime {
			d.sql(fillSegment)
			time.Sleep(5 * time.Second)
		}
		if c.incident != "" {
			d.waitIncident("ArchivingFails", c.incident)
		}
		if c.backup != "" {
			if status := d.waitBackupEnd(c.backup, 2*backupLimit); status.Phase != v1alpha1.BackupSucceeded && (status.Reason == "" || status.Message == "") {
				t.Errorf("Backup %s is %s, and does not say why: %+v", c.backup, status.Phase, status)
			}
		}
		requests, hit := f.requests.Load(), f.hit.Load()
		f.set(nil)
		t.Logf("%d of %d requests were hit", hit, requests)
		if hit == 0 {
			t.Error("the fault hit no request")
		}

		d.waitArchived()
		d.waitNoIncident("ArchivingFails")
		w.checkUndisturbed(primary, since)
		if c.backup != "" {
			last = d.backUp("after-"+c.backup, v1alpha1.BackupFull)
		}
	}

	w.check()
	d.sql("CREATE TABLE last (n int)")
	xid := d.transaction("INSERT INTO last VALUES (1)")
	d.waitArchived()
	t.Log("The store fails in the middle of a replay of all that there is, which begins again and leaves nothing out")
	f.set(&fault{one: 1, path: walPath, after: 4, status: 500, code: "InternalError"})
	replayed := s.start("replayed", restored("17", v1alpha1.RestoreSpec{RestoreTarget: v1alpha1.RestoreTarget{XID: xid}}))
	replayed.waitIncident("RestoreFails", "the store reports an error of its own (500 Internal Server Error)")
	f.set(nil)
	replayed.waitRolledOut()
	w.checkIn(replayed)
	replayed.delete()

	t.Log("The last backup, and all that was archived, can be restored")
	s.create("to-backup", restored("17", v1alpha1.RestoreSpec{RestoreTarget: v1alpha1.RestoreTarget{Backup: last.Label}})).delete()
	w.checkIn(s.create("to-end", restored("17", v1alpha1.RestoreSpec{})))
}

// TestStoreFull fills the object store under load: the database goes on with the primary that it has, says what the store says, and
// catches up once there is room.
func TestStoreFull(t *testing.T) {
	image := filepath.Join(t.TempDir(), "bucket.xfs") // Before the scene: it goes after what is stored in it.
	s := newScene(t)
	if err := unmount(s.bucket()); err != nil {
		t.Fatalf("cannot unmount what an earlier run left: %v", err)
	}
	location := s.store()
	s.mountBucket(image)
	d := s.create("source", clusterSpec("17", 1))
	// As they are, segments fill it soon.
	d.plan(map[string]any{"backupLocation": location, "compression": string(v1alpha1.CompressionNone)})
	d.waitScheduled()
	w := d.write()
	primary := d.waitPrimary("")

	since := time.Now()
	d.eventually(backupLimit, "The store is full", func(context.Context) (string, bool) {
		d.sql("SELECT pg_switch_wal()")
		time.Sleep(time.Second)
		free := s.bucketFree()
		return fmt.Sprintf("%d bytes are free", free), free < segmentSize
	})
	d.sql("SELECT pg_switch_wal()")
	d.waitIncident("ArchivingFails", "look whether the store is full")
	for full := time.Now(); time.Since(full) < faultTime; time.Sleep(10 * time.Second) {
		d.sql(fillSegment)
	}
	d.waitIncident("ArchivingFails", "look whether the store is full")
	w.checkUndisturbed(primary, since)

	t.Log("There is room again")
	s.growBucket(image)
	d.waitArchived()
	d.waitNoIncident("ArchivingFails")
	w.checkUndisturbed(primary, since)
	d.backUp("afterwards", v1alpha1.BackupFull)
	w.check()
	d.waitArchived()
	w.checkIn(s.create("to-end", restored("17", v1alpha1.RestoreSpec{})))
}

// checkIn checks that every row that was acknowledged is in a copy of the database. The writer has ended.
func (w *writer) checkIn(clone *database) {
	w.Helper()
	(&writer{database: clone}).check()
}

// mountBucket gives the bucket of the namespace's name a file system of its own, so that it becomes full and the machine's disk does not.
func (s *scene) mountBucket(image string) {
	s.Helper()
	err := os.WriteFile(image, nil, 0o600)
	if err == nil {
		err = os.Truncate(image, bucketSize)
	}
	if err != nil {
		s.Fatalf("cannot make a file system for a bucket: %v", err)
	}
	s.afterwards = append(s.afterwards, func() error { return unmount(s.bucket()) })
	s.run("mkfs.xfs", "-q", "-f", "-K", image)
	s.run("mount", "-t", "xfs", "-o", "loop,nouuid", image, s.bucket())
}

// growBucket makes the file system of the bucket larger while it is in use.
func (s *scene) growBucket(image string) {
	s.Helper()
	if err := os.Truncate(image, roomyBucketSize); err != nil {
		s.Fatalf("cannot make a file system larger: %v", err)
	}
	s.run("losetup", "--set-capacity", s.run("findmnt", "--noheadings", "--first-only", "--output", "SOURCE", "--mountpoint", s.bucket()))
	s.run("xfs_growfs", s.bucket())
}

// bucketFree is how many bytes are free in the bucket.
func (s *scene) bucketFree() int64 {
	s.Helper()
	stat := unix.Statfs_t{}
	if err := unix.Statfs(s.bucket(), &stat); err != nil {
		s.Fatalf("cannot see how full the bucket is: %v", err)
	}
	return int64(stat.Bavail) * stat.Bsize
}

// run runs a command of this machine's administrator, and returns what it prints.
func (s *scene) run(command string, args ...string) string {
	s.Helper()
	out, err := exec.CommandContext(s.Context(), command, args...).CombinedOutput()
	if err != nil {
		s.Fatalf("cannot run %q: %v: %s", command+" "+strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// unmount takes a file system away, if there is one. The store may have a file open still.
func unmount(folder string) error {
	switch err := unix.Unmount(folder, unix.MNT_DETACH); {
	case err == nil, errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
		return nil
	default:
		return fmt.Errorf("cannot unmount %q: %w", folder, err)
	}
}
