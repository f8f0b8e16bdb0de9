package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Kinds of the claim and of the composite resource behind it.
const (
	KindDBCluster  = "DBCluster"
	KindXDBCluster = "XDBCluster"
)

// A DBCluster is a PostgreSQL database cluster.
//
// Its name has 46 characters at most: a StatefulSet's has 52 at most, and a few are kept for names made from the claim's.
// The composite behind a claim has the same schema; its name is made by Crossplane and no rule is about it.
//
// +kubebuilder:validation:XValidation:rule="self.kind != 'DBCluster' || self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name names Services too: it must begin with a letter, end with a letter or digit, and hold lower-case letters, digits and hyphens only"
// +kubebuilder:validation:XValidation:rule="self.kind != 'DBCluster' || size(self.metadata.name) <= 46",message="metadata.name can have 46 characters at most, because a StatefulSet and what belongs to it are named by it: choose a shorter one"
// +kubebuilder:validation:XValidation:rule="self.kind != 'DBCluster' || !self.metadata.name.matches('(-backup|-patroni(-[0-9a-f]{8})?)$')",message="metadata.name must not end in -backup or -patroni: what belongs to the DBCluster whose name comes before that is called so"
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
type DBCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the cluster is to be.
	Spec DBClusterSpec `json:"spec"`

	// Status is what the cluster is.
	Status DBClusterStatus `json:"status,omitempty"`
}

// DatabaseEngine is the database program of a cluster.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XValidation:rule="self == 'PostgreSQL'",message="this version runs PostgreSQL only: set databaseEngine to PostgreSQL or leave it out"
type DatabaseEngine string

// Database engines.
const (
	EnginePostgreSQL DatabaseEngine = "PostgreSQL"
)

// VolumeRetentionPolicy says what happens to a cluster's volumes when its claim is deleted.
//
// +kubebuilder:validation:Enum=Retain;Delete
type VolumeRetentionPolicy string

// Volume retention policies.
const (
	VolumesRetained VolumeRetentionPolicy = "Retain"
	VolumesDeleted  VolumeRetentionPolicy = "Delete"
)

// IfBackupsExist says what a new cluster does about backups of an earlier one of its name.
//
// +kubebuilder:validation:Enum=Fail;Restore;Ignore
type IfBackupsExist string

// What a new cluster does about backups of an earlier one of its name.
const (
	// BackupsFail: it does not start, and says what there is.
	BackupsFail IfBackupsExist = "Fail"

	// BackupsRestored: it begins with all that was archived.
	BackupsRestored IfBackupsExist = "Restore"

	// BackupsIgnored: it begins with an empty database.
	BackupsIgnored IfBackupsExist = "Ignore"
)

