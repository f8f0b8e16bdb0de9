package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kinds of the claims about backups, and of the composite resources behind them.
const (
	KindBackupPlan  = "BackupPlan"
	KindXBackupPlan = "XBackupPlan"
)

// A BackupPlan keeps a DBCluster's backups and its write-ahead log (WAL) in an object store, so that it can be restored to any
// moment of the last days. As soon as there is one, every WAL segment is archived, and the first full backup is taken. A
// DBCluster has one BackupPlan. Deleting it stops archiving and leaves the backups where they are.
//
// +kubebuilder:validation:XValidation:rule="self.kind != 'BackupPlan' || size(self.metadata.name) <= 42",message="metadata.name can have 42 characters at most, because the backups it schedules are named by it: choose a shorter one"
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
type BackupPlan struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the plan is to be.
	Spec BackupPlanSpec `json:"spec"`

	// Status is what there is of it.
	Status BackupPlanStatus `json:"status,omitempty"`
}

// BackupPlanSpec is what a BackupPlan is to be.
//
// +kubebuilder:validation:XValidation:rule="!has(self.cronSchedule) || !has(self.backupSchedules)",message="cronSchedule and backupSchedules say the same thing twice: keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.physicalBackupSpec) || !has(self.backupSchedules)",message="physicalBackupSpec.backupType is the type of what cronSchedule takes; backupSchedules has a schedule for each type instead: keep one of them"
// +kubebuilder:validation:XValidation:rule="has(self.encryption) == has(oldSelf.encryption)",message="encryption cannot be added to or taken from backups that exist: delete this BackupPlan, which leaves the backups, and create one with another backupLocation.<type>Options.key"
// +kubebuilder:validation:XValidation:rule="!has(self.createBucket) || !self.createBucket || has(self.backupLocation) && self.backupLocation.type == 'S3'",message="createBucket is for backupLocation.type S3 alone: create the bucket or container beforehand, for example with the cloud's own Crossplane provider, and leave createBucket out"
// +kubebuilder:validation:XValidation:rule="!has(self.createBucket) || !self.createBucket || !has(self.backupLocation) || !has(self.backupLocation.s3Options) || self.backupLocation.s3Options.bucket.matches('^[a-z0-9][-a-z0-9.]{1,61}[a-z0-9]$')",message="with createBucket, bucket must be a name that an S3-compatible store takes: 3 to 63 lower-case letters, digits, hyphens and dots"
type BackupPlanSpec struct {
	// DBClusterRef is the name of the DBCluster, in the same namespace. It cannot be changed.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=46
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="dbclusterRef cannot be changed: create a BackupPlan for the other DBCluster"
	DBClusterRef string `json:"dbclusterRef"`

	// BackupLocation is the object store that backups and WAL are kept in. When it is changed, the backups so far stay where
	// they are, and a full backup is taken at the new location.
	//
	// By default it is the platform's store: who runs the platform says in the Secret xdbcluster-backup-store of the claim's
	// namespace where that is and with which credentials, which reach nothing of other namespaces.
	//
	// +optional
	BackupLocation *BackupLocation `json:"backupLocation,omitempty"`

	// CreateBucket makes the bucket when it does not exist. One that does is left as it is. Nothing here ever deletes it. The
	// credentials must have the right to it.
	//
	// +kubebuilder:default=false
	// +optional
	CreateBucket bool `json:"createBucket,omitempty"`

	// BackupRetainDays is how many days back the DBCluster can be restored to. A backup goes once no day of these needs it any
	// more, so that the oldest full backup may be some days older.
	//
	// +kubebuilder:default=14
	// +kubebuilder:validation:XValidation:rule="self >= 1 && self <= 90",message="backupRetainDays must be between 1 and 90"
	// +optional
	BackupRetainDays int32 `json:"backupRetainDays,omitempty"`

	// CronSchedule is when a backup is taken, in UTC: minute, hour, day of the month, month, day of the week. By default, and
	// without backupSchedules, every day at midnight: "0 0 * * *".
	//
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^([^ =]+ +){4}[^ =]+$')",message="cronSchedule must have five fields (minute, hour, day of the month, month, day of the week; in UTC), for example \"0 3 * * *\" for every day at 03:00"
	// +optional
	CronSchedule string `json:"cronSchedule,omitempty"`

	// PhysicalBackupSpec says what cronSchedule takes.
	//
	// +optional
	PhysicalBackupSpec *PhysicalBackupSpec `json:"physicalBackupSpec,omitempty"`

	// BackupSchedules are schedules for each type of backup, in place of cronSchedule.
	//
	// +optional
	BackupSchedules *BackupSchedules `json:"backupSchedules,omitempty"`

	// PITREnabled offers every moment since the oldest backup as a target of a restore, at most a minute behind. Otherwise only
	// backups are offered; the WAL that they need is archived all the same.
	//
	// +kubebuilder:default=true
	// +optional
	PITREnabled *bool `json:"PITREnabled,omitempty"`

	// Paused stops taking backups on schedule, and trying them. WAL is archived, and Backups that you create are taken.
	//
	// +kubebuilder:default=false
	// +optional
	Paused bool `json:"paused,omitempty"`

	// BackupSourceStrategy says which instance's files are read. With standby it is one that streams; the primary's are read as
	// long as there is none.
	//
	// +kubebuilder:default=primary
	// +optional
	BackupSourceStrategy BackupSource `json:"backupSourceStrategy,omitempty"`

	// Encryption encrypts backups and WAL before they leave the instance.
	//
	// +optional
	Encryption *EncryptionSpec `json:"encryption,omitempty"`

	// Compression of backups and WAL.
	//
	// +kubebuilder:default=Zstd
	// +optional
	Compression Compression `json:"compression,omitempty"`

	// Verification tries backups: on schedule one is restored into an instance that is thrown away, and looked through. Without it
	// nobody knows whether they can be restored.
	//
	// +optional
	Verification *VerificationSpec `json:"verification,omitempty"`

	// Grants let DBClusters of other namespaces begin with a copy of this one: their bootstrap.restore names it with
	// sourceNamespace and sourceDBCluster. They are in force once GrantsAccepted is True, and until they are taken out.
	//
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=namespace
	// +optional
	Grants []RestoreGrant `json:"grants,omitempty"`
}

