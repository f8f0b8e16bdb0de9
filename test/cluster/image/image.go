// Package image makes container images of static binaries and pushes them to a registry.
package image

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A File of an image.
type File struct {
	// Path in the image, absolute.
	Path string

	// Source on this machine.
	Source string

	// Mode of the file, for example 0o755.
	Mode int64
}

// PushBinary makes an image of one static binary, which is its entry point, and of other files, and pushes it. It does
// nothing when the registry has that image under the reference already. The image is the same whenever its files are.
func PushBinary(ctx context.Context, reference, binary, entrypoint string, others ...File) error {
	ref, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		return fmt.Errorf("cannot parse image reference %q: %w", reference, err)
	}
	files := append([]File{{Path: entrypoint, Source: binary, Mode: 0o755}}, others...)
	img, err := build(entrypoint, files)
	if err != nil {
		return fmt.Errorf("cannot build image %q: %w", reference, err)
	}
	digest, err := img.Digest()
	if err != nil {
		return fmt.Errorf("cannot compute the digest of image %q: %w", reference, err)
	}
	if there, err := remote.Head(ref, remote.WithContext(ctx)); err == nil && there.Digest == digest {
		return nil
	}
	if err := remote.Write(ref, img, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("cannot push image %q: %w", reference, err)
	}
	return nil
}

// build leaves the layer uncompressed: the registry is on this machine, and compressing takes longer than all the rest.
func build(entrypoint string, files []File) (v1.Image, error) {
	archive := &bytes.Buffer{}
	if err := writeLayer(archive, files); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	}, tarball.WithCompression(compression.None), tarball.WithMediaType(types.DockerUncompressedLayer))
	if err != nil {
		return nil, fmt.Errorf("cannot make a layer: %w", err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, fmt.Errorf("cannot add the layer: %w", err)
	}
	return mutate.ConfigFile(img, &v1.ConfigFile{
		Architecture: runtime.GOARCH,
		OS:           "linux",
		RootFS:       rootFS(img),
		Config: v1.Config{
			Entrypoint: []string{entrypoint},
			Env:        []string{"PATH=" + path.Dir(entrypoint)},
			User:       "65532:65532",
		},
	})
}

func rootFS(img v1.Image) v1.RootFS {
	config, err := img.ConfigFile()
	if err != nil {
		return v1.RootFS{Type: "layers"}
	}
	return config.RootFS
}

// writeLayer gives every file the same time, so that the same files make the same image.
func writeLayer(w io.Writer, files []File) error {
	archive := tar.NewWriter(w)
	for _, dir := range []string{"tmp/"} {
		if err := archive.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o1777, ModTime: time.Unix(0, 0)}); err != nil {
			return fmt.Errorf("cannot write folder %q: %w", dir, err)
		}
	}
	for _, f := range files {
		content, err := os.ReadFile(f.Source)
		if err != nil {
			return fmt.Errorf("cannot read %q: %w", f.Source, err)
		}
		header := &tar.Header{Name: f.Path[1:], Typeflag: tar.TypeReg, Mode: f.Mode, Size: int64(len(content)), ModTime: time.Unix(0, 0)}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("cannot write the header of %q: %w", f.Path, err)
		}
		if _, err := archive.Write(content); err != nil {
			return fmt.Errorf("cannot write %q: %w", f.Path, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("cannot finish a layer: %w", err)
	}
	return nil
}
