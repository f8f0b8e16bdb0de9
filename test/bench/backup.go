package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/test/cluster/objectstore"
)

// backupStore is the name of the Secret with the credentials of the local cluster's object store, and of the bucket.
const backupStore = "bench-backups"

type backupCommand struct{ repeated }

// Run measures a small database: its first backup, from when the BackupPlan is applied, and a restore in place, from when the
// Restore is applied until a row is read that was there at that time. It needs the local cluster's object store.
func (c backupCommand) Run(ctx context.Context, b *bench, r *report) error {
	m := backups{
		first:   &measurement{what: "BackupPlan applied, to its first full backup Succeeded", atMost: "30 s", unit: seconds},
		restore: &measurement{what: "Restore applied, to the primary answers", atMost: "30 s", unit: seconds},
		said:    &measurement{what: "Restore applied, to its status saying so", unit: seconds},
	}
	bucket := filepath.Join(objectstore.Buckets(), backupStore)
	defer os.RemoveAll(bucket) //nolint:errcheck // A bucket of the local cluster that stays does no harm.
	err := b.inNamespace(ctx, func(ctx context.Context) error {
		return b.withApplication(ctx, namespace, func(ctx context.Context, a application) error {
			location, err := a.location(ctx, bucket)
			if err != nil {
				return err
			}
			for i := range c.Runs {
				name := fmt.Sprintf("backup-%d", i+1)
				if err := b.Progress.Step("First backup and restore in place, "+name, func() error { return m.run(ctx, a, name, location) }); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return r.table(m.first, m.restore, m.said)
}

// location makes the bucket anew, and returns where it is.
func (a application) location(ctx context.Context, bucket string) (map[string]any, error) {
	if err := errors.Join(os.RemoveAll(bucket), os.MkdirAll(bucket, 0o700)); err != nil {
		return nil, fmt.Errorf("cannot make a bucket: %w", err)
	}
	given := corev1.Secret{}
	if err := a.Client.Get(ctx, client.ObjectKey{Namespace: "object-store", Name: "s3"}, &given); err != nil {
		return nil, fmt.Errorf("cannot read who may use the object store: %w", err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: backupStore},
		Data:       map[string][]byte{"accessKeyID": given.Data["accessKeyID"], "secretAccessKey": given.Data["secretAccessKey"]},
	}
	if err := a.Client.Create(ctx, secret); err != nil {
		return nil, fmt.Errorf("cannot create Secret %q: %w", backupStore, err)
	}
	return map[string]any{"type": string(v1alpha1.LocationS3), "s3Options": map[string]any{
		"bucket": backupStore, "endpoint": string(given.Data["endpoint"]), "secretRef": map[string]any{"name": backupStore},
		"caBundle": []any{string(given.Data["ca.crt"])},
	}}, nil
}

type backups struct{ first, restore, said *measurement }

func (m backups) run(ctx context.Context, a application, name string, location map[string]any) error {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	key := client.ObjectKey{Namespace: namespace, Name: name}
	if err := a.apply(ctx, key, smallSpec()); err != nil {
		return err
	}
	if err := a.WaitClaimReady(ctx, key); err != nil {
		return err
	}
	if _, err := a.firstRow(ctx, key); err != nil {
		return err
	}

	applied := time.Now()
	plan, err := a.firstBackup(ctx, key, location)
	if err != nil {
		return err
	}
	m.first.took(time.Since(applied))

	if _, err := a.sql(ctx, key, "create table mistake (n int)"); err != nil {
		return err
	}
	applied = time.Now()
	if err := a.create(ctx, v1alpha1.KindRestore, key, map[string]any{
		"sourceDBCluster": name, "confirm": name, "backup": plan.Repository.NewestBackup, "requestedAt": applied.UTC().Format(time.RFC3339),
	}); err != nil {
		return err
	}
	err = until(ctx, interval, "the restored database answers", func(ctx context.Context) (string, bool) {
		out, err := a.sql(ctx, key, "select count(*) from first where to_regclass('mistake') is null")
		return fmt.Sprint(out, err), err == nil && out == "1"
	})
	if err != nil {
		return err
	}
	m.restore.took(time.Since(applied))
	restored := v1alpha1.InPlaceRestoreStatus{}
	if err := a.waitStatus(ctx, v1alpha1.KindRestore, key, &restored, func() bool { return restored.Phase == v1alpha1.OperationSucceeded }); err != nil {
		return err
	}
	m.said.took(time.Since(applied))
	return a.removeBackups(ctx, key)
}

// firstBackup creates the BackupPlan of a database, and waits until that has a backup.
func (b *bench) firstBackup(ctx context.Context, key client.ObjectKey, location map[string]any) (v1alpha1.BackupPlanStatus, error) {
	plan := v1alpha1.BackupPlanStatus{}
	if err := b.create(ctx, v1alpha1.KindBackupPlan, key, map[string]any{"dbclusterRef": key.Name, "backupLocation": location}); err != nil {
		return plan, err
	}
	err := b.waitStatus(ctx, v1alpha1.KindBackupPlan, key, &plan, func() bool { return plan.LastBackupTime != nil })
	return plan, err
}

func (b *bench) create(ctx context.Context, kind string, key client.ObjectKey, spec map[string]any) error {
	object := other(kind, key)
	object.Object["spec"] = spec
	if err := b.Client.Create(ctx, object); err != nil {
		return fmt.Errorf("cannot create %s %q: %w", kind, key, err)
	}
	return nil
}

func other(kind string, key client.ObjectKey) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion().WithKind(kind))
	object.SetNamespace(key.Namespace)
	object.SetName(key.Name)
	return object
}

// waitStatus reads a claim's status until it is as it should be.
func (b *bench) waitStatus(ctx context.Context, kind string, key client.ObjectKey, status any, reached func() bool) error {
	return until(ctx, interval, kind+" "+key.Name+" has come to its end", func(ctx context.Context) (string, bool) {
		object := other(kind, key)
		if err := b.Client.Get(ctx, key, object); err != nil {
			return err.Error(), false
		}
		content, _, _ := unstructured.NestedMap(object.Object, "status")
		err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, status)
		return fmt.Sprintf("%v %v", content["message"], err), err == nil && reached()
	})
}

// removeBackups removes what a run has made.
func (a application) removeBackups(ctx context.Context, key client.ObjectKey) error {
	for _, kind := range []string{v1alpha1.KindRestore, v1alpha1.KindBackupPlan} {
		if err := a.Client.Delete(ctx, other(kind, key)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("cannot delete %s %q: %w", kind, key, err)
		}
	}
	return a.remove(ctx, namespace)
}