// A RestoreGrant lets the DBClusters of a namespace read the backups of this one.
type RestoreGrant struct {
	// Namespace that may restore from the backups.
	//
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="namespace must be the name of one namespace: lower-case letters, digits and hyphens"
	Namespace string `json:"namespace"`

	// SecretRef is a Secret of this namespace with the credentials that the other one restores with, in the keys that
	// backupLocation's secretRef has. While a DBCluster is restored there they are in a Secret of that namespace, beside the
	// passphrase of encryption: whoever reads Secrets there gets them. Give an account that can only read, and only these backups.
	SecretRef SecretReference `json:"secretRef"`
}

// VerificationSpec says when backups are tried, and what that may cost.
type VerificationSpec struct {
	// Schedule is when a backup is tried, in UTC: minute, hour, day of the month, month, day of the week. It is the newest one, and
	// every second time a random point in the recovery window. A time that was missed, also one since the oldest backup, is made up
	// for once.
	//
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^([^ =]+ +){4}[^ =]+$')",message="must have five fields (minute, hour, day of the month, month, day of the week; in UTC), for example \"0 4 * * 1\" for every Monday at 04:00"
	Schedule string `json:"schedule"`

	// Resources that the instance may use. Its volume is as large as the DataDisk of the DBCluster, of the same storage class, and
	// goes with it.
	//
	// +optional
	Resources *VerificationResources `json:"resources,omitempty"`
}

// VerificationResources are what an instance may use that a backup is tried in.
type VerificationResources struct {
	// CPU that it may use at most, for example 500m. It reserves very little, so that it runs where there is some to spare.
	//
	// +kubebuilder:default="1"
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('10m')) >= 0 && quantity(string(self)).compareTo(quantity('1024')) <= 0",message="cpu must be a quantity between 10m and 1024, for example 2 or 500m"
	// +optional
	CPU resource.Quantity `json:"cpu,omitempty"`

	// Memory that is reserved for it, and its limit.
	//
	// +kubebuilder:default="512Mi"
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('256Mi')) >= 0 && quantity(string(self)).compareTo(quantity('64Ti')) <= 0",message="memory must be a quantity between 256Mi and 64Ti, for example 1Gi: pgBackRest and PostgreSQL do not do with less"
	// +optional
	Memory resource.Quantity `json:"memory,omitempty"`
}

// BackupSource is the kind of instance that a backup is taken of.
//
// +kubebuilder:validation:Enum=primary;standby
type BackupSource string

// Kinds of instances that a backup is taken of.
const (
	BackupFromPrimary BackupSource = "primary"
	BackupFromStandby BackupSource = "standby"
)

// Compression of backups and WAL.
//
// +kubebuilder:validation:Enum=Zstd;LZ4;Gzip;None
type Compression string

