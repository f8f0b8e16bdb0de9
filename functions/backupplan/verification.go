package backupplan

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	applyrbacv1 "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/jobs"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/functions/pods"
	"github.com/xdbcluster/xdbcluster/functions/schedule"
)

const (
	// attempts is how often the Pod that tries a backup is started again that was killed, or had too little memory.
	attempts = 6

	// soon is when to look again for a Job that is to be gone before the next one is made.
	soon = 2 * time.Second

	// reserved is the CPU that is reserved for the Job: it runs where there is some to spare.
	reserved = "50m"

	// volumeShm is where PostgreSQL shares memory.
	volumeShm = "shm"
)

// A verification is when backups are tried, and what that may cost.
type verification struct {
	Schedule string
	CPU      resource.Quantity
	Memory   resource.Quantity
}

func decodeVerification(spec *v1alpha1.VerificationSpec) *verification {
	if spec == nil {
		return nil
	}
	v := &verification{Schedule: spec.Schedule, CPU: resource.MustParse("1"), Memory: resource.MustParse("512Mi")}
	if given := spec.Resources; given != nil && !given.CPU.IsZero() {
		v.CPU = given.CPU
	}
	if given := spec.Resources; given != nil && !given.Memory.IsZero() {
		v.Memory = given.Memory
	}
	return v
}

// A trial is what is to be of trying backups.
type trial struct {
	// Rights says that the Job's ServiceAccount and Role are to be, Job that it itself is to be, and Task what it is to do.
	Rights bool
	Job    bool
	Task   instance.VerificationTask

	// Next is when the next backup is to be tried. Zero when none is.
	Next time.Time

	// Tried is what came of trying backups of this repository. Nil when none was.
	Tried *instance.Verifications

	// CallAgain is when to look again, and is zero when that is not needed.
	CallAgain time.Duration

	Verdict verdict
}

// planTrial says what is to be of trying backups. There is a Job from the time when one is due until its outcome is recorded, and
// nothing in between: a plan that rests costs nothing.
func planTrial(r request, seen facts, p plan, now time.Time) trial {
	t := trial{Verdict: verified(compose.Unknown, v1alpha1.ReasonNotScheduled,
		"Backups are not tried, so that nobody knows whether they can be restored. Set verification.schedule.")}
	if tried := seen.Verifications; tried.Count > 0 && tried.Repository == p.Repository.ID() {
		t.Tried = &tried
	}
	if r.Verification == nil {
		return t
	}
	when, err := schedule.ParseVerification(r.Verification.Schedule)
	if err != nil {
		return t // The condition of the schedules says so.
	}
	since, some := handled(t.Tried, p.Backups)
	due, isDue := when.Due(since, now)
	isDue = isDue && some && p.Shared && !r.Repository.Paused && len(p.Backups) > 0
	unrecorded := seen.Trial.Job != nil && !seen.Task.Due.IsZero() && (t.Tried == nil || t.Tried.Handled.Before(seen.Task.Due))
	isOver := seen.Trial.Failed || seen.Trial.Complete
	switch {
	case unrecorded && (!isOver || !isDue || !due.After(seen.Task.Due)):
		t.Rights, t.Job, t.Task = true, true, seen.Task
	case isDue && seen.Trial.Job != nil:
		t.Rights, t.CallAgain = true, soon // The Job of an earlier time goes first: it has the same name.
	case isDue:
		t.Task = instance.VerificationTask{Cluster: r.Name, Version: seen.Version, Due: due, Points: r.PITR}
		t.Rights, t.Job = true, seen.Trial.Permitted && seen.Instances != nil && seen.Version != "" && !seen.Disk.Size.IsZero()
	}
	if !r.Repository.Paused {
		t.Next = when.Next(now)
		t.CallAgain = sooner(t.CallAgain, t.Next.Sub(now)+time.Second)
	}
	missed, overdue := overdue(r, seen, when, since, now)
	t.Verdict = judge(r, t.Tried, unrecorded && seen.Trial.Failed, overdue, missed)
	return t
}

