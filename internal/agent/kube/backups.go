package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// Known is what is known of a repository.
type Known struct {
	Inventory     instance.Inventory
	Schedule      instance.Schedule
	Verifications instance.Verifications
}

// WatchInventory calls changed with what is in the repository, what was scheduled, and what came of trying backups, whenever any of
// it is another, until the context ends.
func (c *Client) WatchInventory(ctx context.Context, log *slog.Logger, changed func(Known)) {
	c.watchNamed(ctx, log, c.cluster.Inventory(), func(m *corev1.ConfigMap) error {
		k, err := parseKnown(m)
		if err == nil {
			changed(k)
		}
		return err
	})
}

// Known returns what is known of the repository.
func (c *Client) Known(ctx context.Context) (Known, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := c.api.CoreV1().ConfigMaps(c.namespace).Get(ctx, c.cluster.Inventory(), metav1.GetOptions{})
	if err != nil {
		return Known{}, fmt.Errorf("cannot read ConfigMap %q: %w", c.cluster.Inventory(), err)
	}
	return parseKnown(m)
}

func parseKnown(m *corev1.ConfigMap) (Known, error) {
	k := Known{}
	for key, into := range map[string]any{instance.InventoryKey: &k.Inventory, instance.ScheduleKey: &k.Schedule, instance.VerificationKey: &k.Verifications} {
		if text, ok := m.Data[key]; ok {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				return Known{}, fmt.Errorf("cannot parse %s of ConfigMap %q: %w", key, m.Name, err)
			}
		}
	}
	return k, nil
}

// WriteInventory says what is in the repository.
func (c *Client) WriteInventory(ctx context.Context, inventory instance.Inventory) error {
	return c.writeKey(ctx, c.cluster.Inventory(), instance.InventoryKey, inventory)
}

// WriteSchedule remembers what was scheduled.
func (c *Client) WriteSchedule(ctx context.Context, s instance.Schedule) error {
	return c.writeKey(ctx, c.cluster.Inventory(), instance.ScheduleKey, s)
}

// WriteBackup reports how far a backup is, in the ConfigMap of the name.
func (c *Client) WriteBackup(ctx context.Context, name string, report instance.BackupReport) error {
	return c.writeKey(ctx, name, instance.BackupKey, report)
}

// WriteVerifications remembers what came of trying backups.
func (c *Client) WriteVerifications(ctx context.Context, v instance.Verifications) error {
	return c.writeKey(ctx, c.cluster.Inventory(), instance.VerificationKey, v)
}

// WriteBackupVerification says what came of trying a backup, beside what its Job reported in the ConfigMap of the name. It goes
// with the Backup: where that is gone there is nobody to tell.
func (c *Client) WriteBackupVerification(ctx context.Context, name string, v instance.BackupVerification) error {
	err := c.writeKey(ctx, name, instance.VerificationKey, v)
	if kerrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (c *Client) writeKey(ctx context.Context, name, key string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("cannot encode %s of ConfigMap %q: %w", key, name, err)
	}
	return c.patchConfigMap(ctx, name, map[string]any{"data": map[string]string{key: string(raw)}})
}

func backups() schema.GroupVersionResource {
	return v1alpha1.GroupVersion().WithResource("backups")
}

// CreateBackup creates a Backup on schedule. One that exists is left alone.
func (c *Client) CreateBackup(ctx context.Context, plan, name string, kind v1alpha1.BackupType) error {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion().String(),
		"kind":       v1alpha1.KindBackup,
		"metadata": map[string]any{
			"name": name, "namespace": c.namespace,
			"labels": map[string]any{naming.LabelCluster: c.cluster.Name, naming.LabelBackupPlan: plan, naming.LabelScheduled: "true"},
		},
		"spec": map[string]any{
			"dbclusterRef": c.cluster.Name, "backupPlanRef": plan, "manual": false,
			"physicalBackupSpec": map[string]any{"backupType": string(kind)},
		},
	}}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := c.dynamic.Resource(backups()).Namespace(c.namespace).Create(ctx, object, metav1.CreateOptions{})
	if err != nil && !kerrors.IsAlreadyExists(err) {
		return fmt.Errorf("cannot create Backup %q: %w", name, err)
	}
	return nil
}

// ScheduledBackups returns the Backups that were created on a plan's schedule.
func (c *Client) ScheduledBackups(ctx context.Context, plan string) ([]v1alpha1.Backup, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found, err := c.dynamic.Resource(backups()).Namespace(c.namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.SelectorFromSet(labels.Set{naming.LabelBackupPlan: plan, naming.LabelScheduled: "true"}).String(),
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list the Backups of %q: %w", plan, err)
	}
	list := make([]v1alpha1.Backup, 0, len(found.Items))
	for _, item := range found.Items {
		b := v1alpha1.Backup{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &b); err != nil {
			return nil, fmt.Errorf("cannot read Backup %q: %w", item.GetName(), err)
		}
		list = append(list, b)
	}
	return list, nil
}

// DeleteBackup deletes a Backup, which leaves what it names where it is.
func (c *Client) DeleteBackup(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := c.dynamic.Resource(backups()).Namespace(c.namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !kerrors.IsNotFound(err) {
		return fmt.Errorf("cannot delete Backup %q: %w", name, err)
	}
	return nil
}

// TakeRepository takes or renews the lock of the cluster's repository for a holder, for some time from now. It says who has it
// otherwise.
func (c *Client) TakeRepository(ctx context.Context, holder string, lifetime time.Duration, now time.Time) (other string, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	leases, name := c.api.CoordinationV1().Leases(c.namespace), c.cluster.RepositoryLock()
	lease, err := leases.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("cannot read Lease %q: %w", name, err)
	}
	if there := holderOf(lease.Spec, now); there != "" && there != holder {
		return there, nil
	}
	seconds, renewed := int32(lifetime.Seconds()), metav1.NewMicroTime(now)
	if holderOf(lease.Spec, now) != holder {
		lease.Spec.AcquireTime = &renewed
	}
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &holder, &seconds, &renewed
	if _, err := leases.Update(ctx, lease, metav1.UpdateOptions{}); err != nil {
		return "", fmt.Errorf("cannot take Lease %q: %w", name, err)
	}
	return "", nil
}

// ReleaseRepository gives the lock of the cluster's repository up.
func (c *Client) ReleaseRepository(ctx context.Context, holder string, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	leases, name := c.api.CoordinationV1().Leases(c.namespace), c.cluster.RepositoryLock()
	lease, err := leases.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("cannot read Lease %q: %w", name, err)
	}
	if holderOf(lease.Spec, now) != holder {
		return nil
	}
	lease.Spec = coordinationv1.LeaseSpec{}
	if _, err := leases.Update(ctx, lease, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("cannot release Lease %q: %w", name, err)
	}
	return nil
}

// holderOf returns who holds a lease that has not run out. By which clock it was renewed is not known: a clock that is wrong by
// more than a lease's life breaks it.
func holderOf(spec coordinationv1.LeaseSpec, now time.Time) string {
	if spec.HolderIdentity == nil || spec.RenewTime == nil || spec.LeaseDurationSeconds == nil {
		return ""
	}
	if now.After(spec.RenewTime.Add(time.Duration(*spec.LeaseDurationSeconds) * time.Second)) {
		return ""
	}
	return *spec.HolderIdentity
}
