package v1alpha1

import (
	xpv2 "github.com/crossplane/crossplane/apis/v2/core/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Bucket is a bucket of an S3-compatible store. Its name in the store is that of the annotation crossplane.io/external-name, by
// default the object's own. A bucket that exists already is taken over as it is.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories={crossplane,managed,xdbcluster}
// +kubebuilder:printcolumn:name="SYNCED",type="string",JSONPath=".status.conditions[?(@.type=='Synced')].status",description="Whether the bucket is as it should be."
// +kubebuilder:printcolumn:name="READY",type="string",JSONPath=".status.conditions[?(@.type=='Ready')].status",description="Whether the bucket is there."
// +kubebuilder:printcolumn:name="BUCKET",type="string",JSONPath=".metadata.annotations.crossplane\\.io/external-name",description="The bucket's name in the store."
// +kubebuilder:printcolumn:name="ENDPOINT",type="string",JSONPath=".status.atProvider.endpoint",description="The store."
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp"
// +kubebuilder:printcolumn:name="MESSAGE",type="string",JSONPath=".status.conditions[?(@.type=='Synced')].message",description="What is wrong, and what to do next.",priority=1
type Bucket struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the bucket is to be.
	Spec BucketSpec `json:"spec"`

	// Status is what there is of it.
	Status BucketStatus `json:"status,omitempty"`
}

// BucketSpec is what a Bucket is to be.
type BucketSpec struct {
	// ProviderConfigReference names what says where the store is and how to get in: a ProviderConfig of the same namespace, or a
	// ClusterProviderConfig.
	//
	// +kubebuilder:default={"kind": "ClusterProviderConfig", "name": "default"}
	// +kubebuilder:validation:XValidation:rule="self.kind in ['ProviderConfig', 'ClusterProviderConfig']",message="providerConfigRef.kind must be ProviderConfig, one of the Bucket's namespace, or ClusterProviderConfig"
	// +optional
	ProviderConfigReference *xpv2.ProviderConfigReference `json:"providerConfigRef,omitempty"`

	// ManagementPolicies say what may be done to the bucket in the store. ["*"] is everything. ["Observe"] only looks, and
	// ["Observe", "LateInitialize"] fills in forProvider from what is there besides. Without Delete the bucket stays when this
	// object goes. [] is nothing at all.
	//
	// +kubebuilder:default={"*"}
	// +optional
	ManagementPolicies xpv2.ManagementPolicies `json:"managementPolicies,omitempty"`

	// WriteConnectionSecretToReference names a Secret of the same namespace that the keys endpoint, region and bucket are written
	// to. Credentials are not: use the ones that you have.
	//
	// +optional
	WriteConnectionSecretToReference *xpv2.LocalSecretReference `json:"writeConnectionSecretToRef,omitempty"`

	// ForProvider is how the bucket is to be. What it leaves out is left as it is in the store.
	//
	// +optional
	ForProvider BucketParameters `json:"forProvider,omitempty"`

	// ForDeletion says what may be done when this object is deleted, as far as managementPolicies let it.
	//
	// +optional
	ForDeletion BucketDeletion `json:"forDeletion,omitempty"`
}

// BucketParameters are how a bucket is to be.
//
// +kubebuilder:validation:XValidation:rule="!has(self.objectLock) || !has(self.versioning) || self.versioning == 'Enabled'",message="objectLock keeps versions, so that it needs versioning: set versioning to Enabled, or leave it out"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.objectLock) || has(self.objectLock)",message="objectLock cannot be taken from a bucket: keep it, or create another Bucket"
type BucketParameters struct {
	// Versioning keeps what is overwritten or deleted as a version of its own.
	//
	// +optional
	Versioning Versioning `json:"versioning,omitempty"`

	// ObjectLock keeps versions from being deleted. Most stores can only give it to a bucket that they create.
	//
	// +optional
	ObjectLock *ObjectLock `json:"objectLock,omitempty"`

	// Lifecycle is what the store does to objects by itself after some time.
	//
	// +optional
	Lifecycle *Lifecycle `json:"lifecycle,omitempty"`

	// Tags of the bucket. It has just these: {} takes all away.
	//
	// +kubebuilder:validation:MaxProperties=50
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) >= 1 && size(k) <= 128 && size(self[k]) <= 256)",message="a tag's name can have 1 to 128 characters, and its value 256 at most"
	// +optional
	Tags map[string]TagValue `json:"tags,omitzero"`
}

// TagValue is the value of a tag.
//
// +kubebuilder:validation:MaxLength=256
type TagValue string

// Versioning of a bucket. Once enabled it can only be suspended, which keeps the versions that there are.
//
// +kubebuilder:validation:Enum=Enabled;Suspended
type Versioning string

// States of versioning.
const (
	VersioningEnabled   Versioning = "Enabled"
	VersioningSuspended Versioning = "Suspended"
)

// ObjectLock of a bucket.
type ObjectLock struct {
	// DefaultRetention is how long a new version cannot be deleted, unless whoever writes it says otherwise. Without it nothing is
	// kept by default.
	//
	// +optional
	DefaultRetention *Retention `json:"defaultRetention,omitempty"`
}

