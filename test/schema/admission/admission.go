// Package admission judges claims as the API server does once Crossplane has made their definitions from ours: with the API
// server's own code, from the strict reading of a manifest to its CEL rules.
package admission

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/crossplane/crossplane-runtime/v2/pkg/xcrd"
	xpextv1 "github.com/crossplane/crossplane/apis/v2/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	apiservervalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/crdserverscheme"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	runtimeschema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/yaml"
)

// ErrUnknownKind is returned for objects of kinds that no definition is about.
var ErrUnknownKind = errors.New("no definition is about this kind")

// UnknownFieldsError names the fields of an object that its kind does not have.
type UnknownFieldsError struct{ Fields []string }

// Error says it as the API server does.
func (e UnknownFieldsError) Error() string {
	unknown := make([]string, 0, len(e.Fields))
	for _, field := range e.Fields {
		unknown = append(unknown, fmt.Sprintf("unknown field %q", field))
	}
	return "strict decoding error: " + strings.Join(unknown, ", ")
}

// Refusals returns every reason in an answer of the API server, each with the field that it is about.
func Refusals(err error) []string {
	if err == nil {
		return nil
	}
	status := &apierrors.StatusError{}
	if !errors.As(err, &status) || status.ErrStatus.Details == nil || len(status.ErrStatus.Details.Causes) == 0 {
		return []string{err.Error()}
	}
	reasons := []string{}
	for _, cause := range status.ErrStatus.Details.Causes {
		// It accompanies every error after which the API server did not go on, and says nothing of its own.
		if strings.HasSuffix(cause.Message, "correct the existing errors to complete validation") {
			continue
		}
		reasons = append(reasons, strings.TrimPrefix(cause.Field+": "+cause.Message, "<nil>: "))
	}
	slices.Sort(reasons)
	return reasons
}

// Definitions are the kinds whose objects can be judged.
type Definitions struct {
	kinds map[runtimeschema.GroupVersionKind]kind
}

type kind struct {
	strategy   strategy
	structural *schema.Structural
}

type strategy interface {
	rest.RESTCreateStrategy
	rest.RESTUpdateStrategy
}

// Load reads definitions of composite resources, and makes the definitions of claims and composites from them. Definitions of
// managed resources are taken as they are.
func Load(ctx context.Context, files ...string) (*Definitions, error) {
	d := &Definitions{kinds: map[runtimeschema.GroupVersionKind]kind{}}
	for _, file := range files {
		crds, err := CustomResourceDefinitions(file)
		if err != nil {
			return nil, err
		}
		for _, crd := range crds {
			if err := d.add(ctx, crd); err != nil {
				return nil, fmt.Errorf("cannot use the definition of %s in %q: %w", crd.Spec.Names.Kind, file, err)
			}
		}
	}
	return d, nil
}

// CustomResourceDefinitions returns what Crossplane makes of the definition in a file: the claim's, and the composite's, or that of a
// managed resource.
func CustomResourceDefinitions(file string) ([]*extv1.CustomResourceDefinition, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the definition: %w", err)
	}
	crd := &extv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(raw, crd); err == nil && crd.Kind == "CustomResourceDefinition" {
		return []*extv1.CustomResourceDefinition{crd}, nil
	}
	definition := &xpextv1.CompositeResourceDefinition{}
	if err := yaml.UnmarshalStrict(raw, definition); err != nil {
		return nil, fmt.Errorf("cannot parse the definition %q: %w", file, err)
	}
	definition.UID = "of-the-definition"
	claim, err := xcrd.ForCompositeResourceClaim(definition)
	if err != nil {
		return nil, fmt.Errorf("cannot make the claim's definition of %q: %w", file, err)
	}
	composite, err := xcrd.ForCompositeResource(definition)
	if err != nil {
		return nil, fmt.Errorf("cannot make the composite's definition of %q: %w", file, err)
	}
	return []*extv1.CustomResourceDefinition{claim, composite}, nil
}

// Create returns the object as it would be stored, or why it is refused.
func (d *Definitions) Create(ctx context.Context, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	k, object, err := d.read(object)
	if err != nil {
		return nil, err
	}
	rest.FillObjectMetaSystemFields(object)
	if err := rest.BeforeCreate(k.strategy, request.WithNamespace(ctx, object.GetNamespace()), object); err != nil {
		return nil, err
	}
	return object, nil
}

