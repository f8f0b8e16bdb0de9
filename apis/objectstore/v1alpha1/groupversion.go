// Package v1alpha1 holds the managed resources of provider-xdbcluster, and what configures it: their fields, defaults, limits and
// rules. Their definitions and the reference documentation are generated from it.
//
// +kubebuilder:object:generate=true
// +groupName=objectstore.xdbcluster.io
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group and version of every kind.
const (
	Group   = "objectstore.xdbcluster.io"
	Version = "v1alpha1"
)

// Kinds.
const (
	KindBucket                     = "Bucket"
	KindProviderConfig             = "ProviderConfig"
	KindProviderConfigUsage        = "ProviderConfigUsage"
	KindClusterProviderConfig      = "ClusterProviderConfig"
	KindClusterProviderConfigUsage = "ClusterProviderConfigUsage"
)

// GroupVersion returns the group and version of every kind.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: Group, Version: Version}
}

// AddToScheme makes every kind known to a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion(),
		&Bucket{}, &BucketList{},
		&ProviderConfig{}, &ProviderConfigList{}, &ProviderConfigUsage{}, &ProviderConfigUsageList{},
		&ClusterProviderConfig{}, &ClusterProviderConfigList{}, &ClusterProviderConfigUsage{}, &ClusterProviderConfigUsageList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion())
	return nil
}
