package v1alpha1

import (
	"github.com/crossplane/crossplane-runtime/v2/pkg/resource"
	xpv2 "github.com/crossplane/crossplane/apis/v2/core/v2"
)

// What Crossplane's reconcilers ask of a managed resource.
var _ resource.ModernManaged = &Bucket{}

// GetCondition returns a condition.
func (b *Bucket) GetCondition(t xpv2.ConditionType) xpv2.Condition { return b.Status.GetCondition(t) }

// SetConditions sets conditions.
func (b *Bucket) SetConditions(c ...xpv2.Condition) { b.Status.SetConditions(c...) }

// GetManagementPolicies returns what may be done to the bucket.
func (b *Bucket) GetManagementPolicies() xpv2.ManagementPolicies { return b.Spec.ManagementPolicies }

// SetManagementPolicies sets what may be done to the bucket.
func (b *Bucket) SetManagementPolicies(p xpv2.ManagementPolicies) { b.Spec.ManagementPolicies = p }

// GetProviderConfigReference returns what says where the store is.
func (b *Bucket) GetProviderConfigReference() *xpv2.ProviderConfigReference {
	return b.Spec.ProviderConfigReference
}

// SetProviderConfigReference sets what says where the store is.
func (b *Bucket) SetProviderConfigReference(r *xpv2.ProviderConfigReference) {
	b.Spec.ProviderConfigReference = r
}

// GetWriteConnectionSecretToReference returns where connection details are written.
func (b *Bucket) GetWriteConnectionSecretToReference() *xpv2.LocalSecretReference {
	return b.Spec.WriteConnectionSecretToReference
}

// SetWriteConnectionSecretToReference sets where connection details are written.
func (b *Bucket) SetWriteConnectionSecretToReference(r *xpv2.LocalSecretReference) {
	b.Spec.WriteConnectionSecretToReference = r
}

// SetObservedGeneration sets the generation that was looked at last.
func (b *Bucket) SetObservedGeneration(generation int64) {
	b.Status.SetObservedGeneration(generation)
}

// GetObservedGeneration returns the generation that was looked at last.
func (b *Bucket) GetObservedGeneration() int64 { return b.Status.GetObservedGeneration() }

// SetLastHandledReconcileAt sets which request to look again was answered last.
func (b *Bucket) SetLastHandledReconcileAt(token string) { b.Status.SetLastHandledReconcileAt(token) }

// GetLastHandledReconcileAt returns which request to look again was answered last.
func (b *Bucket) GetLastHandledReconcileAt() string { return b.Status.GetLastHandledReconcileAt() }

// GetItems returns the Buckets of a list.
func (l *BucketList) GetItems() []resource.Managed {
	items := make([]resource.Managed, len(l.Items))
	for i := range l.Items {
		items[i] = &l.Items[i]
	}
	return items
}

// What Crossplane's reconcilers ask of what configures a provider.
var (
	_ resource.ProviderConfig = &ProviderConfig{}
	_ resource.ProviderConfig = &ClusterProviderConfig{}

	_ resource.TypedProviderConfigUsage = &ProviderConfigUsage{}
	_ resource.TypedProviderConfigUsage = &ClusterProviderConfigUsage{}
)

// GetCondition returns a condition.
func (p *ProviderConfig) GetCondition(t xpv2.ConditionType) xpv2.Condition {
	return p.Status.GetCondition(t)
}

// SetConditions sets conditions.
func (p *ProviderConfig) SetConditions(c ...xpv2.Condition) { p.Status.SetConditions(c...) }

// GetUsers returns how many Buckets use it.
func (p *ProviderConfig) GetUsers() int64 { return p.Status.Users }

// SetUsers sets how many Buckets use it.
func (p *ProviderConfig) SetUsers(n int64) { p.Status.Users = n }

// GetCondition returns a condition.
func (p *ClusterProviderConfig) GetCondition(t xpv2.ConditionType) xpv2.Condition {
	return p.Status.GetCondition(t)
}

// SetConditions sets conditions.
func (p *ClusterProviderConfig) SetConditions(c ...xpv2.Condition) { p.Status.SetConditions(c...) }

// GetUsers returns how many Buckets use it.
func (p *ClusterProviderConfig) GetUsers() int64 { return p.Status.Users }

// SetUsers sets how many Buckets use it.
func (p *ClusterProviderConfig) SetUsers(n int64) { p.Status.Users = n }

// GetProviderConfigReference returns what is used.
func (u *ProviderConfigUsage) GetProviderConfigReference() xpv2.ProviderConfigReference {
	return u.ProviderConfigReference
}

// SetProviderConfigReference sets what is used.
func (u *ProviderConfigUsage) SetProviderConfigReference(r xpv2.ProviderConfigReference) {
	u.ProviderConfigReference = r
}

// GetResourceReference returns who uses it.
func (u *ProviderConfigUsage) GetResourceReference() xpv2.TypedReference { return u.ResourceReference }

// SetResourceReference sets who uses it.
func (u *ProviderConfigUsage) SetResourceReference(r xpv2.TypedReference) { u.ResourceReference = r }

// GetProviderConfigReference returns what is used.
func (u *ClusterProviderConfigUsage) GetProviderConfigReference() xpv2.ProviderConfigReference {
	return u.ProviderConfigReference
}

// SetProviderConfigReference sets what is used.
func (u *ClusterProviderConfigUsage) SetProviderConfigReference(r xpv2.ProviderConfigReference) {
	u.ProviderConfigReference = r
}

// GetResourceReference returns who uses it.
func (u *ClusterProviderConfigUsage) GetResourceReference() xpv2.TypedReference {
	return u.ResourceReference
}

// SetResourceReference sets who uses it.
func (u *ClusterProviderConfigUsage) SetResourceReference(r xpv2.TypedReference) {
	u.ResourceReference = r
}

// GetItems returns the usages of a list.
func (l *ProviderConfigUsageList) GetItems() []resource.ProviderConfigUsage {
	items := make([]resource.ProviderConfigUsage, len(l.Items))
	for i := range l.Items {
		items[i] = &l.Items[i]
	}
	return items
}

// GetItems returns the usages of a list.
func (l *ClusterProviderConfigUsageList) GetItems() []resource.ProviderConfigUsage {
	items := make([]resource.ProviderConfigUsage, len(l.Items))
	for i := range l.Items {
		items[i] = &l.Items[i]
	}
	return items
}
