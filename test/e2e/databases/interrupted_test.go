//go:build e2e

package databases

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// TestInterruptedBackup kills the Pod of a backup at every step, all controllers in the middle of another one, and the primary
// in the middle of a third: each comes to its end, nothing is left of what was interrupted, and each can be restored.
func TestInterruptedBackup(t *testing.T) {
	s := newScene(t)
	source := s.bulkySource()
	w := source.write()

	t.Log("The backup's Pod is killed at every step")
	source.askForBackup("killed", v1alpha1.BackupFull)
	kills := source.killAtEveryStep("killed")
	killed := source.waitBackup("killed")
	t.Logf("%d Pods were killed", kills)

	t.Log("Crossplane, function, provider and Flux are killed in the middle of the next one")
	source.askForBackup("uncontrolled", v1alpha1.BackupFull)
	source.waitCopying("uncontrolled")
	s.killControllers()
	source.waitBackup("uncontrolled")

	t.Log("The primary is lost in the middle of the next one")
	source.askForBackup("failed-over", v1alpha1.BackupFull)
	source.waitCopying("failed-over")
	primary := source.waitPrimary("")
	source.deleteInstance(primary, client.GracePeriodSeconds(0))
	last := source.waitBackup("failed-over")
	source.waitRolledOut()
	w.check()
	source.sql("CREATE TABLE kept AS SELECT 1 AS n")
	source.waitArchived()

	t.Log("Nothing is there but what is complete")
	source.eventually(backupLimit, "The BackupPlan counts four backups", func(ctx context.Context) (string, bool) {
		status, err := source.readPlan(ctx, source.name)
		return fmt.Sprintf("%+v %v", status.Repository, err), err == nil && status.Repository != nil && status.Repository.Backups == 4
	})
	for _, label := range []string{killed.Label, last.Label} {
		clone := s.create("clone", restored("17", v1alpha1.RestoreSpec{RestoreTarget: v1alpha1.RestoreTarget{Backup: label}}))
		if got := clone.sql("SELECT count(*) FROM bulk"); got != "2000000" {
			t.Errorf("a restore of the backup %s has %s rows; want 2000000", label, got)
		}
		clone.delete()
		clone.waitVolume(false)
	}
	clone := s.create("clone", restored("17", v1alpha1.RestoreSpec{}))
	if got := clone.sql("SELECT count(*) FROM kept"); got != "1" {
		t.Errorf("what was written after the failover is not in the archive: %s rows", got)
	}
}

// bulkySource is a backed up database with a standby, large enough for a backup and a restore to take some seconds.
func (s *scene) bulkySource() *database {
	s.Helper()
	d := s.create("source", clusterSpec("17", 1))
	d.plan(map[string]any{"backupLocation": s.store()})
	d.waitScheduled()
	d.sql("CREATE TABLE bulk AS SELECT n, md5(n::text) AS t FROM generate_series(1, 2000000) AS n")
	return d
}

// waitCopying waits until pgBackRest copies.
func (d *database) waitCopying(name string) {
	d.Helper()
	d.eventually(backupLimit, fmt.Sprintf("Backup %s copies", name), func(ctx context.Context) (string, bool) {
		status := v1alpha1.BackupStatus{}
		if err := d.readStatus(ctx, v1alpha1.KindBackup, name, &status); err != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("%s %s: %s", status.Phase, status.Reason, status.Message), status.Reason == "Copying"
	})
}

// killAtEveryStep kills the Pod of a backup whenever it says something new, and returns how often it did.
func (d *database) killAtEveryStep(name string) int {
	d.Helper()
	last, kills := "", 0
	d.eventually(2*backupLimit, fmt.Sprintf("Backup %s has come to its end though its Pod was killed", name), func(ctx context.Context) (string, bool) {
		status := v1alpha1.BackupStatus{}
		if err := d.readStatus(ctx, v1alpha1.KindBackup, name, &status); err != nil {
			return err.Error(), false
		}
		step := string(status.Phase) + " " + status.Reason
		if step != last && !status.Phase.Final() {
			if killed := d.killPods(ctx, name+"."); killed > 0 {
				last = step
				kills += killed
			}
		}
		return step + ": " + status.Message, status.Phase.Final()
	})
	return kills
}

// killPods deletes the running Pods whose names have a prefix, without grace, and returns how many there were.
func (d *database) killPods(ctx context.Context, prefix string) int {
	d.Helper()
	pods := &corev1.PodList{}
	if err := d.kube.List(ctx, pods, client.InNamespace(d.namespace)); err != nil {
		d.Fatal(err)
	}
	killed := 0
	for i := range pods.Items {
		pod := &pods.Items[i]
		if !strings.HasPrefix(pod.Name, prefix) || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		if err := d.kube.Delete(ctx, pod, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
			d.Fatal(err)
		}
		killed++
	}
	return killed
}

