package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kinds of one-shot operations, and of the composite resources behind them.
const (
	KindSwitchover  = "Switchover"
	KindXSwitchover = "XSwitchover"
	KindFailover    = "Failover"
	KindXFailover   = "XFailover"
)

// A Switchover makes a standby the primary of a DBCluster that is well, once. It stays in Git as the record of what was done:
// it is never carried out again, whatever happens to its file, to its object, or to the cluster that it was for.
//
// +kubebuilder:validation:XValidation:rule="self.kind != 'Switchover' || size(self.metadata.name) <= 46",message="metadata.name can have 46 characters at most, because a Job is named by it: choose a shorter one"
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
type Switchover struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is to be done, once.
	Spec SwitchoverSpec `json:"spec"`

	// Status is what was done.
	Status OperationStatus `json:"status,omitempty"`
}

// A Failover makes a standby the primary of a DBCluster whose primary is gone or must be given up, once. It stays in Git as
// the record of what was done: it is never carried out again, whatever happens to its file, to its object, or to the cluster
// that it was for.
//
// +kubebuilder:validation:XValidation:rule="self.kind != 'Failover' || size(self.metadata.name) <= 46",message="metadata.name can have 46 characters at most, because a Job is named by it: choose a shorter one"
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
type Failover struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is to be done, once.
	Spec FailoverSpec `json:"spec"`

	// Status is what was done.
	Status OperationStatus `json:"status,omitempty"`
}

// SwitchoverSpec is what a Switchover is to do.
type SwitchoverSpec struct {
	OperationSpec `json:",inline"`
}

// FailoverSpec is what a Failover is to do.
//
// +kubebuilder:validation:XValidation:rule="self.allowDataLoss == oldSelf.allowDataLoss",message="an operation cannot change, because it may have begun (acknowledged can): commit another one, with a name and a requestedAt of its own"
type FailoverSpec struct {
	OperationSpec `json:",inline"`

	// AllowDataLoss promotes an instance also when it cannot be proven to have every acknowledged commit. The status then
	// says how much may be lost. What the old primary has more is lost with it.
	//
	// +kubebuilder:default=false
	// +optional
	AllowDataLoss bool `json:"allowDataLoss"`
}

// OperationSpec is what operations have in common.
//
// +kubebuilder:validation:XValidation:rule="self.dbclusterRef == oldSelf.dbclusterRef && self.requestedAt == oldSelf.requestedAt && has(self.validUntil) == has(oldSelf.validUntil) && (!has(self.validUntil) || self.validUntil == oldSelf.validUntil) && has(self.newPrimary) == has(oldSelf.newPrimary) && (!has(self.newPrimary) || self.newPrimary == oldSelf.newPrimary) && has(self.expect) == has(oldSelf.expect) && (!has(self.expect) || self.expect == oldSelf.expect)",message="an operation cannot change, because it may have begun (acknowledged can): commit another one, with a name and a requestedAt of its own"
// +kubebuilder:validation:XValidation:rule="!has(self.validUntil) || (self.validUntil > self.requestedAt && self.validUntil - self.requestedAt <= duration('168h'))",message="validUntil must be after requestedAt, and 7 days after it at most"
// +kubebuilder:validation:XValidation:rule="!has(self.newPrimary) || (self.newPrimary.startsWith(self.dbclusterRef + '-') && self.newPrimary.substring(size(self.dbclusterRef) + 1).matches('^[0-5]$'))",message="newPrimary must be an instance of the DBCluster: the name in dbclusterRef, a hyphen and a number from 0 to 5, for example orders-1"
// +kubebuilder:validation:XValidation:rule="!has(self.expect) || !has(self.expect.primary) || (self.expect.primary.startsWith(self.dbclusterRef + '-') && self.expect.primary.substring(size(self.dbclusterRef) + 1).matches('^[0-5]$'))",message="expect.primary must be an instance of the DBCluster: the name in dbclusterRef, a hyphen and a number from 0 to 5, for example orders-0"
type OperationSpec struct {
	// DBClusterRef is the name of the DBCluster, in the same namespace.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=46
	DBClusterRef string `json:"dbclusterRef"`

	// NewPrimary is the Pod of the instance that is to become the primary, for example orders-1. By default it is the one
	// that is suited best.
	//
	// +kubebuilder:validation:MaxLength=63
	// +optional
	NewPrimary string `json:"newPrimary,omitempty"`

	// RequestedAt is when you ask for it: the time now, or the time at which it is to be done. A cluster that was born
	// later, or has lost the record of what it did until then, skips it, so that a platform that is built again from Git
	// repeats nothing.
	RequestedAt metav1.Time `json:"requestedAt"`

	// ValidUntil is when it is not to be begun any more. By default an hour after RequestedAt; 7 days after it at most.
	//
	// +optional
	ValidUntil *metav1.Time `json:"validUntil,omitempty"`

	// Expect is what must be so when it begins. It is rejected otherwise.
	//
	// +optional
	Expect *ExpectSpec `json:"expect,omitempty"`

	// Acknowledged says that somebody has seen that it failed or was rejected. It is then no longer reported as stalled, so
	// that a GitOps tool turns green again.
	//
	// +kubebuilder:default=false
	// +optional
	Acknowledged bool `json:"acknowledged,omitempty"`
}

