package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/xdbcluster/xdbcluster/package/oci"
)

// A builder makes everything that is published under one registry path.
type builder struct {
	project       string
	output        string
	registry      string
	architectures string
	out           io.Writer
}

// products are what was made, by the references to publish them under.
type products struct {
	artifacts     map[string]oci.Artifact
	configuration string
	output        string
}

// databases are the major versions of PostgreSQL and the releases of Debian that bring them.
func databases() map[string]string {
	return map[string]string{"15": "bookworm", "17": "trixie"}
}

// build makes the database images and the function first: the Configuration names both.
func (b builder) build(ctx context.Context) (products, error) {
	version, err := b.version()
	if err != nil {
		return products{}, err
	}
	made := products{artifacts: map[string]oci.Artifact{}, output: b.output}
	images, err := b.buildDatabases(ctx, version, made)
	if err != nil {
		return products{}, err
	}
	function, err := b.buildFunction(ctx)
	if err != nil {
		return products{}, err
	}
	digest, err := function.Digest()
	if err != nil {
		return products{}, fmt.Errorf("cannot compute the digest of the function: %w", err)
	}
	made.artifacts[b.registry+"/"+functionName+":"+tag(version, digest.Hex)] = function

	configuration, err := b.buildConfiguration(names{registry: b.registry, functionDigest: digest.String(), images: images})
	if err != nil {
		return products{}, err
	}
	digest, err = configuration.Digest()
	if err != nil {
		return products{}, fmt.Errorf("cannot compute the digest of the configuration: %w", err)
	}
	made.configuration = b.registry + "/" + configurationName + ":" + tag(version, digest.Hex)
	made.artifacts[made.configuration] = configuration
	return made, nil
}

// publish pushes everything, the Configuration last: whoever installs it finds what it names.
func (p products) publish(ctx context.Context, out io.Writer) error {
	references := make([]string, 0, len(p.artifacts))
	for r := range p.artifacts {
		if r != p.configuration {
			references = append(references, r)
		}
	}
	slices.Sort(references)
	for _, r := range append(references, p.configuration) {
		if err := oci.Push(ctx, r, p.artifacts[r]); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, r); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(p.output, 0o750); err != nil {
		return fmt.Errorf("cannot create the output folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(p.output, "configuration"), []byte(p.configuration+"\n"), 0o600); err != nil {
		return fmt.Errorf("cannot write down what was published: %w", err)
	}
	return nil
}

func (b builder) buildDatabases(ctx context.Context, version string, made products) (map[string]string, error) {
	agent, err := b.compile(ctx, "agent", runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	majors := databases()
	built := make(map[string]oci.Artifact, len(majors))
	group, groupCtx := errgroup.WithContext(ctx)
	results := make(chan databaseImage, len(majors))
	for major, suite := range majors {
		group.Go(func() error {
			img, err := b.buildDatabase(groupCtx, major, suite, agent)
			results <- databaseImage{major: major, artifact: img}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	close(results)
	for r := range results {
		built[r.major] = r.artifact
	}
	images := map[string]string{}
	for major, img := range built {
		digest, err := img.Digest()
		if err != nil {
			return nil, fmt.Errorf("cannot compute the digest of the image of PostgreSQL %s: %w", major, err)
		}
		images[major] = b.registry + "/postgresql:" + major + "-" + tag(version, digest.Hex)
		made.artifacts[images[major]] = img
	}
	return images, nil
}

type databaseImage struct {
	major    string
	artifact oci.Artifact
}

// compile builds one of the project's binaries and returns its file.
func (b builder) compile(ctx context.Context, name, architecture string) (string, error) {
	binary := filepath.Join(b.output, "bin", architecture, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -buildid=", "-o", binary, "./cmd/"+name) //nolint:gosec // The project's own binaries.
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
	return strings.TrimSpace(string(raw)), nil
}

// tag names a build by its version and its content. The letter keeps the hash from reading as a number, which a version
// must not begin with a zero in.
func tag(version, digest string) string {
	return version + "-h" + digest[:12]
}
