// Package pods holds what the Pods of instances and of Jobs have in common: the agent in the database's image, without
// privileges, with what is mounted and nothing else.
package pods

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// Agent is the agent's path in the database's image.
const Agent = "/usr/local/bin/xdb-agent"

// ContainerDatabase is the container of an instance that the database runs in.
const ContainerDatabase = "database"

// Volumes that instances and Jobs have.
const (
	VolumeTLS         = "tls"
	VolumeCredentials = "credentials"
	VolumeRepository  = "repository"
	VolumeRun         = "run"
	VolumeTmp         = "tmp"
	VolumeToken       = "token"
)

const (
	// postgresID is the user and group postgres of the image.
	postgresID = 999

	// folderToken is where client libraries look for the Pod's own rights.
	folderToken = "/var/run/secrets/kubernetes.io/serviceaccount" //nolint:gosec // A folder, not a credential.
)

// Spec returns a Pod that runs as the image's user postgres with the rights of a ServiceAccount.
func Spec(serviceAccount string) *applycorev1.PodSpecApplyConfiguration {
	return applycorev1.PodSpec().
		WithServiceAccountName(serviceAccount).
		// Only the agent's containers get a token, see TokenVolume.
		WithAutomountServiceAccountToken(false).
		// Names of Services as environment variables: thousands in a large namespace, for nobody.
		WithEnableServiceLinks(false).
		WithSecurityContext(applycorev1.PodSecurityContext().
			WithRunAsNonRoot(true).
			WithRunAsUser(postgresID).
			WithRunAsGroup(postgresID).
			WithFSGroup(postgresID).
			// Without it the kubelet changes the group of every file of the database at every start.
			WithFSGroupChangePolicy(corev1.FSGroupChangeOnRootMismatch).
			WithSeccompProfile(applycorev1.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault)))
}

// Container returns a container without privileges.
func Container(name, image string) *applycorev1.ContainerApplyConfiguration {
	return applycorev1.Container().
		WithName(name).
		WithImage(image).
		WithImagePullPolicy(corev1.PullIfNotPresent).
		WithSecurityContext(applycorev1.SecurityContext().
			WithAllowPrivilegeEscalation(false).
			WithReadOnlyRootFilesystem(true).
			WithCapabilities(applycorev1.Capabilities().WithDrop("ALL")))
}

// Environment tells the agent which Pod it is in.
func Environment() []*applycorev1.EnvVarApplyConfiguration {
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

// Resources returns requests, and a limit of memory: CPU has none.
func Resources(cpu, memory, memoryLimit string) *applycorev1.ResourceRequirementsApplyConfiguration {
	return applycorev1.ResourceRequirements().
		WithRequests(corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}).
		WithLimits(corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memoryLimit)})
}

// Mount mounts a volume.
func Mount(name, path string) *applycorev1.VolumeMountApplyConfiguration {
	return applycorev1.VolumeMount().WithName(name).WithMountPath(path)
}

// TokenMount mounts what TokenVolume returns.
func TokenMount() *applycorev1.VolumeMountApplyConfiguration {
	return Mount(VolumeToken, folderToken).WithReadOnly(true)
}

// SecretVolume is a volume that holds a Secret, or only some of its keys.
func SecretVolume(name, secret string, keys ...string) *applycorev1.VolumeApplyConfiguration {
	source := applycorev1.SecretVolumeSource().WithSecretName(secret).WithDefaultMode(0o440)
	for _, key := range keys {
		source.WithItems(applycorev1.KeyToPath().WithKey(key).WithPath(key))
	}
	return applycorev1.Volume().WithName(name).WithSecret(source)
}

// OptionalSecretVolume is a volume that holds a Secret while there is one, and nothing otherwise.
func OptionalSecretVolume(name, secret string) *applycorev1.VolumeApplyConfiguration {
	volume := SecretVolume(name, secret)
	volume.Secret.WithOptional(true)
	return volume
}

// EmptyVolume is a volume on the node's disk that goes with the Pod.
func EmptyVolume(name string) *applycorev1.VolumeApplyConfiguration {
	return applycorev1.Volume().WithName(name).WithEmptyDir(applycorev1.EmptyDirVolumeSource())
}

// MemoryVolume is a volume in memory.
func MemoryVolume(name string) *applycorev1.VolumeApplyConfiguration {
	return applycorev1.Volume().WithName(name).WithEmptyDir(applycorev1.EmptyDirVolumeSource().WithMedium(corev1.StorageMediumMemory))
}

// TokenVolume is what Kubernetes mounts into every container otherwise.
func TokenVolume() *applycorev1.VolumeApplyConfiguration {
	return applycorev1.Volume().WithName(VolumeToken).WithProjected(applycorev1.ProjectedVolumeSource().
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
