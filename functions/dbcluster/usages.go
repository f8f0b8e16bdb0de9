package dbcluster

import (
	"fmt"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

const (
	usageVersion     = "protection.crossplane.io/v1beta1"
	kindClusterUsage = "ClusterUsage"
)

// A definition is what takes every cluster along when it is deleted.
type definition struct {
	APIVersion, Kind, Name string

	// Object is the composed resource that protects it for one cluster.
	Object string

	// Usage is the name of the ClusterUsage that protects it for all clusters, where the platform has one.
	Usage string
}

func definitions() []definition {
	const crd, crdVersion = "CustomResourceDefinition", "apiextensions.k8s.io/v1"
	const xrd, xrdVersion = "CompositeResourceDefinition", "apiextensions.crossplane.io/v1"
	const claims, composites = "dbclusters." + v1alpha1.Group, "xdbclusters." + v1alpha1.Group
	return []definition{
		{crdVersion, crd, claims, naming.ObjectUsageOfClaims, "xdbcluster-claims"},
		{crdVersion, crd, composites, naming.ObjectUsageOfComposites, "xdbcluster-composites"},
		{xrdVersion, xrd, composites, naming.ObjectUsageOfDefinition, "xdbcluster-definition"},
	}
}

// A usage is a Usage or ClusterUsage of Crossplane's protection.crossplane.io, which has no apply configuration.
type usage struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Metadata   usageMetadata `json:"metadata"`
	Spec       usageSpec     `json:"spec"`
}

type usageMetadata struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
}

type usageSpec struct {
	Of     usageOf `json:"of"`
	Reason string  `json:"reason"`
}

type usageOf struct {
	APIVersion  string   `json:"apiVersion"`
	Kind        string   `json:"kind"`
	ResourceRef usageRef `json:"resourceRef"`
}

type usageRef struct {
	Name string `json:"name"`
}

// protect adds the objects that refuse the deletion of the claim and of everything whose end would be the claim's: its
// composite, its namespace, and, unless the platform protects them, the definitions. The end of a CustomResourceDefinition
// takes its objects along without asking anybody. Several clusters may protect the same thing: it is protected while one
// Usage of it is left.
func protect(shapes map[string]any, c cluster, withDefinitions bool) {
	shapes[naming.ObjectUsageOfClaim] = usageOfClaim(c)
	shapes[naming.ObjectUsageOfComposite] = clusterUsage(c, c.UsageOfComposite(), c.Owner.APIVersion, c.Owner.Kind, c.Owner.Name)
	shapes[naming.ObjectUsageOfNamespace] = clusterUsage(c, c.UsageOfNamespace(), "v1", "Namespace", c.Namespace)
	if !withDefinitions {
		return
	}
	names := map[string]string{
		naming.ObjectUsageOfClaims: c.UsageOfClaims(), naming.ObjectUsageOfComposites: c.UsageOfComposites(),
		naming.ObjectUsageOfDefinition: c.UsageOfDefinition(),
	}
	for _, d := range definitions() {
		shapes[d.Object] = clusterUsage(c, names[d.Object], d.APIVersion, d.Kind, d.Name)
	}
}

// usages returns the objects that refuse deletion, by their composition resource names.
func usages(withDefinitions bool) []string {
	names := []string{naming.ObjectUsageOfClaim, naming.ObjectUsageOfComposite, naming.ObjectUsageOfNamespace}
	if withDefinitions {
		for _, d := range definitions() {
			names = append(names, d.Object)
		}
	}
	return names
}

func usageOfClaim(c cluster) *usage {
	u := newUsage(c, "Usage", c.UsageOfClaim(), c.Owner.APIVersion, v1alpha1.KindDBCluster, c.Name)
	u.Metadata.Namespace = c.Namespace
	return u
}

func clusterUsage(c cluster, name, apiVersion, kind, used string) *usage {
	return newUsage(c, kindClusterUsage, name, apiVersion, kind, used)
}

func newUsage(c cluster, usageKind, name, apiVersion, kind, used string) *usage {
	return &usage{
		APIVersion: usageVersion,
		Kind:       usageKind,
		Metadata:   usageMetadata{Name: name, Labels: c.Labels()},
		Spec: usageSpec{
			Of: usageOf{APIVersion: apiVersion, Kind: kind, ResourceRef: usageRef{Name: used}},
			Reason: fmt.Sprintf("The DBCluster %s in the namespace %s is protected from deletion: set its deletionProtection to false and wait for its rollout first",
				c.Name, c.Namespace),
		},
	}
}