// DBClusterSpec is what a DBCluster is to be.
//
// +kubebuilder:validation:XValidation:rule="!has(self.availability) || !has(self.availability.synchronous) || self.availability.synchronous != 'Required' || self.primarySpec.version != '15'",message="availability.synchronous cannot be Required with version 15, whose Patroni 3.0.2 can then block writes for ever: set it to Preferred, or use version 17"
// +kubebuilder:validation:XValidation:rule="!has(self.availability) || !has(self.availability.synchronous) || self.availability.synchronous != 'Required' || !has(self.primarySpec.parameters) || !('synchronous_commit' in self.primarySpec.parameters) || !(self.primarySpec.parameters['synchronous_commit'].lowerAscii() in ['local', 'off', 'false', 'no', '0'])",message="availability.synchronous is Required, and with synchronous_commit local or off no commit waits for a standby: leave synchronous_commit out, or set it to on, remote_write or remote_apply"
// +kubebuilder:validation:XValidation:rule="has(self.bootstrap) == has(oldSelf.bootstrap) && (!has(self.bootstrap) || self.bootstrap == oldSelf.bootstrap)",message="bootstrap says with which database a new cluster begins, and cannot be added, changed or removed later: create another DBCluster"
// +kubebuilder:validation:XValidation:rule="!has(self.bootstrap) || !has(self.ifBackupsExist) || self.ifBackupsExist == 'Fail'",message="bootstrap says with which database a new cluster begins, whatever backups there are of an earlier one: leave out ifBackupsExist"
type DBClusterSpec struct {
	// DatabaseEngine is the database program.
	//
	// +kubebuilder:default=PostgreSQL
	// +optional
	DatabaseEngine DatabaseEngine `json:"databaseEngine,omitempty"`

	// DatabaseImage is the container image that every instance runs, in place of the platform's image for the version. It
	// must be built from the project's Containerfile and have the major version that primarySpec.version names.
	//
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9][-a-zA-Z0-9._:/@]*$')",message="databaseImage must be the reference of a container image, for example registry.example.org/postgresql:17.12"
	// +optional
	DatabaseImage string `json:"databaseImage,omitempty"`

	// DeletionProtection refuses the deletion of the claim, of its composite resource, of its namespace and of the claims'
	// CustomResourceDefinitions. Set it to false, and let that be rolled out, before you delete the cluster.
	//
	// +kubebuilder:default=true
	// +optional
	DeletionProtection *bool `json:"deletionProtection,omitempty"`

	// VolumeRetentionPolicy says what happens to the volumes when the claim is deleted. With Retain they stay, and a claim
	// that is created again under the same name finds its data. With Delete they go with the claim.
	//
	// +kubebuilder:default=Retain
	// +optional
	VolumeRetentionPolicy VolumeRetentionPolicy `json:"volumeRetentionPolicy,omitempty"`

	// AllowExternalIncomingTraffic lets clients from outside the claim's namespace connect to PostgreSQL. By default only
	// Pods of the claim's namespace can.
	//
	// +kubebuilder:default=false
	// +optional
	AllowExternalIncomingTraffic bool `json:"allowExternalIncomingTraffic,omitempty"`

	// TLS sets the certificate that PostgreSQL serves. By default the cluster has a certificate authority of its own.
	//
	// +optional
	TLS *TLSSpec `json:"tls,omitempty"`

	// Availability sets how the cluster survives the loss of an instance.
	//
	// +optional
	Availability *AvailabilitySpec `json:"availability,omitempty"`

	// PrimarySpec describes the primary and with it every instance of the cluster.
	PrimarySpec PrimarySpec `json:"primarySpec"`

	// Bootstrap says with which database a new cluster begins. By default with an empty one. A cluster that has a database is not
	// touched by it.
	//
	// +optional
	Bootstrap *BootstrapSpec `json:"bootstrap,omitempty"`

	// IfBackupsExist says what a new cluster without bootstrap does when the store of its BackupPlan has backups of an earlier
	// DBCluster of its name, as after the loss of all volumes. With Fail it does not start, and says what there is. With Restore it
	// begins with all that was archived. With Ignore it begins with an empty database, whose backups go beside the others. It can be
	// changed as long as there is no database, and means nothing afterwards.
	//
	// +kubebuilder:default=Fail
	// +optional
	IfBackupsExist IfBackupsExist `json:"ifBackupsExist,omitempty"`
}

// BootstrapSpec says with which database a new cluster begins.
type BootstrapSpec struct {
	// Restore says that it begins with one from a backup.
	Restore RestoreSpec `json:"restore"`
}

// PlanOwner is a DBCluster whose BackupPlan is meant.
//
// +kubebuilder:validation:Enum=Source;Self
type PlanOwner string

// Owners of BackupPlans.
const (
	PlanOfSource PlanOwner = "Source"
	PlanOfSelf   PlanOwner = "Self"
)