// handled returns until when all trials that were due have been taken care of. What came due since the oldest backup was not, when
// none was tried yet.
func handled(tried *instance.Verifications, backups []instance.StoredBackup) (time.Time, bool) {
	if tried != nil {
		return tried.Handled, true
	}
	if len(backups) > 0 {
		return backups[0].Stop, true
	}
	return time.Time{}, false
}

// overdue returns when a backup was to be tried that should have been by now. Times before the plan had this schedule do not count,
// and where the instances have not said since when it has, none do.
func overdue(r request, seen facts, when schedule.Verification, since, now time.Time) (time.Time, bool) {
	if since.IsZero() || r.Repository.Paused || seen.Schedule.Verification != r.Verification.Schedule {
		return time.Time{}, false
	}
	if seen.Schedule.VerificationSince.After(since) {
		since = seen.Schedule.VerificationSince
	}
	return when.Overdue(since, now)
}

func sooner(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// judge says whether backups are sound, as far as that was tried.
func judge(r request, tried *instance.Verifications, jobFailed, overdue bool, missed time.Time) verdict {
	job := r.Cluster.Verification().Objects()
	switch {
	case jobFailed:
		return verified(compose.False, v1alpha1.ReasonVerificationFailed, fmt.Sprintf(
			"The Job %s has given up before it could say whether the backup is sound. Read its log; it may need more of verification.resources.memory. The next one is tried on schedule.", job))
	case tried != nil && tried.Last.Result == v1alpha1.VerificationDamaged:
		return verified(compose.False, v1alpha1.ReasonBackupDamaged, tried.Last.Message)
	case overdue:
		return verified(compose.False, v1alpha1.ReasonVerificationOverdue, fmt.Sprintf(
			"The backup that was to be tried at %s was not. Look at the Job %s with kubectl describe for what it waits for.", missed.Format(time.RFC3339), job))
	case tried == nil:
		return verified(compose.Unknown, v1alpha1.ReasonNotVerified, "No backup was tried yet.")
	case tried.Last.Result == v1alpha1.VerificationFailed:
		return verified(compose.False, v1alpha1.ReasonVerificationFailed, tried.Last.Message)
	}
	return verified(compose.True, v1alpha1.ReasonVerified, fmt.Sprintf("The backup %s is sound: it was restored %s, started and looked through.", tried.Last.Label, tried.Last.Target))
}

// verified is a verdict that nobody waits for as long as it says nothing.
func verified(status compose.Truth, reason, message string) verdict {
	return verdict{Informs: status == compose.Unknown, Condition: compose.Condition{
		Type: v1alpha1.ConditionVerified, Status: status, Reason: reason, Message: message,
	}}
}

// trialObjects returns what there is to be to try a backup.
func trialObjects(r request, seen facts, t trial) (map[string]compose.Object, error) {
	named := map[string]compose.Object{}
	if !t.Rights {
		return named, nil
	}
	contents := jobs.Objects(r.Cluster.Verification(), seen.Trial, trialRights(r, seen))
	delete(contents, naming.ObjectReport) // Its outcome is written to the inventory.
	if t.Job {
		job, err := trialJob(r, seen, t)
		if err != nil {
			return nil, err
		}
		contents[naming.ObjectJob] = job
	}
	for name, object := range contents {
		named[naming.PrefixVerification+name] = object
	}
	return named, nil
}

// trialRights are those to see which database is backed up, to hold the repository's lock, and to write down what was found: in the
// inventory, and beside what the Jobs of the backups have reported.
func trialRights(r request, seen facts) []*applyrbacv1.PolicyRuleApplyConfiguration {
	rules := []*applyrbacv1.PolicyRuleApplyConfiguration{
		jobs.Rule("configmaps", []string{"get"}, r.Ledger()),
		jobs.Rule("configmaps", []string{"get", "patch"}, r.Inventory()),
		applyrbacv1.PolicyRule().WithAPIGroups("coordination.k8s.io").WithResources("leases").
			WithVerbs("get", "update").WithResourceNames(r.RepositoryLock()),
	}
	if seen.Inventory == nil {
		return rules
	}
	var reports []string
	for _, b := range seen.Inventory.Backups {
		if b.Name != "" {
			reports = append(reports, naming.Operation{Namespace: r.Namespace, Kind: "backup", Name: b.Name}.Objects())
		}
	}
	if len(reports) == 0 {
		return rules
	}
	slices.Sort(reports)
	return append(rules, jobs.Rule("configmaps", []string{"patch"}, slices.Compact(reports)...))
}

func trialJob(r request, seen facts, t trial) (compose.Object, error) {
	if seen.Trial.Job != nil {
		return jobs.Existing(r.Cluster.Verification(), seen.Trial.Job), nil
	}
	task, err := json.Marshal(t.Task)
	if err != nil {
		return compose.Object{}, fmt.Errorf("cannot encode the verification: %w", err)
	}
	return jobs.NewApart(r.Cluster.Verification(), attempts, trialPod(r, seen, string(task))), nil
}

// trialPod has what is restored on a volume of its own, which goes with it. It prefers nodes without instances: it reads and writes
// as much as the database is large.
func trialPod(r request, seen facts, task string) *applycorev1.PodSpecApplyConfiguration {
	container := pods.Container("verify", seen.Instances.Image).
		WithCommand(pods.Agent, "verify").
		WithEnv(pods.Environment()...).
		WithEnv(applycorev1.EnvVar().WithName(instance.EnvVerification).WithValue(task)).
		WithResources(trialResources(*r.Verification)).
		WithVolumeMounts(
			pods.Mount(naming.DataVolumeTemplate, instance.FolderVolume),
			pods.Mount(pods.VolumeRepository, instance.FolderRepository).WithReadOnly(true),
			pods.Mount(pods.VolumeRun, instance.FolderRun),
			pods.Mount(pods.VolumeTmp, "/tmp"),
			pods.Mount(volumeShm, "/dev/shm"),
			pods.TokenMount(),
		)
	apart := applycorev1.WeightedPodAffinityTerm().WithWeight(100).WithPodAffinityTerm(applycorev1.PodAffinityTerm().
		WithTopologyKey(corev1.LabelHostname).WithLabelSelector(applymetav1.LabelSelector().WithMatchLabels(r.Selector())))
	return pods.Spec(r.Cluster.Verification().Objects()).
		WithRestartPolicy(corev1.RestartPolicyOnFailure).
		WithAffinity(applycorev1.Affinity().WithPodAntiAffinity(
			applycorev1.PodAntiAffinity().WithPreferredDuringSchedulingIgnoredDuringExecution(apart))).
		WithContainers(container).
		WithVolumes(
			trialVolume(r, seen.Disk),
			pods.SecretVolume(pods.VolumeRepository, r.Cluster.Repository()),
			pods.MemoryVolume(pods.VolumeRun),
			pods.EmptyVolume(pods.VolumeTmp),
			pods.MemoryVolume(volumeShm),
			pods.TokenVolume(),
		)
}

func trialResources(v verification) *applycorev1.ResourceRequirementsApplyConfiguration {
	cpu := resource.MustParse(reserved)
	if v.CPU.Cmp(cpu) < 0 {
		cpu = v.CPU
	}
	return applycorev1.ResourceRequirements().
		WithRequests(corev1.ResourceList{corev1.ResourceCPU: cpu, corev1.ResourceMemory: v.Memory}).
		WithLimits(corev1.ResourceList{corev1.ResourceCPU: v.CPU, corev1.ResourceMemory: v.Memory})
}

// trialVolume is made with the Pod and goes with it.
func trialVolume(r request, disk v1alpha1.DiskSpec) *applycorev1.VolumeApplyConfiguration {
	spec := applycorev1.PersistentVolumeClaimSpec().
		WithAccessModes(corev1.ReadWriteOnce).
		WithVolumeMode(corev1.PersistentVolumeFilesystem).
		WithResources(applycorev1.VolumeResourceRequirements().WithRequests(corev1.ResourceList{corev1.ResourceStorage: disk.Size}))
	if disk.StorageClass != "" {
		spec.WithStorageClassName(disk.StorageClass)
	}
	return applycorev1.Volume().WithName(naming.DataVolumeTemplate).WithEphemeral(applycorev1.EphemeralVolumeSource().
		WithVolumeClaimTemplate(applycorev1.PersistentVolumeClaimTemplate().WithLabels(r.Cluster.Verification().Labels()).WithSpec(spec)))
}
