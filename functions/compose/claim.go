package compose

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
)

// A Claim is what a composite works for.
type Claim struct {
	Namespace string
	Name      string
}

// ClaimOf returns the claim that a composite works for. It is the only place that knows claims: with namespaced composites
// it returns the composite's own namespace and name.
func ClaimOf(xr *unstructured.Unstructured) (Claim, error) {
	namespace, _, errNamespace := unstructured.NestedString(xr.Object, "spec", "claimRef", "namespace")
	name, _, errName := unstructured.NestedString(xr.Object, "spec", "claimRef", "name")
	if err := errors.Join(errNamespace, errName); err != nil {
		return Claim{}, fmt.Errorf("cannot read spec.claimRef: %w", err)
	}
	if namespace == "" || name == "" {
		return Claim{}, errors.New("spec.claimRef is empty: create a claim in a namespace, and leave the composite resource to Crossplane")
	}
	if len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return Claim{}, errors.New("spec.claimRef has a namespace or a name that no object can have")
	}
	return Claim{Namespace: namespace, Name: name}, nil
}

// Spec returns what the user gave of a composite's spec: all but the fields that Crossplane adds.
func Spec(xr *unstructured.Unstructured) (map[string]any, error) {
	given, _, err := unstructured.NestedMap(xr.Object, "spec")
	if err != nil {
		return nil, fmt.Errorf("cannot read the spec: %w", err)
	}
	maps.DeleteFunc(given, func(field string, _ any) bool { return slices.Contains(machinery(), field) })
	return given, nil
}

// machinery are the fields that Crossplane adds to a spec.
func machinery() []string {
	return []string{
		"claimRef", "compositeDeletePolicy", "compositionRef", "compositionRevisionRef", "compositionRevisionSelector",
		"compositionSelector", "compositionUpdatePolicy", "crossplane", "environmentConfigRefs",
		"publishConnectionDetailsTo", "resourceRef", "resourceRefs", "writeConnectionSecretToRef",
	}
}

// Decode reads untyped content into a typed value. What the type does not know is an error: nothing is ignored.
func Decode(from map[string]any, into any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
