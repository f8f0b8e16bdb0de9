package dbcluster

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/functions/pods"
)

const (
	// stopSeconds is how long an instance may take to stop: PostgreSQL writes all its buffers first.
	stopSeconds = 120

	exporter = "/usr/bin/prometheus-postgres-exporter"
)

// Names of the volumes that only instances have. The data volume's is naming.DataVolumeTemplate.
const (
	volumeConfig = "config"
	volumeAdmin  = "admin"
	volumeSocket = "socket"
	volumeShm    = "shm"
	volumeSource = "source"
)

func podSpec(c cluster) (*applycorev1.PodSpecApplyConfiguration, error) {
	spec := pods.Spec(c.ServiceAccount()).
		WithTerminationGracePeriodSeconds(stopSeconds).
		WithContainers(databaseContainer(c), metricsContainer(c)).
		WithVolumes(volumes(c)...)
	return spec, schedule(spec, c)
}

// databaseContainer has the agent as PID 1, which starts Patroni, which starts PostgreSQL.
func databaseContainer(c cluster) *applycorev1.ContainerApplyConfiguration {
	memory := c.Spec.PrimarySpec.Resources.Memory
	return pods.Container(pods.ContainerDatabase, c.Image).
		WithCommand(pods.Agent, "run").
		WithEnv(pods.Environment()...).
		WithPorts(containerPort("postgresql", instance.PortPostgreSQL), containerPort("patroni", instance.PortPatroni), containerPort("agent", instance.PortAgent),
			containerPort("backup", instance.PortBackup)).
		// Memory is reserved in full, because PostgreSQL is sized by it. CPU has no limit: a throttled primary cannot renew
		// its lock in time.
		WithResources(applycorev1.ResourceRequirements().
			WithRequests(corev1.ResourceList{corev1.ResourceCPU: c.Spec.PrimarySpec.Resources.CPU, corev1.ResourceMemory: memory}).
			WithLimits(corev1.ResourceList{corev1.ResourceMemory: memory})).
		// Clients reach an instance a second after PostgreSQL answers.
		WithReadinessProbe(agentProbe(instance.PathReady).WithPeriodSeconds(1).WithTimeoutSeconds(5).WithFailureThreshold(3)).
		// The agent judges PostgreSQL and Patroni, restarts and fences them. The kubelet only judges the agent.
		WithStartupProbe(agentProbe(instance.PathAlive).WithPeriodSeconds(1).WithTimeoutSeconds(5).WithFailureThreshold(60)).
		WithLivenessProbe(agentProbe(instance.PathAlive).WithPeriodSeconds(10).WithTimeoutSeconds(5).WithFailureThreshold(6)).
		WithVolumeMounts(databaseMounts(c)...)
}

// metricsContainer serves Prometheus metrics. It logs in over the socket as a role that can read statistics only, without
// a password: PostgreSQL trusts the operating system's user there.
func metricsContainer(c cluster) *applycorev1.ContainerApplyConfiguration {
	return pods.Container("metrics", c.Image).
		WithCommand(exporter, fmt.Sprintf("--web.listen-address=:%d", instance.PortMetrics)).
		WithEnv(applycorev1.EnvVar().WithName("DATA_SOURCE_NAME").
			WithValue("host=" + instance.FolderSocket + " user=xdb_metrics dbname=postgres sslmode=disable")).
		WithPorts(containerPort("metrics", instance.PortMetrics)).
		WithResources(pods.Resources("10m", "32Mi", "64Mi")).
		WithVolumeMounts(pods.Mount(volumeSocket, instance.FolderSocket).WithReadOnly(true))
}

func agentProbe(path string) *applycorev1.ProbeApplyConfiguration {
	return applycorev1.Probe().WithHTTPGet(applycorev1.HTTPGetAction().WithPath(path).WithPort(intstr.FromString("agent")))
}

