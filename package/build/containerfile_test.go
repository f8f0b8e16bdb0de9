//go:build containerfile

package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/xdbcluster/xdbcluster/package/oci"
)

// TestContainerfile builds the Containerfile with buildah, as somebody with a container engine does, and compares what is in the image
// with the one that the local build makes without an engine. The images that it starts from are made of Debian's packages and of the
// machine's Go, since there is no registry to pull them from.
func TestContainerfile(t *testing.T) {
	project, err := filepath.Abs("../..")
	if err != nil {
		t.Fatalf("cannot find the project: %v", err)
	}
	b := builder{project: project, output: t.TempDir(), cache: oci.Cache(filepath.Join(project, ".cache", "images")), out: os.Stdout}
	for major, suite := range databases() {
		t.Run(major, func(t *testing.T) {
			e := engine{t: t, storage: t.TempDir()}
			e.makeBases(suite)
			image := "xdbcluster-postgresql:" + major
			e.build(project, image, suite, major)

			local, err := b.rootFileSystem(t.Context(), major, suite)
			if err != nil {
				t.Fatalf("cannot make the local image: %v", err)
			}
			if diff := cmp.Diff(packagesOf(t, local), e.packages(image)); diff != "" {
				t.Errorf("Packages: -local build, +Containerfile:\n%s", diff)
			}
			e.starts(image)
		})
	}
}

// An engine is buildah with a storage of its own. It needs no daemon, and can do without namespaces.
type engine struct {
	t       *testing.T
	storage string
}

func (e engine) run(folder string, args ...string) string {
	e.t.Helper()
	return command(e.t, folder, "buildah", append([]string{"--root", filepath.Join(e.storage, "images"), "--runroot", filepath.Join(e.storage, "run")}, args...)...)
}

// makeBases makes the two images that the Containerfile starts from.
func (e engine) makeBases(suite string) {
	e.t.Helper()
	debian := filepath.Join(e.storage, "debian.tar")
	command(e.t, "", "mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", "--format=tar", suite, debian)
	base := e.run("", "from", "scratch")
	e.run("", "add", base, debian, "/")
	// Whoever this machine trusts serves Debian and Go modules here.
	e.run("", "add", base, "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt")
	e.run("", "commit", base, "docker.io/library/debian:"+suite+"-slim")
	e.run("", "add", base, goEnv(e.t, "GOROOT"), "/usr/local/go")
	e.run("", "config", "--env", "PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin", "--env", "GOPATH=/go", base)
	e.run("", "commit", base, "docker.io/library/golang:1.26-"+suite)
}

func (e engine) build(project, image, suite, major string) {
	e.t.Helper()
	e.run(project, "build", "--pull=never", "--network=host", "--volume", goEnv(e.t, "GOMODCACHE")+":/go/pkg/mod",
		"--build-arg", "SUITE="+suite, "--build-arg", "PG_MAJOR="+major, "--ignorefile", e.ignored(), "--tag", image, "--file", "images/postgresql/Containerfile", ".")
}

// ignored returns a file that keeps what was built from being sent along.
func (e engine) ignored() string {
	e.t.Helper()
	file := filepath.Join(e.storage, "ignored")
	if err := os.WriteFile(file, []byte(".cache\n.cluster\n.git\n_output\ntest/output\n"), 0o600); err != nil {
		e.t.Fatalf("cannot write what is ignored: %v", err)
	}
	return file
}

// packages returns the names and versions of what is installed in an image.
func (e engine) packages(image string) []string {
	e.t.Helper()
	container := e.run("", "from", "--pull=never", "localhost/"+image)
	packages := strings.Fields(e.run("", "run", container, "--", "dpkg-query", "--show", "--showformat", "${Package}=${Version}\n"))
	slices.Sort(packages)
	return packages
}

// starts shows that the image runs as the right user, and that its programs start.
func (e engine) starts(image string) {
	e.t.Helper()
	container := e.run("", "from", "--pull=never", "localhost/"+image)
	if user := e.run("", "run", container, "--", "id", "-u"); user != "999" {
		e.t.Errorf("The image runs as user %s, want 999: volumes are theirs", user)
	}
	e.run("", "run", container, "--", "xdb-agent", "--help")
	e.run("", "run", container, "--", "test", "-x", "/usr/local/bin/xdb-may-promote")
}

// packagesOf returns the same of a layer, from the list that Debian keeps in it.
func packagesOf(t *testing.T, layer v1.Layer) []string {
	t.Helper()
	content, err := layer.Uncompressed()
	if err != nil {
		t.Fatalf("cannot open the local image: %v", err)
	}
	defer content.Close() //nolint:errcheck // It is only read.
	archive := tar.NewReader(content)
	for {
		header, err := archive.Next()
		if err != nil {
			t.Fatalf("cannot find the list of packages in the local image: %v", err)
		}
		if strings.TrimPrefix(header.Name, "./") == "var/lib/dpkg/status" {
			return parseStatus(t, archive)
		}
	}
}

func parseStatus(t *testing.T, list io.Reader) []string {
	t.Helper()
	content, err := io.ReadAll(list)
	if err != nil {
		t.Fatalf("cannot read the list of packages: %v", err)
	}
	var packages []string
	name := ""
	for line := range strings.Lines(string(content)) {
		if value, ok := strings.CutPrefix(line, "Package: "); ok {
			name = strings.TrimSpace(value)
		}
		if value, ok := strings.CutPrefix(line, "Version: "); ok {
			packages = append(packages, name+"="+strings.TrimSpace(value))
		}
	}
	slices.Sort(packages)
	return packages
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(command(t, "", "go", "env", name))
}

// command returns what a program says.
func command(t *testing.T, folder, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...) //nolint:gosec // Program and arguments are the test's own.
	said, messages := &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, said, messages
	cmd.Env = append(os.Environ(), "BUILDAH_ISOLATION=chroot")
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("%v: install it with: apt-get install buildah mmdebstrap", err)
	}
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, messages)
	}
	return strings.TrimSpace(said.String())
}