// RestoreSpec says which database a new cluster begins with, and up to where.
type RestoreSpec struct {
	// SourceDBCluster is the name of the DBCluster that was backed up. It need not exist any more.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=46
	SourceDBCluster string `json:"sourceDBCluster"`

	// SourceNamespace is the namespace that it was in. By default the claim's. In another one its BackupPlan has to grant the
	// claim's namespace its backups, unless backupPlanOf is Self.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	SourceNamespace string `json:"sourceNamespace,omitempty"`

	// BackupPlanOf says whose BackupPlan has the location of the backups and the credentials to read them: that of
	// sourceDBCluster, or with Self that of this DBCluster. Nothing is restored before there is one.
	//
	// +kubebuilder:default=Source
	// +optional
	BackupPlanOf PlanOwner `json:"backupPlanOf,omitempty"`

	RestoreTarget `json:",inline"`
}

// RestoreTarget says which state of a database is restored. Without pointInTime, lsn, xid, name, immediate and backup it is all that
// was archived.
//
// +kubebuilder:validation:XValidation:rule="[has(self.pointInTime), has(self.lsn), has(self.xid), has(self.name), has(self.immediate) && self.immediate].filter(given, given).size() <= 1",message="pointInTime, lsn, xid, name and immediate each say up to where to restore: keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.backup) || !(has(self.pointInTime) || has(self.lsn))",message="the backup that a restore to pointInTime or lsn begins with is found by itself: leave out backup, or restore to its end and leave out the other"
// +kubebuilder:validation:XValidation:rule="!has(self.backup) || !has(self.immediate) || !self.immediate",message="backup alone restores to the end of that backup: leave out immediate, which is for the newest one"
type RestoreTarget struct {
	// Incarnation of the database, as the last part of status.repository.path of a BackupPlan names it. By default the
	// newest one that has the target; with xid or name, whose place in the archive nobody knows beforehand, the newest one.
	//
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9a-f]{16}$')",message="incarnation must be 16 hexadecimal digits, as the last part of status.repository.path of a BackupPlan"
	// +optional
	Incarnation string `json:"incarnation,omitempty"`

	// Backup is the label of a backup: what was there when it was complete, and nothing later. With xid or name it is where the
	// search for these begins.
	//
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{8}-[0-9]{6}F(_[0-9]{8}-[0-9]{6}[DI])?$')",message="backup must be the label of a backup, for example 20261123-020000F or 20261123-020000F_20261124-020000I: status.label of a Backup has it"
	// +optional
	Backup string `json:"backup,omitempty"`

	// PointInTime up to which transactions are restored, those that were committed at just that time included, for example
	// 2026-11-23T14:59:59.5+01:00.
	//
	// +kubebuilder:validation:Format=date-time
	// +optional
	PointInTime string `json:"pointInTime,omitempty"`

	// LSN is the position in the WAL up to which it is replayed, for example 0/3000028.
	//
	// +kubebuilder:validation:MaxLength=17
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$')",message="lsn must be a position in the WAL as PostgreSQL writes it, for example 0/3000028"
	// +optional
	LSN string `json:"lsn,omitempty"`

	// XID is the transaction up to whose end WAL is replayed, the transaction included, for example 742: as
	// pg_current_xact_id() says. Transactions end in another order than they begin in: those that ended before this one are
	// restored, whatever their numbers.
	//
	// The WAL is searched from the oldest backup on, so that this takes longer than the other targets. Set backup to begin with a
	// later one that was complete before the transaction ended.
	//
	// +kubebuilder:validation:XValidation:rule="self > 0 && self <= 9007199254740991 && self % 4294967296 >= 3",message="xid must be the number of a transaction, 3 at least, for example 742: pg_current_xact_id() says it"
	// +optional
	XID int64 `json:"xid,omitempty"`

	// Name of a restore point up to which WAL is replayed: what pg_create_restore_point() was called with. Of several of one name
	// it is the first.
	//
	// The WAL is searched from the oldest backup on, so that this takes longer than the other targets. Set backup to begin with a
	// later one that was complete before the restore point was made; it also passes by earlier ones of the name.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 63",message="name can have 63 bytes at most, as in PostgreSQL"
	// +kubebuilder:validation:XValidation:rule="!self.matches('[[:cntrl:]]')",message="name must be that of a restore point in one line, as pg_create_restore_point() was called with it"
	// +optional
	Name string `json:"name,omitempty"`

	// Immediate restores to the end of the newest backup, and nothing that came after it. Of an older one: set backup instead.
	//
	// +optional
	Immediate bool `json:"immediate,omitempty"`
}

