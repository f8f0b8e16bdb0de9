// Package naming holds the names and labels of everything a claim becomes. A name that an object has once is kept for
// ever: another one would delete the object and create it anew.
package naming

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Labels of a cluster's objects.
const (
	LabelName      = "app.kubernetes.io/name"
	LabelManagedBy = "app.kubernetes.io/managed-by"
	LabelCluster   = "xdbcluster.io/cluster"

	// LabelRole of Pods says what their instances are, as the agents see it: Services select by it.
	LabelRole = "xdbcluster.io/role"

	// LabelPatroniRole of Pods is Patroni's own. A crashed primary loses that at once, before another one is there.
	LabelPatroniRole = "xdbcluster.io/patroni-role"

	// LabelScope of Pods and of Patroni's ConfigMaps holds Patroni's name for the cluster.
	LabelScope = "xdbcluster.io/scope"

	// LabelIncarnation of Pods holds the incarnation that they run, where that is not the one that the cluster was born with.
	LabelIncarnation = "xdbcluster.io/incarnation"
)

// AnnotationTemplate of a StatefulSet identifies the Pod template that its spec was made from. The API server adds defaults
// to a template, so templates themselves cannot be compared.
const AnnotationTemplate = "xdbcluster.io/template"

// AnnotationIncarnation of a StatefulSet holds, in JSON, the incarnation that its Pods run.
const AnnotationIncarnation = "xdbcluster.io/incarnation"

// AnnotationClonedBy of a DBCluster names the Restore that created it, and identifies what that asked for.
const AnnotationClonedBy = "xdbcluster.io/cloned-by"

// Suffixes of the names of cluster-scoped objects. A claim's name has 46 characters at most, so that all names stay within
// 63.
const (
	suffixComposite           = "xr"
	suffixNamespace           = "ns"
	suffixClaims              = "crd"
	suffixComposites          = "xcrd"
	suffixCompositeDefinition = "xrd"
)

// A Cluster names everything that a DBCluster becomes. All names follow from the claim's namespace and name and never from
// the composite's name, whose end is random.
type Cluster struct {
	// Namespace of the claim, and of everything that has a namespace.
	Namespace string

	// Name of the claim.
	Name string

	// Incarnation is what Patroni's name for the cluster ends with. Empty for the one that the cluster was born with.
	Incarnation string
}

// Labels are on every object of the cluster.
func (c Cluster) Labels() map[string]string {
	return map[string]string{
		LabelName:      "postgresql",
		LabelManagedBy: "xdbcluster",
		LabelCluster:   c.Name,
	}
}

// Selector are the labels that select the cluster's Pods.
func (c Cluster) Selector() map[string]string {
	return map[string]string{LabelCluster: c.Name}
}

// StatefulSet is the name of the StatefulSet.
func (c Cluster) StatefulSet() string { return c.Name }

// ServiceAccount is the name of the instances' ServiceAccount, of its Role and of its RoleBinding.
func (c Cluster) ServiceAccount() string { return c.Name }

// PodDisruptionBudget is the name of the PodDisruptionBudget.
func (c Cluster) PodDisruptionBudget() string { return c.Name }

// NetworkPolicy is the name of the NetworkPolicy.
func (c Cluster) NetworkPolicy() string { return c.Name }

// ReadWrite is the name of the Service of the primary.
func (c Cluster) ReadWrite() string { return c.Name + "-rw" }

// ReadOnly is the name of the Service of the standbys.
func (c Cluster) ReadOnly() string { return c.Name + "-ro" }

// Pods is the name of the headless Service that gives every Pod a DNS name.
func (c Cluster) Pods() string { return c.Name + "-pods" }

// Config is the name of the ConfigMap that tells the instances what to be.
func (c Cluster) Config() string { return c.Name + "-config" }

// Reports is the name of the ConfigMap that the instances report in.
func (c Cluster) Reports() string { return c.Name + "-status" }

// Authority is the name of the Secret of a generation of the certificate authority.
func (c Cluster) Authority(generation int) string { return c.Name + "-ca-" + strconv.Itoa(generation) }

// Credentials is the name of the Secret of a generation of generated passwords.
func (c Cluster) Credentials(generation int) string {
	return c.Name + "-credentials-" + strconv.Itoa(generation)
}

