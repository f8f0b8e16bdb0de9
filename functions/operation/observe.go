package operation

import (
	"encoding/json"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/jobs"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// requiredInstances is the name under which the cluster's StatefulSet is asked for.
const requiredInstances = "instances"

// Facts are what is seen.
type facts struct {
	// Report is what the Job says. Nil before it said anything.
	Report *instance.OperationReport

	jobs.Seen

	// Instances are what the Job takes from the cluster. Answered says that they were looked up.
	Answered  bool
	Instances *jobs.Instances

	// Phase that the status shows now.
	Phase v1alpha1.OperationPhase
}

func observe(in compose.Input) facts {
	found, answered := in.Required[requiredInstances]
	phase := in.Composite.Text("status", "phase")
	f := facts{
		Seen:     jobs.Observe(in),
		Report:   observeReport(in.Observed[naming.ObjectReport]),
		Answered: answered,
		Phase:    v1alpha1.OperationPhase(phase),
	}
	if len(found) > 0 {
		f.Instances = jobs.ObserveInstances(found[0])
	}
	return f
}

// observeReport returns what the Job says. What cannot be read says nothing.
func observeReport(configMap *compose.Resource) *instance.OperationReport {
	if configMap == nil {
		return nil
	}
	text := configMap.Text("data", instance.OperationKey)
	report := &instance.OperationReport{}
	if err := json.Unmarshal([]byte(text), report); err != nil || report.Phase == "" {
		return nil
	}
	return report
}