// TLSSpec sets the certificate that PostgreSQL serves.
type TLSSpec struct {
	// CertSecret names a Secret in the claim's namespace with the keys tls.crt, tls.key and ca.crt, as cert-manager writes
	// them. The certificate must be valid for the DNS name <cluster>-rw.<namespace>.svc.
	CertSecret SecretReference `json:"certSecret"`
}

// A SecretReference names a Secret in the claim's namespace.
type SecretReference struct {
	// Name of the Secret.
	//
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="must be the name of a Secret in the claim's namespace: lower-case letters, digits, hyphens and dots"
	Name string `json:"name"`
}

// AvailabilitySpec sets how the cluster survives the loss of an instance.
type AvailabilitySpec struct {
	// NumberOfStandbys is how many standbys follow the primary, each on a node of its own where there are enough. One takes
	// the primary's place when that fails. The volumes of standbys that are taken away stay.
	//
	// +kubebuilder:default=0
	// +kubebuilder:validation:XValidation:rule="self >= 0 && self <= 5",message="numberOfStandbys must be between 0 and 5"
	// +optional
	NumberOfStandbys int32 `json:"numberOfStandbys,omitempty"`

	// Synchronous says what a commit waits for. With Preferred it waits for a standby as long as one is healthy: the loss of
	// an instance loses nothing that was acknowledged, and the loss of all standbys does not stop writes. With Required it
	// always waits: while no standby is healthy, writes block. With Off it never waits: a failover can lose the newest
	// transactions. The status says which guarantee is in force.
	//
	// +kubebuilder:default=Preferred
	// +optional
	Synchronous Synchrony `json:"synchronous,omitempty"`

	// EnableStandbyAsReadReplica lets clients read from the standbys, through the Service <cluster>-ro. What they read is
	// behind the primary by the time that replication takes.
	//
	// +kubebuilder:default=true
	// +optional
	EnableStandbyAsReadReplica *bool `json:"enableStandbyAsReadReplica,omitempty"`

	// EnableAutoFailover lets a standby take over by itself from a primary that failed. With false, a primary that failed is
	// started again in place or waited for, and a standby takes over only when a Failover says so. A primary that ends in
	// order, because its node is drained or its Pod changes, hands over to a standby that has everything either way.
	//
	// +kubebuilder:default=true
	// +optional
	EnableAutoFailover *bool `json:"enableAutoFailover,omitempty"`

	// HealthcheckPeriodSeconds is how often, in seconds, every instance is asked whether it answers a new connection, and how
	// long it may take to. Any answer will do, that there are too many connections, too. It concerns instances that run: one
	// that died is noticed at once, and one that was lost with its node when the leader lock runs out, after 20 s.
	//
	// +kubebuilder:default=5
	// +kubebuilder:validation:XValidation:rule="self >= 1 && self <= 86400",message="healthcheckPeriodSeconds must be between 1 and 86400"
	// +optional
	HealthcheckPeriodSeconds int32 `json:"healthcheckPeriodSeconds,omitempty"`

	// AutoFailoverTriggerThreshold is after how many of these checks in a row a primary that runs and does not answer is
	// stopped, and a standby takes over. It is not stopped while no standby could. 0 is the default.
	//
	// +kubebuilder:default=3
	// +kubebuilder:validation:XValidation:rule="self >= 0 && self <= 1000",message="autoFailoverTriggerThreshold must be between 0 (the default of 3) and 1000"
	// +optional
	AutoFailoverTriggerThreshold int32 `json:"autoFailoverTriggerThreshold,omitempty"`

	// EnableAutoHeal lets an instance repair itself: one that runs and does not answer is started again, and a standby that
	// still cannot follow a primary that serves is copied anew from it. With false it is left for somebody to look at.
	//
	// +kubebuilder:default=true
	// +optional
	EnableAutoHeal *bool `json:"enableAutoHeal,omitempty"`

	// AutoHealTriggerThreshold is after how many checks in a row an instance that does not answer, or a standby that does not
	// follow, repairs itself. A standby that makes progress, however slow, is left alone.
	//
	// +kubebuilder:default=12
	// +kubebuilder:validation:XValidation:rule="self >= 2 && self <= 1000",message="autoHealTriggerThreshold must be between 2 and 1000"
	// +optional
	AutoHealTriggerThreshold int32 `json:"autoHealTriggerThreshold,omitempty"`
}

