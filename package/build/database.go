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
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/xdbcluster/xdbcluster/package/oci"
)

// buildDatabase makes a database image: Debian's packages in one layer, the agent in another, so that a change of the
// agent moves a few megabytes.
func (b builder) buildDatabase(ctx context.Context, major, suite, agent string) (v1.Image, error) {
	base, err := b.rootFileSystem(ctx, major, suite)
	if err != nil {
		return nil, err
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

// rootFileSystem returns a layer with Debian and the packages. It is kept, compressed and with its digests, until the list
// of packages changes. What is in it is what the Containerfile installs, without an image to start from.
func (b builder) rootFileSystem(ctx context.Context, major, suite string) (v1.Layer, error) {
	folder := filepath.Join(b.project, "images", "postgresql")
	list, err := os.ReadFile(filepath.Join(folder, "packages")) //nolint:gosec // The project's own file.
	if err != nil {
		return nil, fmt.Errorf("cannot read the list of packages: %w", err)
	}
	setup, err := os.ReadFile(filepath.Join(folder, "setup")) //nolint:gosec // The project's own file.
	if err != nil {
		return nil, fmt.Errorf("cannot read the image's setup: %w", err)
	}
	sum := sha256.Sum256(bytes.Join([][]byte{[]byte(major), []byte(suite), []byte(runtime.GOARCH), list, setup}, []byte{0}))
	kept := filepath.Join(b.project, ".cache", "images", fmt.Sprintf("%s-%s-%s", suite, major, hex.EncodeToString(sum[:8])))
	if layer, err := keptLayer(kept); err == nil {
		return layer, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	packages := strings.Join(strings.Fields(strings.ReplaceAll(string(list), "PG_MAJOR", major)), ",")
	if err := b.install(ctx, suite, packages, filepath.Join(folder, "setup"), kept); err != nil {
		return nil, err
	}
	return keptLayer(kept)
}

// install runs mmdebstrap and keeps what it makes as an OCI layout: in another folder first, because one that was
// interrupted must not be found by the next.
func (b builder) install(ctx context.Context, suite, packages, setup, kept string) error {
	start := time.Now()
	unfinished := kept + ".unfinished"
	if err := errors.Join(os.RemoveAll(unfinished), os.MkdirAll(unfinished, 0o750)); err != nil {
		return fmt.Errorf("cannot create the folder of an image: %w", err)
	}
	archive := filepath.Join(unfinished, "root.tar.gz")
	cmd := exec.CommandContext(ctx, "mmdebstrap", "--quiet", "--variant=minbase", //nolint:gosec // The project's own lists.
		"--include="+packages,
		"--essential-hook=sh "+setup+` accounts "$1"`,
		"--customize-hook=sh "+setup+` clean "$1"`,
		suite, archive)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot install Debian %s with %s: %w: %s", suite, packages, err, out)
	}
	if err := keep(archive, unfinished); err != nil {
		return err
	}
	if err := errors.Join(os.Remove(archive), os.RemoveAll(kept), os.Rename(unfinished, kept)); err != nil {
		return fmt.Errorf("cannot keep %q: %w", kept, err)
	}
	_, err := fmt.Fprintf(b.out, "Debian %s with %s: %s\n", suite, packages, time.Since(start).Round(time.Second))
	return err
}

func keep(archive, folder string) error {
	layer, err := tarball.LayerFromFile(archive, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return fmt.Errorf("cannot make a layer of %q: %w", archive, err)
	}
	img, err := oci.Image(runtime.GOARCH, v1.Config{}, layer)
	if err != nil {
		return err
	}
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return fmt.Errorf("cannot begin an OCI layout in %q: %w", folder, err)
	}
	if err := path.AppendImage(img); err != nil {
		return fmt.Errorf("cannot keep an image in %q: %w", folder, err)
	}
	return nil
}

// keptLayer returns the layer that keep kept in a folder.
func keptLayer(folder string) (v1.Layer, error) {
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return nil, fmt.Errorf("cannot read the OCI layout in %q: %w", folder, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("cannot find the one image in %q: %w", folder, err)
	}
	img, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		return nil, fmt.Errorf("cannot read the image in %q: %w", folder, err)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		return nil, fmt.Errorf("cannot read the one layer of the image in %q: %w", folder, err)
	}
	return layers[0], nil
}
