package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kinds of the claim for a restore in place, and of the composite resource behind it.
const (
	KindRestore  = "Restore"
	KindXRestore = "XRestore"
)

// A Restore makes a DBCluster's database what it was at an earlier time, once. The cluster is stopped and comes back with its
// name, its endpoints and its credentials; the data before stays on its volumes for some time, and another Restore brings it
// back. When the restore fails, it comes back by itself. With clonedDBClusterConfig the database goes on, and a copy is made beside
// it. A Restore stays in Git as the record of what was done: it is never carried out again.
//
// +kubebuilder:validation:XValidation:rule="self.kind != 'Restore' || size(self.metadata.name) <= 46",message="metadata.name can have 46 characters at most, because a Job is named by it: choose a shorter one"
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
type Restore struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is to be done, once.
	Spec InPlaceRestoreSpec `json:"spec"`

	// Status is what was done.
	Status InPlaceRestoreStatus `json:"status,omitempty"`
}

// InPlaceRestoreSpec is what a Restore is to do.
//
// +kubebuilder:validation:XValidation:rule="!has(self.clonedDBClusterConfig) || self.clonedDBClusterConfig.dbclusterName != self.sourceDBCluster",message="clonedDBClusterConfig.dbclusterName must be another name than sourceDBCluster: leave clonedDBClusterConfig out to restore in place"
// +kubebuilder:validation:XValidation:rule="!has(self.clonedDBClusterConfig) || !(has(self.confirm) || has(self.keptIncarnation) || self.keepOldDataFor != '168h')",message="confirm, keptIncarnation and keepOldDataFor are for a restore in place: leave them out, or leave out clonedDBClusterConfig, which makes a copy"
// +kubebuilder:validation:XValidation:rule="has(self.clonedDBClusterConfig) || (has(self.confirm) && self.confirm == self.sourceDBCluster)",message="confirm must be the name in sourceDBCluster: the database is replaced by an earlier state of it, and nobody can use it meanwhile"
// +kubebuilder:validation:XValidation:rule="has(self.requestedAt)",message="requestedAt must be given: the time now. A cluster that is built again from Git then does not repeat the restore"
// +kubebuilder:validation:XValidation:rule="!has(self.keptIncarnation) || !(has(self.backup) || has(self.pointInTime) || has(self.lsn) || has(self.xid) || has(self.name) || has(self.immediate) && self.immediate)",message="keptIncarnation brings data back as it was when the cluster was stopped: leave out backup, pointInTime, lsn, xid, name and immediate, which restore from a backup"
// +kubebuilder:validation:XValidation:rule="!has(self.incarnation) || !has(self.keptIncarnation)",message="incarnation says of which incarnation the backups are, and keptIncarnation whose data on the volumes is to come back: keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.validUntil) || !has(self.requestedAt) || (self.validUntil > self.requestedAt && self.validUntil - self.requestedAt <= duration('168h'))",message="validUntil must be after requestedAt, and 7 days after it at most"
// +kubebuilder:validation:XValidation:rule="self.sourceDBCluster == oldSelf.sourceDBCluster && has(self.requestedAt) == has(oldSelf.requestedAt) && (!has(self.requestedAt) || self.requestedAt == oldSelf.requestedAt) && has(self.validUntil) == has(oldSelf.validUntil) && (!has(self.validUntil) || self.validUntil == oldSelf.validUntil) && has(self.backup) == has(oldSelf.backup) && (!has(self.backup) || self.backup == oldSelf.backup) && has(self.pointInTime) == has(oldSelf.pointInTime) && (!has(self.pointInTime) || self.pointInTime == oldSelf.pointInTime) && has(self.lsn) == has(oldSelf.lsn) && (!has(self.lsn) || self.lsn == oldSelf.lsn) && has(self.xid) == has(oldSelf.xid) && (!has(self.xid) || self.xid == oldSelf.xid) && has(self.name) == has(oldSelf.name) && (!has(self.name) || self.name == oldSelf.name) && has(self.immediate) == has(oldSelf.immediate) && (!has(self.immediate) || self.immediate == oldSelf.immediate) && has(self.incarnation) == has(oldSelf.incarnation) && (!has(self.incarnation) || self.incarnation == oldSelf.incarnation) && has(self.keptIncarnation) == has(oldSelf.keptIncarnation) && (!has(self.keptIncarnation) || self.keptIncarnation == oldSelf.keptIncarnation) && has(self.clonedDBClusterConfig) == has(oldSelf.clonedDBClusterConfig) && (!has(self.clonedDBClusterConfig) || self.clonedDBClusterConfig == oldSelf.clonedDBClusterConfig) && self.keepOldDataFor == oldSelf.keepOldDataFor && self.timeout == oldSelf.timeout",message="a Restore cannot change, because it may have begun (acknowledged can): commit another one, with a name and a requestedAt of its own"
type InPlaceRestoreSpec struct {
	// SourceDBCluster is the name of the DBCluster, in the same namespace. Its BackupPlan says where its backups are.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=46
	SourceDBCluster string `json:"sourceDBCluster"`

	// ClonedDBClusterConfig makes a copy in a new DBCluster, and lets sourceDBCluster go on. Without it the restore is in place.
	//
	// +optional
	ClonedDBClusterConfig *ClonedDBClusterConfig `json:"clonedDBClusterConfig,omitempty"`

	// Confirm repeats the name in sourceDBCluster, for a restore in place.
	//
	// +kubebuilder:validation:MaxLength=46
	// +optional
	Confirm string `json:"confirm,omitempty"`

	RestoreTarget `json:",inline"`

	// KeptIncarnation brings back the data that an earlier Restore has kept, as it was when the cluster was stopped for it:
	// status.oldIncarnation of that Restore, or one of status.keptIncarnations of the DBCluster. Nothing is read from backups.
	//
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9a-f]{16}$')",message="keptIncarnation must be 16 hexadecimal digits, as status.keptIncarnations of the DBCluster lists them"
	// +optional
	KeptIncarnation string `json:"keptIncarnation,omitempty"`

	// KeepOldDataFor is how long the data of now is kept on the volumes, beside the restored one: from 1h to 2160h (90 days). It counts
	// from when the timeout is over: until then a restore that fails is put back. It is for a restore in place.
	//
	// +kubebuilder:default="168h"
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,4}h)?([0-9]{1,4}m)?$') && self != '' && duration(self) >= duration('1h') && duration(self) <= duration('2160h')",message="keepOldDataFor must be hours and minutes from 1h to 2160h, for example 168h for a week"
	// +optional
	KeepOldDataFor string `json:"keepOldDataFor,omitempty"`

	// Timeout is how long the restore may take before the data of now comes back, or the copy before it counts as failed: from 1m
	// to 720h.
	//
	// +kubebuilder:default="12h"
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,4}h)?([0-9]{1,4}m)?$') && self != '' && duration(self) >= duration('1m') && duration(self) <= duration('720h')",message="timeout must be hours and minutes from 1m to 720h, for example 2h30m"
	// +optional
	Timeout string `json:"timeout,omitempty"`

	// RequestedAt is when you ask for it: the time now, or the time at which it is to be done. A cluster that was born later
	// skips it, so that a platform that is built again from Git repeats nothing.
	//
	// +optional
	RequestedAt *metav1.Time `json:"requestedAt,omitempty"`

	// ValidUntil is when it is not to be begun any more. By default an hour after RequestedAt; 7 days after it at most.
	//
	// +optional
	ValidUntil *metav1.Time `json:"validUntil,omitempty"`

	// Acknowledged says that somebody has seen that it failed or was rejected. It is then no longer reported as stalled, so
	// that a GitOps tool turns green again.
	//
	// +kubebuilder:default=false
	// +optional
	Acknowledged bool `json:"acknowledged,omitempty"`
}