// Synchrony says what a commit waits for.
//
// +kubebuilder:validation:Enum=Preferred;Required;Off
type Synchrony string

// What a commit waits for.
const (
	// SynchronyPreferred: a standby, as long as one is healthy.
	SynchronyPreferred Synchrony = "Preferred"

	// SynchronyRequired: a standby, whether one is healthy or not.
	SynchronyRequired Synchrony = "Required"

	// SynchronyOff: no standby.
	SynchronyOff Synchrony = "Off"
)

// PrimarySpec describes an instance of the cluster.
type PrimarySpec struct {
	// Version is PostgreSQL's major version. It cannot be changed: there is no upgrade in place between major versions.
	//
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self in ['15', '17']",message="version must be \"15\" or \"17\", in quotation marks: a major version without a minor one, which the image decides"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="version cannot be changed: create a second DBCluster with the other version and move the data with pg_dump and pg_restore"
	Version string `json:"version"`

	// AdminUser is the database's administrator, the superuser postgres.
	//
	// +optional
	AdminUser *AdminUserSpec `json:"adminUser,omitempty"`

	// Resources of every instance.
	Resources ResourcesSpec `json:"resources"`

	// Parameters are settings of PostgreSQL, by their names in lower case, as in postgresql.conf: {"work_mem": "16MB"}.
	// They are checked against the list of settings of the version. A change is reloaded, or the instance is restarted when
	// the setting needs it; the status says which. Settings that the system owns are refused.
	//
	// +kubebuilder:validation:MaxProperties=200
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 128 && k.matches('^[a-z_][a-z0-9_]*([.][a-z_][a-z0-9_]*)?$'))",message="names of parameters are in lower case, as in postgresql.conf, for example work_mem or auto_explain.log_analyze"
	// +optional
	Parameters map[string]string `json:"parameters,omitempty"`

	// IsStopped stops the cluster's instances. Data, names and endpoints stay.
	//
	// +kubebuilder:default=false
	// +optional
	IsStopped bool `json:"isStopped,omitempty"`

	// SchedulingConfig says on which nodes the instances may run.
	//
	// +optional
	SchedulingConfig *SchedulingConfig `json:"schedulingConfig,omitempty"`
}

// AdminUserSpec sets the administrator's credentials.
type AdminUserSpec struct {
	// PasswordRef names a Secret in the claim's namespace that holds the password under the cluster's name as its key. One
	// newline at the end of the password, which editors and echo leave there, is not part of it. Without a PasswordRef a
	// password is made. Either way it is in the connection Secret.
	//
	// +optional
	PasswordRef *SecretReference `json:"passwordRef,omitempty"`
}

// ResourcesSpec is what an instance has.
type ResourcesSpec struct {
	// CPU that is reserved for the database of every instance, for example 2 or 500m. It may use more when its node has
	// some to spare.
	//
	// +kubebuilder:default="1"
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('10m')) >= 0 && quantity(string(self)).compareTo(quantity('1024')) <= 0",message="cpu must be a quantity between 10m and 1024, for example 2 or 500m"
	// +optional
	CPU resource.Quantity `json:"cpu,omitempty"`

	// Memory of every instance, for example 8Gi: reserved, and its limit; at least 128Mi. PostgreSQL's buffers are sized by
	// it.
	//
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('128Mi')) >= 0 && quantity(string(self)).compareTo(quantity('64Ti')) <= 0",message="memory must be a quantity between 128Mi and 64Ti, for example 8Gi: PostgreSQL does not start with less"
	Memory resource.Quantity `json:"memory"`

	// Disks of every instance. There must be a DataDisk.
	//
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:XValidation:rule="self.exists(d, d.name == 'DataDisk')",message="disks must hold a disk with the name DataDisk and a size"
	Disks []DiskSpec `json:"disks"`
}

