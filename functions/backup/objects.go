package backup

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applyrbacv1 "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/jobs"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/functions/pods"
)

// attempts is how often a Job's Pod is started again: what was backed up is not backed up again.
const attempts = 20

// volumeBackupTLS has the certificate by which the instances know the Job.
const volumeBackupTLS = "backup-tls"

// objects returns every object that a backup is to have.
func objects(b request, seen facts, p plan) (map[string]compose.Object, error) {
	var granted []*applyrbacv1.PolicyRuleApplyConfiguration
	if p.Rights {
		granted = rights(b)
	}
	contents := jobs.Objects(b.Operation, seen.Seen, granted)
	if !p.Job {
		return contents, nil
	}
	if seen.Job != nil {
		contents[naming.ObjectJob] = jobs.Existing(b.Operation, seen.Job)
		return contents, nil
	}
	spec, err := podSpec(b, *seen.Instances)
	if err != nil {
		return nil, err
	}
	contents[naming.ObjectJob] = jobs.New(b.Operation, b.Cluster, attempts, spec)
	return contents, nil
}

// rights are those to see who is the primary and where its files are, to hold the repository's lock, and to report.
func rights(b request) []*applyrbacv1.PolicyRuleApplyConfiguration {
	return []*applyrbacv1.PolicyRuleApplyConfiguration{
		jobs.Rule("configmaps", []string{"get"}, b.Cluster.Ledger(), b.Cluster.Reports()),
		jobs.Rule("configmaps", []string{"get", "patch"}, b.Cluster.Inventory(), b.Objects()),
		applyrbacv1.PolicyRule().WithAPIGroups("coordination.k8s.io").WithResources("leases").
			WithVerbs("get", "update").WithResourceNames(b.Cluster.RepositoryLock()),
	}
}

func podSpec(b request, from jobs.Instances) (*applycorev1.PodSpecApplyConfiguration, error) {
	task, err := json.Marshal(b.Task)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the backup: %w", err)
	}
	container := pods.Container("backup", from.Image).
		WithCommand(pods.Agent, "backup").
		WithEnv(pods.Environment()...).
		WithEnv(applycorev1.EnvVar().WithName(instance.EnvBackup).WithValue(string(task))).
		WithResources(pods.Resources("50m", "64Mi", "512Mi")).
		WithVolumeMounts(
			pods.Mount(pods.VolumeRepository, instance.FolderRepository).WithReadOnly(true),
			pods.Mount(volumeBackupTLS, instance.FolderBackupTLS).WithReadOnly(true),
			pods.Mount(pods.VolumeRun, instance.FolderRun),
			pods.Mount(pods.VolumeTmp, "/tmp"),
			pods.TokenMount(),
		)
	return pods.Spec(b.Objects()).
		WithRestartPolicy(corev1.RestartPolicyOnFailure).
		WithContainers(container).
		WithVolumes(
			pods.SecretVolume(pods.VolumeRepository, b.Cluster.Repository()),
			pods.SecretVolume(volumeBackupTLS, b.Cluster.BackupCertificate()),
			pods.MemoryVolume(pods.VolumeRun),
			pods.EmptyVolume(pods.VolumeTmp),
			pods.TokenVolume(),
		), nil
}
