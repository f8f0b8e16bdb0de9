package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/test/platform"
)

const (
	// namespace is for claims that are applied. Those from Git are where Flux may write.
	namespace = "bench"

	// crossplaneNamespace is where Crossplane runs its functions.
	crossplaneNamespace = "crossplane-system"

	// runLimit bounds one run, which takes seconds when all is well.
	runLimit = 5 * time.Minute

	// removalLimit bounds what cleans up, be it after many claims.
	removalLimit = 20 * time.Minute

	// interval is how often the cluster is looked at for what is timed. It is as much as a time can be off.
	interval = 50 * time.Millisecond
)

// A bench is a platform to measure.
type bench struct {
	*platform.Platform

	config *rest.Config
}

// newBench brings the platform up where it is not up yet.
func newBench(ctx context.Context, o *options, r *report) (*bench, error) {
	local := platform.Local{
		Project: r.project, Kubeconfig: o.Kubeconfig, Nodes: o.Nodes, Registry: o.Registry, GitAddress: o.GitAddress, Out: r.log,
	}
	p, err := local.Up(ctx)
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", p.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("cannot read kubeconfig %q: %w", p.Kubeconfig, err)
	}
	return &bench{Platform: p, config: config}, nil
}

// get reads an object without its Go type.
func (b *bench) get(ctx context.Context, kind schema.GroupVersionKind, key client.ObjectKey) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	if err := b.Client.Get(ctx, key, object); err != nil {
		return nil, fmt.Errorf("cannot read %s %q: %w", kind.Kind, key, err)
	}
	return object, nil
}

// until waits until something is so. The check says what it saw, which is what the error tells otherwise.
func until(ctx context.Context, every time.Duration, what string, check func(ctx context.Context) (seen string, done bool)) error {
	seen := ""
	err := wait.PollUntilContextCancel(ctx, every, true, func(ctx context.Context) (done bool, err error) {
		seen, done = check(ctx)
		return done, nil
	})
	if err != nil {
		return fmt.Errorf("cannot see that %s (%s): %w", what, seen, err)
	}
	return nil
}

// cleanly does something and cleans up after it, also when it failed or was interrupted. What cleans up sets itself a limit.
func cleanly(ctx context.Context, do, clean func(ctx context.Context) error) error {
	err := do(ctx)
	return errors.Join(err, clean(context.WithoutCancel(ctx)))
}

// pause waits without doing anything.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
