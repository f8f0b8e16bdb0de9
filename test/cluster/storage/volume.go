package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// minimumSize is the smallest file system that mkfs.xfs makes, in bytes.
const minimumSize = 300 << 20

// A store keeps volumes as sparse files with an XFS file system each, mounted through loop devices. So every volume has
// a size of its own: it can be filled without filling the machine's disk, and it can grow. It is not ext4 because the
// kernel lets ext4 grow only for a process with CAP_SYS_RESOURCE, which root need not have.
type store struct {
	folder string
}

// create makes a volume of a size in bytes. A volume of that name that is there already stays as it is: it may hold data.
func (s store) create(ctx context.Context, id string, size int64) error {
	if _, err := os.Stat(s.file(id)); err == nil {
		return nil
	}
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return fmt.Errorf("cannot create the folder of volumes: %w", err)
	}
	unfinished := s.file(id) + ".unfinished"
	if err := os.WriteFile(unfinished, nil, 0o600); err != nil {
		return fmt.Errorf("cannot create volume %q: %w", id, err)
	}
	if err := os.Truncate(unfinished, size); err != nil {
		return fmt.Errorf("cannot set the size of volume %q: %w", id, err)
	}
	if err := run(ctx, "mkfs.xfs", "-q", "-f", "-K", unfinished); err != nil {
		return err
	}
	if err := os.Rename(unfinished, s.file(id)); err != nil {
		return fmt.Errorf("cannot keep volume %q: %w", id, err)
	}
	return nil
}

func (s store) remove(id string) error {
	if err := os.Remove(s.file(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove volume %q: %w", id, err)
	}
	return nil
}

// size returns a volume's size in bytes.
func (s store) size(id string) (int64, error) {
	info, err := os.Stat(s.file(id))
	if err != nil {
		return 0, fmt.Errorf("cannot find volume %q: %w", id, err)
	}
	return info.Size(), nil
}

// enlarge makes a volume's file larger. The file system follows on the node.
func (s store) enlarge(id string, size int64) error {
	now, err := s.size(id)
	if err != nil || now >= size {
		return err
	}
	if err := os.Truncate(s.file(id), size); err != nil {
		return fmt.Errorf("cannot enlarge volume %q: %w", id, err)
	}
	return nil
}

func (s store) mount(ctx context.Context, id, target string) error {
	if mounted(ctx, target) {
		return nil
	}
	if err := os.MkdirAll(target, 0o750); err != nil {
		return fmt.Errorf("cannot create mount point %q: %w", target, err)
	}
	return run(ctx, "mount", "-t", "xfs", "-o", "loop,nouuid", s.file(id), target)
}

// growFileSystem lets the file system of a mounted volume fill its file, while it is in use.
func (s store) growFileSystem(ctx context.Context, target string) error {
	out, err := exec.CommandContext(ctx, "findmnt", "--noheadings", "--first-only", "--output", "SOURCE", "--mountpoint", target).Output() //nolint:gosec // A mount point of the kubelet.
	if err != nil {
		return fmt.Errorf("cannot find the device of %q: %w", target, err)
	}
	device, _, _ := strings.Cut(strings.TrimSpace(string(out)), "[")
	if err := run(ctx, "losetup", "--set-capacity", device); err != nil {
		return err
	}
	return run(ctx, "xfs_growfs", target)
}

func (s store) file(id string) string {
	return filepath.Join(s.folder, filepath.Base(id)+".xfs")
}

func bind(ctx context.Context, source, target string, readonly bool) error {
	if mounted(ctx, target) {
		return nil
	}
	if err := os.MkdirAll(target, 0o750); err != nil {
		return fmt.Errorf("cannot create mount point %q: %w", target, err)
	}
	options := "bind"
	if readonly {
		options += ",ro"
	}
	return run(ctx, "mount", "-o", options, source, target)
}

func unmount(ctx context.Context, target string) error {
	for mounted(ctx, target) {
		if err := run(ctx, "umount", target); err != nil {
			return err
		}
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove mount point %q: %w", target, err)
	}
	return nil
}

func mounted(ctx context.Context, target string) bool {
	return exec.CommandContext(ctx, "mountpoint", "--quiet", target).Run() == nil //nolint:gosec // A mount point of the kubelet.
}

func run(ctx context.Context, command string, args ...string) error {
	if out, err := exec.CommandContext(ctx, command, args...).CombinedOutput(); err != nil { //nolint:gosec // The driver's own commands.
		return fmt.Errorf("cannot run %q: %w: %s", command+" "+strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