// DiskName says what a disk is for.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XValidation:rule="self == 'DataDisk'",message="this version keeps everything on one disk: name it DataDisk, and leave out other disks"
type DiskName string

// Names of disks.
const (
	DataDisk DiskName = "DataDisk"
)

// DiskSpec describes a disk of an instance.
//
// +kubebuilder:validation:XValidation:rule="has(self.storageClass) == has(oldSelf.storageClass) && (!has(self.storageClass) || self.storageClass == oldSelf.storageClass)",message="storageClass cannot be changed: volumes stay in the class that they were made in"
// +kubebuilder:validation:XValidation:rule="has(self.accessModes) == has(oldSelf.accessModes) && (!has(self.accessModes) || self.accessModes == oldSelf.accessModes)",message="accessModes cannot be changed: volumes keep those that they were made with"
// +kubebuilder:validation:XValidation:rule="has(self.annotations) == has(oldSelf.annotations) && (!has(self.annotations) || self.annotations == oldSelf.annotations)",message="annotations of a disk cannot be changed: volumes keep those that they were made with"
// +kubebuilder:validation:XValidation:rule="has(self.selector) == has(oldSelf.selector) && (!has(self.selector) || self.selector == oldSelf.selector)",message="selector cannot be changed: the volumes are bound"
// +kubebuilder:validation:XValidation:rule="has(self.volumeName) == has(oldSelf.volumeName) && (!has(self.volumeName) || self.volumeName == oldSelf.volumeName)",message="volumeName cannot be changed: the volume is bound"
type DiskSpec struct {
	// Name says what the disk is for.
	Name DiskName `json:"name"`

	// Size of the disk, for example 10Gi; at least 512Mi. It can grow where the storage class allows it; it cannot shrink.
	//
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('512Mi')) >= 0 && quantity(string(self)).compareTo(quantity('1Pi')) <= 0",message="size must be a quantity between 512Mi and 1Pi, for example 10Gi: a new database with its WAL needs that much"
	// +kubebuilder:validation:XValidation:rule="!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",message="size cannot shrink: a file system in use cannot; create a second DBCluster with a smaller disk and move the data with pg_dump and pg_restore"
	Size resource.Quantity `json:"size"`

	// StorageClass of the disk. By default the one that the Kubernetes cluster has as its default. It cannot be changed.
	//
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="storageClass must be the name of a StorageClass: lower-case letters, digits, hyphens and dots"
	// +optional
	StorageClass string `json:"storageClass,omitempty"`

	// AccessModes of the disk. They cannot be changed.
	//
	// +kubebuilder:default={"ReadWriteOnce"}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=1
	// +optional
	AccessModes []DiskAccessMode `json:"accessModes,omitempty"`

	// Annotations of the disk's PersistentVolumeClaims. They cannot be changed.
	//
	// +kubebuilder:validation:MaxProperties=32
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`

	// Selector picks the PersistentVolume by its labels. It cannot be changed.
	//
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`

	// VolumeName picks the PersistentVolume by its name. It cannot be changed.
	//
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="volumeName must be the name of a PersistentVolume: lower-case letters, digits, hyphens and dots"
	// +optional
	VolumeName string `json:"volumeName,omitempty"`
}

// DiskAccessMode is how a disk can be mounted.
//
// +kubebuilder:validation:Enum=ReadWriteOnce;ReadWriteOncePod
type DiskAccessMode string