// Compressions.
const (
	CompressionZstd Compression = "Zstd"
	CompressionLZ4  Compression = "LZ4"
	CompressionGzip Compression = "Gzip"
	CompressionNone Compression = "None"
)

// BackupType says how much of the database a backup copies.
//
// +kubebuilder:validation:Enum=full;diff;incr
type BackupType string

// Types of backups.
const (
	// BackupFull copies everything.
	BackupFull BackupType = "full"

	// BackupDifferential copies what has changed since the last full backup, and needs that to be restored.
	BackupDifferential BackupType = "diff"

	// BackupIncremental copies what has changed since the last backup, and needs all since the last full one to be restored.
	BackupIncremental BackupType = "incr"
)

// PhysicalBackupSpec says what a backup copies.
type PhysicalBackupSpec struct {
	// BackupType is full (everything), diff (what has changed since the last full backup) or incr (what has changed since the
	// last backup). The first backup is always full.
	//
	// +kubebuilder:default=full
	// +optional
	BackupType BackupType `json:"backupType,omitempty"`
}

// BackupSchedules are when backups are taken, in UTC: minute, hour, day of the month, month, day of the week. When several are
// due at a time, the one that copies most is taken.
//
// +kubebuilder:validation:XValidation:rule="has(self.full)",message="backupSchedules must have a schedule for full backups: differential and incremental ones are kept for as long as the full one that they follow"
type BackupSchedules struct {
	// Full is when full backups are taken, for example "0 2 * * 0" for every Sunday at 02:00.
	//
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^([^ =]+ +){4}[^ =]+$')",message="must have five fields (minute, hour, day of the month, month, day of the week; in UTC), for example \"0 2 * * 0\" for every Sunday at 02:00"
	// +optional
	Full string `json:"full,omitempty"`

	// Differential is when differential backups are taken.
	//
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^([^ =]+ +){4}[^ =]+$')",message="must have five fields (minute, hour, day of the month, month, day of the week; in UTC), for example \"0 2 * * 3\" for every Wednesday at 02:00"
	// +optional
	Differential string `json:"differential,omitempty"`

	// Incremental is when incremental backups are taken.
	//
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^([^ =]+ +){4}[^ =]+$')",message="must have five fields (minute, hour, day of the month, month, day of the week; in UTC), for example \"0 * * * *\" for every hour"
	// +optional
	Incremental string `json:"incremental,omitempty"`
}

// EncryptionSpec encrypts backups.
type EncryptionSpec struct {
	// SecretRef names a Secret in the claim's namespace with a passphrase under the key passphrase. It is yours to keep: without
	// it no backup can ever be read again. Put it where your backups are not, and never change it.
	SecretRef SecretReference `json:"secretRef"`
}

// LocationType is a kind of object store.
//
// +kubebuilder:validation:Enum=S3;GCS;Azure
type LocationType string

// Kinds of object stores.
const (
	LocationS3    LocationType = "S3"
	LocationGCS   LocationType = "GCS"
	LocationAzure LocationType = "Azure"
)

// BackupLocation is an object store.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'S3') == has(self.s3Options)",message="backupLocation needs s3Options when its type is S3, and only then"
// +kubebuilder:validation:XValidation:rule="(self.type == 'GCS') == has(self.gcsOptions)",message="backupLocation needs gcsOptions when its type is GCS, and only then"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Azure') == has(self.azureOptions)",message="backupLocation needs azureOptions when its type is Azure, and only then"
type BackupLocation struct {
	// Type of the store. S3 is Amazon's and everything that speaks its protocol.
	Type LocationType `json:"type"`

	// S3Options are those of a bucket of an S3-compatible store.
	//
	// +optional
	S3Options *S3Options `json:"s3Options,omitempty"`

	// GCSOptions are those of a bucket of Google Cloud Storage.
	//
	// +optional
	GCSOptions *GCSOptions `json:"gcsOptions,omitempty"`

	// AzureOptions are those of a container of Azure Blob Storage.
	//
	// +optional
	AzureOptions *AzureOptions `json:"azureOptions,omitempty"`
}

