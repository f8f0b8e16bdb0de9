package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/xdbcluster/xdbcluster/package/oci"
)

// buildDatabase makes a database image: Debian's packages in one layer, the agent in another, so that a change of the
// agent moves a few megabytes.
func (b builder) buildDatabase(ctx context.Context, major, suite, agent string) (v1.Image, error) {
	root, err := b.rootFileSystem(ctx, major, suite)
	if err != nil {
		return nil, err
	}
	base, err := tarball.LayerFromFile(root, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("cannot make a layer of %q: %w", root, err)
	}
	program, err := oci.Layer(oci.File{Path: "/usr/local/bin/xdb-agent", Source: agent, Mode: 0o755})
	if err != nil {
		return nil, err
	}
	return oci.Image(runtime.GOARCH, v1.Config{
		Entrypoint: []string{"/usr/local/bin/xdb-agent"},
		Env:        []string{"LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		User:       "999:999",
	}, base, program)
}

// rootFileSystem installs Debian and the packages into an archive, and keeps it until the list of packages changes. It
// does what the Containerfile does, without an image to start from.
func (b builder) rootFileSystem(ctx context.Context, major, suite string) (string, error) {
	folder := filepath.Join(b.project, "images", "postgresql")
	list, err := os.ReadFile(filepath.Join(folder, "packages")) //nolint:gosec // The project's own file.
	if err != nil {
		return "", fmt.Errorf("cannot read the list of packages: %w", err)
	}
	setup, err := os.ReadFile(filepath.Join(folder, "setup")) //nolint:gosec // The project's own file.
	if err != nil {
		return "", fmt.Errorf("cannot read the image's setup: %w", err)
	}
	sum := sha256.Sum256(bytes.Join([][]byte{[]byte(major), []byte(suite), []byte(runtime.GOARCH), list, setup}, []byte{0}))
	archive := filepath.Join(b.project, ".cache", "images", fmt.Sprintf("%s-%s-%s.tar.gz", suite, major, hex.EncodeToString(sum[:8])))
	if _, err := os.Stat(archive); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return archive, err
	}
	packages := strings.Join(strings.Fields(strings.ReplaceAll(string(list), "PG_MAJOR", major)), ",")
	return archive, b.install(ctx, suite, packages, filepath.Join(folder, "setup"), archive)
}

// install runs mmdebstrap, into another file first: an installation that was interrupted must not be found by the next.
func (b builder) install(ctx context.Context, suite, packages, setup, archive string) error {
	start := time.Now()
	if err := os.MkdirAll(filepath.Dir(archive), 0o750); err != nil {
		return fmt.Errorf("cannot create the folder of images: %w", err)
	}
	unfinished := strings.TrimSuffix(archive, ".tar.gz") + ".unfinished.tar.gz"
	cmd := exec.CommandContext(ctx, "mmdebstrap", "--quiet", "--variant=minbase", //nolint:gosec // The project's own lists.
		"--include="+packages,
		"--essential-hook=sh "+setup+` accounts "$1"`,
		"--customize-hook=sh "+setup+` clean "$1"`,
		suite, unfinished)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot install Debian %s with %s: %w: %s", suite, packages, err, out)
	}
	if err := os.Rename(unfinished, archive); err != nil {
		return fmt.Errorf("cannot keep %q: %w", archive, err)
	}
	_, err := fmt.Fprintf(b.out, "Debian %s with %s: %s\n", suite, packages, time.Since(start).Round(time.Second))
	return err
}
