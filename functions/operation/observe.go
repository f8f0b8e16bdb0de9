package operation

import (
	"encoding/json"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/functions/pods"
)

// requiredInstances is the name under which the cluster's StatefulSet is asked for.
const requiredInstances = "instances"

// Facts are what is seen.
type facts struct {
	// Report is what the Job says. Nil before it said anything.
	Report *instance.OperationReport

	// Job as it is, when it was made, and whether it has given up. Nil when there is none.
	Job        *unstructured.Unstructured
	JobCreated time.Time
	JobFailed  bool

	// Permitted says that the Job's rights are there.
	Permitted bool

	// Granted says that the Role is there, without which its RoleBinding is refused.
	Granted bool

	// Instances are what the Job takes from the cluster. Answered says that they were looked up.
	Answered  bool
	Instances *instances

	// Phase that the status shows now.
	Phase v1alpha1.OperationPhase
}

// Instances are the parts of a cluster's StatefulSet that a Job uses, so that it runs what the instances run.
type instances struct {
	Image       string
	Certificate string // The name of a Secret.
	Credentials string // The name of a Secret.
}

func observe(in compose.Input) facts {
	found, answered := in.Required[requiredInstances]
	job := in.Observed[naming.ObjectJob]
	phase, _, _ := unstructured.NestedString(in.Composite.Object, "status", "phase")
	f := facts{
		Report:    observeReport(in.Observed[naming.ObjectReport]),
		Job:       job,
		JobFailed: hasFailed(job),
		Granted:   in.Observed[naming.ObjectRole] != nil,
		Permitted: in.Observed[naming.ObjectServiceAccount] != nil && in.Observed[naming.ObjectRoleBinding] != nil,
		Answered:  answered,
		Phase:     v1alpha1.OperationPhase(phase),
	}
	if job != nil {
		f.JobCreated = job.GetCreationTimestamp().Time
	}
	if len(found) > 0 {
		f.Instances = observeInstances(found[0])
	}
	return f
}

// observeReport returns what the Job says. What cannot be read says nothing.
func observeReport(configMap *unstructured.Unstructured) *instance.OperationReport {
	if configMap == nil {
		return nil
	}
	text, _, _ := unstructured.NestedString(configMap.Object, "data", instance.OperationKey)
	report := &instance.OperationReport{}
	if err := json.Unmarshal([]byte(text), report); err != nil || report.Phase == "" {
		return nil
	}
	return report
}

func hasFailed(job *unstructured.Unstructured) bool {
	if job == nil {
		return false
	}
	conditions, _, _ := unstructured.NestedSlice(job.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(item any) bool {
		c, ok := item.(map[string]any)
		return ok && c["type"] == "Failed" && c["status"] == "True"
	})
}

// observeInstances returns nil when the StatefulSet is not one of ours.
func observeInstances(set *unstructured.Unstructured) *instances {
	i := &instances{}
	path := []string{"spec", "template", "spec"}
	containers, _, _ := unstructured.NestedSlice(set.Object, append(path, "containers")...)
	for _, item := range containers {
		if c, ok := item.(map[string]any); ok && c["name"] == pods.ContainerDatabase {
			i.Image, _ = c["image"].(string)
		}
	}
	volumes, _, _ := unstructured.NestedSlice(set.Object, append(path, "volumes")...)
	for _, item := range volumes {
		v, ok := item.(map[string]any)
		if !ok {
			continue
		}
		secret, _, _ := unstructured.NestedString(v, "secret", "secretName")
		switch v["name"] {
		case pods.VolumeTLS:
			i.Certificate = secret
		case pods.VolumeCredentials:
			i.Credentials = secret
		}
	}
	if i.Image == "" || i.Certificate == "" || i.Credentials == "" {
		return nil
	}
	return i
}
