package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

const (
	// appliedAtOnce is how many claims are being applied at any moment, so that applying is not what takes the time.
	appliedAtOnce = 8

	// scaleInterval is how often all claims are looked at. It is as much as the time can be off.
	scaleInterval = 2 * time.Second

	// restTime is how long the control plane is watched when there is nothing left to do.
	restTime = time.Minute
)

type scaleCommand struct {
	Claims int           `default:"500" help:"How many claims to apply."`
	Limit  time.Duration `default:"30m" help:"How long they may take to get in sync."`
}

// Run measures the control plane with many claims that are stopped, so that nothing else works.
func (c scaleCommand) Run(ctx context.Context, b *bench, r *report) error {
	m, err := newLoad(ctx, b, c.Claims)
	if err != nil {
		return err
	}
	err = b.inNamespace(ctx, func(ctx context.Context) error {
		if err := b.Progress.Step(fmt.Sprintf("%d stopped claims in sync", c.Claims), func() error { return m.sync(ctx, c.Limit) }); err != nil {
			return err
		}
		if err := b.Progress.Step("Control plane at rest", func() error { return m.watch(ctx) }); err != nil {
			return err
		}
		return b.Progress.Step("Removal of all claims", func() error { return m.clear(ctx) })
	})
	if err != nil {
		return err
	}
	return r.table(m.synced, m.removed, m.calls, m.idle, m.before.function, m.syncing.function, m.resting.function, m.removing.function,
		m.before.crossplane, m.syncing.crossplane, m.resting.crossplane, m.removing.crossplane)
}

// A load is what many claims cost.
type load struct {
	*bench

	count                int // Of claims.
	synced, removed      *measurement
	calls, idle          *measurement
	function, crossplane string // Names of Pods.

	before, syncing, resting, removing memory
}

// A memory is how much both Pods worked with during some time.
type memory struct{ function, crossplane *measurement }

func newMemory(when, atMost string) memory {
	return memory{
		function:   &measurement{what: "function's Pod, working set, " + when, atMost: atMost, unit: mebibytes},
		crossplane: &measurement{what: "Crossplane's Pod, working set, " + when, unit: mebibytes},
	}
}

func newLoad(ctx context.Context, b *bench, claims int) (*load, error) {
	m := &load{
		bench: b, count: claims,
		synced:  &measurement{what: fmt.Sprintf("%d stopped claims applied, until all are in sync", claims), atMost: "5 min", unit: seconds},
		removed: &measurement{what: "until all are removed, their protection lifted first", unit: seconds},
		calls:   &measurement{what: "calls of the function until all were in sync", unit: count},
		idle:    &measurement{what: "calls of the function in the minute after", unit: count},
		before:  newMemory("before", ""), syncing: newMemory("until all are in sync", "64 MiB"),
		resting: newMemory("in the minute after", "64 MiB"), removing: newMemory("during removal", ""),
	}
	var err error
	if m.function, err = b.functionPod(ctx); err != nil {
		return nil, err
	}
	m.crossplane, err = b.crossplanePod(ctx, client.MatchingLabels{"app": "crossplane"})
	return m, err
}

// sampled does something while memory is being read.
func (m *load) sampled(ctx context.Context, during memory, do func() error) error {
	s := m.sample(ctx, map[string]*measurement{m.function: during.function, m.crossplane: during.crossplane})
	return errors.Join(do(), s.end())
}

// sync applies the claims and waits until all are in sync.
func (m *load) sync(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := m.sampled(ctx, m.before, func() error { return pause(ctx, 2*memoryInterval) }); err != nil {
		return err
	}
	before, err := m.functionCalls(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	err = m.sampled(ctx, m.syncing, func() error {
		if err := m.applyAll(ctx); err != nil {
			return err
		}
		if err := m.waitInSync(ctx); err != nil {
			return err
		}
		m.synced.took(time.Since(start))
		return nil
	})
	if err != nil {
		return err
	}
	after, err := m.functionCalls(ctx)
	if err != nil {
		return err
	}
	m.calls.add(after - before)
	return nil
}

func (m *load) applyAll(ctx context.Context) error {
	spec := smallSpec()
	spec.PrimarySpec.IsStopped = true
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(appliedAtOnce)
	for i := range m.count {
		group.Go(func() error {
			return m.apply(ctx, client.ObjectKey{Namespace: namespace, Name: fmt.Sprintf("stopped-%d", i+1)}, spec)
		})
	}
	return group.Wait()
}

func (m *load) waitInSync(ctx context.Context) error {
	return until(ctx, scaleInterval, "all claims are in sync", func(ctx context.Context) (string, bool) {
		claims, err := m.claims(ctx, namespace)
		done := 0
		for _, claim := range claims {
			if isInSync(claim) {
				done++
			}
		}
		seen := fmt.Sprintf("%d of %d", done, m.count)
		m.Progress.Note("In sync", seen)
		return fmt.Sprintf("%s, %v", seen, err), done == m.count
	})
}

// isInSync says whether a stopped claim is all that it is going to be.
func isInSync(claim unstructured.Unstructured) bool {
	return text(&claim, "status", "rollout", "state") == string(v1alpha1.RolloutComplete) &&
		text(&claim, "status", "phase") == string(v1alpha1.PhaseStopped) &&
		condition(claim, "Synced").Status == "True" && condition(claim, "Ready").Status == "True"
}

// watch looks at the control plane when there should be nothing left to do.
func (m *load) watch(ctx context.Context) error {
	before, err := m.functionCalls(ctx)
	if err != nil {
		return err
	}
	if err := m.sampled(ctx, m.resting, func() error { return pause(ctx, restTime) }); err != nil {
		return err
	}
	after, err := m.functionCalls(ctx)
	if err != nil {
		return err
	}
	m.idle.add(after - before)
	return nil
}

func (m *load) clear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, removalLimit)
	defer cancel()
	start := time.Now()
	return m.sampled(ctx, m.removing, func() error {
		if err := m.remove(ctx, namespace); err != nil {
			return err
		}
		m.removed.took(time.Since(start))
		return nil
	})
}