// ExpectSpec is what must be so when an operation begins.
type ExpectSpec struct {
	// Primary is the Pod that must be the primary, for example orders-0: the one that you looked at when you decided.
	//
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Primary string `json:"primary,omitempty"`
}

// OperationPhase is how far an operation is.
//
// +kubebuilder:validation:Enum=Pending;InProgress;Succeeded;Failed;Skipped;Expired;Rejected
type OperationPhase string

// Phases of an operation. All but the first two are final.
const (
	// OperationPending: it waits; the message says for what.
	OperationPending OperationPhase = "Pending"

	// OperationInProgress: it was begun.
	OperationInProgress OperationPhase = "InProgress"

	// OperationSucceeded: it was done, and the database confirms it.
	OperationSucceeded OperationPhase = "Succeeded"

	// OperationFailed: it was begun and did not do what was asked for; the message says what is so now.
	OperationFailed OperationPhase = "Failed"

	// OperationSkipped: it was asked for before the cluster was born, so it was for another one.
	OperationSkipped OperationPhase = "Skipped"

	// OperationExpired: it could not be begun in time, and nothing was done.
	OperationExpired OperationPhase = "Expired"

	// OperationRejected: it must not be done, and nothing was done; the message says why.
	OperationRejected OperationPhase = "Rejected"
)

// Final says whether the operation will not get any further.
func (p OperationPhase) Final() bool {
	return p != "" && p != OperationPending && p != OperationInProgress
}

// OperationStatus is what an operation has done. It is a cache of the cluster's own record (its ledger).
type OperationStatus struct {
	// Phase is how far it is.
	//
	// +optional
	Phase OperationPhase `json:"phase,omitempty"`

	// Reason is why it is in that phase, in one word, for example OutcomeUnknown.
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

	// StartedAt is when it was begun.
	//
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`

	// FinishedAt is when it came to its end.
	//
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`

	// OldPrimary is the Pod that was the primary before.
	//
	// +optional
	OldPrimary string `json:"oldPrimary,omitempty"`

	// NewPrimary is the Pod that is the primary since.
	//
	// +optional
	NewPrimary string `json:"newPrimary,omitempty"`

	// TimelineBefore is the timeline that the old primary wrote.
	//
	// +optional
	TimelineBefore int `json:"timelineBefore,omitempty"`

	// TimelineAfter is the timeline that the new primary writes.
	//
	// +optional
	TimelineAfter int `json:"timelineAfter,omitempty"`

	// WritePause is how long no write was acknowledged to a client of the cluster's rw Service, for example 1.2s. The
	// operation writes there all the time to measure it.
	//
	// +optional
	WritePause string `json:"writePause,omitempty"`

	// DataLoss says how much of what was acknowledged is lost, for example none.
	//
	// +optional
	DataLoss string `json:"dataLoss,omitempty"`

	// Conditions of the operation.
	//
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