// S3Options are those of a bucket of an S3-compatible store.
//
// +kubebuilder:validation:XValidation:rule="has(self.endpoint) || has(self.region)",message="s3Options needs a region (Amazon S3) or an endpoint (any other store)"
type S3Options struct {
	BucketOptions `json:",inline"`

	// SecretRef names a Secret in the claim's namespace with the keys accessKeyID and secretAccessKey, and sessionToken where
	// the credentials are temporary.
	SecretRef SecretReference `json:"secretRef"`

	// Endpoint is the host of the store, with a port if it is not 443, for example minio.example.org:9000. It is spoken to over
	// TLS. By default Amazon's of the region.
	//
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('http://')",message="endpoint must be reached over TLS: backups are never sent in the clear; leave out http:// and give the port of https"
	// +kubebuilder:validation:XValidation:rule="self.startsWith('http://') || self.matches('^(https://)?[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]{1,5})?/?$')",message="endpoint must be a host, with a port if it is not 443, for example minio.example.org:9000"
	// +optional
	Endpoint string `json:"endpoint,omitempty"`

	// Region of the bucket, for example eu-central-1. By default us-east-1, which is what other stores take that have none.
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
	URIStyle string `json:"uriStyle,omitempty"`

	TrustOptions `json:",inline"`
}

// GCSOptions are those of a bucket of Google Cloud Storage.
type GCSOptions struct {
	BucketOptions `json:",inline"`

	// SecretRef names a Secret in the claim's namespace with the key of a service account under key.json. Without it the
	// instances use the identity of their node, which only works on Google Cloud.
	//
	// +optional
	SecretRef *SecretReference `json:"secretRef,omitempty"`
}

// AzureOptions are those of a container of Azure Blob Storage.
type AzureOptions struct {
	BucketOptions `json:",inline"`

	// SecretRef names a Secret in the claim's namespace with the keys account and key: the storage account, and one of its
	// access keys.
	SecretRef SecretReference `json:"secretRef"`
}

// BucketOptions are what the options of all kinds of stores have.
type BucketOptions struct {
	// Bucket that exists, unless createBucket makes it. In Azure it is a container.
	//
	// +kubebuilder:validation:MaxLength=222
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9._]*[a-z0-9])?$')",message="bucket must be the name of a bucket: lower-case letters, digits, hyphens, dots and underscores"
	Bucket string `json:"bucket"`

	// Key begins the names of all objects. The namespace, the DBCluster's name and a name of its database, which a restored one
	// does not share, always follow it.
	//
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-a-zA-Z0-9/_.]*$') && !self.matches('(^|/)[.]{1,2}(/|$)')",message="key can have letters, digits, hyphens, dots, underscores and slashes, and no part that is . or .."
	// +optional
	Key string `json:"key,omitempty"`
}

