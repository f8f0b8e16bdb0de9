package v1alpha1

// Types of conditions. Ready and Synced are Crossplane's own. Reconciling and Stalled are kstatus's: they are how Flux,
// Argo and kubectl see that a change is on its way or can go no further.
const (
	// ConditionReconciling is True while the spec is being carried out.
	ConditionReconciling = "Reconciling"

	// ConditionStalled is True when the spec cannot be carried out before somebody does what the message says.
	ConditionStalled = "Stalled"

	// ConditionCredentialsReady is True when there is an administrator's password.
	ConditionCredentialsReady = "CredentialsReady"

	// ConditionCertificateReady is True when there is a certificate that PostgreSQL can serve.
	ConditionCertificateReady = "CertificateReady"

	// ConditionParametersAccepted is True when the version of PostgreSQL can take every parameter. While it is False, the
	// last parameters that were accepted stay in force.
	ConditionParametersAccepted = "ParametersAccepted"

	// ConditionInstancesReady is True when every instance serves, or the cluster is stopped.
	ConditionInstancesReady = "InstancesReady"

	// ConditionDeletionProtected is True while the deletion of the cluster is refused.
	ConditionDeletionProtected = "DeletionProtected"
)

// Reasons of Reconciling and Stalled.
const (
	// ReasonProgressing: the rollout goes on; the message says what it waits for.
	ReasonProgressing = "Progressing"

	// ReasonRolledOut: the whole spec is in force.
	ReasonRolledOut = "RolledOut"

	// ReasonNotStalled: nothing needs a person.
	ReasonNotStalled = "NotStalled"
)

// Reasons of CredentialsReady.
const (
	// ReasonPasswordFromSecret: the password is the one in the Secret of passwordRef.
	ReasonPasswordFromSecret = "PasswordFromSecret"

	// ReasonNewlineTrimmed: as PasswordFromSecret, without the newline that the Secret has at its end.
	ReasonNewlineTrimmed = "NewlineTrimmed"

	// ReasonPasswordGenerated: there is no passwordRef, so a password was made.
	ReasonPasswordGenerated = "PasswordGenerated"

	// ReasonPasswordSecretMissing: the Secret of passwordRef does not exist.
	ReasonPasswordSecretMissing = "PasswordSecretMissing"

	// ReasonPasswordKeyMissing: the Secret of passwordRef lacks the key with the cluster's name.
	ReasonPasswordKeyMissing = "PasswordKeyMissing"

	// ReasonPasswordRefused: the password is empty or holds a character that no client can send.
	ReasonPasswordRefused = "PasswordRefused"

	// ReasonWaitingForCredentials: generated credentials are on their way.
	ReasonWaitingForCredentials = "WaitingForCredentials"
)

// Reasons of CertificateReady.
const (
	// ReasonIssued: the certificate is the cluster's own authority's.
	ReasonIssued = "Issued"

	// ReasonGiven: the certificate is the one in the Secret of tls.certSecret.
	ReasonGiven = "Given"

	// ReasonCertificateSecretMissing: the Secret of tls.certSecret does not exist.
	ReasonCertificateSecretMissing = "CertificateSecretMissing"

	// ReasonCertificateRefused: the certificate in the Secret of tls.certSecret cannot be served.
	ReasonCertificateRefused = "CertificateRefused"

	// ReasonWaitingForAuthority: the cluster's certificate authority is on its way.
	ReasonWaitingForAuthority = "WaitingForAuthority"
)

// Reasons of ParametersAccepted.
const (
	// ReasonAccepted: every parameter can be set.
	ReasonAccepted = "Accepted"

	// ReasonRefused: the message names every parameter that cannot be set, and why.
	ReasonRefused = "Refused"
)

// Reasons of InstancesReady.
const (
	// ReasonServing: every instance serves.
	ReasonServing = "Serving"

	// ReasonStopped: isStopped is set and no instance is left.
	ReasonStopped = "Stopped"

	// ReasonStopping: isStopped is set and some instance is left.
	ReasonStopping = "Stopping"

	// ReasonNotCreated: no instance was started yet.
	ReasonNotCreated = "NotCreated"

	// ReasonNotServing: some instance does not serve.
	ReasonNotServing = "NotServing"
)

// Reasons of DeletionProtected.
const (
	// ReasonProtected: every deletion is refused.
	ReasonProtected = "Protected"

	// ReasonProtecting: protection is on its way.
	ReasonProtecting = "Protecting"

	// ReasonUnprotected: the cluster can be deleted.
	ReasonUnprotected = "Unprotected"

	// ReasonUnprotecting: protection is being lifted. Wait before deleting the claim.
	ReasonUnprotecting = "Unprotecting"
)

