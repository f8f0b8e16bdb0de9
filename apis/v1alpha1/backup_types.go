package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kinds of the claim for one backup, and of the composite resource behind it.
const (
	KindBackup  = "Backup"
	KindXBackup = "XBackup"
)

// A Backup is one backup of a DBCluster: a BackupPlan creates them on schedule, and you can create one at any time. Deleting it
// leaves the backup itself where it is, until its BackupPlan does not need it any more.
//
// +kubebuilder:validation:XValidation:rule="self.kind != 'Backup' || size(self.metadata.name) <= 56",message="metadata.name can have 56 characters at most, because a Job is named by it: choose a shorter one"
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
type Backup struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is to be taken.
	Spec BackupSpec `json:"spec"`

	// Status is what was taken.
	Status BackupStatus `json:"status,omitempty"`
}

// BackupSpec is what a Backup is to take.
//
// +kubebuilder:validation:XValidation:rule="self.dbclusterRef == oldSelf.dbclusterRef && self.backupPlanRef == oldSelf.backupPlanRef && self.manual == oldSelf.manual && has(self.physicalBackupSpec) == has(oldSelf.physicalBackupSpec) && (!has(self.physicalBackupSpec) || self.physicalBackupSpec == oldSelf.physicalBackupSpec)",message="a Backup cannot change (acknowledged can), because it may have been taken: create another one"
type BackupSpec struct {
	// DBClusterRef is the name of the DBCluster, in the same namespace.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=46
	DBClusterRef string `json:"dbclusterRef"`

	// BackupPlanRef is the name of the DBCluster's BackupPlan, in the same namespace.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=42
	BackupPlanRef string `json:"backupPlanRef"`

	// Manual says that a person asked for it. Backups on schedule are deleted as objects, too, when their BackupPlan does not
	// need them any more; manual ones stay, and say that they have expired.
	//
	// +kubebuilder:default=true
	// +optional
	Manual bool `json:"manual"`

	// PhysicalBackupSpec says what is copied.
	//
	// +optional
	PhysicalBackupSpec *PhysicalBackupSpec `json:"physicalBackupSpec,omitempty"`

	// Acknowledged says that somebody has seen that it failed. It is then no longer reported as stalled, so that a GitOps tool
	// turns green again.
	//
	// +kubebuilder:default=false
	// +optional
	Acknowledged bool `json:"acknowledged,omitempty"`
}

// BackupPhase is how far a backup is.
//
// +kubebuilder:validation:Enum=Pending;InProgress;Succeeded;Failed;Expired
type BackupPhase string

// Phases of a Backup. All but the first two are final, and Succeeded becomes Expired.
const (
	// BackupPending: it waits; the message says for what.
	BackupPending BackupPhase = "Pending"

	// BackupInProgress: it is being taken.
	BackupInProgress BackupPhase = "InProgress"

	// BackupSucceeded: it is complete, and the WAL that it needs is archived.
	BackupSucceeded BackupPhase = "Succeeded"

	// BackupFailed: it was not taken; the message says why and what to do.
	BackupFailed BackupPhase = "Failed"

	// BackupExpired: it was complete, and its BackupPlan did not need it any more.
	BackupExpired BackupPhase = "Expired"
)

// Final says whether the backup will not get any further by itself.
func (p BackupPhase) Final() bool {
	return p == BackupSucceeded || p == BackupFailed || p == BackupExpired
}

// BackupStatus is what a Backup has taken.
type BackupStatus struct {
	// Phase is how far it is.
	//
	// +optional
	Phase BackupPhase `json:"phase,omitempty"`

	// Reason is why it is in that phase, in one word.
	//
	// +optional
	Reason string `json:"reason,omitempty"`

	// Message says what it waits for, what was taken, or why it failed and what to do next.
	//
	// +optional
	Message string `json:"message,omitempty"`

	// Label is pgBackRest's name for the backup.
	//
	// +optional
	Label string `json:"label,omitempty"`

	// Type is what was taken: full, also where another type was asked for and there was no full backup yet.
	//
	// +optional
	Type BackupType `json:"type,omitempty"`

	// Prior is the label of the backup that this one continues.
	//
	// +optional
	Prior string `json:"prior,omitempty"`

	// StartTime is when the copying began.
	//
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// CompleteTime is when the backup was complete. The DBCluster can be restored to this time and later.
	//
	// +optional
	CompleteTime *metav1.Time `json:"completeTime,omitempty"`

	// Duration from start to completion, for example 12s.
	//
	// +optional
	Duration string `json:"duration,omitempty"`

	// LSN is the range of positions in the WAL that must be replayed.
	//
	// +optional
	LSN *BackupRange `json:"lsn,omitempty"`

	// WAL is the range of WAL files that must be replayed.
	//
	// +optional
	WAL *BackupRange `json:"wal,omitempty"`

	// Size says how large the database and the backup are.
	//
	// +optional
	Size *BackupSize `json:"size,omitempty"`

	// Throughput is how much of the database was copied per second, for example 85Mi/s.
	//
	// +optional
	Throughput string `json:"throughput,omitempty"`

	// Source is the Pod whose files were read.
	//
	// +optional
	Source string `json:"source,omitempty"`

	// RetainExpireTime is until when it is kept at least, by the retention that the BackupPlan had when it was taken.
	//
	// +optional
	RetainExpireTime *metav1.Time `json:"retainExpireTime,omitempty"`

	// Verification is what came of trying it. Empty as long as it was not tried.
	//
	// +optional
	Verification *BackupVerification `json:"verification,omitempty"`

	// Conditions of the backup.
	//
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BackupVerification is what came of trying a backup.
type BackupVerification struct {
	// Time is when it was tried.
	Time metav1.Time `json:"time"`

	// Result is what came of it. A Damaged backup is not restored any more, nor is one that continues it.
	Result VerificationResult `json:"result"`

	// Message says what was found.
	//
	// +optional
	Message string `json:"message,omitempty"`
}

// BackupRange is where something begins and ends.
type BackupRange struct {
	// Start of it.
	Start string `json:"start"`

	// Stop of it.
	Stop string `json:"stop"`
}

// BackupSize says how large a database and its backup are.
type BackupSize struct {
	// Database is how large the database was.
	Database string `json:"database"`

	// Copied is how much of it was copied.
	Copied string `json:"copied"`

	// Repository is what this backup added to the store, compressed.
	Repository string `json:"repository"`

	// RepositorySet is what this backup and those that it needs take of the store.
	RepositorySet string `json:"repositorySet"`
}
