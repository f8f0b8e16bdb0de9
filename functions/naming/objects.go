package naming

// Names of a DBCluster's composed resources, by which Crossplane knows them. They never change: an object under another
// name is another object, and the one under the old name is deleted.
const (
	ObjectAuthority           = "authority-1"
	ObjectCredentials         = "credentials-1"
	ObjectCertificate         = "certificate"
	ObjectAdmin               = "admin"
	ObjectConnection          = "connection"
	ObjectConfig              = "config"
	ObjectReports             = "reports"
	ObjectServiceAccount      = "service-account"
	ObjectRole                = "role"
	ObjectRoleBinding         = "role-binding"
	ObjectReadWrite           = "service-rw"
	ObjectReadOnly            = "service-ro"
	ObjectPods                = "service-pods"
	ObjectPodDisruptionBudget = "pod-disruption-budget"
	ObjectNetworkPolicy       = "network-policy"
	ObjectStatefulSet         = "stateful-set"

	// PrefixUsage begins the names of all Usages.
	PrefixUsage = "usage-"

	ObjectUsageOfClaim      = "usage-claim"
	ObjectUsageOfComposite  = "usage-composite"
	ObjectUsageOfNamespace  = "usage-namespace"
	ObjectUsageOfClaims     = "usage-claims"
	ObjectUsageOfComposites = "usage-composites"
	ObjectUsageOfDefinition = "usage-definition"
)

// Names of an operation's composed resources beside those it shares with a DBCluster.
const (
	ObjectReport = "report"
	ObjectJob    = "job"
)

// ObjectBackupCertificate is the name of the composed resource that a DBCluster has beside the others while it has a BackupPlan.
const ObjectBackupCertificate = "backup-certificate"

// ObjectSource is the name of the composed resource that a DBCluster has while it is restored from what another namespace grants.
const ObjectSource = "source"

// Names of a BackupPlan's composed resources beside those it shares with a DBCluster.
const (
	ObjectRepository = "repository"
	ObjectInventory  = "inventory"
	ObjectLock       = "lock"
)

// ObjectGrant is the name of the composed resource by which a BackupPlan lets a namespace restore from its backups.
func ObjectGrant(namespace string) string { return "grant-" + namespace }

// PrefixVerification begins the names of what a BackupPlan's verification has while it is due: a Job, and what a Job has.
const PrefixVerification = "verification-"

// ObjectBucket is the name of the composed resource that is the bucket of a location, ObjectStore of what says how to get in. Another
// location has others: a bucket's managed resource never comes to be about another bucket.
func ObjectBucket(location string) string { return "bucket-" + location }

// ObjectStore is the name of the composed resource that says how to get into the store of a location.
func ObjectStore(location string) string { return "store-" + location }
