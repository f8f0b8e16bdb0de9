package backup

import (
	"encoding/json"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/jobs"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// Names of the resources that are looked up.
const (
	requiredInstances   = "instances"
	requiredPlan        = "plan"
	requiredCertificate = "certificate"
	requiredInventory   = "inventory"
)

// Facts are what is seen.
type facts struct {
	jobs.Seen

	// Report is what the Job says. Nil before it said anything.
	Report *instance.BackupReport

	// Verification is what came of trying the backup. Nil when it was not tried.
	Verification *instance.BackupVerification

	// Instances are what the Job takes from the cluster. Nil when there are none. Stopped says that there are to be none.
	Instances *jobs.Instances
	Stopped   bool

	// PlanCluster is the DBCluster of the BackupPlan. Empty when there is no such plan. PlanAnswered says that it was looked up.
	PlanCluster  string
	PlanAnswered bool

	// Certificate says that there is the one by which the instances know the Job.
	Certificate bool

	// Stored says that the backup is in the repository, as far as is known. Nil when nobody has said.
	Stored map[string]bool

	// Phase that the status shows now.
	Phase v1alpha1.BackupPhase
}

func observe(in compose.Input) facts {
	phase := in.Composite.Text("status", "phase")
	f := facts{
		Seen:        jobs.Observe(in),
		Report:      observeReport(in.Observed[naming.ObjectReport]),
		Certificate: len(in.Required[requiredCertificate]) > 0,
		Phase:       v1alpha1.BackupPhase(phase),

		Verification: observeVerification(in.Observed[naming.ObjectReport]),
	}
	for _, set := range in.Required[requiredInstances] {
		f.Instances = jobs.ObserveInstances(set)
		f.Stopped = set.Has("spec", "replicas") && set.Number("spec", "replicas") == 0
	}
	plans, answered := in.Required[requiredPlan]
	f.PlanAnswered = answered
	for _, plan := range plans {
		f.PlanCluster = plan.Text("spec", "dbclusterRef")
	}
	for _, inventory := range in.Required[requiredInventory] {
		f.Stored = observeInventory(inventory)
	}
	return f
}

// observeReport returns what the Job says. What cannot be read says nothing.
func observeReport(configMap *compose.Resource) *instance.BackupReport {
	report := &instance.BackupReport{}
	if err := json.Unmarshal([]byte(configMap.Text("data", instance.BackupKey)), report); err != nil || report.Phase == "" {
		return nil
	}
	return report
}

// observeVerification returns what a verification says. What cannot be read says nothing.
func observeVerification(configMap *compose.Resource) *instance.BackupVerification {
	v := &instance.BackupVerification{}
	if err := json.Unmarshal([]byte(configMap.Text("data", instance.VerificationKey)), v); err != nil || v.Result == "" {
		return nil
	}
	return v
}

// observeInventory returns the labels of the backups that there are. Nil when it cannot be read.
func observeInventory(configMap *compose.Resource) map[string]bool {
	text := configMap.Text("data", instance.InventoryKey)
	inventory := instance.Inventory{}
	if err := json.Unmarshal([]byte(text), &inventory); err != nil {
		return nil
	}
	stored := make(map[string]bool, len(inventory.Backups))
	for _, b := range inventory.Backups {
		stored[b.Label] = true
	}
	return stored
}