// Update returns why a change of an object is refused.
func (d *Definitions) Update(ctx context.Context, old, object *unstructured.Unstructured) error {
	k, object, err := d.read(object)
	if err != nil {
		return err
	}
	old = old.DeepCopy()
	old.SetResourceVersion("1")
	object.SetResourceVersion("1")
	return rest.BeforeUpdate(k.strategy, request.WithNamespace(ctx, object.GetNamespace()), object, old)
}

// read returns a copy of an object with defaults, unless it has fields that its kind does not have.
func (d *Definitions) read(object *unstructured.Unstructured) (kind, *unstructured.Unstructured, error) {
	k, ok := d.kinds[object.GroupVersionKind()]
	if !ok {
		return kind{}, nil, fmt.Errorf("%w: %s", ErrUnknownKind, object.GroupVersionKind())
	}
	object = object.DeepCopy()
	unknown := pruning.PruneWithOptions(object.Object, k.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	if len(unknown) > 0 {
		return kind{}, nil, UnknownFieldsError{Fields: unknown}
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(object.Object, k.structural)
	defaulting.Default(object.Object, k.structural)
	return k, object, nil
}

// add takes a definition up as the API server does, which refuses rules that could cost too much.
func (d *Definitions) add(ctx context.Context, crd *extv1.CustomResourceDefinition) error {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	scheme.Default(crd)
	crd.Status.StoredVersions = []string{crd.Spec.Versions[0].Name}
	internal := &apiextensions.CustomResourceDefinition{}
	if err := scheme.Convert(crd, internal, nil); err != nil {
		return fmt.Errorf("cannot convert it: %w", err)
	}
	if errs := validation.ValidateCustomResourceDefinition(ctx, internal); len(errs) > 0 {
		return errs.ToAggregate()
	}
	for _, version := range crd.Spec.Versions {
		k, err := newKind(scheme, crd, version)
		if err != nil {
			return err
		}
		d.kinds[runtimeschema.GroupVersionKind{Group: crd.Spec.Group, Version: version.Name, Kind: crd.Spec.Names.Kind}] = k
	}
	return nil
}

func newKind(scheme *runtime.Scheme, crd *extv1.CustomResourceDefinition, version extv1.CustomResourceDefinitionVersion) (kind, error) {
	internal := &apiextensions.CustomResourceValidation{}
	if err := scheme.Convert(version.Schema, internal, nil); err != nil {
		return kind{}, fmt.Errorf("cannot convert the schema: %w", err)
	}
	structural, err := schema.NewStructural(internal.OpenAPIV3Schema)
	if err != nil {
		return kind{}, fmt.Errorf("cannot read the schema: %w", err)
	}
	validator, _, err := apiservervalidation.NewSchemaValidator(internal.OpenAPIV3Schema)
	if err != nil {
		return kind{}, fmt.Errorf("cannot make a validator of the schema: %w", err)
	}
	status := internal.OpenAPIV3Schema.Properties["status"]
	statusValidator, _, err := apiservervalidation.NewSchemaValidator(&status)
	if err != nil {
		return kind{}, fmt.Errorf("cannot make a validator of the status's schema: %w", err)
	}
	gvk := runtimeschema.GroupVersionKind{Group: crd.Spec.Group, Version: version.Name, Kind: crd.Spec.Names.Kind}
	return kind{
		structural: structural,
		strategy: customresource.NewStrategy(crdserverscheme.NewUnstructuredObjectTyper(), crd.Spec.Scope == extv1.NamespaceScoped,
			gvk, validator, statusValidator, structural, &apiextensions.CustomResourceSubresourceStatus{}, nil, nil),
	}, nil
}

// Kinds returns the kinds whose objects can be judged, sorted.
func (d *Definitions) Kinds() []string {
	kinds := make([]string, 0, len(d.kinds))
	for gvk := range d.kinds {
		kinds = append(kinds, gvk.Kind)
	}
	slices.Sort(kinds)
	return kinds
}