// Retention is how long a version cannot be deleted.
//
// +kubebuilder:validation:XValidation:rule="has(self.days) != has(self.years)",message="defaultRetention needs days or years, and not both"
type Retention struct {
	// Mode is Governance, which users with a right of its own can overrule, or Compliance, which nobody can.
	Mode RetentionMode `json:"mode"`

	// Days that it lasts.
	//
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=36500
	// +optional
	Days int32 `json:"days,omitempty"`

	// Years that it lasts.
	//
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +optional
	Years int32 `json:"years,omitempty"`
}

// RetentionMode says who can overrule a retention.
//
// +kubebuilder:validation:Enum=Governance;Compliance
type RetentionMode string

// Modes of retention.
const (
	RetentionGovernance RetentionMode = "Governance"
	RetentionCompliance RetentionMode = "Compliance"
)

// Lifecycle of the objects of a bucket.
type Lifecycle struct {
	// Rules of the bucket. It has just these: [] takes all away.
	//
	// +kubebuilder:validation:MaxItems=100
	// +listType=map
	// +listMapKey=id
	Rules []LifecycleRule `json:"rules"`
}

// A LifecycleRule is what the store does to some objects after some time.
//
// +kubebuilder:validation:XValidation:rule="has(self.expireDays) || has(self.expireNoncurrentDays) || has(self.abortUploadDays)",message="a rule of lifecycle must do something: give expireDays, expireNoncurrentDays or abortUploadDays"
type LifecycleRule struct {
	// ID of the rule, which no other of the bucket has.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	ID string `json:"id"`

	// Prefix of the names of the objects that it is for. By default all.
	//
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Prefix string `json:"prefix,omitempty"`

	// Disabled keeps the rule without carrying it out.
	//
	// +optional
	Disabled bool `json:"disabled,omitempty"`

	// ExpireDays is how many days after its creation an object is deleted. Never give it to what a BackupPlan writes: its backups
	// need each other, and it removes them itself.
	//
	// +kubebuilder:validation:Minimum=1
	// +optional
	ExpireDays int32 `json:"expireDays,omitempty"`

	// ExpireNoncurrentDays is how many days after it was overwritten or deleted a version is deleted for good.
	//
	// +kubebuilder:validation:Minimum=1
	// +optional
	ExpireNoncurrentDays int32 `json:"expireNoncurrentDays,omitempty"`

	// AbortUploadDays is how many days after its beginning an upload in parts that is not complete is given up.
	//
	// +kubebuilder:validation:Minimum=1
	// +optional
	AbortUploadDays int32 `json:"abortUploadDays,omitempty"`
}

// BucketDeletion says what may be done when a Bucket is deleted.
type BucketDeletion struct {
	// EmptyBucket deletes all that is in the bucket, with all versions, so that the bucket can be deleted. By default a bucket that
	// is not empty is not touched, and the Bucket stays until it is empty, this is set, or managementPolicies lose Delete.
	//
	// +kubebuilder:default=false
	// +optional
	EmptyBucket bool `json:"emptyBucket,omitempty"`
}

// BucketStatus is what there is of a Bucket.
type BucketStatus struct {
	xpv2.ManagedResourceStatus `json:",inline"`

	// AtProvider is what is in the store.
	//
	// +optional
	AtProvider BucketObservation `json:"atProvider,omitempty"`
}

// BucketObservation is what is in the store.
type BucketObservation struct {
	// Endpoint of the store.
	//
	// +optional
	Endpoint string `json:"endpoint,omitempty"`

	// Region that requests are signed for.
	//
	// +optional
	Region string `json:"region,omitempty"`

	// Versioning is empty where it was never enabled.
	//
	// +optional
	Versioning Versioning `json:"versioning,omitempty"`

	// ObjectLock is left out where the bucket has none.
	//
	// +optional
	ObjectLock *ObjectLock `json:"objectLock,omitempty"`

	// Lifecycle is left out where the bucket has none.
	//
	// +optional
	Lifecycle *Lifecycle `json:"lifecycle,omitempty"`

	// ForeignLifecycleRules are the IDs of rules that do more than can be said here. They stay as long as forProvider has no
	// lifecycle.
	//
	// +optional
	ForeignLifecycleRules []string `json:"foreignLifecycleRules,omitempty"`

	// Tags of the bucket.
	//
	// +optional
	Tags map[string]TagValue `json:"tags,omitempty"`

	// Unknown are the features that the store does not have, or does not let these credentials see.
	//
	// +optional
	Unknown []Feature `json:"unknown,omitempty"`
}

// A Feature is one that not every store has.
//
// +kubebuilder:validation:Enum=versioning;objectLock;lifecycle;tags
type Feature string

// Features, named like the fields of forProvider.
const (
	FeatureVersioning Feature = "versioning"
	FeatureObjectLock Feature = "objectLock"
	FeatureLifecycle  Feature = "lifecycle"
	FeatureTags       Feature = "tags"
)

// BucketList is a list of Buckets.
//
// +kubebuilder:object:root=true
type BucketList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Bucket `json:"items"`
}
