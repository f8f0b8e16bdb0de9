package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/xdbcluster/xdbcluster/package/oci"
)

// A builder makes everything that is published under one registry path.
type builder struct {
	// project is the folder of the project, output the one for what is made.
	project string
	output  string

	// cache keeps what is large and changes seldom.
	cache oci.Cache

	// registry is the path that everything is published under.
	registry string

	// architectures that function and provider run on.
	architectures []string

	// release leaves the content out of the tags.
	release bool

	// out is where long steps are told.
	out io.Writer
}

// parts are what the packages are made of.
type parts struct {
	// functions are the function's binaries by architecture.
	functions map[string]string

	// providers are the provider's.
	providers map[string]string

	// databases are the database images by major version of PostgreSQL.
	databases map[string]v1.Image
}

// databases are the major versions of PostgreSQL and the releases of Debian that bring them.
func databases() map[string]string {
	return map[string]string{"15": "bookworm", "17": "trixie"}
}

func (b builder) build(ctx context.Context) (products, error) {
	p := parts{}
	var err error
	if p.functions, err = b.compileAll(ctx, "function"); err != nil {
		return products{}, err
	}
	if p.providers, err = b.compileAll(ctx, "provider"); err != nil {
		return products{}, err
	}
	if p.databases, err = b.buildDatabases(ctx); err != nil {
		return products{}, err
	}
	return b.assemble(p)
}

// assemble names everything, the Configuration last: it names the function, the provider and the images.
func (b builder) assemble(p parts) (products, error) {
	version, err := b.version()
	if err != nil {
		return products{}, err
	}
	made, named := products{}, names{registry: b.registry, images: map[string]string{}}
	for major, image := range p.databases {
		reference, err := b.reference("postgresql", major+"-"+version, image)
		if err != nil {
			return products{}, err
		}
		named.images[major] = reference
		made.databases = append(made.databases, product[v1.Image]{reference, image})
	}
	if made.function.artifact, err = b.buildFunction(p.functions); err != nil {
		return products{}, err
	}
	if made.function.reference, named.functionDigest, err = b.published(functionName, version, made.function.artifact); err != nil {
		return products{}, err
	}
	if made.provider.artifact, err = b.buildProvider(p.providers); err != nil {
		return products{}, err
	}
	if made.provider.reference, named.providerDigest, err = b.published(providerName, version, made.provider.artifact); err != nil {
		return products{}, err
	}
	if made.configuration.artifact, err = b.buildConfiguration(named); err != nil {
		return products{}, err
	}
	made.configuration.reference, err = b.reference(configurationName, version, made.configuration.artifact)
	return made, err
}

// published returns the reference that a package is published under, and its digest.
func (b builder) published(name, version string, a oci.Artifact) (reference, digest string, err error) {
	sum, err := a.Digest()
	if err != nil {
		return "", "", fmt.Errorf("cannot compute the digest of %q: %w", name, err)
	}
	reference, err = b.reference(name, version, a)
	return reference, sum.String(), err
}

// reference names an artifact under the registry path. Its content is part of the tag unless it is released: what changed
// has another name. The letter keeps the digest from reading as a number, which a version must not begin with a zero in.
func (b builder) reference(repository, tag string, a oci.Artifact) (string, error) {
	if b.release {
		return b.registry + "/" + repository + ":" + tag, nil
	}
	digest, err := a.Digest()
	if err != nil {
		return "", fmt.Errorf("cannot compute the digest of %q: %w", repository, err)
	}
	return b.registry + "/" + repository + ":" + tag + "-h" + digest.Hex[:12], nil
}

// buildDatabases makes the images at the same time: installing packages waits for the network most of the time.
func (b builder) buildDatabases(ctx context.Context) (map[string]v1.Image, error) {
	programs, err := b.databasePrograms(ctx)
	if err != nil {
		return nil, err
	}
	type built struct {
		major string
		image v1.Image
	}
	group, ctx := errgroup.WithContext(ctx)
	results := make(chan built, len(databases()))
	for major, suite := range databases() {
		group.Go(func() error {
			image, err := b.buildDatabase(ctx, major, suite, programs)
			results <- built{major, image}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	close(results)
	images := map[string]v1.Image{}
	for r := range results {
		images[r.major] = r.image
	}
	return images, nil
}

// databasePrograms returns a layer for each of the project's own programs in a database image.
func (b builder) databasePrograms(ctx context.Context) ([]v1.Layer, error) {
	var layers []v1.Layer
	for _, name := range []string{"agent", "may-promote"} {
		binary, err := b.compile(ctx, name, runtime.GOARCH)
		if err != nil {
			return nil, err
		}
		layer, err := b.cache.FileLayer(name+"-"+runtime.GOARCH, oci.File{Path: "/usr/local/bin/xdb-" + name, Source: binary, Mode: 0o755})
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer)
	}
	return layers, nil
}

// compileAll builds one of the project's binaries for every architecture, and returns their files.
func (b builder) compileAll(ctx context.Context, name string) (map[string]string, error) {
	binaries := map[string]string{}
	for _, architecture := range b.architectures {
		binary, err := b.compile(ctx, name, architecture)
		if err != nil {
			return nil, err
		}
		binaries[architecture] = binary
	}
	return binaries, nil
}

// compile builds one of the project's binaries and returns its file. The same sources make the same file.
func (b builder) compile(ctx context.Context, name, architecture string) (string, error) {
	binary := filepath.Join(b.output, "bin", architecture, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", binary, "./cmd/"+name) //nolint:gosec // The project's own binaries.
	cmd.Dir = b.project
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build %q for %s: %w: %s", name, architecture, err, out)
	}
	return binary, nil
}

func (b builder) version() (string, error) {
	raw, err := os.ReadFile(filepath.Join(b.project, "VERSION"))
	if err != nil {
		return "", fmt.Errorf("cannot read the version: %w", err)
	}
	version := strings.TrimSpace(string(raw))
	if version == "" {
		return "", errors.New("the file VERSION is empty: write a version into it, for example v0.1.0")
	}
	return version, nil
}
