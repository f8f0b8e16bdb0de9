package platform

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// storeName is the name of the Secret by which a namespace knows the platform's store.
const storeName = "xdbcluster-backup-store"

// givenStore is the Secret in which the local cluster says what store there is for the namespace of the claims.
func givenStore() client.ObjectKey {
	return client.ObjectKey{Namespace: "object-store", Name: Namespace}
}

// provideStore gives the namespace of the claims the platform's store, as whoever runs a platform does for each namespace. On a
// cluster that has none it does nothing.
func (p *Platform) provideStore(ctx context.Context) error {
	given := corev1.Secret{}
	err := p.Client.Get(ctx, givenStore(), &given)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read Secret %q: %w", givenStore(), err)
	}
	store := applycorev1.Secret(storeName, Namespace).WithData(given.Data)
	if err := p.Client.Apply(ctx, store, fieldOwner, client.ForceOwnership); err != nil {
		return fmt.Errorf("cannot write Secret %q of the namespace %q: %w", storeName, Namespace, err)
	}
	return nil
}

// HasStore says whether BackupPlans that name no store have one.
func (p *Platform) HasStore(ctx context.Context) (bool, error) {
	err := p.Client.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: storeName}, &corev1.Secret{})
	if err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("cannot look for Secret %q: %w", storeName, err)
	}
	return err == nil, nil
}

// WaitBackedUp waits until a BackupPlan is in force and has a backup.
func (p *Platform) WaitBackedUp(ctx context.Context, key client.ObjectKey) error {
	plan := unstructured.Unstructured{}
	plan.SetGroupVersionKind(schema.GroupVersionKind{Group: "xdbcluster.io", Version: "v1alpha1", Kind: "BackupPlan"})
	last := conditionState{message: "it is not there"}
	err := wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		if err := p.Client.Get(ctx, key, &plan); err != nil {
			return false, client.IgnoreNotFound(err)
		}
		last, _ = condition(plan, "Reconciling")
		phase, _, err := nested(plan, "status", "phase")
		return phase == "Active", err
	})
	if err != nil {
		return fmt.Errorf("cannot see BackupPlan %q come into force (%s %s): %w", key, last.reason, last.message, err)
	}
	return nil
}
