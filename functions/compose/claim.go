package compose

import (
	"errors"
	"maps"
	"slices"

	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/util/validation"
)

// A Claim is what a composite works for.
type Claim struct {
	Namespace string
	Name      string
}

// ClaimOf returns the claim that a composite works for. It is the only place that knows claims: with namespaced composites
// it returns the composite's own namespace and name.
func ClaimOf(xr *Resource) (Claim, error) {
	of := Claim{Namespace: xr.Text("spec", "claimRef", "namespace"), Name: xr.Text("spec", "claimRef", "name")}
	if of.Namespace == "" || of.Name == "" {
		return Claim{}, errors.New("spec.claimRef is empty: create a claim in a namespace, and leave the composite resource to Crossplane")
	}
	if len(validation.IsDNS1123Label(of.Namespace)) > 0 || len(validation.IsDNS1123Subdomain(of.Name)) > 0 {
		return Claim{}, errors.New("spec.claimRef has a namespace or a name that no object can have")
	}
	return of, nil
}

// Spec returns what the user gave of a composite's spec: all but the fields that Crossplane adds.
func Spec(xr *Resource) *Resource {
	given := maps.Clone(xr.Object("spec").fields())
	maps.DeleteFunc(given, func(field string, _ *structpb.Value) bool { return slices.Contains(machinery(), field) })
	return &Resource{Fields: given}
}

// machinery are the fields that Crossplane adds to a spec.
func machinery() []string {
	return []string{
		"claimRef", "compositeDeletePolicy", "compositionRef", "compositionRevisionRef", "compositionRevisionSelector",
		"compositionSelector", "compositionUpdatePolicy", "crossplane", "environmentConfigRefs",
		"publishConnectionDetailsTo", "resourceRef", "resourceRefs", "writeConnectionSecretToRef",
	}
}