// TestInterruptedRestore kills the instance of a clone and the controllers while files are copied from the backup, and an instance
// and the Job of a restore in place: each comes to its end, with all rows up to the target and none after it.
func TestInterruptedRestore(t *testing.T) {
	s := newScene(t)
	source := s.bulkySource()
	source.backUp("bulk", v1alpha1.BackupFull)
	source.sql("CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 1000)")
	at := source.mark(`SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`)
	source.sql("INSERT INTO kept SELECT generate_series(1001, 2000)")
	source.waitArchived()

	t.Log("A clone whose instance is killed again and again, and all controllers once")
	clone := s.start("clone", restored("17", v1alpha1.RestoreSpec{RestoreTarget: v1alpha1.RestoreTarget{PointInTime: at}}))
	for range 3 {
		clone.waitRestoring(clone.pod())
		clone.killPods(t.Context(), clone.pod())
	}
	s.killControllers()
	clone.waitRolledOut()
	clone.checkRows("1000")
	clone.delete()

	t.Log("A restore in place whose Job and whose instance are killed")
	source.restoreInPlace("back", map[string]any{"pointInTime": at})
	source.killJob(v1alpha1.KindRestore, "back")
	source.eventually(operationLimit, "An instance of the new incarnation restores, and is killed", func(ctx context.Context) (string, bool) {
		for i := range 2 {
			pod := source.cluster().Pod(i)
			if said, err := source.inInstance(pod, restoring); err == nil && strings.TrimSpace(said) != "" {
				return "", source.killPods(ctx, pod) > 0
			}
		}
		status := v1alpha1.InPlaceRestoreStatus{}
		err := source.readStatus(ctx, v1alpha1.KindRestore, "back", &status)
		return fmt.Sprintf("%+v %v", status, err), status.Phase.Final()
	})
	source.waitRestored("back", v1alpha1.OperationSucceeded)
	source.waitRolledOut()
	source.checkRows("1000")
	source.checkWhole(2)
}

// restoring prints the process that copies files from a backup.
const restoring = `for f in /proc/[0-9]*/cmdline; do tr '\0' ' ' 2>/dev/null < $f; echo; done | grep '[p]gbackrest.*restore' || true`

// waitRestoring waits until an instance copies files from a backup.
func (d *database) waitRestoring(pod string) {
	d.Helper()
	d.eventually(rolloutLimit, pod+" restores", func(context.Context) (string, bool) {
		said, err := d.inInstance(pod, restoring)
		return fmt.Sprint(said, err), err == nil && strings.TrimSpace(said) != ""
	})
}

// TestRotatedCredentials takes the store's credentials of a running database away and gives it others: it goes on, says what is
// wrong, loses nothing, and archives with the new ones without a restart.
func TestRotatedCredentials(t *testing.T) {
	s := newScene(t)
	d := s.create("source", smallSpec("17"))
	location := s.store()
	d.plan(map[string]any{"backupLocation": location})
	d.waitScheduled()
	before := d.runningPod().UID
	w := d.write()

	t.Log("The credentials are not valid any more")
	s.secret(storeSecret, map[string]string{"accessKeyID": "revoked", "secretAccessKey": "revoked"})
	d.eventually(backupLimit, "WAL waits to be archived", func(context.Context) (string, bool) {
		d.sql("SELECT pg_switch_wal()")
		failed := strings.TrimSpace(d.local("SELECT failed_count FROM pg_stat_archiver"))
		return failed, failed != "0"
	})
	d.waitIncident("ArchivingFails", "does not know the access key")
	d.sql("CREATE TABLE kept AS SELECT 1 AS n")

	t.Log("Another account gets in")
	given := corev1.Secret{}
	if err := s.kube.Get(s.Context(), client.ObjectKey{Namespace: "object-store", Name: "databases"}, &given); err != nil {
		t.Fatal(err)
	}
	account := string(given.Data["accessKeyID"])
	grant(t, s.bucket(), account, "FULL_CONTROL")
	s.secret(storeSecret, map[string]string{"accessKeyID": account, "secretAccessKey": string(given.Data["secretAccessKey"])})
	d.waitArchived()
	d.backUp("afterwards", v1alpha1.BackupFull)
	w.check()
	if after := d.runningPod().UID; after != before {
		t.Errorf("the instance was replaced (%s, before %s); want that it goes on", after, before)
	}
}

