//go:build e2e

package databases

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/test/cluster/objectstore"
)

// backupLimit is how long a backup of a small database may take on a machine that is busy with other tests.
const backupLimit = 3 * time.Minute

// storeSecret has the credentials of the local cluster's object store.
const storeSecret = "store"

// TestBackup archives a database, takes backups of each type, and leaves them where they are when the BackupPlan goes.
func TestBackup(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	location := s.store()
	d := s.create("kept", smallSpec("17"))
	d.sql("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")

	since := time.Now()
	d.plan(map[string]any{"backupLocation": location, "cronSchedule": "0 3 * * *"})
	first := d.waitScheduled()
	t.Logf("from the BackupPlan to its first backup: %s", ago(since))
	if first.Type != v1alpha1.BackupFull || first.LSN == nil || first.WAL == nil || first.Size == nil || first.RetainExpireTime == nil || first.Source != d.pod() {
		t.Errorf("the first backup says %+v", first)
	}

	t.Log("What changes since is in backups that continue it")
	d.sql("INSERT INTO kept SELECT generate_series(1001, 2000)")
	incremental := d.backUp("incremental", v1alpha1.BackupIncremental)
	if incremental.Type != v1alpha1.BackupIncremental || incremental.Prior != first.Label {
		t.Errorf("the incremental backup is %s after %s; want %s after %s", incremental.Type, incremental.Prior, v1alpha1.BackupIncremental, first.Label)
	}
	differential := d.backUp("differential", v1alpha1.BackupDifferential)
	if differential.Type != v1alpha1.BackupDifferential || differential.Prior != first.Label {
		t.Errorf("the differential backup is %s after %s; want %s after %s", differential.Type, differential.Prior, v1alpha1.BackupDifferential, first.Label)
	}

	t.Log("A second BackupPlan is refused, and the first one stays in force")
	d.applyPlan("other", map[string]any{"dbclusterRef": d.name, "backupLocation": location})
	d.eventually(backupLimit, "The second BackupPlan says that there is one already", func(ctx context.Context) (string, bool) {
		said := d.planCondition(ctx, "other", v1alpha1.ConditionLocationAccepted)
		return said, said == "False "+v1alpha1.ReasonOtherPlan
	})
	d.removeClaim(v1alpha1.KindBackupPlan, "other")

	t.Log("The status of the BackupPlan")
	d.eventually(backupLimit, "The BackupPlan has its backups in its status", func(ctx context.Context) (string, bool) {
		status, err := d.readPlan(ctx, d.name)
		good := err == nil && status.Phase == v1alpha1.BackupPlanActive && status.Repository != nil && status.Repository.Backups == 3 &&
			status.RecoveryWindow != nil && status.NextBackupTime != nil && status.Repository.NewestBackup == differential.Label
		return fmt.Sprintf("%+v %v", status, err), good
	})
	d.waitRollout(v1alpha1.RolloutComplete)

	t.Log("Without the BackupPlan WAL is dropped, and the backups stay")
	d.removeClaim(v1alpha1.KindBackupPlan, d.name)
	d.sql("SELECT pg_switch_wal()")
	d.eventually(backupLimit, "Nothing waits to be archived", func(context.Context) (string, bool) {
		waiting := d.mustInDatabase(`ls "$(psql -U postgres -At -c "SHOW data_directory")/pg_wal/archive_status" | grep -c ready || true`)
		return waiting, waiting == "0"
	})
	kept, err := filepath.Glob(filepath.Join(objectstore.Buckets(), s.namespace, s.namespace, d.name, "*", "backup", "db", differential.Label))
	if err != nil || len(kept) != 1 {
		t.Errorf("the differential backup is in %q of the store (%v); want one", kept, err)
	}
}

