package main

import (
	"encoding/json"
	"fmt"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// maximumTerms is how many terms of an affinity there may be, and expressions of a term. Without a limit rules would cost more than
// the API server lets them.
const maximumTerms = 32

// operatorsOfNodes are those of a node affinity's expressions, and operatorsOfPods those of label selectors.
func operatorsOfPods() []string  { return []string{"In", "NotIn", "Exists", "DoesNotExist"} }
func operatorsOfNodes() []string { return append(operatorsOfPods(), "Gt", "Lt") }

// constrainScheduling lets the API server refuse in a claim what it would refuse in a Pod, where nobody is told. The types of Kubernetes
// leave that to its code: see ValidateTolerations and validateAffinity of k8s.io/kubernetes/pkg/apis/core/validation.
func constrainScheduling(schema *extv1.JSONSchemaProps) error {
	scheduling, err := property(schema, "spec", "primarySpec", "schedulingConfig")
	if err != nil {
		return err
	}
	tolerations := scheduling.Properties["tolerations"]
	if err := constrainToleration(tolerations.Items.Schema); err != nil {
		return err
	}
	for name, operators := range map[string][]string{"nodeaffinity": operatorsOfNodes(), "podAffinity": operatorsOfPods(), "podAntiAffinity": operatorsOfPods()} {
		affinity, ok := scheduling.Properties[name]
		if !ok {
			return fmt.Errorf("the schema has no %s", name)
		}
		scheduling.Properties[name], err = constrainAffinity(affinity, operators)
		if err != nil {
			return err
		}
	}
	return set(schema, *scheduling, "spec", "primarySpec", "schedulingConfig")
}

func constrainToleration(toleration *extv1.JSONSchemaProps) error {
	for name, values := range map[string][]string{"operator": {"Exists", "Equal"}, "effect": {"NoSchedule", "PreferNoSchedule", "NoExecute"}} {
		if err := restrict(toleration, name, values); err != nil {
			return err
		}
	}
	toleration.XValidations = extv1.ValidationRules{
		{
			Rule:    "has(self.key) && self.key != '' || has(self.operator) && self.operator == 'Exists'",
			Message: "operator must be Exists where there is no key: that tolerates every taint",
		},
		{
			Rule:    "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
			Message: "there must be no value where operator is Exists",
		},
		{
			Rule:    "!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'",
			Message: "tolerationSeconds needs the effect NoExecute",
		},
	}
	return nil
}

// constrainAffinity goes through a schema for what all kinds of affinity are made of.
func constrainAffinity(schema extv1.JSONSchemaProps, operators []string) (extv1.JSONSchemaProps, error) {
	for name, p := range schema.Properties {
		constrained, err := constrainField(name, p, operators)
		if err != nil {
			return schema, err
		}
		schema.Properties[name] = constrained
	}
	if schema.Items != nil && schema.Items.Schema != nil && schema.Items.Schema.Type == "object" {
		constrained, err := constrainAffinity(*schema.Items.Schema, operators)
		if err != nil {
			return schema, err
		}
		schema.Items.Schema, schema.MaxItems = &constrained, ptr(int64(maximumTerms))
	}
	return schema, nil
}

func constrainField(name string, field extv1.JSONSchemaProps, operators []string) (extv1.JSONSchemaProps, error) {
	switch name {
	case "weight":
		field.Minimum, field.Maximum = ptr(1.0), ptr(100.0)
	case "topologyKey":
		field.MinLength = ptr(int64(1))
	case "matchExpressions", "matchFields":
		field.MaxItems = ptr(int64(maximumTerms))
		return field, constrainExpression(field.Items.Schema, operators)
	case "nodeSelectorTerms":
		field.MinItems = ptr(int64(1))
		fallthrough
	default:
		return constrainAffinity(field, operators)
	}
	return field, nil
}

func constrainExpression(expression *extv1.JSONSchemaProps, operators []string) error {
	if err := restrict(expression, "operator", operators); err != nil {
		return err
	}
	expression.XValidations = extv1.ValidationRules{{
		Rule: "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 :" +
			" self.operator in ['Gt', 'Lt'] ? has(self.values) && size(self.values) == 1 : !has(self.values) || size(self.values) == 0",
		Message: "values must have an entry where operator is In or NotIn, and none where it is Exists or DoesNotExist; Gt and Lt take a single number",
	}}
	return nil
}

// restrict lets a property have some values only.
func restrict(schema *extv1.JSONSchemaProps, name string, values []string) error {
	p, ok := schema.Properties[name]
	if !ok {
		return fmt.Errorf("the schema has no %s", name)
	}
	p.Enum = nil
	for _, value := range values {
		raw, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("cannot encode a value of %s: %w", name, err)
		}
		p.Enum = append(p.Enum, extv1.JSON{Raw: raw})
	}
	schema.Properties[name] = p
	return nil
}