// TrustOptions say which certificates of a store are trusted.
type TrustOptions struct {
	// CABundle are certificates, in PEM, of the authorities that may have signed the store's. By default those that the image
	// trusts.
	//
	// +kubebuilder:validation:MaxItems=16
	// +optional
	CABundle []string `json:"caBundle,omitempty"`

	// CertRef names a Secret in the claim's namespace with more such certificates under the key ca.crt.
	//
	// +optional
	CertRef *SecretReference `json:"certRef,omitempty"`

	// InsecureSkipVerify trusts every certificate. Whoever is between the instances and the store can then read and change the
	// backups: set encryption, or better caBundle.
	//
	// +kubebuilder:default=false
	// +optional
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// BackupPlanPhase is what a BackupPlan is doing, in one word.
//
// +kubebuilder:validation:Enum=Pending;Active;Paused;Failing
type BackupPlanPhase string

// Phases of a BackupPlan.
const (
	// BackupPlanPending: it is not in force yet; the message of Reconciling says what it waits for.
	BackupPlanPending BackupPlanPhase = "Pending"

	// BackupPlanActive: WAL is archived, and backups are taken on schedule.
	BackupPlanActive BackupPlanPhase = "Active"

	// BackupPlanPaused: WAL is archived, and no backup is taken on schedule: the plan is paused, or the DBCluster stopped.
	BackupPlanPaused BackupPlanPhase = "Paused"

	// BackupPlanFailing: WAL is not archived, or the last backup failed; the conditions say why.
	BackupPlanFailing BackupPlanPhase = "Failing"
)

// BackupPlanStatus is what there is of a BackupPlan.
type BackupPlanStatus struct {
	// Phase is what the plan is doing, in one word.
	//
	// +optional
	Phase BackupPlanPhase `json:"phase,omitempty"`

	// LastBackupTime is when the newest backup was complete.
	//
	// +optional
	LastBackupTime *metav1.Time `json:"lastBackupTime,omitempty"`

	// NextBackupTime is when the next backup is due.
	//
	// +optional
	NextBackupTime *metav1.Time `json:"nextBackupTime,omitempty"`

	// RecoveryWindow is what the DBCluster can be restored to.
	//
	// +optional
	RecoveryWindow *RecoveryWindow `json:"recoveryWindow,omitempty"`

	// LastVerifiedTime is when a backup was last tried and found to be sound.
	//
	// +optional
	LastVerifiedTime *metav1.Time `json:"lastVerifiedTime,omitempty"`

	// Verification is what came of trying backups.
	//
	// +optional
	Verification *VerificationStatus `json:"verification,omitempty"`

	// Archive says how archiving WAL goes.
	//
	// +optional
	Archive *ArchiveStatus `json:"archive,omitempty"`

	// Repository says what is kept.
	//
	// +optional
	Repository *RepositoryStatus `json:"repository,omitempty"`

	// Conditions of the plan.
	//
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// A RecoveryWindow is what a DBCluster can be restored to.
type RecoveryWindow struct {
	// Begin is the end of the oldest backup that can be brought forward to now.
	Begin metav1.Time `json:"begin"`

	// End is what is surely archived. It is written seldom, so that it may be up to fifteen minutes older than what is archived
	// in truth.
	End metav1.Time `json:"end"`
}

// VerificationResult is what came of trying a backup.
//
// +kubebuilder:validation:Enum=Succeeded;Damaged;Failed
type VerificationResult string

// Results of trying a backup.
const (
	// VerificationSucceeded: it was restored, and nothing wrong was found in it.
	VerificationSucceeded VerificationResult = "Succeeded"

	// VerificationDamaged: it, or the WAL that follows it, is not what was written.
	VerificationDamaged VerificationResult = "Damaged"

	// VerificationFailed: it could not be tried, so that nothing is known about it.
	VerificationFailed VerificationResult = "Failed"
)

// VerificationStatus is what came of trying backups.
type VerificationStatus struct {
	// NextTime is when the next backup is tried.
	//
	// +optional
	NextTime *metav1.Time `json:"nextTime,omitempty"`

	// LastVerifiedTime is when a backup was last found to be sound.
	//
	// +optional
	LastVerifiedTime *metav1.Time `json:"lastVerifiedTime,omitempty"`

	// Time is when the last trial came to an end. What follows is about that one.
	//
	// +optional
	Time *metav1.Time `json:"time,omitempty"`

	// Result is what came of it.
	//
	// +optional
	Result VerificationResult `json:"result,omitempty"`

	// Message says what was found, and what to do next.
	//
	// +optional
	Message string `json:"message,omitempty"`

	// Label is pgBackRest's name for the backup that was restored.
	//
	// +optional
	Label string `json:"label,omitempty"`

	// Target says up to where WAL was replayed.
	//
	// +optional
	Target string `json:"target,omitempty"`

	// Checks that were passed: Restored (every file has its checksum), Recovered (WAL was replayed up to the target), Checksums
	// (of every page on the disk), Started (PostgreSQL serves it), Tables (pg_amcheck finds nothing wrong in any table or index of
	// any database).
	//
	// +optional
	Checks []string `json:"checks,omitempty"`

	// Duration of the trial, for example 1m12s.
	//
	// +optional
	Duration string `json:"duration,omitempty"`
}

// ArchiveStatus says how archiving WAL goes.
type ArchiveStatus struct {
	// State is Starting (the store was not seen to work yet), Archiving, Failing, or Unknown (no primary says).
	State string `json:"state"`

	// Message says what is wrong and what to do next.
	//
	// +optional
	Message string `json:"message,omitempty"`

	// LastArchivedTime is when the last segment was archived, in steps of ten minutes.
	//
	// +optional
	LastArchivedTime *metav1.Time `json:"lastArchivedTime,omitempty"`
}

// RepositoryStatus says what is kept.
type RepositoryStatus struct {
	// Path of the repository, for example s3://backups/team/shop/orders/5f0c9d3a1b2e4f60.
	//
	// +optional
	Path string `json:"path,omitempty"`

	// Backups is how many there are that the DBCluster can be restored from.
	//
	// +optional
	Backups int `json:"backups"`

	// Damaged is how many more there are that were tried and are damaged, or continue one that is.
	//
	// +optional
	Damaged int `json:"damaged,omitempty"`

	// Size of all backups in the store, without WAL.
	//
	// +optional
	Size string `json:"size,omitempty"`

	// OldestBackup and NewestBackup are pgBackRest's labels of them.
	//
	// +optional
	OldestBackup string `json:"oldestBackup,omitempty"`

	// NewestBackup is pgBackRest's label of it.
	//
	// +optional
	NewestBackup string `json:"newestBackup,omitempty"`
}
