package platform

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Kinds that are looked at without their Go types, as a user's own tools would.
func claimKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "xdbcluster.io", Version: "v1alpha1", Kind: "DBCluster"}
}

// Claim reads a DBCluster.
func (p *Platform) Claim(ctx context.Context, key client.ObjectKey) (unstructured.Unstructured, error) {
	object := unstructured.Unstructured{}
	object.SetGroupVersionKind(claimKind())
	if err := p.Client.Get(ctx, key, &object); err != nil {
		return object, fmt.Errorf("cannot read DBCluster %q: %w", key, err)
	}
	return object, nil
}

// WaitClaimReady waits until a claim says that it is ready.
func (p *Platform) WaitClaimReady(ctx context.Context, key client.ObjectKey) error {
	last := conditionState{message: "it is not there"}
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		object, err := p.Claim(ctx, key)
		if err != nil {
			return false, client.IgnoreNotFound(err)
		}
		last, _ = condition(object, "Ready")
		return last.status == "True", nil
	})
	if err != nil {
		return fmt.Errorf("cannot see DBCluster %q become ready (%s %s): %w\n%s",
			key, last.reason, last.message, err, p.Describe(context.WithoutCancel(ctx)))
	}
	return nil
}

func nested(object unstructured.Unstructured, fields ...string) (string, bool, error) {
	return unstructured.NestedString(object.Object, fields...)
}
