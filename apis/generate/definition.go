package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	xpextv1 "github.com/crossplane/crossplane/apis/v2/apiextensions/v1"
	xpcore "github.com/crossplane/crossplane/apis/v2/core/v2"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// maximumValueLength bounds texts in maps: a rule over values of any length would cost the API server too much.
const maximumValueLength = 1024

// ownedMark stands between a setting that the system owns and the reason.
const ownedMark = " cannot be set: "

// maximumQuantityLength bounds quantities for the same reason. No sensible one is as long.
const maximumQuantityLength = 32

// A kind is what a definition says beyond its schema.
type kind struct {
	folder     string
	claim      string
	composite  string
	shortName  string
	isData     bool // Databases hang on it: its deletion, and the deletion of its definition, can be refused.
	columns    []extv1.CustomResourceColumnDefinition
	complete   func(*extv1.JSONSchemaProps) error
	exampleOf  string
	afterwards func(*bytes.Buffer) // What the reference says after the fields.
}

// kinds of claims, in the order of the reference.
func kinds() []kind {
	return []kind{
		{
			folder: "dbcluster", claim: v1alpha1.KindDBCluster, composite: v1alpha1.KindXDBCluster, shortName: "dbc", isData: true,
			columns: clusterColumns(), complete: completeCluster, exampleOf: "dbcluster.yaml", afterwards: writeOwnedParameters,
		},
		{
			folder: "switchover", claim: v1alpha1.KindSwitchover, composite: v1alpha1.KindXSwitchover, shortName: "dbso",
			columns: operationColumns(), exampleOf: "switchover.yaml",
		},
		{
			folder: "failover", claim: v1alpha1.KindFailover, composite: v1alpha1.KindXFailover, shortName: "dbfo",
			columns: operationColumns(), exampleOf: "failover.yaml",
		},
		{
			folder: "backupplan", claim: v1alpha1.KindBackupPlan, composite: v1alpha1.KindXBackupPlan, shortName: "dbbp",
			columns: backupPlanColumns(), exampleOf: "backupplan.yaml",
		},
		{
			folder: "backup", claim: v1alpha1.KindBackup, composite: v1alpha1.KindXBackup, shortName: "dbb",
			columns: backupColumns(), exampleOf: "backup.yaml",
		},
		{
			folder: "restore", claim: v1alpha1.KindRestore, composite: v1alpha1.KindXRestore, shortName: "dbr",
			columns: restoreColumns(), exampleOf: "restore.yaml",
		},
	}
}

func (k kind) plural() string { return strings.ToLower(k.claim) + "s" }