// ClonedDBClusterConfig describes the copy of a DBCluster.
type ClonedDBClusterConfig struct {
	// DBClusterName is the name of the DBCluster that is created, in the same namespace. It has the spec of sourceDBCluster but for
	// tls and adminUser, which have the cluster's name in them: it gets a certificate and a password of its own. It does not go with
	// the Restore: commit its manifest to keep it in Git.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=46
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="dbclusterName must be the name of a DBCluster: lower-case letters, digits and hyphens, beginning with a letter"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(-backup|-patroni(-[0-9a-f]{8})?)$')",message="dbclusterName must not end in -backup or -patroni: what belongs to the DBCluster whose name comes before that is called so"
	DBClusterName string `json:"dbclusterName"`
}

// InPlaceRestoreStatus is what a Restore has done. It is a cache of the cluster's own record (its ledger).
type InPlaceRestoreStatus struct {
	// Phase is how far it is.
	//
	// +optional
	Phase OperationPhase `json:"phase,omitempty"`

	// Reason is why it is in that phase, in one word.
	//
	// +optional
	Reason string `json:"reason,omitempty"`

	// Message says what it waits for, what was done, or why it was not done and what to do next.
	//
	// +optional
	Message string `json:"message,omitempty"`

	// ValidUntil is when it is not to be begun any more.
	//
	// +optional
	ValidUntil *metav1.Time `json:"validUntil,omitempty"`

	// StartedAt is when it was begun: in place, nobody could use the database from then on.
	//
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`

	// FinishedAt is when it came to its end.
	//
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`

	// Backup is the label of the backup that it began with.
	//
	// +optional
	Backup string `json:"backup,omitempty"`

	// OldIncarnation is the database before, which is kept until OldDataKeptUntil. A Restore with keptIncarnation brings it back.
	//
	// +optional
	OldIncarnation string `json:"oldIncarnation,omitempty"`

	// NewIncarnation is the restored database, in place.
	//
	// +optional
	NewIncarnation string `json:"newIncarnation,omitempty"`

	// OldDataKeptUntil is when the data before is removed from the volumes.
	//
	// +optional
	OldDataKeptUntil *metav1.Time `json:"oldDataKeptUntil,omitempty"`

	// NewPrimary is the Pod that is the primary of the restored database, or of the copy.
	//
	// +optional
	NewPrimary string `json:"newPrimary,omitempty"`

	// TimelineBefore is the timeline that was written before.
	//
	// +optional
	TimelineBefore int `json:"timelineBefore,omitempty"`

	// TimelineAfter is the timeline that is written since.
	//
	// +optional
	TimelineAfter int `json:"timelineAfter,omitempty"`

	// Conditions of the restore.
	//
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