// Certificate is the name of the Secret with the instances' certificate.
func (c Cluster) Certificate() string { return c.Name + "-tls" }

// Admin is the name of the Secret with the administrator's credentials.
func (c Cluster) Admin() string { return c.Name + "-admin" }

// Connection is the name of the Secret that applications connect with.
func (c Cluster) Connection() string { return c.Name + "-connection" }

// Scope is Patroni's name for the cluster. Each incarnation has its own: nothing that Patroni knows of one holds for another.
func (c Cluster) Scope() string {
	if c.Incarnation == "" {
		return c.Name + "-patroni"
	}
	return c.Name + "-patroni-" + c.Incarnation
}

// PatroniConfig is the name of the ConfigMap with Patroni's dynamic configuration and the database's identifier.
func (c Cluster) PatroniConfig() string { return c.Scope() + "-config" }

// PatroniLeader is the name of the ConfigMap with Patroni's leader lock.
func (c Cluster) PatroniLeader() string { return c.Scope() + "-leader" }

// PatroniFailover is the name of the ConfigMap with a switchover that was asked for.
func (c Cluster) PatroniFailover() string { return c.Scope() + "-failover" }

// PatroniSync is the ConfigMap that says which instances have every commit.
func (c Cluster) PatroniSync() string { return c.Scope() + "-sync" }

// PatroniConfigMaps are the names of the ConfigMaps that Patroni keeps its state in.
func (c Cluster) PatroniConfigMaps() []string {
	return []string{c.PatroniConfig(), c.PatroniFailover(), c.PatroniLeader(), c.PatroniSync()}
}

// Pod is the name of an instance's Pod.
func (c Cluster) Pod(ordinal int) string { return c.Name + "-" + strconv.Itoa(ordinal) }

// DataVolumeTemplate is the name of the StatefulSet's template of data volumes.
const DataVolumeTemplate = "data"

// DataVolume is the name of the PersistentVolumeClaim with an instance's data.
func (c Cluster) DataVolume(ordinal int) string { return DataVolumeTemplate + "-" + c.Pod(ordinal) }

// Host is the DNS name of the primary.
func (c Cluster) Host() string { return c.serviceHost(c.ReadWrite()) }

// ReadOnlyHost is the DNS name of the standbys.
func (c Cluster) ReadOnlyHost() string { return c.serviceHost(c.ReadOnly()) }

// PodHost is the DNS name of an instance.
func (c Cluster) PodHost(pod string) string { return c.serviceHost(pod + "." + c.Pods()) }

// Ordinal returns the ordinal in the name of an instance's Pod.
func (c Cluster) Ordinal(pod string) (int, bool) {
	rest, ok := strings.CutPrefix(pod, c.Name+"-")
	if !ok {
		return 0, false
	}
	ordinal, err := strconv.Atoi(rest)
	return ordinal, err == nil
}

// DNSNames are the names that clients and other instances may know an instance by.
func (c Cluster) DNSNames() []string {
	names := make([]string, 0, 17)
	for _, service := range []string{c.ReadWrite(), c.ReadOnly(), c.Pods(), "*." + c.Pods()} {
		short := service + "." + c.Namespace
		names = append(names, service, short, short+".svc", short+".svc.cluster.local")
	}
	return append(names, "localhost")
}

// UsageOfClaim is the name of the Usage that protects the claim.
func (c Cluster) UsageOfClaim() string { return c.Name }

// UsageOfComposite is the name of the ClusterUsage that protects the composite.
func (c Cluster) UsageOfComposite() string { return c.clusterScoped(suffixComposite) }

// UsageOfNamespace is the name of the ClusterUsage that protects the namespace.
func (c Cluster) UsageOfNamespace() string { return c.clusterScoped(suffixNamespace) }

// UsageOfClaims is the name of the ClusterUsage that protects the claims' CustomResourceDefinition.
func (c Cluster) UsageOfClaims() string { return c.clusterScoped(suffixClaims) }

// UsageOfComposites is the name of the ClusterUsage that protects the composites' CustomResourceDefinition.
func (c Cluster) UsageOfComposites() string { return c.clusterScoped(suffixComposites) }

// UsageOfDefinition is the name of the ClusterUsage that protects the CompositeResourceDefinition.
func (c Cluster) UsageOfDefinition() string { return c.clusterScoped(suffixCompositeDefinition) }

