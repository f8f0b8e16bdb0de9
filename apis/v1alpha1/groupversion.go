// Package v1alpha1 holds the claims that xdbcluster gives: their fields, defaults, limits and rules. The schemas of the
// packages and the reference documentation are generated from it.
//
// +kubebuilder:object:generate=true
// +groupName=xdbcluster.io
package v1alpha1

import "k8s.io/apimachinery/pkg/runtime/schema"

// Group and version of every claim, and of the composite resources behind them.
const (
	Group   = "xdbcluster.io"
	Version = "v1alpha1"
)

// GroupVersion returns the group and version of every claim.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: Group, Version: Version}
}
