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
				providers: map[string]string{"amd64": binary, "arm64": binary},
				databases: map[string]v1.Image{"15": empty.Image, "17": empty.Image},
			})
			if err != nil {
				t.Fatalf("\n%s\ncannot assemble: %v", tc.reason, err)
			}
			content := contentOf(t, made.configuration.artifact)
			want := []string{
				"package: " + tc.registry + "/function-xdbcluster\n    version: " + digestOf(t, made.function.artifact) + "\n",
				"package: " + tc.registry + "/provider-xdbcluster\n    version: " + digestOf(t, made.provider.artifact) + "\n",
				"name: " + tc.function + "\n",
			}
			for _, d := range made.databases {
				want = append(want, d.reference)
			}
			for _, text := range want {
				if !strings.Contains(content, text) {
					t.Errorf("\n%s\nthe Configuration does not say %q", tc.reason, text)
				}
			}
			for _, reference := range []string{made.function.reference, made.provider.reference, made.configuration.reference, made.databases[0].reference} {
				if !strings.HasPrefix(reference, tc.registry+"/") {
					t.Errorf("\n%s\n%q is to be published outside of %q", tc.reason, reference, tc.registry)
				}
			}
		})
	}
}

// TestProvider shows that the provider's package has what Crossplane installs, and what runs.
func TestProvider(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "provider")
	if err := os.WriteFile(binary, []byte("a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	b := builder{project: filepath.Join("..", ".."), cache: oci.Cache(t.TempDir()), out: io.Discard}
	index, err := b.buildProvider(map[string]string{"amd64": binary, "arm64": binary})
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 2 {
		t.Fatalf("the package is for %d architectures (%v); want two", len(manifest.Manifests), err)
	}
	for _, m := range manifest.Manifests {
		image, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		content := contentOf(t, image)
		for _, text := range []string{
			"a program", "kind: Provider\n", "name: buckets.objectstore.xdbcluster.io\n", "name: providerconfigs.objectstore.xdbcluster.io\n",
			"name: providerconfigusages.objectstore.xdbcluster.io\n", "name: clusterproviderconfigs.objectstore.xdbcluster.io\n",
			"name: clusterproviderconfigusages.objectstore.xdbcluster.io\n",
		} {
			if !strings.Contains(content, text) {
				t.Errorf("the package for %s does not have %q", m.Platform, text)
			}
		}
	}
}

func digestOf(t *testing.T, a oci.Artifact) string {
	t.Helper()
	digest, err := a.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
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