// TestDefaultStore backs a database up to the store that the platform gives its namespace, and shows that what is given reaches no
// other namespace's backups.
func TestDefaultStore(t *testing.T) {
	s := newScene(t)
	other := s.store()
	d := s.start("defaulted", smallSpec("17"))
	given := corev1.Secret{}
	if err := s.kube.Get(s.Context(), client.ObjectKey{Namespace: "object-store", Name: "databases"}, &given); err != nil {
		s.Fatalf("cannot read which store there is for a namespace: %v", err)
	}
	data := map[string]string{"key": s.namespace}
	for key, value := range given.Data {
		data[key] = string(value)
	}
	kept := filepath.Join(objectstore.Buckets(), data["bucket"], s.namespace)
	s.stored = append(s.stored, kept)

	t.Log("Without the platform's word there is no store, and the database waits for it")
	d.plan(map[string]any{})
	d.eventually(backupLimit, "The BackupPlan asks for a store", func(ctx context.Context) (string, bool) {
		said := d.planCondition(ctx, d.name, v1alpha1.ConditionLocationAccepted)
		return said, said == "False "+v1alpha1.ReasonCredentialsMissing
	})
	d.waitIncident("BackupPlanAwaited", "BackupPlan "+d.name)

	t.Log("With it")
	s.secret("xdbcluster-backup-store", data)
	d.waitRolledOut()
	backup := d.waitScheduled()
	found, err := filepath.Glob(filepath.Join(kept, s.namespace, d.name, "*", "backup", "db", backup.Label))
	if err != nil || len(found) != 1 {
		t.Errorf("the backup is in %q of the platform's store (%v); want one", found, err)
	}

	t.Log("What was given is used for another bucket")
	s.secret(storeSecret, map[string]string{"accessKeyID": data["accessKeyID"], "secretAccessKey": data["secretAccessKey"]})
	d.plan(map[string]any{"backupLocation": other})
	d.eventually(backupLimit, "The store refuses", func(ctx context.Context) (string, bool) {
		said := d.planCondition(ctx, d.name, v1alpha1.ConditionArchiving)
		return said, said == "False "+v1alpha1.ReasonRepositoryUnusable
	})
	d.waitIncident("RepositoryUnusable", "the store does not let these credentials in")
}

// store makes a bucket of the namespace's name in the local cluster's object store, and returns where it is.
func (s *scene) store() map[string]any {
	s.Helper()
	location := s.storeWithoutBucket()
	if err := os.MkdirAll(s.bucket(), 0o700); err != nil {
		s.Fatalf("cannot make a bucket: %v", err)
	}
	return location
}

// bucket is the folder of the bucket of the namespace's name.
func (s *scene) bucket() string { return filepath.Join(objectstore.Buckets(), s.namespace) }

// storeWithoutBucket returns where the bucket of the namespace's name would be, and removes it after the test.
func (s *scene) storeWithoutBucket() map[string]any {
	s.Helper()
	if err := os.RemoveAll(s.bucket()); err != nil {
		s.Fatalf("cannot remove what an earlier run stored: %v", err)
	}
	s.stored = append(s.stored, s.bucket())
	return s.location()
}

// location gives the namespace what lets it into the object store, and returns where the bucket of its name is.
func (s *scene) location() map[string]any {
	s.Helper()
	given := corev1.Secret{}
	if err := s.kube.Get(s.Context(), client.ObjectKey{Namespace: "object-store", Name: "s3"}, &given); err != nil {
		s.Fatalf("cannot read who may use the object store: %v", err)
	}
	s.secret(storeSecret, map[string]string{
		"accessKeyID": string(given.Data["accessKeyID"]), "secretAccessKey": string(given.Data["secretAccessKey"]) + "\n",
	})
	return map[string]any{"type": "S3", "s3Options": map[string]any{
		"bucket": s.namespace, "endpoint": string(given.Data["endpoint"]), "secretRef": map[string]any{"name": storeSecret},
		"caBundle": []any{string(given.Data["ca.crt"])},
	}}
}

// plan gives the database a BackupPlan of its own name.
func (d *database) plan(spec map[string]any) {
	d.Helper()
	spec["dbclusterRef"] = d.name
	d.applyPlan(d.name, spec)
}

func (s *scene) applyPlan(name string, spec map[string]any) {
	s.Helper()
	s.apply(map[string]any{
		"apiVersion": claimKind().GroupVersion().String(), "kind": v1alpha1.KindBackupPlan, "metadata": map[string]any{"name": name},
		"spec": runtime.DeepCopyJSON(spec),
	})
}

// backUp takes a backup and waits for it.
func (d *database) backUp(name string, kind v1alpha1.BackupType) v1alpha1.BackupStatus {
	d.Helper()
	d.askForBackup(name, kind)
	return d.waitBackup(name)
}

// askForBackup asks for a backup and does not wait for it.
func (d *database) askForBackup(name string, kind v1alpha1.BackupType) {
	d.Helper()
	d.apply(map[string]any{
		"apiVersion": claimKind().GroupVersion().String(), "kind": v1alpha1.KindBackup, "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"dbclusterRef": d.name, "backupPlanRef": d.name, "physicalBackupSpec": map[string]any{"backupType": string(kind)},
		},
	})
}

// waitScheduled waits for the first backup that the BackupPlan itself asks for.
func (d *database) waitScheduled() v1alpha1.BackupStatus {
	d.Helper()
	return d.waitBackup(d.firstScheduled())
}