func databaseMounts(c cluster) []*applycorev1.VolumeMountApplyConfiguration {
	mounts := []*applycorev1.VolumeMountApplyConfiguration{
		pods.Mount(naming.DataVolumeTemplate, instance.FolderVolume),
		pods.Mount(volumeConfig, instance.FolderConfig).WithReadOnly(true),
		pods.Mount(pods.VolumeTLS, instance.FolderTLS).WithReadOnly(true),
		pods.Mount(pods.VolumeCredentials, instance.FolderCredentials).WithReadOnly(true),
		pods.Mount(volumeAdmin, instance.FolderAdmin).WithReadOnly(true),
		pods.Mount(pods.VolumeRepository, instance.FolderRepository).WithReadOnly(true),
		pods.Mount(pods.VolumeRun, instance.FolderRun),
		pods.Mount(volumeSocket, instance.FolderSocket),
		pods.Mount(pods.VolumeTmp, "/tmp"),
		pods.Mount(volumeShm, "/dev/shm"),
		pods.TokenMount(),
	}
	if c.Restore != nil {
		mounts = append(mounts, pods.Mount(volumeSource, instance.FolderSource).WithReadOnly(true))
	}
	return mounts
}

// volumes are the Pod's volumes but the data's. Group-readable keys of root are what PostgreSQL accepts beside its own.
func volumes(c cluster) []*applycorev1.VolumeApplyConfiguration {
	list := []*applycorev1.VolumeApplyConfiguration{
		applycorev1.Volume().WithName(volumeConfig).WithConfigMap(applycorev1.ConfigMapVolumeSource().WithName(c.Config()).WithDefaultMode(0o444)),
		pods.SecretVolume(pods.VolumeTLS, c.Certificate()),
		pods.SecretVolume(pods.VolumeCredentials, c.Credentials(generation), instance.KeyReplicationPassword, instance.KeyRewindPassword),
		pods.SecretVolume(volumeAdmin, c.Admin()),
		// A BackupPlan that comes or goes restarts no Pod.
		pods.OptionalSecretVolume(pods.VolumeRepository, c.Repository()),
		pods.MemoryVolume(pods.VolumeRun),
		pods.EmptyVolume(volumeSocket),
		pods.EmptyVolume(pods.VolumeTmp),
		pods.MemoryVolume(volumeShm), // Parallel queries share memory in it, more than a container's usual 64 MiB.
		pods.TokenVolume(),
	}
	if c.Restore != nil {
		list = append(list, pods.OptionalSecretVolume(volumeSource, c.sourceSecret()))
	}
	return list
}

// schedule says on which nodes the Pods may run.
func schedule(spec *applycorev1.PodSpecApplyConfiguration, c cluster) error {
	s := c.Spec.PrimarySpec.SchedulingConfig
	if s == nil {
		s = &v1alpha1.SchedulingConfig{}
	}
	if len(s.NodeSelector) > 0 {
		spec.WithNodeSelector(s.NodeSelector)
	}
	for i := range s.Tolerations {
		toleration := applycorev1.Toleration()
		if err := convert(s.Tolerations[i], toleration); err != nil {
			return fmt.Errorf("cannot use toleration %d of schedulingConfig: %w", i, err)
		}
		spec.WithTolerations(toleration)
	}
	given := corev1.Affinity{NodeAffinity: s.NodeAffinity, PodAffinity: s.PodAffinity, PodAntiAffinity: s.PodAntiAffinity}
	affinity := applycorev1.Affinity()
	if given != (corev1.Affinity{}) {
		if err := convert(given, affinity); err != nil {
			return fmt.Errorf("cannot use the affinity of schedulingConfig: %w", err)
		}
	}
	if given.PodAntiAffinity == nil {
		affinity.WithPodAntiAffinity(apart(c))
	}
	spec.WithAffinity(affinity)
	return nil
}

// apart spreads the instances over nodes, and over zones where there are some. Where there are too few, several share one:
// a standby beside the primary still survives its crash. It is the same for any number of instances, because a change of it
// restarts them.
func apart(c cluster) *applycorev1.PodAntiAffinityApplyConfiguration {
	from := func(topology string, weight int32) *applycorev1.WeightedPodAffinityTermApplyConfiguration {
		return applycorev1.WeightedPodAffinityTerm().WithWeight(weight).
			WithPodAffinityTerm(applycorev1.PodAffinityTerm().WithTopologyKey(topology).WithLabelSelector(selector(c)))
	}
	return applycorev1.PodAntiAffinity().WithPreferredDuringSchedulingIgnoredDuringExecution(
		from(corev1.LabelHostname, 100), from(corev1.LabelTopologyZone, 50))
}

// convert writes one of the API's types as its apply configuration. Both have the same JSON.
func convert(from, into any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

func containerPort(name string, port int32) *applycorev1.ContainerPortApplyConfiguration {
	return applycorev1.ContainerPort().WithName(name).WithContainerPort(port).WithProtocol(corev1.ProtocolTCP)
}
