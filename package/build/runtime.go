package main

import (
	"bytes"
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

// Names of the packages of what runs.
const (
	functionName = "function-xdbcluster"
	providerName = "provider-xdbcluster"
)

// Crossplane finds a package's content by an annotation of the layer that holds it.
// Source: xpkg specification, docs.crossplane.io.
const (
	contentAnnotation = "io.crossplane.xpkg"
	contentValue      = "base"
	contentFile       = "/package.yaml"
)

// buildFunction makes the function's package.
func (b builder) buildFunction(binaries map[string]string) (v1.ImageIndex, error) {
	return b.buildRuntime(functionName, "function", binaries)
}

// buildProvider makes the provider's package.
func (b builder) buildProvider(binaries map[string]string) (v1.ImageIndex, error) {
	return b.buildRuntime(providerName, "provider", binaries)
}

// buildRuntime makes the package of something that runs: for every architecture the image that runs, with the package's content,
// its metadata and definitions of a folder of package/, as one more layer. The program is called like the folder.
func (b builder) buildRuntime(name, folder string, binaries map[string]string) (v1.ImageIndex, error) {
	content, err := b.runtimeContent(folder)
	if err != nil {
		return nil, err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, architecture := range slices.Sorted(maps.Keys(binaries)) {
		img, err := b.runtimeImage(name, "/"+folder, architecture, binaries[architecture], content)
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

func (b builder) runtimeContent(folder string) ([]byte, error) {
	definitions, err := filepath.Glob(filepath.Join(b.project, "package", folder, "crds", "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("cannot list the definitions of the %s: %w", folder, err)
	}
	slices.Sort(definitions)
	content := &bytes.Buffer{}
	for _, file := range append([]string{filepath.Join(b.project, "package", folder, "crossplane.yaml")}, definitions...) {
		raw, err := os.ReadFile(file) //nolint:gosec // The project's own file.
		if err != nil {
			return nil, fmt.Errorf("cannot read what the package of the %s consists of: %w", folder, err)
		}
		fmt.Fprintf(content, "---\n%s", raw)
	}
	return content.Bytes(), nil
}

func (b builder) runtimeImage(name, program, architecture, binary string, content []byte) (v1.Image, error) {
	layer, err := b.cache.FileLayer(name+"-"+architecture, oci.File{Path: program, Source: binary, Mode: 0o755})
	if err != nil {
		return nil, err
	}
	img, err := oci.Image(architecture, v1.Config{Entrypoint: []string{program}, User: "65532:65532"}, layer)
	if err != nil {
		return nil, err
	}
	return withContent(img, content)
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
