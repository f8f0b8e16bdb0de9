package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/xdbcluster/xdbcluster/package/oci"
)

// TestAssemble shows that every name in the packages follows from the registry path.
func TestAssemble(t *testing.T) {
	cases := map[string]struct {
		reason   string
		registry string
		function string // As Crossplane calls it when it installs it as a dependency.
	}{
		"Public": {
			reason:   "A path of one element.",
			registry: "ghcr.io/xdbcluster",
			function: "xdbcluster-function-xdbcluster",
		},
		"OfOnesOwn": {
			reason:   "A registry with a port, and a path of two elements.",
			registry: "registry.example.org:5000/platform/databases",
			function: "platform-databases-function-xdbcluster",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			binary := filepath.Join(t.TempDir(), "function")
			if err := os.WriteFile(binary, []byte("a program"), 0o755); err != nil {
				t.Fatal(err)
			}
			b := builder{project: filepath.Join("..", ".."), cache: oci.Cache(t.TempDir()), registry: tc.registry, out: io.Discard}
			made, err := b.assemble(parts{
				functions: map[string]string{"amd64": binary, "arm64": binary},
				databases: map[string]v1.Image{"15": empty.Image, "17": empty.Image},
			})
			if err != nil {
				t.Fatalf("\n%s\ncannot assemble: %v", tc.reason, err)
			}
			digest, err := made.function.artifact.Digest()
			if err != nil {
				t.Fatal(err)
			}
			content := contentOf(t, made.configuration.artifact)
			want := []string{
				"package: " + tc.registry + "/function-xdbcluster\n", "version: " + digest.String() + "\n", "name: " + tc.function + "\n",
			}
			for _, d := range made.databases {
				want = append(want, d.reference)
			}
			for _, text := range want {
				if !strings.Contains(content, text) {
					t.Errorf("\n%s\nthe Configuration does not say %q", tc.reason, text)
				}
			}
			for _, reference := range []string{made.function.reference, made.configuration.reference, made.databases[0].reference} {
				if !strings.HasPrefix(reference, tc.registry+"/") {
					t.Errorf("\n%s\n%q is to be published outside of %q", tc.reason, reference, tc.registry)
				}
			}
		})
	}
}

// contentOf returns all files of an image.
func contentOf(t *testing.T, image v1.Image) string {
	t.Helper()
	files := mutate.Extract(image)
	defer files.Close() //nolint:errcheck // It is only read.
	content := &strings.Builder{}
	for archive := tar.NewReader(files); ; {
		_, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return content.String()
		}
		if err == nil {
			_, err = io.Copy(content, archive)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
