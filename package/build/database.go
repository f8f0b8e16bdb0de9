package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/xdbcluster/xdbcluster/package/oci"
)

// buildDatabase makes a database image: Debian's packages in one layer, each program in another, so that a change of the
// agent moves a few megabytes.
func (b builder) buildDatabase(ctx context.Context, major, suite string, programs []v1.Layer) (v1.Image, error) {
	base, err := b.rootFileSystem(ctx, major, suite)
	if err != nil {
		return nil, err
	}
	return oci.Image(runtime.GOARCH, v1.Config{
		Entrypoint: []string{"/usr/local/bin/xdb-agent"},
		Env:        []string{"LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		User:       "999:999",
	}, append([]v1.Layer{base}, programs...)...)
}

// rootFileSystem returns a layer with Debian and the packages, made when the list of packages changes. What is in it is what
// the Containerfile installs, without an image to start from.
func (b builder) rootFileSystem(ctx context.Context, major, suite string) (v1.Layer, error) {
	folder := filepath.Join(b.project, "images", "postgresql")
	list, err := os.ReadFile(filepath.Join(folder, "packages")) //nolint:gosec // The project's own file.
	if err != nil {
		return nil, fmt.Errorf("cannot read the list of packages: %w", err)
	}
	setup := filepath.Join(folder, "setup")
	script, err := os.ReadFile(setup) //nolint:gosec // The project's own file.
	if err != nil {
		return nil, fmt.Errorf("cannot read the image's setup: %w", err)
	}
	sum := sha256.Sum256(bytes.Join([][]byte{[]byte(major), []byte(suite), []byte(runtime.GOARCH), list, script}, []byte{0}))
	packages := strings.Join(strings.Fields(strings.ReplaceAll(string(list), "PG_MAJOR", major)), ",")
	return b.cache.Layer(suite+"-"+major, hex.EncodeToString(sum[:8]), func(w io.Writer) error {
		start := time.Now()
		if err := bootstrap(ctx, w, suite, packages, setup); err != nil {
			return fmt.Errorf("cannot install Debian %s with %s: %w", suite, packages, err)
		}
		_, err := fmt.Fprintf(b.out, "Debian %s with %s: %s\n", suite, packages, time.Since(start).Round(time.Second))
		return err
	})
}

// bootstrap writes the archive of a root file system.
func bootstrap(ctx context.Context, archive io.Writer, suite, packages, setup string) error {
	messages := &bytes.Buffer{}
	cmd := exec.CommandContext(ctx, "mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", //nolint:gosec // The project's own lists.
		"--include="+packages,
		"--essential-hook=sh "+setup+` accounts "$1"`,
		"--customize-hook=sh "+setup+` clean "$1"`,
		suite, "-")
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=0")
	cmd.Stdout, cmd.Stderr = archive, messages
	// It removes its working folder when it is asked to end.
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(syscall.SIGTERM) }, 10*time.Second
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: install it with: apt-get install mmdebstrap", err)
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, messages)
	}
	return nil
}
