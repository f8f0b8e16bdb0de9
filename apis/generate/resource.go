package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
)

const (
	resourceTypes = "apis/objectstore/v1alpha1"
	resourceCRDs  = "package/provider/crds"
)

// A resource is a kind of the provider. Its definition is what controller-gen makes of its type.
type resource struct {
	kind string

	// exampleOf is the file of examples/provider that shows it. Without one the reference says nothing of it.
	exampleOf string
}

// resources are the provider's kinds, in the order of the reference.
func resources() []resource {
	return []resource{
		{kind: v1alpha1.KindBucket, exampleOf: "bucket.yaml"},
		{kind: v1alpha1.KindProviderConfig, exampleOf: "bucket.yaml"},
		{kind: v1alpha1.KindClusterProviderConfig, exampleOf: "clusterproviderconfig.yaml"},
		{kind: v1alpha1.KindProviderConfigUsage},
		{kind: v1alpha1.KindClusterProviderConfigUsage},
	}
}

// file is what controller-gen calls its definition.
func (r resource) file() string {
	return v1alpha1.Group + "_" + strings.ToLower(r.kind) + "s.yaml"
}

// definition reads the generated definition, and writes its reference.
func (r resource) definition(dir string, document *bytes.Buffer) (file, error) {
	generated, err := os.ReadFile(filepath.Join(dir, r.file())) //nolint:gosec // Just written.
	if err != nil {
		return file{}, fmt.Errorf("cannot read the generated definition: %w", err)
	}
	crd := extv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(generated, &crd); err != nil {
		return file{}, fmt.Errorf("cannot parse the generated definition: %w", err)
	}
	content := append([]byte("# Generated from "+resourceTypes+" by make generate.\n"), bytes.TrimPrefix(generated, []byte("---\n"))...)
	made := file{path: filepath.Join(resourceCRDs, r.file()), content: content}
	if r.exampleOf == "" {
		return made, nil
	}
	version := crd.Spec.Versions[0]
	return made, section{
		kind: r.kind, version: crd.Spec.Group + "/" + version.Name, example: filepath.Join("examples/provider", r.exampleOf),
	}.write(document, *version.Schema.OpenAPIV3Schema)
}