// SchedulingConfig says on which nodes the instances may run.
type SchedulingConfig struct {
	// NodeSelector are labels that a node must have.
	//
	// +kubebuilder:validation:MaxProperties=32
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// Tolerations of the instances' Pods.
	//
	// +kubebuilder:validation:MaxItems=32
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// NodeAffinity of the instances' Pods.
	//
	// +optional
	NodeAffinity *corev1.NodeAffinity `json:"nodeaffinity,omitempty"`

	// PodAffinity of the instances' Pods.
	//
	// +optional
	PodAffinity *corev1.PodAffinity `json:"podAffinity,omitempty"`

	// PodAntiAffinity of the instances' Pods.
	//
	// +optional
	PodAntiAffinity *corev1.PodAntiAffinity `json:"podAntiAffinity,omitempty"`
}

// Phase is what a cluster is doing, in one word.
//
// +kubebuilder:validation:Enum=Pending;Creating;Running;Updating;Stopping;Stopped;Failed
type Phase string

// Phases of a cluster.
const (
	PhasePending  Phase = "Pending"
	PhaseCreating Phase = "Creating"
	PhaseRunning  Phase = "Running"
	PhaseUpdating Phase = "Updating"
	PhaseStopping Phase = "Stopping"
	PhaseStopped  Phase = "Stopped"
	PhaseFailed   Phase = "Failed"
)

