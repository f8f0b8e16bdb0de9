package program

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// A Builder builds programs into a cache folder.
type Builder struct {
	Catalog Catalog

	// Cache is the folder that holds binaries by content and, under bin, a link by name to the current one.
	Cache string
}

// Build makes a program ready and returns the path of its binary. It does nothing when the binary for the same module
// version, flags and toolchain is there already.
func (b Builder) Build(ctx context.Context, program string) (string, error) {
	m, err := b.Catalog.Find(program)
	if err != nil {
		return "", err
	}
	sum, err := contentHash(m, program)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(b.Cache, "programs", program+"-"+sum)
	if _, err := os.Stat(binary); errors.Is(err, fs.ErrNotExist) {
		if err := b.compile(ctx, m, program, binary); err != nil {
			return "", err
		}
	}
	return b.link(program, binary)
}

// Source returns the folder of the module that holds a program, and the module's version. Charts and definitions are
// files in there.
func (b Builder) Source(ctx context.Context, program string) (dir, version string, err error) {
	m, err := b.Catalog.Find(program)
	if err != nil {
		return "", "", err
	}
	dir, err = download(ctx, m)
	return dir, m.Version, err
}

// Built says whether Build would have nothing to do but return.
func (b Builder) Built(program string) bool {
	m, err := b.Catalog.Find(program)
	if err != nil {
		return false
	}
	sum, err := contentHash(m, program)
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(b.Cache, "programs", program+"-"+sum))
	return err == nil
}

// compile builds to a temporary name first: a build that was interrupted must not be found by the next one.
func (b Builder) compile(ctx context.Context, m Module, program, binary string) error {
	dir, err := os.MkdirTemp("", "build-"+program+"-")
	if err != nil {
		return fmt.Errorf("cannot create a folder to build %q in: %w", program, err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // A temporary folder that stays does no harm.

	if err := writeBuildModule(ctx, m, dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o750); err != nil {
		return fmt.Errorf("cannot create the folder of programs: %w", err)
	}
	unfinished := binary + ".unfinished"
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w "+m.LDFlags, "-o", unfinished, m.Programs[program]) //nolint:gosec // Arguments come from the catalog.
	cmd.Dir = dir
	cmd.Env = m.environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build %s from %s@%s: %w\n%s", program, m.Path, m.Version, err, out)
	}
	if err := os.Rename(unfinished, binary); err != nil {
		return fmt.Errorf("cannot keep %q: %w", program, err)
	}
	return nil
}

func (b Builder) link(program, binary string) (string, error) {
	bin := filepath.Join(b.Cache, "bin")
	if err := os.MkdirAll(bin, 0o750); err != nil {
		return "", fmt.Errorf("cannot create the folder of links: %w", err)
	}
	name := filepath.Join(bin, program)
	target := filepath.Join("..", "programs", filepath.Base(binary))
	if current, err := os.Readlink(name); err == nil && current == target {
		return name, nil
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("cannot replace the link to %q: %w", program, err)
	}
	if err := os.Symlink(target, name); err != nil {
		return "", fmt.Errorf("cannot link %q: %w", program, err)
	}
	return name, nil
}

// contentHash covers all that decides what a binary contains.
func contentHash(m Module, program string) (string, error) {
	raw, err := json.Marshal(struct {
		Module  Module
		Program string
		Go      string
		Arch    string
	}{m, program, runtime.Version(), runtime.GOARCH})
	if err != nil {
		return "", fmt.Errorf("cannot describe program %q: %w", program, err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8]), nil
}
