// Package oci makes container images of files, without a container engine, and the same image of the same files.
package oci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A File of an image.
type File struct {
	// Path in the image, absolute.
	Path string

	// Source on this machine. Content stands in for it when it is empty.
	Source  string
	Content []byte

	// Mode of the file, for example 0o755.
	Mode int64
}

// Layer makes a layer of files.
func Layer(files ...File) (v1.Layer, error) {
	archive := &bytes.Buffer{}
	if err := writeArchive(archive, files); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestSpeed), tarball.WithCompressedCaching)
	if err != nil {
		return nil, fmt.Errorf("cannot make a layer: %w", err)
	}
	return layer, nil
}

// Image makes an image of layers for an architecture.
func Image(architecture string, config v1.Config, layers ...v1.Layer) (v1.Image, error) {
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(base, layers...)
	if err != nil {
		return nil, fmt.Errorf("cannot add layers to an image: %w", err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("cannot read an image's configuration: %w", err)
	}
	file = file.DeepCopy()
	file.Architecture, file.OS, file.Config = architecture, "linux", config
	img, err = mutate.ConfigFile(img, file)
	if err != nil {
		return nil, fmt.Errorf("cannot set an image's configuration: %w", err)
	}
	return img, nil
}

// An Artifact is an image or an index of images for several architectures.
type Artifact interface {
	remote.Taggable
	partial.WithRawManifest
	Digest() (v1.Hash, error)
}

// Push publishes an artifact under a reference, unless it is there.
func Push(ctx context.Context, reference string, a Artifact) error {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return fmt.Errorf("cannot parse image reference %q: %w", reference, err)
	}
	digest, err := a.Digest()
	if err != nil {
		return fmt.Errorf("cannot compute the digest of %q: %w", reference, err)
	}
	if there, err := remote.Head(ref, remote.WithContext(ctx)); err == nil && there.Digest == digest {
		return nil
	}
	if err := push(ctx, ref, a); err != nil {
		return fmt.Errorf("cannot push %q: %w", reference, err)
	}
	return nil
}

func push(ctx context.Context, ref name.Reference, a Artifact) error {
	switch a := a.(type) {
	case v1.ImageIndex:
		return remote.WriteIndex(ref, a, remote.WithContext(ctx))
	case v1.Image:
		return remote.Write(ref, a, remote.WithContext(ctx))
	default:
		return fmt.Errorf("neither an image nor an index: %T", a)
	}
}

// writeArchive gives every file the same time and owner, so that the same files make the same archive.
func writeArchive(w io.Writer, files []File) error {
	archive := tar.NewWriter(w)
	if err := writeFolders(archive, files); err != nil {
		return err
	}
	for _, f := range files {
		content := f.Content
		if f.Source != "" {
			read, err := os.ReadFile(f.Source)
			if err != nil {
				return fmt.Errorf("cannot read %q: %w", f.Source, err)
			}
			content = read
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

func writeFolders(archive *tar.Writer, files []File) error {
	written := map[string]bool{}
	for _, f := range files {
		folder := ""
		for _, part := range strings.Split(strings.Trim(path.Dir(f.Path), "/"), "/") {
			if part == "" {
				continue
			}
			folder += part + "/"
			if written[folder] {
				continue
			}
			written[folder] = true
			if err := archive.WriteHeader(&tar.Header{Name: folder, Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(0, 0)}); err != nil {
				return fmt.Errorf("cannot write folder %q: %w", folder, err)
			}
		}
	}
	return nil
}
