package v1alpha1

import (
	xpv2 "github.com/crossplane/crossplane/apis/v2/core/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A ProviderConfig says where a store is, and how the Buckets of its namespace get in.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories={crossplane,providerconfig,xdbcluster}
// +kubebuilder:printcolumn:name="ENDPOINT",type="string",JSONPath=".spec.endpoint",description="The store."
// +kubebuilder:printcolumn:name="SECRET",type="string",JSONPath=".spec.secretRef.name",description="The Secret with the credentials."
// +kubebuilder:printcolumn:name="USERS",type="integer",JSONPath=".status.users",description="How many Buckets use it."
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp"
type ProviderConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says where the store is.
	Spec ProviderConfigSpec `json:"spec"`

	// Status says who uses it.
	Status ProviderConfigStatus `json:"status,omitempty"`
}

// ProviderConfigSpec says where a store is and how to get in.
//
// +kubebuilder:validation:XValidation:rule="has(self.endpoint) || has(self.region)",message="a region (Amazon S3) or an endpoint (any other store) is needed"
type ProviderConfigSpec struct {
	Store `json:",inline"`

	// SecretRef names a Secret of the same namespace with the keys accessKeyID and secretAccessKey, and sessionToken where the
	// credentials are temporary. When it is changed, the new ones are used from then on.
	SecretRef SecretReference `json:"secretRef"`

	// CertRef names a Secret of the same namespace with more certificates to trust under the key ca.crt.
	//
	// +optional
	CertRef *SecretReference `json:"certRef,omitempty"`
}

// A ClusterProviderConfig says where a store is, and how the Buckets of some namespaces get in. Whoever may create Buckets there
// can do with its credentials what a Bucket can do, to every bucket of theirs.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,categories={crossplane,providerconfig,xdbcluster}
// +kubebuilder:printcolumn:name="ENDPOINT",type="string",JSONPath=".spec.endpoint",description="The store."
// +kubebuilder:printcolumn:name="SECRET",type="string",JSONPath=".spec.secretRef.name",description="The Secret with the credentials."
// +kubebuilder:printcolumn:name="USERS",type="integer",JSONPath=".status.users",description="How many Buckets use it."
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp"
type ClusterProviderConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says where the store is.
	Spec ClusterProviderConfigSpec `json:"spec"`

	// Status says who uses it.
	Status ProviderConfigStatus `json:"status,omitempty"`
}

// ClusterProviderConfigSpec says where a store is, how to get in, and who may.
//
// +kubebuilder:validation:XValidation:rule="has(self.endpoint) || has(self.region)",message="a region (Amazon S3) or an endpoint (any other store) is needed"
type ClusterProviderConfigSpec struct {
	Store `json:",inline"`

	// AllowedNamespaces are those whose Buckets may use it. "*" is all.
	//
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +listType=set
	AllowedNamespaces []string `json:"allowedNamespaces"`

	// SecretRef names a Secret with the keys accessKeyID and secretAccessKey, and sessionToken where the credentials are temporary.
	// When it is changed, the new ones are used from then on.
	SecretRef NamespacedSecretReference `json:"secretRef"`

	// CertRef names a Secret with more certificates to trust under the key ca.crt.
	//
	// +optional
	CertRef *NamespacedSecretReference `json:"certRef,omitempty"`
}

// Store says where a store is, and which certificates of it are trusted.
type Store struct {
	// Endpoint is the host of the store, with a port if it is not 443, for example minio.example.org:9000. It is spoken to over
	// TLS. By default Amazon's of the region.
	//
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('http://')",message="endpoint must be reached over TLS: credentials and objects are never sent in the clear; leave out http:// and give the port of https"
	// +kubebuilder:validation:XValidation:rule="self.startsWith('http://') || self.matches('^(https://)?[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]{1,5})?/?$')",message="endpoint must be a host, with a port if it is not 443, for example minio.example.org:9000"
	// +optional
	Endpoint string `json:"endpoint,omitempty"`

	// Region of the buckets, for example eu-central-1. By default us-east-1, which is what other stores take that have none.
	//
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$')",message="region must be the name of a region, for example eu-central-1"
	// +optional
	Region string `json:"region,omitempty"`

	// URIStyle says where requests name the bucket: host (bucket.endpoint/key) or path (endpoint/bucket/key). By default path
	// with an endpoint and host without one.
	//
	// +kubebuilder:validation:Enum=host;path
	// +optional
	URIStyle URIStyle `json:"uriStyle,omitempty"`

	// CABundle are certificates, in PEM, of the authorities that may have signed the store's. By default those that the image
	// trusts, which are Mozilla's.
	//
	// +kubebuilder:validation:MaxItems=16
	// +optional
	CABundle []string `json:"caBundle,omitempty"`

	// InsecureSkipVerify trusts every certificate. Whoever is between the provider and the store can then take the place of the
	// store: better set caBundle.
	//
	// +kubebuilder:default=false
	// +optional
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// URIStyle says where requests name the bucket.
type URIStyle string

// Styles.
const (
	URIStyleHost URIStyle = "host"
	URIStylePath URIStyle = "path"
)

// SecretReference names a Secret of the same namespace.
type SecretReference struct {
	// Name of the Secret.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// NamespacedSecretReference names a Secret.
type NamespacedSecretReference struct {
	// Name of the Secret.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Namespace of the Secret.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
}

// ProviderConfigStatus says who uses a ProviderConfig or a ClusterProviderConfig.
type ProviderConfigStatus struct {
	xpv2.ProviderConfigStatus `json:",inline"`
}

// ProviderConfigList is a list of ProviderConfigs.
//
// +kubebuilder:object:root=true
type ProviderConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ProviderConfig `json:"items"`
}

// ClusterProviderConfigList is a list of ClusterProviderConfigs.
//
// +kubebuilder:object:root=true
type ClusterProviderConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterProviderConfig `json:"items"`
}

// A ProviderConfigUsage says that a Bucket uses a ProviderConfig, which cannot go as long. The provider makes it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,categories={crossplane,providerconfig,xdbcluster}
// +kubebuilder:printcolumn:name="CONFIG",type="string",JSONPath=".providerConfigRef.name",description="What is used."
// +kubebuilder:printcolumn:name="BUCKET",type="string",JSONPath=".resourceRef.name",description="The Bucket that uses it."
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp"
type ProviderConfigUsage struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	xpv2.TypedProviderConfigUsage `json:",inline"`
}

// ProviderConfigUsageList is a list of ProviderConfigUsages.
//
// +kubebuilder:object:root=true
type ProviderConfigUsageList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ProviderConfigUsage `json:"items"`
}

// A ClusterProviderConfigUsage says that a Bucket uses a ClusterProviderConfig, which cannot go as long. The provider makes it, in
// the Bucket's namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,categories={crossplane,providerconfig,xdbcluster}
// +kubebuilder:printcolumn:name="CONFIG",type="string",JSONPath=".providerConfigRef.name",description="What is used."
// +kubebuilder:printcolumn:name="BUCKET",type="string",JSONPath=".resourceRef.name",description="The Bucket that uses it."
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp"
type ClusterProviderConfigUsage struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	xpv2.TypedProviderConfigUsage `json:",inline"`
}

// ClusterProviderConfigUsageList is a list of ClusterProviderConfigUsages.
//
// +kubebuilder:object:root=true
type ClusterProviderConfigUsageList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterProviderConfigUsage `json:"items"`
}
