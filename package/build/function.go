package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/xdbcluster/xdbcluster/package/oci"
)

const functionName = "function-xdbcluster"

// Crossplane finds a package's content by an annotation of the layer that holds it.
// Source: xpkg specification, docs.crossplane.io.
const (
	contentAnnotation = "io.crossplane.xpkg"
	contentValue      = "base"
	contentFile       = "/package.yaml"
)

// buildFunction makes the function's package: for every architecture the image that runs, with the package's metadata as
// one more layer.
func (b builder) buildFunction(binaries map[string]string) (v1.ImageIndex, error) {
	metadata, err := os.ReadFile(filepath.Join(b.project, "package", "function", "crossplane.yaml"))
	if err != nil {
		return nil, fmt.Errorf("cannot read the function's metadata: %w", err)
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, architecture := range slices.Sorted(maps.Keys(binaries)) {
		img, err := b.functionImage(architecture, binaries[architecture], metadata)
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
		})
	}
	return index, nil
}

func (b builder) functionImage(architecture, binary string, metadata []byte) (v1.Image, error) {
	layer, err := b.cache.FileLayer(functionName+"-"+architecture, oci.File{Path: "/function", Source: binary, Mode: 0o755})
	if err != nil {
		return nil, err
	}
	img, err := oci.Image(architecture, v1.Config{Entrypoint: []string{"/function"}, User: "65532:65532"}, layer)
	if err != nil {
		return nil, err
	}
	return withContent(img, metadata)
}

// withContent adds a package's content to an image.
func withContent(img v1.Image, content []byte) (v1.Image, error) {
	layer, err := oci.Layer(oci.File{Path: contentFile, Content: content, Mode: 0o644})
	if err != nil {
		return nil, err
	}
	img, err = mutate.Append(img, mutate.Addendum{Layer: layer, Annotations: map[string]string{contentAnnotation: contentValue}})
	if err != nil {
		return nil, fmt.Errorf("cannot add a package's content: %w", err)
	}
	return img, nil
}
