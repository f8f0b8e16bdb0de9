package backupplan

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/jobs"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// Names of the resources that are looked up.
const (
	requiredCredentials = "credentials"
	requiredTrust       = "trust"
	requiredPassphrase  = "passphrase"
	requiredRepository  = "repository"
	requiredCluster     = "cluster"
	requiredReports     = "reports"
	requiredInstances   = "instances"
)

// Facts are what is seen.
type facts struct {
	// Repository is what the Secret of the repository holds. Nil when it was not observed. Wanted says that an earlier call
	// returned it: it may be there though it is not observed.
	Repository map[string][]byte
	Wanted     bool

	// RoleThere says that the Role is there, without which its RoleBinding is refused.
	RoleThere bool

	// Bucket is what the bucket of the location says of itself.
	Bucket bucketState

	// Rival is another BackupPlan that the DBCluster has. Empty when there is none.
	Rival string

	Credentials compose.Lookup
	Trust       compose.Lookup
	Passphrase  compose.Lookup

	// Grants are what other namespaces were given, by namespace, and what is known about what they are to be given.
	Grants map[string]grantFacts

	// ClusterAnswered says that the DBCluster was looked up, ClusterFound that it exists, and Stopped that it is to be stopped.
	ClusterAnswered bool
	ClusterFound    bool
	Stopped         bool

	// Archive is what the primary says about archiving. Nil when there is none, or it says nothing.
	Archive   *instance.Archive
	Incidents []instance.Incident

	// Inventory is what is in the repository. Nil when nobody has said.
	Inventory *instance.Inventory

	// Verifications are what came of trying backups, and Schedule is what the instances remember of the plan's schedules.
	Verifications instance.Verifications
	Schedule      instance.Schedule

	// Trial is what is seen of the Job that tries a backup, and Task what it was made for.
	Trial jobs.Seen
	Task  instance.VerificationTask

	// Instances are what that Job takes from the cluster. Nil when there are none. Version and Disk are the database's.
	Instances *jobs.Instances
	Version   string
	Disk      v1alpha1.DiskSpec

	// Conditions that the composite has now, by type. Nothing is decided by them.
	Conditions map[string]compose.ObservedCondition
}

// A bucketState is what a managed bucket says of itself.
type bucketState struct {
	// Ready says that it is in the store.
	Ready bool

	// Problem is what the provider says is wrong with it. Empty when nothing is.
	Problem string
}

func observe(in compose.Input, r request) facts {
	f := facts{
		Repository:  compose.SecretData(in.Observed[naming.ObjectRepository]),
		Wanted:      refersToSecret(in.Composite),
		RoleThere:   in.Observed[naming.ObjectRole] != nil,
		Bucket:      observeBucket(in.Observed[naming.ObjectBucket(r.Repository.ID())]),
		Credentials: compose.LookUpSecret(in, requiredCredentials),
		Trust:       compose.LookUpSecret(in, requiredTrust),
		Passphrase:  compose.LookUpSecret(in, requiredPassphrase),
		Grants:      observeGrants(in, r),
		Inventory:   &instance.Inventory{},
		Trial:       jobs.Observe(observeTrial(in)),
		Conditions:  compose.ObserveConditions(in.Composite),
	}
	if !parse(in.Observed[naming.ObjectInventory], instance.InventoryKey, f.Inventory) {
		f.Inventory = nil
	}
	if !parse(in.Observed[naming.ObjectInventory], instance.VerificationKey, &f.Verifications) {
		f.Verifications = instance.Verifications{}
	}
	if !parse(in.Observed[naming.ObjectInventory], instance.ScheduleKey, &f.Schedule) {
		f.Schedule = instance.Schedule{}
	}
	f.Task = observeTask(f.Trial.Job)
	for _, secret := range in.Required[requiredRepository] {
		if plan := secret.Text("metadata", "labels", naming.LabelBackupPlan); plan != r.Plan {
			f.Rival = plan
		}
	}
	var found []*compose.Resource
	found, f.ClusterAnswered = in.Required[requiredCluster]
	for _, cluster := range found {
		f.ClusterFound = true
		f.Stopped = cluster.True("spec", "primarySpec", "isStopped")
		f.Version, f.Disk = observeDatabase(cluster)
	}
	for _, set := range in.Required[requiredInstances] {
		f.Instances = jobs.ObserveInstances(set)
	}
	for _, reports := range in.Required[requiredReports] {
		if _, primary, ok := instance.Primary(instance.ParseReports(reports.Texts("data"))); ok {
			f.Archive, f.Incidents = primary.Archive, primary.Incidents
		}
	}
	return f
}

func observeBucket(bucket *compose.Resource) bucketState {
	told := compose.ObserveConditions(bucket)
	state := bucketState{Ready: told["Ready"].Status == string(compose.True)}
	if synced := told["Synced"]; synced.Status == string(compose.False) {
		state.Problem = synced.Message
	}
	return state
}

// refersToSecret says whether the composite lists a Secret among its objects.
func refersToSecret(xr *compose.Resource) bool {
	return slices.ContainsFunc(xr.Objects("spec", "resourceRefs"), func(ref *compose.Resource) bool { return ref.Text("kind") == "Secret" })
}

// parse reads a key of a ConfigMap. It says no when it is not there or cannot be read.
func parse(configMap *compose.Resource, key string, into any) bool {
	return json.Unmarshal([]byte(configMap.Text("data", key)), into) == nil
}

// observeTrial is an input with the objects of the Job that tries a backup, by the names that a Job's objects have.
func observeTrial(in compose.Input) compose.Input {
	of := compose.Input{Observed: map[string]*compose.Resource{}}
	for name, object := range in.Observed {
		if short, ok := strings.CutPrefix(name, naming.PrefixVerification); ok {
			of.Observed[short] = object
		}
	}
	return of
}

// observeTask returns what a Job was made for. What cannot be read was made for nothing.
func observeTask(job *compose.Resource) instance.VerificationTask {
	for _, container := range job.Objects("spec", "template", "spec", "containers") {
		for _, variable := range container.Objects("env") {
			task := instance.VerificationTask{}
			if variable.Text("name") == instance.EnvVerification && json.Unmarshal([]byte(variable.Text("value")), &task) == nil {
				return task
			}
		}
	}
	return instance.VerificationTask{}
}

// observeDatabase returns the version of a DBCluster and its data disk. What cannot be read is empty.
func observeDatabase(cluster *compose.Resource) (string, v1alpha1.DiskSpec) {
	spec := v1alpha1.DBClusterSpec{}
	if compose.Spec(cluster).Decode(&spec) != nil {
		return "", v1alpha1.DiskSpec{}
	}
	for _, disk := range spec.PrimarySpec.Resources.Disks {
		if disk.Name == v1alpha1.DataDisk {
			return string(spec.PrimarySpec.Version), disk
		}
	}
	return string(spec.PrimarySpec.Version), v1alpha1.DiskSpec{}
}