func (c Cluster) serviceHost(service string) string {
	return fmt.Sprintf("%s.%s.svc", service, c.Namespace)
}

// clusterScoped returns a name that no other cluster has. The hash is there because namespaces and names may both hold
// hyphens: joined, a-b and c read like a and b-c.
func (c Cluster) clusterScoped(suffix string) string {
	sum := sha256.Sum256([]byte(c.Namespace + "/" + c.Name))
	return c.Name + "-" + hex.EncodeToString(sum[:4]) + "-" + suffix
}

// LabelOperation of a Job's Pods holds the name of the cluster that they may talk to.
const LabelOperation = "xdbcluster.io/operation"

// Ledger is the ConfigMap that remembers what operations were carried out. Nothing owns it.
func (c Cluster) Ledger() string { return c.Name + "-ledger" }

// Repository is the name of the Secret that says where a cluster's backups are kept and how to get in. A BackupPlan composes it,
// so that a cluster has one at most.
func (c Cluster) Repository() string { return c.Name + "-backup" }

// Granted is the name of the Secret by which a BackupPlan lets another namespace restore from the cluster's backups. No object of
// another cluster has it: a cluster's name has no dot.
func (c Cluster) Granted(namespace string) string { return c.Name + ".granted." + namespace }

// Source is the name of the copy of such a Secret that a cluster has which is restored by it.
func (c Cluster) Source() string { return c.Name + "-source" }

// RepositoryLock is the Lease that whoever changes the repository holds meanwhile.
func (c Cluster) RepositoryLock() string { return c.Name + "-backup" }

// Archivist is the name of the Role, and of its RoleBinding, with which the instances keep a BackupPlan's schedule.
func (c Cluster) Archivist() string { return c.Name + "-backup" }

// Inventory is the ConfigMap that says what is in the repository.
func (c Cluster) Inventory() string { return c.Name + "-backups" }

// Verification names all that a cluster's verification has while it is due.
func (c Cluster) Verification() Operation {
	return Operation{Namespace: c.Namespace, Kind: "verification", Name: c.Name}
}

// BackupCertificate is the name of the Secret with the certificate by which the instances know the Jobs that read their files.
func (c Cluster) BackupCertificate() string { return c.Name + "-backup-tls" }

// ComposesSecret says whether a Secret of a name is the cluster's own, or its BackupPlan's. One that a claim names must be another: the
// system would write into it, take its own content for the user's, and delete it with the claim.
func (c Cluster) ComposesSecret(name string) bool {
	for _, generated := range []string{c.Name + "-ca-", c.Name + "-credentials-"} {
		if generation, found := strings.CutPrefix(name, generated); found && generation != "" && strings.Trim(generation, "0123456789") == "" {
			return true
		}
	}
	return slices.Contains([]string{c.Certificate(), c.Admin(), c.Connection(), c.Repository(), c.BackupCertificate(), c.Source()}, name)
}

// locationDigits is how much of a location's identifier is in a name: a claim's name has 46 characters at most, and an object's 63.
const locationDigits = 8

// Bucket is the name of the Bucket of a location that the cluster is backed up to, and of the ProviderConfig that says how to get
// in.
func (c Cluster) Bucket(location string) string {
	return c.Name + "-backup-" + location[:min(len(location), locationDigits)]
}

// LabelBackupPlan of a cluster's repository and of the Backups of a plan holds the plan's name.
const LabelBackupPlan = "xdbcluster.io/backup-plan"

// LabelScheduled of a Backup says that its plan created it.
const LabelScheduled = "xdbcluster.io/scheduled"

// An Operation is a claim that is carried out once. Everything it has is called by its own name, a dot and its kind, which no
// object of a cluster is: a cluster's name has no dot.
type Operation struct {
	// Namespace of the claim, and of everything it has.
	Namespace string

	// Kind of the claim in lower case, for example switchover.
	Kind string

	// Name of the claim.
	Name string
}

// Objects is the name of everything an operation has: its Job, the ConfigMap that the Job reports in, its ServiceAccount,
// Role and RoleBinding.
func (o Operation) Objects() string { return o.Name + "." + o.Kind }

// Labels of everything an operation has.
func (o Operation) Labels() map[string]string {
	return map[string]string{LabelName: "postgresql", LabelManagedBy: "xdbcluster"}
}
