package operation

import (
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	applyrbacv1 "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/jobs"
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
	var granted []*applyrbacv1.PolicyRuleApplyConfiguration
	if p.Rights {
		granted = rights(o)
	}
	contents := jobs.Objects(o.Operation, seen.Seen, granted)
	if !p.Job {
		return contents, nil
	}
	if seen.Job != nil {
		contents[naming.ObjectJob] = jobs.Existing(o.Operation, seen.Job)
		return contents, nil
	}
	spec, err := podSpec(o, *seen.Instances)
	if err != nil {
		return nil, err
	}
	contents[naming.ObjectJob] = jobs.New(o.Operation, o.Cluster, attempts, spec)
	return contents, nil
}

func rights(o request) []*applyrbacv1.PolicyRuleApplyConfiguration {
	ledger := jobs.Rule("configmaps", []string{"get", "update", "patch"}, o.Cluster.Ledger(), o.Objects())
	repository := applyrbacv1.PolicyRule().WithAPIGroups("coordination.k8s.io").WithResources("leases").
		WithVerbs("get", "update").WithResourceNames(o.Cluster.RepositoryLock())
	if o.Task.Clones() {
		claims := strings.ToLower(v1alpha1.KindDBCluster) + "s"
		return []*applyrbacv1.PolicyRuleApplyConfiguration{
			ledger,
			repository,
			applyrbacv1.PolicyRule().WithAPIGroups(v1alpha1.Group).WithResources(claims).WithVerbs("get").WithResourceNames(o.Cluster.Name, o.Task.Restore.Clone),
			// Names cannot limit what may be created.
			applyrbacv1.PolicyRule().WithAPIGroups(v1alpha1.Group).WithResources(claims).WithVerbs("create"),
		}
	}
	if o.Task.Restore != nil {
		return []*applyrbacv1.PolicyRuleApplyConfiguration{
			ledger,
			repository,
			jobs.Rule("configmaps", []string{"get"}, o.Cluster.Reports()),
		}
	}
	return []*applyrbacv1.PolicyRuleApplyConfiguration{
		ledger,
		// Who holds the leader lock and who has every commit; and a request to Patroni that came to nothing is taken back.
		// Where standbys do not take over by themselves, whoever is to take over is named in the former.
		jobs.Rule("configmaps", []string{"get"}, o.Cluster.PatroniSync(), o.Cluster.PatroniConfig()),
		jobs.Rule("configmaps", []string{"get", "patch"}, o.Cluster.PatroniLeader(), o.Cluster.PatroniFailover()),
	}
}

func podSpec(o request, from jobs.Instances) (*applycorev1.PodSpecApplyConfiguration, error) {
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
	spec := pods.Spec(o.Objects())
	if o.Task.Restore != nil {
		lookIntoRepository(spec, container, o.Cluster)
	}
	return spec.
		WithRestartPolicy(corev1.RestartPolicyOnFailure).
		WithAffinity(awayFromPrimary(o.Cluster)).
		WithTolerations(lost(corev1.TaintNodeNotReady), lost(corev1.TaintNodeUnreachable)).
		WithContainers(container).
		WithVolumes(
			pods.SecretVolume(pods.VolumeTLS, from.Certificate, instance.KeyAuthority,
				instance.KeyInternalAuthority, instance.KeyInternalCertificate, instance.KeyInternalPrivateKey),
			pods.SecretVolume(pods.VolumeCredentials, from.Credentials, instance.KeyRewindPassword),
			pods.TokenVolume(),
		), nil
}

// lookIntoRepository lets a Restore see what is there to be restored.
func lookIntoRepository(spec *applycorev1.PodSpecApplyConfiguration, container *applycorev1.ContainerApplyConfiguration, c naming.Cluster) {
	container.WithVolumeMounts(
		pods.Mount(pods.VolumeRepository, instance.FolderRepository).WithReadOnly(true),
		pods.Mount(pods.VolumeRun, instance.FolderRun),
		pods.Mount(pods.VolumeTmp, "/tmp"),
	)
	spec.WithVolumes(
		pods.OptionalSecretVolume(pods.VolumeRepository, c.Repository()),
		pods.MemoryVolume(pods.VolumeRun),
		pods.EmptyVolume(pods.VolumeTmp),
	)
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
