//go:build e2e

package databases

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/test/cluster/objectstore"
)

// verificationLimit is how long it may take until a backup was tried: until the minute comes, and for two restores with a pause in
// between where something is wrong.
const verificationLimit = 8 * time.Minute

// TestVerification tries backups that are sound, and points between them, and then one whose files were changed in the store: that
// is told, and no restore chooses it any more.
func TestVerification(t *testing.T) {
	s := newScene(t)
	location := s.store()
	d := s.create("source", smallSpec("17"))
	d.sql("CREATE TABLE kept AS SELECT generate_series(1, 100000) AS n; CREATE INDEX ON kept (n)")
	d.plan(map[string]any{"backupLocation": location, "cronSchedule": "0 3 * * *"})
	first := d.waitScheduled()
	d.sql("INSERT INTO kept SELECT generate_series(100001, 200000)")
	second := d.backUp("second", v1alpha1.BackupFull)
	d.sql("INSERT INTO kept SELECT generate_series(200001, 300000)")
	d.waitArchived()

	t.Log("Every minute the newest backup, and in turn a point between backups")
	d.plan(map[string]any{"backupLocation": location, "cronSchedule": "0 3 * * *", "verification": tries("* * * * *")})
	d.waitVerification("The newest backup is tried", func(v v1alpha1.VerificationStatus) bool {
		return v.Result == v1alpha1.VerificationSucceeded && v.Label == second.Label && v.Target == "to the end of the backup" && len(v.Checks) == 5
	})
	d.waitVerification("A point between backups is tried", func(v v1alpha1.VerificationStatus) bool {
		return v.Result == v1alpha1.VerificationSucceeded && strings.HasPrefix(v.Target, "to ") && strings.Contains(v.Target, "/")
	})
	d.waitBackupVerified("second", v1alpha1.VerificationSucceeded)

	t.Log("Without a schedule nothing of it is left")
	d.plan(map[string]any{"backupLocation": location, "cronSchedule": "0 3 * * *", "PITREnabled": false})
	d.waitNothingTried()

	t.Log("A file of the newest backup is changed in the store")
	d.damage(second.Label)
	at := time.Now().UTC().Add(2 * time.Minute)
	once := tries(fmt.Sprintf("%d %d * * *", at.Minute(), at.Hour()))
	d.plan(map[string]any{"backupLocation": location, "cronSchedule": "0 3 * * *", "PITREnabled": false, "verification": once})
	d.waitVerification("It is found to be damaged", func(v v1alpha1.VerificationStatus) bool {
		return v.Result == v1alpha1.VerificationDamaged && v.Label == second.Label && strings.Contains(v.Message, second.Label+" is damaged")
	})
	d.waitBackupVerified("second", v1alpha1.VerificationDamaged)
	d.waitIncident("VerificationFailed", second.Label+" is damaged")
	d.eventually(backupLimit, "The BackupPlan no longer offers it", func(ctx context.Context) (string, bool) {
		status, err := d.readPlan(ctx, d.name)
		said := d.planCondition(ctx, d.name, v1alpha1.ConditionVerified)
		good := err == nil && said == "False "+v1alpha1.ReasonBackupDamaged && status.Phase == v1alpha1.BackupPlanFailing &&
			status.Repository != nil && status.Repository.Damaged == 1 && status.Repository.NewestBackup == first.Label
		return fmt.Sprintf("%s %+v %v", said, status.Repository, err), good
	})
	d.waitNothingTried()

	t.Log("A restore chooses another one, one that names it is refused, and the next backup does not continue it")
	clone := s.start("to-end", restored("17", v1alpha1.RestoreSpec{}))
	named := s.start("to-damaged", restored("17", v1alpha1.RestoreSpec{RestoreTarget: v1alpha1.RestoreTarget{Backup: second.Label}}))
	clone.waitRolledOut()
	if got := strings.TrimSpace(clone.sql("SELECT count(*) FROM kept")); got != "300000" {
		t.Errorf("the clone has %s rows; want 300000", got)
	}
	named.waitIncident("RestoreRefused", "the backup "+second.Label+" is damaged")
	if next := d.backUp("next", v1alpha1.BackupIncremental); next.Type != v1alpha1.BackupFull {
		t.Errorf("the next backup is %s after %s; want a full one", next.Type, next.Prior)
	}
}

