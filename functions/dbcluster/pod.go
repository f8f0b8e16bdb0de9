package dbcluster

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apimetav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

const (
	// postgresID is the user and group postgres of the image.
	postgresID = 999

	// stopSeconds is how long an instance may take to stop: PostgreSQL writes all its buffers first.
	stopSeconds = 120

	agent    = "/usr/local/bin/xdb-agent"
	exporter = "/usr/bin/prometheus-postgres-exporter"

	folderToken = "/var/run/secrets/kubernetes.io/serviceaccount" //nolint:gosec // A folder, not a credential.
)

// Names of the Pod's volumes. The data volume's is naming.DataVolumeTemplate.
const (
	volumeConfig      = "config"
	volumeTLS         = "tls"
	volumeCredentials = "credentials"
	volumeAdmin       = "admin"
	volumeRun         = "run"
	volumeSocket      = "socket"
	volumeTmp         = "tmp"
	volumeShm         = "shm"
	volumeToken       = "token"
)

func podSpec(c cluster) (*applycorev1.PodSpecApplyConfiguration, error) {
	spec := applycorev1.PodSpec().
		WithServiceAccountName(c.ServiceAccount()).
		// Only the database's container gets a token, see volumes.
		WithAutomountServiceAccountToken(false).
		// Names of Services as environment variables: thousands in a large namespace, for nobody.
		WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(stopSeconds).
		WithSecurityContext(applycorev1.PodSecurityContext().
			WithRunAsNonRoot(true).
			WithRunAsUser(postgresID).
			WithRunAsGroup(postgresID).
			WithFSGroup(postgresID).
			// Without it the kubelet changes the group of every file of the database at every start.
			WithFSGroupChangePolicy(corev1.FSGroupChangeOnRootMismatch).
			WithSeccompProfile(applycorev1.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))).
		WithInitContainers(prepareContainer(c)).
		WithContainers(databaseContainer(c), metricsContainer(c)).
		WithVolumes(volumes(c)...)
	return spec, schedule(spec, c)
}

// prepareContainer checks the configuration and lays it out before the database starts, so that a mistake in it is a
// failed init container with a message rather than a database that does not come up.
func prepareContainer(c cluster) *applycorev1.ContainerApplyConfiguration {
	return container("prepare", c.Image).
		WithCommand(agent, "prepare").
		WithEnv(environment()...).
		WithResources(resources("10m", "64Mi", "64Mi")).
		WithVolumeMounts(databaseMounts()...)
}

// databaseContainer has the agent as PID 1, which starts Patroni, which starts PostgreSQL.
func databaseContainer(c cluster) *applycorev1.ContainerApplyConfiguration {
	memory := c.Spec.PrimarySpec.Resources.Memory
	return container("database", c.Image).
		WithCommand(agent, "run").
		WithEnv(environment()...).
		WithPorts(containerPort("postgresql", instance.PortPostgreSQL), containerPort("patroni", instance.PortPatroni), containerPort("agent", instance.PortAgent)).
		// Memory is reserved in full, because PostgreSQL is sized by it. CPU has no limit: a throttled primary cannot renew
		// its lock in time.
		WithResources(applycorev1.ResourceRequirements().
			WithRequests(corev1.ResourceList{corev1.ResourceCPU: c.Spec.PrimarySpec.Resources.CPU, corev1.ResourceMemory: memory}).
			WithLimits(corev1.ResourceList{corev1.ResourceMemory: memory})).
		// Clients reach an instance a second after Patroni says that it serves.
		WithReadinessProbe(applycorev1.Probe().
			WithHTTPGet(applycorev1.HTTPGetAction().WithScheme(corev1.URISchemeHTTPS).WithPath("/readiness").WithPort(intstr.FromString("patroni"))).
			WithPeriodSeconds(1).WithTimeoutSeconds(5).WithFailureThreshold(3)).
		// The agent judges PostgreSQL and Patroni, restarts and fences them. The kubelet only judges the agent.
		WithStartupProbe(agentProbe().WithPeriodSeconds(1).WithTimeoutSeconds(5).WithFailureThreshold(60)).
		WithLivenessProbe(agentProbe().WithPeriodSeconds(10).WithTimeoutSeconds(5).WithFailureThreshold(6)).
		WithVolumeMounts(databaseMounts()...)
}

