package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/crossplane/crossplane-runtime/v2/pkg/xpkg"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/xdbcluster/xdbcluster/package/oci"
)

const configurationName = "configuration-xdbcluster"

// names are what the Configuration says about what else is published.
type names struct {
	// registry is the path that everything is published under.
	registry string

	// functionDigest pins the function that the Configuration was built with. A tag would not do: Crossplane leaves a
	// function as it is when the newer tag's version does not sort after the older one's.
	functionDigest string

	// providerDigest pins the provider likewise.
	providerDigest string

	// images are the database images by major version.
	images map[string]string
}

// functionPackage is the function's registry path.
func (n names) functionPackage() string { return n.registry + "/" + functionName }

// providerPackage is the provider's registry path.
func (n names) providerPackage() string { return n.registry + "/" + providerName }

// functionObject is what Crossplane calls the function when it installs it as a dependency.
func (n names) functionObject() (string, error) {
	repository, err := name.NewRepository(n.functionPackage())
	if err != nil {
		return "", fmt.Errorf("cannot parse registry path %q: %w", n.registry, err)
	}
	return xpkg.ToDNSLabel(repository.RepositoryStr()), nil
}

// buildConfiguration makes the Configuration's package of its metadata, definitions and compositions.
func (b builder) buildConfiguration(n names) (v1.Image, error) {
	files, err := filepath.Glob(filepath.Join(b.project, "apis", "*", "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("cannot list definitions and compositions: %w", err)
	}
	slices.Sort(files)
	content := &bytes.Buffer{}
	for _, f := range append([]string{filepath.Join(b.project, "crossplane.yaml")}, files...) {
		if err := addObjects(content, f, n); err != nil {
			return nil, err
		}
	}
	img, err := oci.Image("amd64", v1.Config{})
	if err != nil {
		return nil, err
	}
	return withContent(img, content.Bytes())
}

func addObjects(content io.Writer, file string, n names) error {
	raw, err := os.ReadFile(file) //nolint:gosec // The project's own file.
	if err != nil {
		return fmt.Errorf("cannot read %q: %w", file, err)
	}
	for decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096); ; {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("cannot parse %q: %w", file, err)
		}
		if len(object.Object) == 0 {
			continue
		}
		if err := rename(object, n); err != nil {
			return fmt.Errorf("cannot name what %q refers to: %w", file, err)
		}
		out, err := yaml.Marshal(object.Object)
		if err != nil {
			return fmt.Errorf("cannot write an object of %q: %w", file, err)
		}
		if _, err := fmt.Fprintf(content, "---\n%s", out); err != nil {
			return err
		}
	}
}

// rename writes what follows from the registry path into an object.
func rename(object *unstructured.Unstructured, n names) error {
	switch object.GetKind() {
	case "Configuration":
		return setInEach(object, func(dependency map[string]any) error {
			switch dependency["kind"] {
			case "Function":
				dependency["package"], dependency["version"] = n.functionPackage(), n.functionDigest
			case "Provider":
				dependency["package"], dependency["version"] = n.providerPackage(), n.providerDigest
			default:
				return fmt.Errorf("nothing is published for a dependency of kind %v", dependency["kind"])
			}
			return nil
		}, "spec", "dependsOn")
	case "Composition":
		function, err := n.functionObject()
		if err != nil {
			return err
		}
		return setInEach(object, func(step map[string]any) error {
			if err := unstructured.SetNestedField(step, function, "functionRef", "name"); err != nil {
				return err
			}
			if _, named, err := unstructured.NestedMap(step, "input", "images"); err != nil || !named {
				return err
			}
			return unstructured.SetNestedStringMap(step, n.images, "input", "images")
		}, "spec", "pipeline")
	default:
		return nil
	}
}

func setInEach(object *unstructured.Unstructured, set func(map[string]any) error, path ...string) error {
	list, found, err := unstructured.NestedSlice(object.Object, path...)
	if err != nil || !found {
		return errors.Join(err, fmt.Errorf("%s %q has no %v", object.GetKind(), object.GetName(), path))
	}
	for _, item := range list {
		entry, ok := item.(map[string]any)
		if !ok {
			return fmt.Errorf("an item of %v is no object", path)
		}
		if err := set(entry); err != nil {
			return err
		}
	}
	return unstructured.SetNestedSlice(object.Object, list, path...)
}
