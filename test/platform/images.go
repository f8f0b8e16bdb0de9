package platform

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/xdbcluster/xdbcluster/tools/program"
)

// nobody runs the images: Flux's and Crossplane's own images have such a user too.
const nobody = "65532:65532"

// A platformImage is an image of one static binary.
type platformImage struct {
	repository string
	program    string
	binary     string

	// folders of the program's module that the image holds at its top.
	folders []string
}

// publishImages publishes the images of Flux and Crossplane that are not published yet at the version in use.
func (p *Platform) publishImages(ctx context.Context, builder program.Builder) error {
	images := []platformImage{{
		repository: "crossplane", program: "crossplane-core", binary: "crossplane",
		// Crossplane's init container installs them.
		folders: []string{"cluster/crds", "cluster/webhookconfigurations"},
	}}
	for _, name := range controllers() {
		images = append(images, platformImage{repository: name, program: name, binary: name})
	}
	for _, image := range images {
		if err := p.publishImage(ctx, builder, image); err != nil {
			return err
		}
	}
	return nil
}

func (p *Platform) publishImage(ctx context.Context, builder program.Builder, image platformImage) error {
	dir, version, err := builder.Source(ctx, image.program)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(p.localImage(image.repository) + ":" + version)
	if err != nil {
		return fmt.Errorf("cannot name the image of %s: %w", image.program, err)
	}
	if _, err := remote.Head(tag, remote.WithContext(ctx)); err == nil {
		return nil
	}
	return p.Progress.Step("Image of "+image.program+" "+version, func() error {
		binary, err := builder.Build(ctx, image.program)
		if err != nil {
			return err
		}
		built, err := image.build(binary, dir)
		if err != nil {
			return err
		}
		if err := remote.Write(tag, built, remote.WithContext(ctx)); err != nil {
			return fmt.Errorf("cannot push image %q (does the registry run?): %w", tag, err)
		}
		return nil
	})
}

// build makes the image of a binary and folders of its module.
func (i platformImage) build(binary, module string) (v1.Image, error) {
	content := &bytes.Buffer{}
	w := tar.NewWriter(content)
	if err := addFile(w, path.Join("bin", i.binary), binary, 0o755); err != nil {
		return nil, err
	}
	for _, folder := range i.folders {
		if err := addFolder(w, path.Base(folder), filepath.Join(module, folder)); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("cannot finish the image of %s: %w", i.program, err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content.Bytes())), nil
	}, tarball.WithCompressionLevel(1))
	if err != nil {
		return nil, fmt.Errorf("cannot make the layer of %s: %w", i.program, err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, fmt.Errorf("cannot make the image of %s: %w", i.program, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration of %s: %w", i.program, err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config.Entrypoint = []string{"/bin/" + i.binary}
	config.Config.User = nobody
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		return nil, fmt.Errorf("cannot configure the image of %s: %w", i.program, err)
	}
	return image, nil
}

func addFolder(w *tar.Writer, to, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("cannot read folder %q: %w", from, err)
	}
	for _, entry := range entries {
		if entry.Type()&fs.ModeType != 0 {
			continue
		}
		if err := addFile(w, path.Join(to, entry.Name()), filepath.Join(from, entry.Name()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func addFile(w *tar.Writer, to, from string, mode int64) error {
	content, err := os.ReadFile(from) //nolint:gosec // A program or a file of a module.
	if err != nil {
		return fmt.Errorf("cannot read %q: %w", from, err)
	}
	if err := w.WriteHeader(&tar.Header{Name: to, Mode: mode, Size: int64(len(content))}); err != nil {
		return fmt.Errorf("cannot add %q: %w", to, err)
	}
	if _, err := w.Write(content); err != nil {
		return fmt.Errorf("cannot add %q: %w", to, err)
	}
	return nil
}
