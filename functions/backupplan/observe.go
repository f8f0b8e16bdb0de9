package backupplan

import (
	"encoding/json"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
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
)

// Facts are what is seen.
type facts struct {
	// Repository is what the Secret of the repository holds. Nil when it was not observed. Wanted says that an earlier call
	// returned it: it may be there though it is not observed.
	Repository map[string][]byte
	Wanted     bool

	// Granted says that the Role is there, without which its RoleBinding is refused.
	Granted bool

	// Bucket is what the bucket of the location says of itself.
	Bucket bucketState

	// Rival is another BackupPlan that the DBCluster has. Empty when there is none.
	Rival string

	Credentials compose.Lookup
	Trust       compose.Lookup
	Passphrase  compose.Lookup

	// ClusterAnswered says that the DBCluster was looked up, ClusterFound that it exists, and Stopped that it is to be stopped.
	ClusterAnswered bool
	ClusterFound    bool
	Stopped         bool

	// Archive is what the primary says about archiving. Nil when there is none, or it says nothing.
	Archive   *instance.Archive
	Incidents []instance.Incident

	// Inventory is what is in the repository. Nil when nobody has said.
	Inventory *instance.Inventory

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
		Granted:     in.Observed[naming.ObjectRole] != nil,
		Bucket:      observeBucket(in.Observed[naming.ObjectBucket(r.Repository.ID())]),
		Credentials: compose.LookUpSecret(in, requiredCredentials),
		Trust:       compose.LookUpSecret(in, requiredTrust),
		Passphrase:  compose.LookUpSecret(in, requiredPassphrase),
		Inventory:   observeInventory(in.Observed[naming.ObjectInventory]),
		Conditions:  compose.ObserveConditions(in.Composite),
	}
	for _, secret := range in.Required[requiredRepository] {
		if plan := secret.GetLabels()[naming.LabelBackupPlan]; plan != r.Plan {
			f.Rival = plan
		}
	}
	var found []*unstructured.Unstructured
	found, f.ClusterAnswered = in.Required[requiredCluster]
	for _, cluster := range found {
		f.ClusterFound = true
		f.Stopped, _, _ = unstructured.NestedBool(cluster.Object, "spec", "primarySpec", "isStopped")
	}
	for _, reports := range in.Required[requiredReports] {
		data, _, _ := unstructured.NestedMap(reports.Object, "data")
		if _, primary, ok := instance.Primary(instance.ParseReports(data)); ok {
			f.Archive, f.Incidents = primary.Archive, primary.Incidents
		}
	}
	return f
}

func observeBucket(bucket *unstructured.Unstructured) bucketState {
	if bucket == nil {
		return bucketState{}
	}
	told := compose.ObserveConditions(bucket)
	state := bucketState{Ready: told["Ready"].Status == string(compose.True)}
	if synced := told["Synced"]; synced.Status == string(compose.False) {
		state.Problem = synced.Message
	}
	return state
}

// refersToSecret says whether the composite lists a Secret among its objects.
func refersToSecret(xr *unstructured.Unstructured) bool {
	refs, _, _ := unstructured.NestedSlice(xr.Object, "spec", "resourceRefs")
	return slices.ContainsFunc(refs, func(ref any) bool {
		r, ok := ref.(map[string]any)
		return ok && r["kind"] == "Secret"
	})
}

// observeInventory returns nil for what cannot be read.
func observeInventory(configMap *unstructured.Unstructured) *instance.Inventory {
	if configMap == nil {
		return nil
	}
	text, _, _ := unstructured.NestedString(configMap.Object, "data", instance.InventoryKey)
	inventory := &instance.Inventory{}
	if err := json.Unmarshal([]byte(text), inventory); err != nil {
		return nil
	}
	return inventory
}