// TestOtherTenant tries to begin with a database of another namespace, whose name and whose bucket it knows, with an account of the
// store that was not given that bucket: the store refuses, the claim says so, and nothing is on its volume.
func TestOtherTenant(t *testing.T) {
	s := newScene(t)
	source := s.create("source", smallSpec("17"))
	location := s.store()
	source.plan(map[string]any{"backupLocation": location})
	source.waitScheduled()
	given := corev1.Secret{}
	if err := s.kube.Get(s.Context(), client.ObjectKey{Namespace: "object-store", Name: "databases"}, &given); err != nil {
		t.Fatal(err)
	}

	t.Run("thief", func(t *testing.T) {
		other := newScene(t)
		other.secret(storeSecret, map[string]string{"accessKeyID": string(given.Data["accessKeyID"]), "secretAccessKey": string(given.Data["secretAccessKey"])})
		thief := other.start("thief", restored("17", v1alpha1.RestoreSpec{SourceNamespace: s.namespace, BackupPlanOf: v1alpha1.PlanOfSelf}))
		thief.plan(map[string]any{"backupLocation": location})
		thief.eventually(rolloutLimit, "The claim says that the store refuses", func(context.Context) (string, bool) {
			said := fmt.Sprint(thief.status().CriticalIncidents)
			return said, strings.Contains(said, "does not let these credentials in")
		})
		if found := thief.mustInDatabase("find " + instance.FolderVolume + " -name PG_VERSION"); strings.TrimSpace(found) != "" {
			t.Errorf("there is a database on the volume: %s", found)
		}
	})
}

// TestGrantedBackups restores a database of another namespace whose BackupPlan grants that, with an account that can only read. Before
// it does, and once the grant is taken back, there is nothing to be had. No credentials are left once it is restored.
func TestGrantedBackups(t *testing.T) {
	s := newScene(t)
	source := s.create("source", smallSpec("17"))
	plan := map[string]any{"backupLocation": s.store()}
	source.plan(plan)
	source.waitScheduled()
	source.sql("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS id")
	source.waitArchived()
	given := corev1.Secret{}
	if err := s.kube.Get(s.Context(), client.ObjectKey{Namespace: "object-store", Name: "databases"}, &given); err != nil {
		t.Fatal(err)
	}
	reader := string(given.Data["accessKeyID"])

	t.Run("reports", func(t *testing.T) {
		other := newScene(t)
		from := v1alpha1.RestoreSpec{SourceNamespace: s.namespace}
		copied := other.start("copy", restored("17", from))
		copied.waitIncident("RestoreWaits", "no BackupPlan there grants its backups to this namespace")

		t.Log("The grant names a Secret that is not there")
		plan["grants"] = []any{map[string]any{"namespace": other.namespace, "secretRef": map[string]any{"name": "reader"}}}
		source.plan(plan)
		source.eventually(backupLimit, "The BackupPlan asks for the Secret", func(ctx context.Context) (string, bool) {
			said := source.planCondition(ctx, source.name, v1alpha1.ConditionGrantsAccepted)
			return said, said == "False "+v1alpha1.ReasonCredentialsMissing
		})

		t.Log("It is there")
		grant(t, s.bucket(), reader, "READ")
		s.secret("reader", map[string]string{"accessKeyID": reader, "secretAccessKey": string(given.Data["secretAccessKey"])})
		copied.waitRolledOut()
		if got := strings.TrimSpace(copied.sql("SELECT count(*) FROM kept")); got != "1000" {
			t.Errorf("the copy has %s rows; want 1000", got)
		}
		copied.waitSecretGone(naming.Cluster{Namespace: other.namespace, Name: copied.name}.Source())

		t.Log("The grant is taken back")
		delete(plan, "grants")
		source.plan(plan)
		source.waitSecretGone(naming.Cluster{Namespace: s.namespace, Name: source.name}.Granted(other.namespace))
		second := other.start("second", restored("17", from))
		second.waitIncident("RestoreWaits", "no BackupPlan there grants its backups to this namespace")
	})
}

// waitSecretGone waits until a Secret of the scene's namespace is not there.
func (s *scene) waitSecretGone(name string) {
	s.Helper()
	s.eventually(backupLimit, "There is no Secret "+name, func(ctx context.Context) (string, bool) {
		err := s.kube.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, &corev1.Secret{})
		return fmt.Sprint(err), apierrors.IsNotFound(err)
	})
}

// grant lets an account of the object store use a bucket, as the store's administrator would: with FULL_CONTROL or READ.
func grant(t *testing.T, bucket, account, permission string) {
	t.Helper()
	list := fmt.Sprintf(`{"Owner":%[1]q,"Grantees":[{"Permission":%[2]q,"Access":%[1]q,"Type":"CanonicalUser"}]}`, account, permission)
	if err := unix.Setxattr(bucket, "user.acl", []byte(list), 0); err != nil {
		t.Fatalf("cannot grant the bucket: %v", err)
	}
}
