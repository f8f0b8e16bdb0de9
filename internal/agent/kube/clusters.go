package kube

import (
	"context"
	"fmt"

	kerrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

func dbclusters() schema.GroupVersionResource {
	return v1alpha1.GroupVersion().WithResource("dbclusters")
}

// DBCluster returns the claim of a name in the namespace. It is nil when there is none.
func (c *Client) DBCluster(ctx context.Context, name string) (*v1alpha1.DBCluster, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found, err := c.dynamic.Resource(dbclusters()).Namespace(c.namespace).Get(ctx, name, metav1.GetOptions{})
	if kerrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read DBCluster %q: %w", name, err)
	}
	claim := &v1alpha1.DBCluster{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, claim); err != nil {
		return nil, fmt.Errorf("cannot read DBCluster %q: %w", name, err)
	}
	return claim, nil
}

// CreateDBCluster creates a claim in the namespace. It belongs to nobody: nothing takes it away but its own deletion.
func (c *Client) CreateDBCluster(ctx context.Context, claim *v1alpha1.DBCluster) error {
	spec, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&claim.Spec)
	if err != nil {
		return fmt.Errorf("cannot encode DBCluster %q: %w", claim.Name, err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion().String(), "kind": v1alpha1.KindDBCluster, "spec": spec,
	}}
	object.SetName(claim.Name)
	object.SetNamespace(c.namespace)
	object.SetAnnotations(claim.Annotations)
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := c.dynamic.Resource(dbclusters()).Namespace(c.namespace).Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("cannot create DBCluster %q: %w", claim.Name, err)
	}
	return nil
}