// firstScheduled waits until the BackupPlan asks for its first backup, and returns the name of the Backup.
func (d *database) firstScheduled() string {
	d.Helper()
	name := ""
	d.eventually(backupLimit, "The BackupPlan asks for its first backup", func(ctx context.Context) (string, bool) {
		scheduled, err := d.scheduled(ctx)
		name = strings.Join(slices.Collect(maps.Keys(scheduled)), " ")
		status, errPlan := d.readPlan(ctx, d.name)
		return fmt.Sprintf("%v %v; the plan says %+v %v", scheduled, err, status, errPlan), err == nil && len(scheduled) == 1
	})
	return name
}

// scheduled returns the phases of the Backups that the BackupPlan itself has asked for, by name.
func (d *database) scheduled(ctx context.Context) (map[string]v1alpha1.BackupPhase, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(claimKind().GroupVersion().WithKind(v1alpha1.KindBackup))
	if err := d.kube.List(ctx, list, client.InNamespace(d.namespace), client.MatchingLabels{"xdbcluster.io/backup-plan": d.name}); err != nil {
		return nil, err
	}
	phases := make(map[string]v1alpha1.BackupPhase, len(list.Items))
	for _, item := range list.Items {
		phase, _, _ := unstructured.NestedString(item.Object, "status", "phase")
		phases[item.GetName()] = v1alpha1.BackupPhase(phase)
	}
	return phases, nil
}

func (d *database) waitBackup(name string) v1alpha1.BackupStatus {
	d.Helper()
	status := d.waitBackupEnd(name, backupLimit)
	if status.Phase != v1alpha1.BackupSucceeded {
		d.Fatalf("Backup %s is %s (%s: %s)", name, status.Phase, status.Reason, status.Message)
	}
	return status
}

// waitBackupEnd is waitBackup for one that may fail.
func (d *database) waitBackupEnd(name string, limit time.Duration) v1alpha1.BackupStatus {
	d.Helper()
	status := v1alpha1.BackupStatus{}
	d.eventually(limit, fmt.Sprintf("Backup %s has come to its end", name), func(ctx context.Context) (string, bool) {
		if err := d.readStatus(ctx, v1alpha1.KindBackup, name, &status); err != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("%s %s: %s", status.Phase, status.Reason, status.Message), status.Phase.Final()
	})
	d.Logf("Backup %s is %s: %s (%s, %s, %s)", name, status.Phase, status.Message, status.Type, status.Label, status.Duration)
	return status
}

func (d *database) readPlan(ctx context.Context, name string) (v1alpha1.BackupPlanStatus, error) {
	status := v1alpha1.BackupPlanStatus{}
	err := d.readStatus(ctx, v1alpha1.KindBackupPlan, name, &status)
	return status, err
}

// planCondition is the status and the reason of a condition.
func (d *database) planCondition(ctx context.Context, name, kind string) string {
	status, err := d.readPlan(ctx, name)
	for _, c := range status.Conditions {
		if c.Type == kind {
			return fmt.Sprintf("%s %s", c.Status, c.Reason)
		}
	}
	return fmt.Sprintf("no condition, %v", err)
}

// readStatus reads the status of a claim.
func (s *scene) readStatus(ctx context.Context, kind, name string, status any) error {
	return s.readStatusOf(ctx, claimKind().GroupVersion().WithKind(kind), name, status)
}

// readStatusOf reads the status of an object of any kind.
func (s *scene) readStatusOf(ctx context.Context, kind schema.GroupVersionKind, name string, status any) error {
	object := unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	if err := s.kube.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, &object); err != nil {
		return err
	}
	content, _, err := unstructured.NestedMap(object.Object, "status")
	if err != nil {
		return err
	}
	return runtime.DefaultUnstructuredConverter.FromUnstructured(content, status)
}

// removeClaim deletes a claim and waits until it is gone.
func (s *scene) removeClaim(kind, name string) {
	s.Helper()
	object := unstructured.Unstructured{}
	object.SetGroupVersionKind(claimKind().GroupVersion().WithKind(kind))
	object.SetName(name)
	object.SetNamespace(s.namespace)
	if err := s.kube.Delete(s.Context(), &object); err != nil {
		s.Fatalf("cannot delete %s %q: %v", kind, name, err)
	}
	s.eventually(operationLimit, fmt.Sprintf("%s %s is gone", kind, name), func(ctx context.Context) (string, bool) {
		err := s.kube.Get(ctx, client.ObjectKeyFromObject(&object), object.DeepCopy())
		return fmt.Sprint(err), kerrors.IsNotFound(err)
	})
}
