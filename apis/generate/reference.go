package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	xpextv1 "github.com/crossplane/crossplane/apis/v2/apiextensions/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// foreign are fields whose types are Kubernetes' own: the reference names them and does not repeat Kubernetes' reference.
func foreign() []string {
	return []string{"nodeaffinity", "podAffinity", "podAntiAffinity", "tolerations", "selector", "observedSpec"}
}

func writeIntroduction(out *bytes.Buffer) {
	fmt.Fprintf(out, "# Reference\n\nGenerated from the Go types by `make generate`. Fields that are not here are errors: kubectl and Flux "+
		"name them and apply nothing. (With `kubectl apply --validate=false` the API server drops them without a word.)\n\n")
}

// writeReference writes the reference of a claim: an example, then every field.
func (k kind) writeReference(out *bytes.Buffer, definition *xpextv1.CompositeResourceDefinition) error {
	schema := extv1.JSONSchemaProps{}
	if err := json.Unmarshal(definition.Spec.Versions[0].Schema.OpenAPIV3Schema.Raw, &schema); err != nil {
		return fmt.Errorf("cannot parse the schema: %w", err)
	}
	err := section{
		kind: k.claim, version: definition.Spec.Group + "/" + definition.Spec.Versions[0].Name, example: filepath.Join("examples/claims", k.exampleOf),
	}.write(out, schema)
	if err != nil {
		return err
	}
	if k.afterwards != nil {
		k.afterwards(out)
	}
	return nil
}

// A section of the reference is about one kind.
type section struct {
	kind    string
	version string

	// example is a file that shows the kind.
	example string
}

func (s section) write(out *bytes.Buffer, schema extv1.JSONSchemaProps) error {
	example, err := os.ReadFile(s.example)
	if err != nil {
		return fmt.Errorf("cannot read the example: %w", err)
	}
	fmt.Fprintf(out, "## %s\n\nAPI version `%s`. %s\n\n", s.kind, s.version, sentence(schema.Description))
	fmt.Fprintf(out, "```yaml\n%s```\n\n", example)
	for _, part := range []string{"spec", "status"} {
		fmt.Fprintf(out, "### %s of a %s\n\n| field | type | meaning |\n|---|---|---|\n", strings.ToUpper(part[:1])+part[1:], s.kind)
		writeFields(out, schema.Properties[part], "")
		fmt.Fprintln(out)
	}
	return nil
}

// writeOwnedParameters writes the settings that a claim cannot set.
func writeOwnedParameters(out *bytes.Buffer) {
	fmt.Fprintf(out, "### Parameters that cannot be set\n\n| parameters | because |\n|---|---|\n")
	for _, o := range v1alpha1.SystemParameters() {
		fmt.Fprintf(out, "| `%s` | %s |\n", strings.Join(o.Names, "`, `"), o.Reason)
	}
	fmt.Fprintln(out)
}

func writeFields(out *bytes.Buffer, schema extv1.JSONSchemaProps, prefix string) {
	names := make([]string, 0, len(schema.Properties))
	for name := range schema.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		field := schema.Properties[name]
		path := prefix + name
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", path, typeOf(field), meaning(field, slices.Contains(schema.Required, name)))
		switch {
		case slices.Contains(foreign(), name):
		case field.Items != nil:
			writeFields(out, *field.Items.Schema, path+"[].")
		default:
			writeFields(out, field, path+".")
		}
	}
}

func typeOf(field extv1.JSONSchemaProps) string {
	switch {
	case field.XIntOrString:
		return "quantity"
	case field.AdditionalProperties != nil:
		return "map of " + typeOf(*field.AdditionalProperties.Schema)
	case field.Items != nil:
		return "list of " + typeOf(*field.Items.Schema)
	case field.Format == "date-time":
		return "time"
	default:
		return field.Type
	}
}

// meaning is a field's description, then what it must be.
func meaning(field extv1.JSONSchemaProps, required bool) string {
	parts := []string{sentence(field.Description)}
	if required {
		parts = append(parts, "Required.")
	}
	if field.Default != nil {
		parts = append(parts, "Default: `"+string(field.Default.Raw)+"`.")
	}
	if len(field.Enum) > 0 {
		values := make([]string, 0, len(field.Enum))
		for _, v := range field.Enum {
			values = append(values, "`"+string(v.Raw)+"`")
		}
		parts = append(parts, "One of "+strings.Join(values, ", ")+".")
	}
	for _, rule := range field.XValidations {
		if strings.Contains(rule.Message, ownedMark) {
			continue // They are in a table of their own.
		}
		parts = append(parts, "Rule: "+strings.ReplaceAll(rule.Message, "|", "\\|")+".")
	}
	return strings.Join(parts, " ")
}

func sentence(description string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(description), " "), "|", "\\|")
}
