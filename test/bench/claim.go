package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

const (
	// labelBench is on every claim that is made to be measured, and on no other: what has it may be removed.
	labelBench = "xdbcluster.io/bench"

	// fieldOwner is the name under which claims are applied.
	fieldOwner = client.FieldOwner("bench")

	// removalInterval is how often removal is looked at. It must not keep the cluster from its work.
	removalInterval = 500 * time.Millisecond
)

// mine selects the claims of a namespace that were made to be measured.
func mine(namespace string) []client.ListOption {
	return []client.ListOption{client.InNamespace(namespace), client.HasLabels{labelBench}}
}

// smallSpec is that of the demo's database: one instance, and all else as it is by default, deletion protection too.
func smallSpec() v1alpha1.DBClusterSpec {
	return v1alpha1.DBClusterSpec{
		PrimarySpec: v1alpha1.PrimarySpec{
			Version: "17",
			Resources: v1alpha1.ResourcesSpec{
				CPU:    resource.MustParse("100m"),
				Memory: resource.MustParse("256Mi"),
				Disks:  []v1alpha1.DiskSpec{{Name: v1alpha1.DataDisk, Size: resource.MustParse("1Gi")}},
			},
		},
	}
}

// newClaim returns a claim as a person would write it: without zero values.
func newClaim(key client.ObjectKey, spec v1alpha1.DBClusterSpec) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&spec)
	if err != nil {
		return nil, fmt.Errorf("cannot encode DBCluster %q: %w", key, err)
	}
	claim := &unstructured.Unstructured{Object: map[string]any{"spec": content}}
	claim.SetGroupVersionKind(v1alpha1.GroupVersion().WithKind(v1alpha1.KindDBCluster))
	claim.SetNamespace(key.Namespace)
	claim.SetName(key.Name)
	claim.SetLabels(map[string]string{labelBench: "true"})
	return claim, nil
}

// apply applies a claim as kubectl apply --server-side does.
func (b *bench) apply(ctx context.Context, key client.ObjectKey, spec v1alpha1.DBClusterSpec) error {
	claim, err := newClaim(key, spec)
	if err != nil {
		return err
	}
	if err := b.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(claim), fieldOwner); err != nil {
		return fmt.Errorf("cannot apply DBCluster %q: %w", key, err)
	}
	return nil
}

// claims lists the claims of a namespace that were made to be measured.
func (b *bench) claims(ctx context.Context, namespace string) ([]unstructured.Unstructured, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion().WithKind(v1alpha1.KindDBCluster))
	if err := b.Client.List(ctx, list, mine(namespace)...); err != nil {
		return nil, fmt.Errorf("cannot list DBClusters: %w", err)
	}
	return list.Items, nil
}

// remove removes the claims of a namespace that were made to be measured, with their volumes.
func (b *bench) remove(ctx context.Context, namespace string) error {
	claims, err := b.unprotect(ctx, namespace)
	if err != nil {
		return err
	}
	return b.delete(ctx, namespace, claims)
}

// delete deletes claims and waits until they are gone.
func (b *bench) delete(ctx context.Context, namespace string, claims []unstructured.Unstructured) error {
	for _, claim := range claims {
		if err := b.Client.Delete(ctx, &claim); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("cannot delete DBCluster %q: %w", claim.GetName(), err)
		}
	}
	return b.waitGone(ctx, namespace, claims)
}

// unprotect lets the claims of a namespace that were made to be measured be deleted, with their volumes, and returns them
// when they can be.
func (b *bench) unprotect(ctx context.Context, namespace string) ([]unstructured.Unstructured, error) {
	claims, err := b.claims(ctx, namespace)
	if err != nil {
		return nil, err
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"deletionProtection":false,"volumeRetentionPolicy":"Delete"}}`))
	for _, claim := range claims {
		if err := b.Client.Patch(ctx, claim.DeepCopy(), patch); client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("cannot lift the protection of DBCluster %q: %w", claim.GetName(), err)
		}
	}
	err = until(ctx, removalInterval, "no database is protected", func(ctx context.Context) (string, bool) {
		now, err := b.claims(ctx, namespace)
		protected := 0
		for _, claim := range now {
			if isProtected(claim) {
				protected++
			}
		}
		return fmt.Sprintf("%d of %d are, %v", protected, len(now), err), err == nil && protected == 0
	})
	return claims, err
}

func isProtected(claim unstructured.Unstructured) bool {
	return claim.GetDeletionTimestamp() == nil && condition(claim, v1alpha1.ConditionDeletionProtected).Reason != v1alpha1.ReasonUnprotected
}

// condition returns one of a claim's conditions, which is empty when the claim has none of its kind.
func condition(claim unstructured.Unstructured, kind string) metav1.Condition {
	entries, _, _ := unstructured.NestedSlice(claim.Object, "status", "conditions")
	for _, entry := range entries {
		fields, _ := entry.(map[string]any)
		c := metav1.Condition{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &c); err == nil && c.Type == kind {
			return c
		}
	}
	return metav1.Condition{}
}

// waitGone waits until deleted claims are gone, and their volumes, which are the last to go.
func (b *bench) waitGone(ctx context.Context, namespace string, claims []unstructured.Unstructured) error {
	data := map[string]bool{}
	for _, claim := range claims {
		data[naming.Cluster{Namespace: namespace, Name: claim.GetName()}.DataVolume(0)] = true
	}
	return until(ctx, removalInterval, "databases are gone with their volumes", func(ctx context.Context) (string, bool) {
		now, err := b.claims(ctx, namespace)
		if err != nil || len(now) > 0 {
			return fmt.Sprintf("%d claims are there, %v", len(now), err), false
		}
		volumes := &corev1.PersistentVolumeList{}
		err = b.Client.List(ctx, volumes)
		left := 0
		for _, v := range volumes.Items {
			if ref := v.Spec.ClaimRef; ref != nil && ref.Namespace == namespace && data[ref.Name] {
				left++
			}
		}
		return fmt.Sprintf("%d volumes are there, %v", left, err), err == nil && left == 0
	})
}

// inNamespace does something in a namespace for claims that are applied, without what a run that was killed may have left
// in it.
func (b *bench) inNamespace(ctx context.Context, do func(ctx context.Context) error) error {
	if err := b.removeNamespace(ctx); err != nil {
		return err
	}
	if err := b.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return fmt.Errorf("cannot create namespace %q: %w", namespace, err)
	}
	return cleanly(ctx, do, b.removeNamespace)
}

func (b *bench) removeNamespace(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, removalLimit)
	defer cancel()
	if err := b.remove(ctx, namespace); err != nil {
		return err
	}
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	return until(ctx, removalInterval, "namespace "+namespace+" is gone", func(ctx context.Context) (string, bool) {
		err := b.Client.Delete(ctx, object)
		return fmt.Sprint(err), apierrors.IsNotFound(err)
	})
}
