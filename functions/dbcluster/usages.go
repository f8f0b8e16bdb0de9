package dbcluster

import (
	"fmt"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// Names of what every protected cluster protects together with all others.
const (
	crdClaims     = "dbclusters." + v1alpha1.Group
	crdComposites = "xdbclusters." + v1alpha1.Group
)

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
// composite, its namespace, and the definitions. The end of a CustomResourceDefinition takes its objects along without
// asking anybody. Several clusters may protect the same namespace: it is protected while one Usage of it is left.
func protect(shapes map[string]any, c cluster) {
	const crd, crdVersion = "CustomResourceDefinition", "apiextensions.k8s.io/v1"
	const xrd, xrdVersion = "CompositeResourceDefinition", "apiextensions.crossplane.io/v1"

	shapes[naming.ObjectUsageOfClaim] = usageOfClaim(c)
	shapes[naming.ObjectUsageOfComposite] = clusterUsage(c, c.UsageOfComposite(), c.Owner.APIVersion, c.Owner.Kind, c.Owner.Name)
	shapes[naming.ObjectUsageOfNamespace] = clusterUsage(c, c.UsageOfNamespace(), "v1", "Namespace", c.Namespace)
	shapes[naming.ObjectUsageOfClaims] = clusterUsage(c, c.UsageOfClaims(), crdVersion, crd, crdClaims)
	shapes[naming.ObjectUsageOfComposites] = clusterUsage(c, c.UsageOfComposites(), crdVersion, crd, crdComposites)
	shapes[naming.ObjectUsageOfDefinition] = clusterUsage(c, c.UsageOfDefinition(), xrdVersion, xrd, crdComposites)
}

func usageOfClaim(c cluster) *usage {
	u := newUsage(c, "Usage", c.UsageOfClaim(), c.Owner.APIVersion, v1alpha1.KindDBCluster, c.Name)
	u.Metadata.Namespace = c.Namespace
	return u
}

func clusterUsage(c cluster, name, apiVersion, kind, used string) *usage {
	return newUsage(c, "ClusterUsage", name, apiVersion, kind, used)
}

func newUsage(c cluster, usageKind, name, apiVersion, kind, used string) *usage {
	return &usage{
		APIVersion: "protection.crossplane.io/v1beta1",
		Kind:       usageKind,
		Metadata:   usageMetadata{Name: name, Labels: c.Labels()},
		Spec: usageSpec{
			Of: usageOf{APIVersion: apiVersion, Kind: kind, ResourceRef: usageRef{Name: used}},
			Reason: fmt.Sprintf("The DBCluster %s in the namespace %s is protected from deletion: set its deletionProtection to false and wait for its rollout first",
				c.Name, c.Namespace),
		},
	}
}