// tries is when backups are tried, and what that may cost.
func tries(schedule string) map[string]any {
	return map[string]any{"schedule": schedule, "resources": map[string]any{"cpu": "500m", "memory": "256Mi"}}
}

func (d *database) waitVerification(what string, good func(v1alpha1.VerificationStatus) bool) {
	d.Helper()
	d.eventually(verificationLimit, what, func(ctx context.Context) (string, bool) {
		status, err := d.readPlan(ctx, d.name)
		if err != nil || status.Verification == nil {
			return fmt.Sprintf("nothing of it, %v", err), false
		}
		v := *status.Verification
		return fmt.Sprintf("%s %s %s %v after %s: %s", v.Result, v.Label, v.Target, v.Checks, v.Duration, v.Message), good(v)
	})
}

func (d *database) waitBackupVerified(name string, want v1alpha1.VerificationResult) {
	d.Helper()
	d.eventually(backupLimit, fmt.Sprintf("Backup %s says that it is %s", name, want), func(ctx context.Context) (string, bool) {
		status := v1alpha1.BackupStatus{}
		if err := d.readStatus(ctx, v1alpha1.KindBackup, name, &status); err != nil || status.Verification == nil {
			return fmt.Sprintf("nothing of it, %v", err), false
		}
		return fmt.Sprintf("%s: %s", status.Verification.Result, status.Verification.Message), status.Verification.Result == want
	})
}

// waitNothingTried waits until there is no Job that tries a backup, no Pod and no volume of one.
func (d *database) waitNothingTried() {
	d.Helper()
	job := d.cluster().Verification().Objects()
	d.eventually(backupLimit, "Nothing is left of trying backups", func(ctx context.Context) (string, bool) {
		jobs, pods, claims, volumes := &batchv1.JobList{}, &corev1.PodList{}, &corev1.PersistentVolumeClaimList{}, &corev1.PersistentVolumeList{}
		for _, list := range []client.ObjectList{jobs, pods, claims} {
			if err := d.kube.List(ctx, list, client.InNamespace(d.namespace)); err != nil {
				return err.Error(), false
			}
		}
		if err := d.kube.List(ctx, volumes); err != nil {
			return err.Error(), false
		}
		var left []string
		note := func(kind, name string) {
			if strings.HasPrefix(name, job) {
				left = append(left, kind+" "+name)
			}
		}
		for i := range jobs.Items {
			note("Job", jobs.Items[i].Name)
		}
		for i := range pods.Items {
			note("Pod", pods.Items[i].Name)
		}
		for i := range claims.Items {
			note("PersistentVolumeClaim", claims.Items[i].Name)
		}
		for i := range volumes.Items {
			if of := volumes.Items[i].Spec.ClaimRef; of != nil && of.Namespace == d.namespace {
				note("PersistentVolume of", of.Name)
			}
		}
		return strings.Join(left, ", "), len(left) == 0
	})
}

// damage changes some of what a backup has in the local cluster's object store.
func (d *database) damage(label string) {
	d.Helper()
	files, err := filepath.Glob(filepath.Join(objectstore.Buckets(), d.namespace, d.namespace, d.name, "*", "backup", "db", label, "bundle", "*"))
	if err != nil || len(files) == 0 {
		d.Fatalf("the backup %s has no files in the store (%v)", label, err)
	}
	for _, name := range files {
		if err := flip(name); err != nil {
			d.Fatalf("cannot change %s: %v", name, err)
		}
	}
}

// flip turns over every bit of a part in the middle of a file.
func flip(name string) error {
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // What was written was checked.
	info, err := file.Stat()
	if err != nil {
		return err
	}
	part := make([]byte, min(1<<10, info.Size()))
	where := (info.Size() - int64(len(part))) / 2
	if _, err := file.ReadAt(part, where); err != nil {
		return err
	}
	for i := range part {
		part[i] ^= 0xff
	}
	_, err = file.WriteAt(part, where)
	return err
}