// ReasonRefusedByKubernetes is that the API server does not take an object that the spec leads to.
const ReasonRefusedByKubernetes = "RefusedByKubernetes"

// ReasonOutcomeUnknown of an operation: it was begun, and what became of it cannot be told from the database.
const ReasonOutcomeUnknown = "OutcomeUnknown"

// ReasonOrphaned of a composite says that the claim has another composite resource than this one.
const ReasonOrphaned = "Orphaned"

// Types of conditions of BackupPlans.
const (
	// ConditionLocationAccepted is True when all is known that is needed to get into the store. While it is False, what was
	// accepted last stays in force.
	ConditionLocationAccepted = "LocationAccepted"

	// ConditionScheduleAccepted is True when the schedules can be kept. While it is False, those before stay in force.
	ConditionScheduleAccepted = "ScheduleAccepted"

	// ConditionArchiving is True while the store takes every WAL segment.
	ConditionArchiving = "Archiving"

	// ConditionBackedUp is True while there is a backup, and none is overdue.
	ConditionBackedUp = "BackedUp"

	// ConditionVerified is True while backups are tried on schedule, and the last one was found to be sound. It is Unknown where
	// they are not tried, or not yet.
	ConditionVerified = "Verified"

	// ConditionGrantsAccepted is True when every namespace in grants can restore from the backups.
	ConditionGrantsAccepted = "GrantsAccepted"

	// ConditionBucketReady is True when the bucket is there that the plan is to make, or the plan is to make none.
	ConditionBucketReady = "BucketReady"
)

// Reasons of LocationAccepted, beside ReasonAccepted.
const (
	// ReasonCredentialsMissing: a Secret that the claim names does not exist.
	ReasonCredentialsMissing = "CredentialsMissing"

	// ReasonCredentialsRefused: a Secret that the claim names lacks something, or holds what cannot be used.
	ReasonCredentialsRefused = "CredentialsRefused"

	// ReasonLocationRefused: the location itself cannot be used.
	ReasonLocationRefused = "LocationRefused"

	// ReasonOtherPlan: the DBCluster has another BackupPlan.
	ReasonOtherPlan = "OtherPlan"

	// ReasonWaitingForBucket: the instances are told of the location once its bucket is there.
	ReasonWaitingForBucket = "WaitingForBucket"
)

// Reasons of BucketReady.
const (
	// ReasonBucketGiven: createBucket is off, and the bucket is somebody else's to make.
	ReasonBucketGiven = "BucketGiven"

	// ReasonBucketReady: the bucket is there.
	ReasonBucketReady = "BucketReady"

	// ReasonBucketCreating: the bucket is on its way.
	ReasonBucketCreating = "BucketCreating"

	// ReasonBucketFails: the bucket cannot be made or seen; the message has what the provider says.
	ReasonBucketFails = "BucketFails"
)

// Reasons of Archiving.
const (
	// ReasonArchiving: the store takes every WAL segment.
	ReasonArchiving = "Archiving"

	// ReasonArchiveStarting: the store was not seen to work yet.
	ReasonArchiveStarting = "Starting"

	// ReasonArchivingFails: the store does not take WAL, which waits on the data volume.
	ReasonArchivingFails = "ArchivingFails"

	// ReasonRepositoryUnusable: the store was never seen to work.
	ReasonRepositoryUnusable = "RepositoryUnusable"

	// ReasonClusterMissing: there is no DBCluster of the name.
	ReasonClusterMissing = "ClusterMissing"

	// ReasonClusterStopped: the DBCluster is stopped.
	ReasonClusterStopped = "ClusterStopped"

	// ReasonNoPrimary: no instance of the DBCluster says that it is the primary.
	ReasonNoPrimary = "NoPrimary"
)

// Reasons of BackedUp.
const (
	// ReasonBackedUp: there is a backup, and none is overdue.
	ReasonBackedUp = "BackedUp"

	// ReasonNoBackup: there is no backup that could be restored.
	ReasonNoBackup = "NoBackup"

	// ReasonBackupOverdue: a backup was due, and is not there.
	ReasonBackupOverdue = "BackupOverdue"
)

// Reasons of Verified.
const (
	// ReasonVerified: the last backup that was tried was sound.
	ReasonVerified = "Verified"

	// ReasonNotScheduled: backups are not tried.
	ReasonNotScheduled = "NotScheduled"

	// ReasonNotVerified: no backup was tried yet.
	ReasonNotVerified = "NotVerified"

	// ReasonBackupDamaged: the last backup that was tried is damaged.
	ReasonBackupDamaged = "BackupDamaged"

	// ReasonVerificationFailed: a backup could not be tried.
	ReasonVerificationFailed = "VerificationFailed"

	// ReasonVerificationOverdue: a backup was to be tried, and was not.
	ReasonVerificationOverdue = "VerificationOverdue"
)