// metricsContainer serves Prometheus metrics. It logs in over the socket as a role that can read statistics only, without
// a password: PostgreSQL trusts the operating system's user there.
func metricsContainer(c cluster) *applycorev1.ContainerApplyConfiguration {
	return container("metrics", c.Image).
		WithCommand(exporter, fmt.Sprintf("--web.listen-address=:%d", instance.PortMetrics)).
		WithEnv(applycorev1.EnvVar().WithName("DATA_SOURCE_NAME").
			WithValue("host=" + instance.FolderSocket + " user=xdb_metrics dbname=postgres sslmode=disable")).
		WithPorts(containerPort("metrics", instance.PortMetrics)).
		WithResources(resources("10m", "32Mi", "64Mi")).
		WithVolumeMounts(mount(volumeSocket, instance.FolderSocket).WithReadOnly(true))
}

func container(name, image string) *applycorev1.ContainerApplyConfiguration {
	return applycorev1.Container().
		WithName(name).
		WithImage(image).
		WithImagePullPolicy(corev1.PullIfNotPresent).
		WithSecurityContext(applycorev1.SecurityContext().
			WithAllowPrivilegeEscalation(false).
			WithReadOnlyRootFilesystem(true).
			WithCapabilities(applycorev1.Capabilities().WithDrop("ALL")))
}

func agentProbe() *applycorev1.ProbeApplyConfiguration {
	return applycorev1.Probe().WithHTTPGet(applycorev1.HTTPGetAction().WithPath("/livez").WithPort(intstr.FromString("agent")))
}

func environment() []*applycorev1.EnvVarApplyConfiguration {
	field := func(name, path string) *applycorev1.EnvVarApplyConfiguration {
		return applycorev1.EnvVar().WithName(name).WithValueFrom(applycorev1.EnvVarSource().
			WithFieldRef(applycorev1.ObjectFieldSelector().WithFieldPath(path)))
	}
	return []*applycorev1.EnvVarApplyConfiguration{
		field(instance.EnvPodName, "metadata.name"),
		field(instance.EnvPodNamespace, "metadata.namespace"),
		field(instance.EnvPodIP, "status.podIP"),
		field(instance.EnvPodUID, "metadata.uid"),
		field(instance.EnvNodeName, "spec.nodeName"),
	}
}

func databaseMounts() []*applycorev1.VolumeMountApplyConfiguration {
	return []*applycorev1.VolumeMountApplyConfiguration{
		mount(naming.DataVolumeTemplate, instance.FolderVolume),
		mount(volumeConfig, instance.FolderConfig).WithReadOnly(true),
		mount(volumeTLS, instance.FolderTLS).WithReadOnly(true),
		mount(volumeCredentials, instance.FolderCredentials).WithReadOnly(true),
		mount(volumeAdmin, instance.FolderAdmin).WithReadOnly(true),
		mount(volumeRun, instance.FolderRun),
		mount(volumeSocket, instance.FolderSocket),
		mount(volumeTmp, "/tmp"),
		mount(volumeShm, "/dev/shm"),
		mount(volumeToken, folderToken).WithReadOnly(true),
	}
}

