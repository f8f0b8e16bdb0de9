package platform

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/xdbcluster/xdbcluster/test/cluster/image"
	"github.com/xdbcluster/xdbcluster/tools/program"
)

// A platformImage is an image of one program.
type platformImage struct {
	name    string
	program string

	// folders of the program's module that the image holds at its top.
	folders []string
}

func platformImages() []platformImage {
	images := []platformImage{{
		name:    "crossplane",
		program: "crossplane-core",
		// Crossplane's init container installs what is in them.
		folders: []string{"cluster/crds", "cluster/webhookconfigurations"},
	}}
	for _, name := range controllers() {
		images = append(images, platformImage{name: name, program: name})
	}
	return images
}

// publishImages publishes the images of Flux and Crossplane that are not published yet at the version in use.
func (p *Platform) publishImages(ctx context.Context, builder program.Builder) error {
	for _, i := range platformImages() {
		if err := p.publishImage(ctx, builder, i); err != nil {
			return err
		}
	}
	return nil
}

func (p *Platform) publishImage(ctx context.Context, builder program.Builder, i platformImage) error {
	module, version, err := builder.Source(ctx, i.program)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(p.localImage(i.name) + ":" + version)
	if err != nil {
		return fmt.Errorf("cannot name the image of %s: %w", i.program, err)
	}
	if _, err := remote.Head(tag, remote.WithContext(ctx)); err == nil {
		return nil
	}
	return p.Progress.Step("Image of "+i.program+" "+version, func() error {
		binary, err := p.build(ctx, builder, i.program)
		if err != nil {
			return err
		}
		files, err := i.files(module)
		if err != nil {
			return err
		}
		return image.PushBinary(ctx, tag.Name(), binary, "/"+i.name, files...)
	})
}

func (i platformImage) files(module string) ([]image.File, error) {
	files := []image.File{}
	for _, folder := range i.folders {
		entries, err := os.ReadDir(filepath.Join(module, folder))
		if err != nil {
			return nil, fmt.Errorf("cannot read a folder of %s: %w", i.program, err)
		}
		for _, entry := range entries {
			files = append(files, image.File{
				Path:   path.Join("/", path.Base(folder), entry.Name()),
				Source: filepath.Join(module, folder, entry.Name()),
				Mode:   0o644,
			})
		}
	}
	return files, nil
}