// DBClusterStatus is what a DBCluster is.
type DBClusterStatus struct {
	// Phase is what the cluster is doing, in one word.
	//
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// Rollout says how far the spec has been carried out. It is the only safe way to tell whether a change is in force:
	// conditions may still be those of the spec before.
	//
	// +optional
	Rollout *RolloutStatus `json:"rollout,omitempty"`

	// Endpoints are where clients connect.
	//
	// +optional
	Endpoints *EndpointsStatus `json:"endpoints,omitempty"`

	// Binding names the connection Secret, as the Service Binding specification has it.
	//
	// +optional
	Binding *SecretReference `json:"binding,omitempty"`

	// Primary is the name of the Pod that is the primary.
	//
	// +optional
	Primary string `json:"primary,omitempty"`

	// LastKnownPrimary is the instance that was seen as the primary last, also while there is none.
	//
	// +optional
	LastKnownPrimary *KnownPrimary `json:"lastKnownPrimary,omitempty"`

	// LastFailover is the newest change of the primary, whether it was asked for or not.
	//
	// +optional
	LastFailover *FailoverRecord `json:"lastFailover,omitempty"`

	// Incarnation of the database, where the cluster was restored in place.
	//
	// +optional
	Incarnation string `json:"incarnation,omitempty"`

	// KeptIncarnations are databases before, whose data is still on the volumes. A Restore with keptIncarnation brings one back.
	//
	// +listType=map
	// +listMapKey=incarnation
	// +optional
	KeptIncarnations []KeptIncarnation `json:"keptIncarnations,omitempty"`

	// Durability says what an acknowledged transaction survives now, in words.
	//
	// +optional
	Durability string `json:"durability,omitempty"`

	// CurrentVersion is PostgreSQL's version on the primary, for example 17.12.
	//
	// +optional
	CurrentVersion string `json:"currentVersion,omitempty"`

	// Instances of the cluster, sorted by name.
	//
	// +listType=map
	// +listMapKey=name
	// +optional
	Instances []InstanceStatus `json:"instances,omitempty"`

	// Parameters say which settings are in force.
	//
	// +optional
	Parameters *ParametersStatus `json:"parameters,omitempty"`

	// DataDiskSize is the size that the data volumes have.
	//
	// +optional
	DataDiskSize string `json:"dataDiskSize,omitempty"`

	// CertificateExpiry is when the certificate that clients see ends.
	//
	// +optional
	CertificateExpiry *metav1.Time `json:"certificateExpiry,omitempty"`

	// CriticalIncidents are what is wrong, sorted by resource and code.
	//
	// +optional
	CriticalIncidents []CriticalIncident `json:"criticalIncidents,omitempty"`

	// Conditions of the cluster.
	//
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// A KeptIncarnation is a database before, whose data is still on the volumes.
type KeptIncarnation struct {
	// Incarnation by which it is known.
	Incarnation string `json:"incarnation"`

	// Until is when its data is removed.
	Until metav1.Time `json:"until"`
}

// RolloutState is how far a spec has been carried out.
//
// +kubebuilder:validation:Enum=Progressing;Complete;Failed
type RolloutState string

// Rollout states.
const (
	RolloutProgressing RolloutState = "Progressing"
	RolloutComplete    RolloutState = "Complete"
	RolloutFailed      RolloutState = "Failed"
)

// RolloutStatus says how far a spec has been carried out. It is written in one piece.
type RolloutStatus struct {
	// State of the rollout of ObservedSpec.
	State RolloutState `json:"state"`

	// Message says what the rollout waits for, or why it failed and what to do.
	//
	// +optional
	Message string `json:"message,omitempty"`

	// ObservedSpec is the spec that State is about. A health check compares it with the claim's spec.
	//
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:Schemaless
	ObservedSpec runtime.RawExtension `json:"observedSpec"`
}

// KnownPrimary is an instance that was seen as the primary.
type KnownPrimary struct {
	// Name of the Pod.
	Name string `json:"name"`

	// Timeline that it wrote.
	Timeline int `json:"timeline"`
}

// FailoverRecord is a change of the primary.
type FailoverRecord struct {
	// OldPrimary is the Pod that was the primary before. It is NewPrimary when the same instance was promoted again.
	OldPrimary string `json:"oldPrimary"`

	// NewPrimary is the Pod that is the primary since.
	NewPrimary string `json:"newPrimary"`

	// Timeline that the new primary writes.
	Timeline int `json:"timeline"`

	// Time at which it was noticed.
	Time metav1.Time `json:"time"`
}

// EndpointsStatus is where clients connect.
type EndpointsStatus struct {
	// RW is the host and port of the primary.
	RW string `json:"rw"`

	// RO is the host and port of the standbys. Empty when there are to be none, or clients may not read from them.
	//
	// +optional
	RO string `json:"ro,omitempty"`
}

// InstanceStatus is what an instance of the cluster says about itself.
type InstanceStatus struct {
	// Name of the Pod.
	Name string `json:"name"`

	// Role is primary, standby or unknown.
	Role string `json:"role"`

	// State is starting, running (a primary), streaming (a standby that follows), disconnected (a standby that runs and
	// does not follow), restarting, stopped, failed, or unknown.
	State string `json:"state"`

	// Synchronous says that commits wait for this standby, or for one of those that it is among.
	//
	// +optional
	Synchronous bool `json:"synchronous,omitempty"`

	// Node that the Pod runs on.
	//
	// +optional
	Node string `json:"node,omitempty"`

	// Timeline of the instance's WAL.
	//
	// +optional
	Timeline int `json:"timeline,omitempty"`

	// Lag is how far a standby is behind, in coarse steps, for example 16Mi.
	//
	// +optional
	Lag string `json:"lag,omitempty"`

	// Version of PostgreSQL, for example 17.12.
	//
	// +optional
	Version string `json:"version,omitempty"`

	// PendingRestart are the settings that wait for a restart.
	//
	// +optional
	PendingRestart []string `json:"pendingRestart,omitempty"`
}

// ParametersStatus says which settings are in force.
type ParametersStatus struct {
	// InForce are the claim's parameters, and those that were derived from its resources, as PostgreSQL shows them.
	//
	// +optional
	InForce map[string]string `json:"inForce,omitempty"`

	// LastChange says how the newest change came into force: Reload or Restart.
	//
	// +optional
	LastChange string `json:"lastChange,omitempty"`
}

// A CriticalIncident is something that is wrong with the cluster.
type CriticalIncident struct {
	// Code is a word for the kind of incident.
	Code string `json:"code"`

	// Message says what is wrong and what to do next.
	Message string `json:"message"`

	// Resource that the incident is about, for example Pod/db-0.
	Resource string `json:"resource"`

	// Time at which it was seen first.
	Time metav1.Time `json:"time"`
}
