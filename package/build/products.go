package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/xdbcluster/xdbcluster/package/oci"
)

// referenceAnnotation names an image in an OCI layout.
const referenceAnnotation = "org.opencontainers.image.ref.name"

// A product is an artifact and the reference to publish it under.
type product[A oci.Artifact] struct {
	reference string
	artifact  A
}

// products are everything that is published under one registry path.
type products struct {
	databases     []product[v1.Image]
	function      product[v1.ImageIndex]
	provider      product[v1.ImageIndex]
	configuration product[v1.Image]
}

// publish pushes everything, the Configuration last: whoever installs it finds what it names.
func (p products) publish(ctx context.Context, out io.Writer) error {
	push := func(reference string, a oci.Artifact) error {
		if err := oci.Push(ctx, reference, a); err != nil {
			return err
		}
		_, err := fmt.Fprintln(out, reference)
		return err
	}
	for _, d := range p.sorted() {
		if err := push(d.reference, d.artifact); err != nil {
			return err
		}
	}
	for _, r := range []product[v1.ImageIndex]{p.function, p.provider} {
		if err := push(r.reference, r.artifact); err != nil {
			return err
		}
	}
	return push(p.configuration.reference, p.configuration.artifact)
}

// remember writes down which Configuration was published last.
func (p products) remember(folder string) error {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return fmt.Errorf("cannot create the output folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "configuration"), []byte(p.configuration.reference+"\n"), 0o600); err != nil {
		return fmt.Errorf("cannot write down what was published: %w", err)
	}
	return nil
}

// write leaves packages as files that Crossplane's command line can push, and images as an OCI layout.
func (p products) write(folder string, out io.Writer) error {
	packages := filepath.Join(folder, "packages")
	if err := errors.Join(os.RemoveAll(packages), os.MkdirAll(packages, 0o750)); err != nil {
		return fmt.Errorf("cannot create the folder of packages: %w", err)
	}
	if err := writePackage(filepath.Join(packages, configurationName+".xpkg"), p.configuration.reference, p.configuration.artifact, out); err != nil {
		return err
	}
	if err := writeRuntime(filepath.Join(packages, functionName), p.function, out); err != nil {
		return err
	}
	if err := writeRuntime(filepath.Join(packages, providerName), p.provider, out); err != nil {
		return err
	}
	return p.writeImages(filepath.Join(folder, "images"), out)
}

// writeRuntime leaves a package as a file for every architecture.
func writeRuntime(file string, made product[v1.ImageIndex], out io.Writer) error {
	manifest, err := made.artifact.IndexManifest()
	if err != nil {
		return fmt.Errorf("cannot read the index of %q: %w", made.reference, err)
	}
	for _, m := range manifest.Manifests {
		image, err := made.artifact.Image(m.Digest)
		if err != nil {
			return fmt.Errorf("cannot read %q for %s: %w", made.reference, m.Platform, err)
		}
		if err := writePackage(file+"-"+m.Platform.Architecture+".xpkg", made.reference, image, out); err != nil {
			return err
		}
	}
	return nil
}

func (p products) writeImages(folder string, out io.Writer) error {
	path, err := layout.FromPath(folder)
	if err != nil {
		if path, err = layout.Write(folder, empty.Index); err != nil {
			return fmt.Errorf("cannot begin an OCI layout in %q: %w", folder, err)
		}
	}
	for _, d := range p.sorted() {
		named := layout.WithAnnotations(map[string]string{referenceAnnotation: d.reference})
		if err := path.ReplaceImage(d.artifact, match.Annotation(referenceAnnotation, d.reference), named); err != nil {
			return fmt.Errorf("cannot write the image %q: %w", d.reference, err)
		}
		if _, err := fmt.Fprintf(out, "%s: %s\n", folder, d.reference); err != nil {
			return err
		}
	}
	return p.forgetOthers(path)
}

// forgetOthers removes the images of builds before.
func (p products) forgetOthers(path layout.Path) error {
	other := func(d v1.Descriptor) bool {
		return !slices.ContainsFunc(p.databases, func(k product[v1.Image]) bool {
			return k.reference == d.Annotations[referenceAnnotation]
		})
	}
	if err := path.RemoveDescriptors(other); err != nil {
		return fmt.Errorf("cannot remove older images: %w", err)
	}
	unused, err := path.GarbageCollect()
	if err != nil {
		return fmt.Errorf("cannot find what older images leave: %w", err)
	}
	for _, blob := range unused {
		if err := path.RemoveBlob(blob); err != nil {
			return fmt.Errorf("cannot remove what older images leave: %w", err)
		}
	}
	return nil
}

func (p products) sorted() []product[v1.Image] {
	return slices.SortedFunc(slices.Values(p.databases), func(a, b product[v1.Image]) int {
		return cmp.Compare(a.reference, b.reference)
	})
}

func writePackage(file, reference string, image v1.Image, out io.Writer) error {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return fmt.Errorf("cannot parse reference %q: %w", reference, err)
	}
	if err := tarball.WriteToFile(file, ref, image); err != nil {
		return fmt.Errorf("cannot write package %q: %w", file, err)
	}
	_, err = fmt.Fprintf(out, "%s: %s\n", file, reference)
	return err
}