// definition turns the generated schema of a claim into the definition of composite and claim.
func (k kind) definition(generated []byte) (*xpextv1.CompositeResourceDefinition, error) {
	crd := extv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(generated, &crd); err != nil {
		return nil, fmt.Errorf("cannot parse the generated schema: %w", err)
	}
	schema := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	if k.complete != nil {
		if err := k.complete(schema); err != nil {
			return nil, err
		}
	}
	raw, err := json.Marshal(extv1.JSONSchemaProps{
		Description:  schema.Description,
		Type:         schema.Type,
		Required:     schema.Required,
		XValidations: schema.XValidations,
		Properties:   map[string]extv1.JSONSchemaProps{"spec": schema.Properties["spec"], "status": schema.Properties["status"]},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot encode the schema: %w", err)
	}
	definition := &xpextv1.CompositeResourceDefinition{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apiextensions.crossplane.io/v1", Kind: "CompositeResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{Name: "x" + k.plural() + "." + v1alpha1.Group},
		Spec: xpextv1.CompositeResourceDefinitionSpec{
			Group: v1alpha1.Group,
			Names: extv1.CustomResourceDefinitionNames{Kind: k.composite, Plural: "x" + k.plural(), Singular: strings.ToLower(k.composite), ListKind: k.composite + "List"},
			// Foreground: the claim is there until all that it had is gone, so that one of the same name cannot meet the remains.
			DefaultCompositeDeletePolicy:   ptr(xpcore.CompositeDeleteForeground),
			DefaultCompositionUpdatePolicy: ptr(xpcore.UpdateAutomatic),
			ClaimNames:                     &extv1.CustomResourceDefinitionNames{Kind: k.claim, Plural: k.plural(), Singular: strings.ToLower(k.claim), ListKind: k.claim + "List", ShortNames: []string{k.shortName}},
			Versions: []xpextv1.CompositeResourceDefinitionVersion{{
				Name: v1alpha1.Version, Served: true, Referenceable: true,
				Schema:                   &xpextv1.CompositeResourceValidation{OpenAPIV3Schema: runtime.RawExtension{Raw: raw}},
				AdditionalPrinterColumns: k.columns,
			}},
		},
	}
	if k.isData {
		definition.Labels = inUse()
		definition.Spec.Metadata = &xpextv1.CompositeResourceDefinitionSpecMetadata{Labels: inUse()}
	}
	return definition, nil
}

// inUse labels the definition, and through it both CustomResourceDefinitions, as what Crossplane's webhook asks Usages about
// before a deletion. A Usage sets the label itself, but the package manager and the definition's controller write their
// objects whole and would take it away again; with the label and without a Usage, deletion is allowed.
func inUse() map[string]string {
	return map[string]string{"crossplane.io/in-use": "true"}
}

// operationColumns show at a glance how an operation ended.
func operationColumns() []extv1.CustomResourceColumnDefinition {
	return []extv1.CustomResourceColumnDefinition{
		{Name: "CLUSTER", Type: "string", JSONPath: ".spec.dbclusterRef", Description: "The DBCluster."},
		{Name: "PHASE", Type: "string", JSONPath: ".status.phase", Description: "How far it is."},
		{Name: "PRIMARY", Type: "string", JSONPath: ".status.newPrimary", Description: "The Pod that is the primary since."},
		{Name: "PAUSE", Type: "string", JSONPath: ".status.writePause", Description: "How long nobody could write."},
		{Name: "MESSAGE", Type: "string", JSONPath: ".status.message", Description: "What it waits for, what was done, or why not.", Priority: 1},
	}
}

// backupPlanColumns show at a glance whether the cluster could be restored, and to what.
func backupPlanColumns() []extv1.CustomResourceColumnDefinition {
	return []extv1.CustomResourceColumnDefinition{
		{Name: "CLUSTER", Type: "string", JSONPath: ".spec.dbclusterRef", Description: "The DBCluster."},
		{Name: "PHASE", Type: "string", JSONPath: ".status.phase", Description: "What the plan is doing."},
		{Name: "LAST", Type: "date", JSONPath: ".status.lastBackupTime", Description: "When the newest backup was complete."},
		{Name: "NEXT", Type: "string", JSONPath: ".status.nextBackupTime", Description: "When the next backup is due."},
		{Name: "BACKUPS", Type: "integer", JSONPath: ".status.repository.backups", Description: "How many backups there are."},
		{Name: "ARCHIVE", Type: "string", JSONPath: ".status.archive.state", Description: "How archiving WAL goes."},
		{Name: "VERIFIED", Type: "date", JSONPath: ".status.lastVerifiedTime", Description: "When a backup was last tried and found to be sound."},
		{Name: "WINDOW-BEGIN", Type: "string", JSONPath: ".status.recoveryWindow.begin", Description: "The earliest moment that can be restored.", Priority: 1},
		{Name: "WINDOW-END", Type: "string", JSONPath: ".status.recoveryWindow.end", Description: "The latest moment that can be restored.", Priority: 1},
	}
}

// backupColumns show at a glance how a backup ended.
func backupColumns() []extv1.CustomResourceColumnDefinition {
	return []extv1.CustomResourceColumnDefinition{
		{Name: "CLUSTER", Type: "string", JSONPath: ".spec.dbclusterRef", Description: "The DBCluster."},
		{Name: "PHASE", Type: "string", JSONPath: ".status.phase", Description: "How far it is."},
		{Name: "TYPE", Type: "string", JSONPath: ".status.type", Description: "How much was copied."},
		{Name: "COMPLETE", Type: "date", JSONPath: ".status.completeTime", Description: "When it was complete."},
		{Name: "DURATION", Type: "string", JSONPath: ".status.duration", Description: "How long it took."},
		{Name: "SIZE", Type: "string", JSONPath: ".status.size.repository", Description: "What it added to the store."},
		{Name: "LABEL", Type: "string", JSONPath: ".status.label", Description: "pgBackRest's name for it.", Priority: 1},
		{Name: "MESSAGE", Type: "string", JSONPath: ".status.message", Description: "What it waits for, or why it failed.", Priority: 1},
	}
}

// restoreColumns show at a glance what became of a restore in place.
func restoreColumns() []extv1.CustomResourceColumnDefinition {
	return []extv1.CustomResourceColumnDefinition{
		{Name: "CLUSTER", Type: "string", JSONPath: ".spec.sourceDBCluster", Description: "The DBCluster."},
		{Name: "PHASE", Type: "string", JSONPath: ".status.phase", Description: "How far it is."},
		{Name: "BACKUP", Type: "string", JSONPath: ".status.backup", Description: "The backup that it began with."},
		{Name: "OLD-DATA", Type: "string", JSONPath: ".status.oldIncarnation", Description: "The database before, which can be brought back."},
		{Name: "KEPT-UNTIL", Type: "string", JSONPath: ".status.oldDataKeptUntil", Description: "When that is removed."},
		{Name: "MESSAGE", Type: "string", JSONPath: ".status.message", Description: "What it waits for, what was done, or why not.", Priority: 1},
	}
}

// clusterColumns show at a glance what an on-call engineer asks first.
func clusterColumns() []extv1.CustomResourceColumnDefinition {
	return []extv1.CustomResourceColumnDefinition{
		{Name: "PHASE", Type: "string", JSONPath: ".status.phase", Description: "What the cluster is doing."},
		{Name: "VERSION", Type: "string", JSONPath: ".status.currentVersion", Description: "PostgreSQL's version on the primary."},
		{Name: "PRIMARY", Type: "string", JSONPath: ".status.primary", Description: "The Pod that is the primary."},
		{Name: "ROLLOUT", Type: "string", JSONPath: ".status.rollout.state", Description: "How far the spec has been carried out."},
		{Name: "DURABILITY", Type: "string", JSONPath: ".status.durability", Description: "What an acknowledged transaction survives.", Priority: 1},
		{Name: "MESSAGE", Type: "string", JSONPath: ".status.rollout.message", Description: "What the rollout waits for, or why it failed.", Priority: 1},
	}
}

// completeCluster adds what cannot be said in comments of the types.
func completeCluster(schema *extv1.JSONSchemaProps) error {
	parameters, err := property(schema, "spec", "primarySpec", "parameters")
	if err != nil {
		return err
	}
	parameters.AdditionalProperties.Schema.MaxLength = ptr(int64(maximumValueLength))
	parameters.AdditionalProperties.Schema.XValidations = extv1.ValidationRules{{
		Rule:    `self.matches('^[^\\x00-\\x1f\\x7f]*$')`,
		Message: "must be a single line without control characters",
	}}
	parameters.XValidations = append(parameters.XValidations, ownedRules()...)
	if err := set(schema, *parameters, "spec", "primarySpec", "parameters"); err != nil {
		return err
	}
	if err := constrainScheduling(schema); err != nil {
		return err
	}
	spec := schema.Properties["spec"]
	spec = withoutPatterns(spec)
	schema.Properties["spec"] = spec
	return nil
}

// withoutPatterns returns a schema in which quantities are judged by their rules alone, whose messages say what would be
// right. The pattern that they would have besides says nothing to a person.
func withoutPatterns(schema extv1.JSONSchemaProps) extv1.JSONSchemaProps {
	if schema.XIntOrString {
		schema.Pattern = ""
		schema.MaxLength = ptr(int64(maximumQuantityLength))
	}
	for name, property := range schema.Properties {
		schema.Properties[name] = withoutPatterns(property)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		*schema.Items.Schema = withoutPatterns(*schema.Items.Schema)
	}
	return schema
}

// ownedRules refuse the settings that the system owns: a rule for each, because a message that is computed from what was
// given would cost more than the API server lets a rule cost.
func ownedRules() extv1.ValidationRules {
	rules := extv1.ValidationRules{}
	for _, o := range v1alpha1.SystemParameters() {
		for _, name := range o.Names {
			rules = append(rules, extv1.ValidationRule{
				Rule:    fmt.Sprintf("!('%s' in self)", name),
				Message: name + ownedMark + o.Reason,
			})
		}
	}
	return rules
}

// property returns a copy of a property of nested objects.
func property(schema *extv1.JSONSchemaProps, path ...string) (*extv1.JSONSchemaProps, error) {
	for _, name := range path {
		next, ok := schema.Properties[name]
		if !ok {
			return nil, fmt.Errorf("the schema has no %s", strings.Join(path, "."))
		}
		schema = &next
	}
	return schema, nil
}

// set replaces a property of nested objects.
func set(schema *extv1.JSONSchemaProps, value extv1.JSONSchemaProps, path ...string) error {
	if len(path) == 0 {
		return errors.New("a path has a name at least")
	}
	if len(path) == 1 {
		schema.Properties[path[0]] = value
		return nil
	}
	next, ok := schema.Properties[path[0]]
	if !ok {
		return fmt.Errorf("the schema has no %s", path[0])
	}
	if err := set(&next, value, path[1:]...); err != nil {
		return err
	}
	schema.Properties[path[0]] = next
	return nil
}

// marshal writes an object without the empty status and creation time that its type would add.
func marshal(definition *xpextv1.CompositeResourceDefinition) ([]byte, error) {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(definition)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the definition: %w", err)
	}
	delete(object, "status")
	if metadata, ok := object["metadata"].(map[string]any); ok {
		delete(metadata, "creationTimestamp")
	}
	raw, err := yaml.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the definition: %w", err)
	}
	return append([]byte("# Generated from apis/v1alpha1 by make generate.\n"), raw...), nil
}

func ptr[T any](v T) *T { return &v }
