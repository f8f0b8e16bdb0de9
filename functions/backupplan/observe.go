package backupplan

import (
	"encoding/json"
	"slices"

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

func observe(in compose.Input, r request) facts {
	f := facts{
		Repository:  compose.SecretData(in.Observed[naming.ObjectRepository]),
		Wanted:      refersToSecret(in.Composite),
		Granted:     in.Observed[naming.ObjectRole] != nil,
		Credentials: compose.LookUpSecret(in, requiredCredentials),
		Trust:       compose.LookUpSecret(in, requiredTrust),
		Passphrase:  compose.LookUpSecret(in, requiredPassphrase),
		Inventory:   observeInventory(in.Observed[naming.ObjectInventory]),
		Conditions:  compose.ObserveConditions(in.Composite),
	}
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
	}
	for _, reports := range in.Required[requiredReports] {
		if _, primary, ok := instance.Primary(instance.ParseReports(reports.Texts("data"))); ok {
			f.Archive, f.Incidents = primary.Archive, primary.Incidents
		}
	}
	return f
}

// refersToSecret says whether the composite lists a Secret among its objects.
func refersToSecret(xr *compose.Resource) bool {
	return slices.ContainsFunc(xr.Objects("spec", "resourceRefs"), func(ref *compose.Resource) bool { return ref.Text("kind") == "Secret" })
}

// observeInventory returns nil for what cannot be read.
func observeInventory(configMap *compose.Resource) *instance.Inventory {
	if configMap == nil {
		return nil
	}
	text := configMap.Text("data", instance.InventoryKey)
	inventory := &instance.Inventory{}
	if err := json.Unmarshal([]byte(text), inventory); err != nil {
		return nil
	}
	return inventory
}