// volumes are the Pod's volumes but the data's. Group-readable keys of root are what PostgreSQL accepts beside its own.
func volumes(c cluster) []*applycorev1.VolumeApplyConfiguration {
	secret := func(name, secret string) *applycorev1.VolumeApplyConfiguration {
		return applycorev1.Volume().WithName(name).WithSecret(applycorev1.SecretVolumeSource().WithSecretName(secret).WithDefaultMode(0o440))
	}
	memory := func(name string) *applycorev1.VolumeApplyConfiguration {
		return applycorev1.Volume().WithName(name).WithEmptyDir(applycorev1.EmptyDirVolumeSource().WithMedium(corev1.StorageMediumMemory))
	}
	credentials := secret(volumeCredentials, c.Credentials(generation))
	credentials.Secret.WithItems(
		applycorev1.KeyToPath().WithKey(instance.KeyReplicationPassword).WithPath(instance.KeyReplicationPassword),
		applycorev1.KeyToPath().WithKey(instance.KeyRewindPassword).WithPath(instance.KeyRewindPassword))

	return []*applycorev1.VolumeApplyConfiguration{
		applycorev1.Volume().WithName(volumeConfig).WithConfigMap(applycorev1.ConfigMapVolumeSource().WithName(c.Config()).WithDefaultMode(0o444)),
		secret(volumeTLS, c.Certificate()),
		credentials,
		secret(volumeAdmin, c.Admin()),
		memory(volumeRun),
		applycorev1.Volume().WithName(volumeSocket).WithEmptyDir(applycorev1.EmptyDirVolumeSource()),
		applycorev1.Volume().WithName(volumeTmp).WithEmptyDir(applycorev1.EmptyDirVolumeSource()),
		memory(volumeShm), // Parallel queries share memory in it, more than a container's usual 64 MiB.
		tokenVolume(),
	}
}

// tokenVolume is what Kubernetes mounts into every container otherwise.
func tokenVolume() *applycorev1.VolumeApplyConfiguration {
	return applycorev1.Volume().WithName(volumeToken).WithProjected(applycorev1.ProjectedVolumeSource().
		WithDefaultMode(0o444).
		WithSources(
			applycorev1.VolumeProjection().WithServiceAccountToken(applycorev1.ServiceAccountTokenProjection().
				WithPath("token").WithExpirationSeconds(3607)),
			applycorev1.VolumeProjection().WithConfigMap(applycorev1.ConfigMapProjection().
				WithName("kube-root-ca.crt").WithItems(applycorev1.KeyToPath().WithKey("ca.crt").WithPath("ca.crt"))),
			applycorev1.VolumeProjection().WithDownwardAPI(applycorev1.DownwardAPIProjection().
				WithItems(applycorev1.DownwardAPIVolumeFile().WithPath("namespace").
					WithFieldRef(applycorev1.ObjectFieldSelector().WithFieldPath("metadata.namespace"))))))
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
	affinity := corev1.Affinity{NodeAffinity: s.NodeAffinity, PodAffinity: s.PodAffinity, PodAntiAffinity: s.PodAntiAffinity}
	if affinity.PodAntiAffinity == nil {
		affinity.PodAntiAffinity = apart(c)
	}
	configuration := applycorev1.Affinity()
	if err := convert(affinity, configuration); err != nil {
		return fmt.Errorf("cannot use the affinity of schedulingConfig: %w", err)
	}
	spec.WithAffinity(configuration)
	return nil
}

// apart spreads the instances over nodes, and over zones where there are some. Where there are too few, several share one:
// a standby beside the primary still survives its crash. It is the same for any number of instances, because a change of it
// restarts them.
func apart(c cluster) *corev1.PodAntiAffinity {
	from := func(topology string, weight int32) corev1.WeightedPodAffinityTerm {
		return corev1.WeightedPodAffinityTerm{Weight: weight, PodAffinityTerm: corev1.PodAffinityTerm{
			TopologyKey: topology, LabelSelector: &apimetav1.LabelSelector{MatchLabels: c.Selector()},
		}}
	}
	return &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
		from(corev1.LabelHostname, 100), from(corev1.LabelTopologyZone, 50),
	}}
}

// convert writes one of the API's types as its apply configuration. Both have the same JSON.
func convert(from, into any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

func resources(cpu, memory, memoryLimit string) *applycorev1.ResourceRequirementsApplyConfiguration {
	return applycorev1.ResourceRequirements().
		WithRequests(corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}).
		WithLimits(corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memoryLimit)})
}

func containerPort(name string, port int32) *applycorev1.ContainerPortApplyConfiguration {
	return applycorev1.ContainerPort().WithName(name).WithContainerPort(port).WithProtocol(corev1.ProtocolTCP)
}

func mount(name, path string) *applycorev1.VolumeMountApplyConfiguration {
	return applycorev1.VolumeMount().WithName(name).WithMountPath(path)
}
