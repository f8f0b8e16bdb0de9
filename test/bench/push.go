package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/test/platform"
)

// sourceInterval is how often Flux looks at the repository that package platform makes it follow.
const sourceInterval = 5 * time.Second

type pushCommand struct{ repeated }

// Run measures the way of a claim from Git, each time with another claim and volume.
func (c pushCommand) Run(ctx context.Context, b *bench, r *report) error {
	m := &deliveries{
		ready: &measurement{what: "git push, to the claim's Ready", atMost: "10 s", unit: seconds},
		green: &measurement{what: "git push, to Flux saying that it is rolled out", unit: seconds},
		steps: steps{},
	}
	for i := range c.Runs {
		key := client.ObjectKey{Namespace: platform.Namespace, Name: fmt.Sprintf("bench-push-%d", i+1)}
		err := b.inGit(ctx, key, func(ctx context.Context) error {
			return b.Progress.Step("From git push to Ready, "+key.Name, func() error { return m.run(ctx, b, key) })
		})
		if err != nil {
			return err
		}
	}
	if err := r.table(m.ready, m.green); err != nil {
		return err
	}
	return m.steps.table(r, "git push to Ready")
}

// deliveries are how long claims took from Git to ready.
type deliveries struct {
	ready, green *measurement

	steps steps
}

func (m *deliveries) run(ctx context.Context, b *bench, key client.ObjectKey) error {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	file, err := manifest(key, smallSpec())
	if err != nil {
		return err
	}
	if err := anyMoment(ctx); err != nil {
		return err
	}
	d, err := b.Deliver(ctx, key, file)
	if err != nil {
		return err
	}
	inside, err := b.start(ctx, key)
	if err != nil {
		return err
	}
	m.ready.took(d.Ready.Sub(d.Pushed))
	m.green.took(d.RolledOut.Sub(d.Pushed))
	m.steps.add(d.Pushed, d.Marks...)
	m.steps.add(d.Pushed, inside...)
	return nil
}

// anyMoment waits until any moment of Flux's interval. Runs end when Flux has just looked; without this, all of them would
// wait a whole interval for it to look again.
func anyMoment(ctx context.Context) error { return pause(ctx, rand.N(sourceInterval)) }

// manifest returns a claim as it is written to a file.
func manifest(key client.ObjectKey, spec v1alpha1.DBClusterSpec) ([]byte, error) {
	claim, err := newClaim(key, spec)
	if err != nil {
		return nil, err
	}
	out, err := yaml.Marshal(claim)
	if err != nil {
		return nil, fmt.Errorf("cannot encode DBCluster %q: %w", key, err)
	}
	return out, nil
}

// inGit does something with a claim in Git, without what a run that was killed may have left of it.
func (b *bench) inGit(ctx context.Context, key client.ObjectKey, do func(ctx context.Context) error) error {
	if err := b.removeFromGit(ctx, key); err != nil {
		return err
	}
	return cleanly(ctx, do, func(ctx context.Context) error { return b.removeFromGit(ctx, key) })
}

// removeFromGit removes a claim as its owner would: its protection, then its file. What runs that were killed have left goes
// with it. It ends when Flux is at rest again.
func (b *bench) removeFromGit(ctx context.Context, key client.ObjectKey) error {
	ctx, cancel := context.WithTimeout(ctx, removalLimit)
	defer cancel()
	claims, err := b.unprotect(ctx, key.Namespace)
	if err != nil {
		return err
	}
	names := []string{key.Name}
	for _, claim := range claims {
		names = append(names, claim.GetName())
	}
	if err := b.removeFiles(ctx, names); err != nil {
		return err
	}
	return b.delete(ctx, key.Namespace, claims)
}

// removeFiles takes those claims out of Git that are in it.
func (b *bench) removeFiles(ctx context.Context, names []string) error {
	last := ""
	for _, name := range names {
		revision, err := b.Repository.RemoveClaim(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		last = revision
	}
	if last == "" {
		return nil
	}
	return b.WaitRolledOut(ctx, last)
}
