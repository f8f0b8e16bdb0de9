// Package instance holds what the composition function and the agents say to each other: the Config that every instance
// of a cluster follows, and the Report that each instance gives. Both travel in ConfigMaps, so neither holds a secret.
package instance

import "github.com/xdbcluster/xdbcluster/apis/v1alpha1"

// ConfigKey is the key of the cluster's ConfigMap that holds its Config as JSON.
const ConfigKey = "cluster.json"

// Ports that an instance listens on.
const (
	PortPostgreSQL = 5432
	PortPatroni    = 8008
	PortAgent      = 8009
	PortMetrics    = 9187
)

// Paths that the agent answers at: whether its loop goes on, and whether clients are to be led to the instance.
const (
	PathAlive = "/livez"
	PathReady = "/readyz"
)

// Folders of an instance's container.
const (
	FolderVolume      = "/var/lib/xdbcluster"
	FolderConfig      = "/etc/xdbcluster/config"
	FolderTLS         = "/etc/xdbcluster/tls"
	FolderCredentials = "/etc/xdbcluster/credentials" //nolint:gosec // A folder, not a credential.
	FolderAdmin       = "/etc/xdbcluster/admin"
	FolderRun         = "/run/xdbcluster"
	FolderSocket      = "/run/postgresql"
)

// Environment variables of an instance's container, from the downward API.
const (
	EnvPodName      = "POD_NAME"
	EnvPodNamespace = "POD_NAMESPACE"
	EnvPodIP        = "POD_IP"
	EnvPodUID       = "POD_UID"
	EnvNodeName     = "NODE_NAME"
)

// Keys of the Secret that is mounted at FolderCredentials. Its passwords are made by the function, never by a user.
const (
	KeyReplicationPassword = "replication"
	KeyRewindPassword      = "rewind"
)

// Keys of the Secret that is mounted at FolderAdmin: what the database's administrator must be called and must be able
// to log in with. The agent of the primary sets them in the database over the local socket, at every start and whenever
// they change.
const (
	KeyAdminUser     = "username"
	KeyAdminPassword = "password"
	KeyAdminRevision = "revision"
)

// Keys of the Secret that is mounted at FolderTLS: what clients of PostgreSQL see. It is the user's certificate when the
// claim names one.
const (
	KeyCertificate = "tls.crt"
	KeyPrivateKey  = "tls.key"
	KeyAuthority   = "ca.crt"
)

// Keys of the same Secret with what instances show each other and Patroni's REST API: always the cluster's own authority's,
// for the names of the instances and localhost, and good for servers and clients. A user's certificate may be neither.
const (
	KeyInternalCertificate = "internal.crt"
	KeyInternalPrivateKey  = "internal.key"
	KeyInternalAuthority   = "internal-ca.crt"
)

// AnnotationRefresh is set by an agent on its own Pod to make the kubelet renew the Pod's mounted Secrets at once, which
// otherwise takes it a minute or more.
const AnnotationRefresh = "xdbcluster.io/refresh"

// A Config is what a cluster's instances are to be. It is the same for every instance.
type Config struct {
	// Cluster is the claim's name. It names every object of the cluster.
	Cluster string `json:"cluster"`

	// Version is PostgreSQL's major version, for example "17".
	Version string `json:"version"`

	// Owner is the composite resource. What the instances create through the API, Patroni's ConfigMaps among it, is owned
	// by it, so that it goes with its claim.
	Owner Owner `json:"owner"`

	// Parameters are the settings of PostgreSQL that are to be in force, without those that Patroni or the agent own.
	// They were checked against the version's own list. Values have PostgreSQL's units, for example "256MB".
	Parameters map[string]string `json:"parameters"`

	// Given is the part of Parameters that the claim gave; the rest follows from the size of the instance. The function
	// falls back to it when a later claim gives parameters that it refuses.
	Given map[string]string `json:"given,omitempty"`

	// SettingsHash identifies what an instance puts in force while it runs: Parameters, Synchronous, Health, Patroni and KeepState. A
	// Report gives back the one that is in force.
	SettingsHash string `json:"settingsHash"`

	// AdminRevision is the content of KeyAdminRevision in the newest Secret of the administrator: a keyed hash that says
	// nothing about the password. An agent that has another one mounted asks for the new one (AnnotationRefresh).
	AdminRevision string `json:"adminRevision"`

	// CertificateRevision is the hash of the newest certificate (the bytes of tls.crt), with the same use.
	CertificateRevision string `json:"certificateRevision"`

	// Instances is how many there are to be, the primary among them. Those whose ordinal is not below it are about to be
	// taken away.
	Instances int `json:"instances"`

	// Synchronous is what a commit waits for: Preferred, Required or Off, as in the claim.
	Synchronous string `json:"synchronous"`

	// Health says when an instance that runs is taken for failed.
	Health Health `json:"health"`

	// Revision is the StatefulSet's of the Pods that are to be: the value of their label controller-revision-hash. Empty
	// while the StatefulSet is being changed. The primary's agent replaces Pods of other revisions, in an order that keeps
	// the cluster writing.
	Revision string `json:"revision,omitempty"`

	// KeepState says that what Patroni knows of the database outlives the claim, as its volumes do: which instance may be
	// promoted.
	KeepState bool `json:"keepState,omitempty"`

	// Patroni's timing. See the function's package patroni for the bounds between them.
	Patroni Patroni `json:"patroni"`

	// Backup says that the cluster has a BackupPlan. Nil when it has none.
	Backup *Backup `json:"backup,omitempty"`

	// Restore says which database a new cluster begins with. Nil means an empty one.
	Restore *Restore `json:"restore,omitempty"`

	// Incarnation is the one that the Pods' template says, and Leaving says that they are to go so that another one can begin. Both
	// are for the function, which sees old objects now and then: an instance goes by its template.
	Incarnation *Incarnation `json:"incarnation,omitempty"`
	Leaving     bool         `json:"leaving,omitempty"`

	// IfBackupsExist says what a new cluster without Restore does about backups of an earlier one of its name.
	IfBackupsExist v1alpha1.IfBackupsExist `json:"ifBackupsExist,omitempty"`

	// PlanAwaited is the name of the BackupPlan of a cluster without a database, as long as it has not said where backups are kept.
	PlanAwaited string `json:"planAwaited,omitempty"`

	// DataDiskSize is the size that the instance's data volume is to have at least, for example "10Gi". The agent asks for
	// more when its claim asks for less: StatefulSets cannot.
	DataDiskSize string `json:"dataDiskSize"`
}

// An Owner is the composite resource that a cluster belongs to.
type Owner struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	UID        string `json:"uid"`

	// Created is when the composite was created, in RFC 3339. A volume that is older held an earlier cluster's data.
	Created string `json:"created,omitempty"`
}

// Health says when an instance that runs is taken for failed, and what follows. The fields are those of
// v1alpha1.AvailabilitySpec.
type Health struct {
	PeriodSeconds     int  `json:"periodSeconds"`
	FailoverThreshold int  `json:"failoverThreshold"`
	HealThreshold     int  `json:"healThreshold"`
	NoFailover        bool `json:"noFailover,omitempty"`
	NoHeal            bool `json:"noHeal,omitempty"`
}

// Patroni is Patroni's timing, in seconds.
type Patroni struct {
	TTL          int `json:"ttl"`
	LoopWait     int `json:"loopWait"`
	RetryTimeout int `json:"retryTimeout"`
}
