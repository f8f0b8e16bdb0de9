package operation

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	applybatchv1 "k8s.io/client-go/applyconfigurations/batch/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	applyrbacv1 "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/functions/patroni"
	"github.com/xdbcluster/xdbcluster/functions/pods"
)

const (
	// attempts is how often a Job's Pod is started again: it does only what the ledger does not know yet.
	attempts = 20

	// lostAfterSeconds is how soon a Job's Pod is replaced whose node does not answer: operations are asked for when nodes
	// are lost.
	lostAfterSeconds = 10
)

// objects returns every object that an operation is to have.
func objects(o request, seen facts, p plan) (map[string]compose.Object, error) {
	shapes := map[string]any{naming.ObjectReport: reportConfigMap(o)}
	if p.Rights {
		shapes[naming.ObjectServiceAccount] = serviceAccount(o)
		shapes[naming.ObjectRole] = role(o)
	}
	if p.Rights && seen.Granted {
		shapes[naming.ObjectRoleBinding] = roleBinding(o)
	}
	contents := make(map[string]compose.Object, len(shapes)+1)
	for name, shape := range shapes {
		content, err := compose.Content(shape)
		if err != nil {
			return nil, fmt.Errorf("cannot shape object %q: %w", name, err)
		}
		contents[name] = compose.Object{Content: content, Ready: true}
	}
	if !p.Job {
		return contents, nil
	}
	content, err := jobContent(o, seen)
	if err != nil {
		return nil, fmt.Errorf("cannot shape object %q: %w", naming.ObjectJob, err)
	}
	contents[naming.ObjectJob] = compose.Object{Content: content, Ready: true}
	return contents, nil
}

// reportConfigMap has no data here: the Job writes it.
func reportConfigMap(o request) *applycorev1.ConfigMapApplyConfiguration {
	return applycorev1.ConfigMap(o.Objects(), o.Namespace).WithLabels(o.Labels())
}

func serviceAccount(o request) *applycorev1.ServiceAccountApplyConfiguration {
	return applycorev1.ServiceAccount(o.Objects(), o.Namespace).WithLabels(o.Labels()).WithAutomountServiceAccountToken(false)
}

func role(o request) *applyrbacv1.RoleApplyConfiguration {
	rule := func(verbs []string, names ...string) *applyrbacv1.PolicyRuleApplyConfiguration {
		return applyrbacv1.PolicyRule().WithAPIGroups("").WithResources("configmaps").WithVerbs(verbs...).WithResourceNames(names...)
	}
	return applyrbacv1.Role(o.Objects(), o.Namespace).WithLabels(o.Labels()).WithRules(
		rule([]string{"get", "update", "patch"}, o.Cluster.Ledger(), o.Objects()),
		// Who holds the leader lock and who has every commit; and a request to Patroni that came to nothing is taken back.
		// Where standbys do not take over by themselves, whoever is to take over is named in the former.
		rule([]string{"get"}, o.Cluster.PatroniSync(), o.Cluster.PatroniConfig()),
		rule([]string{"get", "patch"}, o.Cluster.PatroniLeader(), o.Cluster.PatroniFailover()),
	)
}

func roleBinding(o request) *applyrbacv1.RoleBindingApplyConfiguration {
	return applyrbacv1.RoleBinding(o.Objects(), o.Namespace).
		WithLabels(o.Labels()).
		WithRoleRef(applyrbacv1.RoleRef().WithAPIGroup("rbac.authorization.k8s.io").WithKind("Role").WithName(o.Objects())).
		WithSubjects(applyrbacv1.Subject().WithKind("ServiceAccount").WithName(o.Objects()).WithNamespace(o.Namespace))
}

// jobContent returns the Job as it is, once there is one: its template cannot change, and the cluster's image may.
func jobContent(o request, seen facts) (map[string]any, error) {
	if seen.Job != nil {
		spec, _, err := unstructured.NestedMap(seen.Job.Object, "spec")
		if err != nil {
			return nil, fmt.Errorf("cannot read the Job: %w", err)
		}
		return map[string]any{
			"apiVersion": "batch/v1", "kind": "Job",
			"metadata": map[string]any{"name": o.Objects(), "namespace": o.Namespace, "labels": anyMap(o.Labels())},
			"spec":     spec,
		}, nil
	}
	job, err := job(o, *seen.Instances)
	if err != nil {
		return nil, err
	}
	return compose.Content(job)
}

func job(o request, from instances) (*applybatchv1.JobApplyConfiguration, error) {
	task, err := json.Marshal(o.Task)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the operation: %w", err)
	}
	container := pods.Container("operate", from.Image).
		WithCommand(pods.Agent, "operate").
		WithEnv(pods.Environment()...).
		WithEnv(applycorev1.EnvVar().WithName(instance.EnvOperation).WithValue(string(task))).
		WithResources(pods.Resources("10m", "32Mi", "128Mi")).
		WithVolumeMounts(
			pods.Mount(pods.VolumeTLS, instance.FolderTLS).WithReadOnly(true),
			pods.Mount(pods.VolumeCredentials, instance.FolderCredentials).WithReadOnly(true),
			pods.TokenMount(),
		)
	lost := func(taint string) *applycorev1.TolerationApplyConfiguration {
		return applycorev1.Toleration().WithKey(taint).WithOperator(corev1.TolerationOpExists).
			WithEffect(corev1.TaintEffectNoExecute).WithTolerationSeconds(lostAfterSeconds)
	}
	spec := pods.Spec(o.Objects()).
		WithRestartPolicy(corev1.RestartPolicyOnFailure).
		WithAffinity(awayFromPrimary(o.Cluster)).
		WithTolerations(lost(corev1.TaintNodeNotReady), lost(corev1.TaintNodeUnreachable)).
		WithContainers(container).
		WithVolumes(
			pods.SecretVolume(pods.VolumeTLS, from.Certificate, instance.KeyAuthority,
				instance.KeyInternalAuthority, instance.KeyInternalCertificate, instance.KeyInternalPrivateKey),
			pods.SecretVolume(pods.VolumeCredentials, from.Credentials, instance.KeyRewindPassword),
			pods.TokenVolume(),
		)
	labels := o.Labels()
	labels[naming.LabelOperation] = o.Cluster.Name
	return applybatchv1.Job(o.Objects(), o.Namespace).
		WithLabels(o.Labels()).
		WithSpec(applybatchv1.JobSpec().
			WithBackoffLimit(attempts).
			WithTemplate(applycorev1.PodTemplateSpec().WithLabels(labels).WithSpec(spec))), nil
}

// awayFromPrimary prefers another node than the primary's: a Failover may be asked for because that is lost, and it takes
// Kubernetes most of a minute to notice.
func awayFromPrimary(c naming.Cluster) *applycorev1.AffinityApplyConfiguration {
	primary := applymetav1.LabelSelector().WithMatchLabels(c.Selector()).WithMatchExpressions(
		applymetav1.LabelSelectorRequirement().WithKey(naming.LabelRole).WithOperator(metav1.LabelSelectorOpIn).WithValues(patroni.PrimaryLabels()...))
	return applycorev1.Affinity().WithPodAntiAffinity(applycorev1.PodAntiAffinity().
		WithPreferredDuringSchedulingIgnoredDuringExecution(applycorev1.WeightedPodAffinityTerm().
			WithWeight(100).
			WithPodAffinityTerm(applycorev1.PodAffinityTerm().WithTopologyKey(corev1.LabelHostname).WithLabelSelector(primary))))
}

func anyMap(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
