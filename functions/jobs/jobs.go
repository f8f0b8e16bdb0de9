// Package jobs holds what claims have in common that a Job carries out once: the Job, the rights that it has until it has come
// to an end, and the ConfigMap that it reports in. The Job runs what the instances of the cluster run.
package jobs

import (
	"slices"
	"time"

	applybatchv1 "k8s.io/client-go/applyconfigurations/batch/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applyrbacv1 "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/functions/pods"
)

// Seen is what is seen of a Job and its rights.
type Seen struct {
	// Job as it is, when it was made, and whether it has given up. Nil when there is none.
	Job     *compose.Resource
	Created time.Time
	Failed  bool

	// Complete says that it has come to its end.
	Complete bool

	// Permitted says that the Job's rights are there.
	Permitted bool

	// Granted says that the Role is there, without which its RoleBinding is refused.
	Granted bool
}

// Observe returns what is seen.
func Observe(in compose.Input) Seen {
	s := Seen{
		Job:       in.Observed[naming.ObjectJob],
		Failed:    has(in.Observed[naming.ObjectJob], "Failed"),
		Complete:  has(in.Observed[naming.ObjectJob], "Complete"),
		Granted:   in.Observed[naming.ObjectRole] != nil,
		Permitted: in.Observed[naming.ObjectServiceAccount] != nil && in.Observed[naming.ObjectRoleBinding] != nil,
	}
	if s.Job != nil {
		s.Created = s.Job.Time("metadata", "creationTimestamp")
	}
	return s
}

// has says whether a condition of a Job is true.
func has(job *compose.Resource, condition string) bool {
	return slices.ContainsFunc(job.Objects("status", "conditions"), func(c *compose.Resource) bool {
		return c.Text("type") == condition && c.Text("status") == "True"
	})
}

// Instances are the parts of a cluster's StatefulSet that a Job uses, so that it runs what the instances run.
type Instances struct {
	Image       string
	Certificate string // The name of a Secret.
	Credentials string // The name of a Secret.

	// Incarnation is what Patroni's name for the cluster ends with.
	Incarnation string
}

// ObserveInstances returns nil when the StatefulSet is not one of ours.
func ObserveInstances(set *compose.Resource) *Instances {
	i := &Instances{Incarnation: instance.ParseIncarnation(set.Text("metadata", "annotations", naming.AnnotationIncarnation)).Scope()}
	pod := set.Object("spec", "template", "spec")
	for _, container := range pod.Objects("containers") {
		if container.Text("name") == pods.ContainerDatabase {
			i.Image = container.Text("image")
		}
	}
	for _, volume := range pod.Objects("volumes") {
		switch secret := volume.Text("secret", "secretName"); volume.Text("name") {
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

// Objects returns the desired form of a Job's surroundings: the ConfigMap that it reports in, which has no data here because
// the Job writes it, and its rights, as long as it is to have any.
func Objects(o naming.Operation, seen Seen, rights []*applyrbacv1.PolicyRuleApplyConfiguration) map[string]compose.Object {
	objects := map[string]compose.Object{
		naming.ObjectReport: ready(applycorev1.ConfigMap(o.Objects(), o.Namespace).WithLabels(o.Labels())),
	}
	if len(rights) > 0 {
		objects[naming.ObjectServiceAccount] = ready(applycorev1.ServiceAccount(o.Objects(), o.Namespace).
			WithLabels(o.Labels()).WithAutomountServiceAccountToken(false))
		objects[naming.ObjectRole] = ready(applyrbacv1.Role(o.Objects(), o.Namespace).WithLabels(o.Labels()).WithRules(rights...))
	}
	if len(rights) > 0 && seen.Granted {
		objects[naming.ObjectRoleBinding] = ready(roleBinding(o))
	}
	return objects
}

// ready returns an object that nothing waits for.
func ready(content any) compose.Object { return compose.Object{Content: content, Ready: true} }

func roleBinding(o naming.Operation) *applyrbacv1.RoleBindingApplyConfiguration {
	return applyrbacv1.RoleBinding(o.Objects(), o.Namespace).
		WithLabels(o.Labels()).
		WithRoleRef(applyrbacv1.RoleRef().WithAPIGroup("rbac.authorization.k8s.io").WithKind("Role").WithName(o.Objects())).
		WithSubjects(applyrbacv1.Subject().WithKind("ServiceAccount").WithName(o.Objects()).WithNamespace(o.Namespace))
}

// Existing returns the desired form of a Job that is there: as it is, because its template cannot change, and the cluster's
// image may.
func Existing(o naming.Operation, job *compose.Resource) compose.Object {
	return ready(map[string]any{
		"apiVersion": "batch/v1", "kind": "Job",
		"metadata": map[string]any{"name": o.Objects(), "namespace": o.Namespace, "labels": o.Labels()},
		"spec":     job.Object("spec"),
	})
}

// New returns the desired form of a Job that is to be made: its Pod, which may talk to the cluster's instances, is started
// again as often as attempts says.
func New(o naming.Operation, c naming.Cluster, attempts int32, spec *applycorev1.PodSpecApplyConfiguration) compose.Object {
	labels := o.Labels()
	labels[naming.LabelOperation] = c.Name
	return job(o, labels, attempts, spec)
}

// NewApart is New for a Pod that has nothing to do with the cluster's instances.
func NewApart(o naming.Operation, attempts int32, spec *applycorev1.PodSpecApplyConfiguration) compose.Object {
	return job(o, o.Labels(), attempts, spec)
}

func job(o naming.Operation, labels map[string]string, attempts int32, spec *applycorev1.PodSpecApplyConfiguration) compose.Object {
	return ready(applybatchv1.Job(o.Objects(), o.Namespace).
		WithLabels(o.Labels()).
		WithSpec(applybatchv1.JobSpec().
			WithBackoffLimit(attempts).
			WithTemplate(applycorev1.PodTemplateSpec().WithLabels(labels).WithSpec(spec))))
}

// Rule returns the right to do something with objects of the core group by their names.
func Rule(resource string, verbs []string, names ...string) *applyrbacv1.PolicyRuleApplyConfiguration {
	return applyrbacv1.PolicyRule().WithAPIGroups("").WithResources(resource).WithVerbs(verbs...).WithResourceNames(names...)
}
