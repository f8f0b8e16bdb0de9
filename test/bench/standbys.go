package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// gibibyte fills a table with about 1 GiB.
const gibibyte = `CREATE TABLE filling AS SELECT g AS id, md5(g::text) || repeat(md5((g + 1)::text), 30) AS text FROM generate_series(1, 950000) g; CHECKPOINT`

type standbysCommand struct {
	repeated

	Added int `default:"5" help:"How often to measure a standby that is added to a cluster of 1 GiB."`
}

// Run measures how long clusters with standbys take to come up, to be whole again after the loss of a Pod, and to get a standby.
func (c standbysCommand) Run(ctx context.Context, b *bench, r *report) error {
	return b.inNamespace(ctx, func(ctx context.Context) error {
		return b.withApplication(ctx, namespace, func(ctx context.Context, a application) error {
			if err := c.fromNothing(ctx, a, r); err != nil {
				return err
			}
			return c.added(ctx, a, r)
		})
	})
}

func (c standbysCommand) fromNothing(ctx context.Context, a application, r *report) error {
	up := &measurement{what: "claim with two standbys applied, to all three Ready", atMost: "15 s", unit: seconds}
	again := &measurement{what: "a standby's Pod is deleted, until all three are healthy again", atMost: "8 s", unit: seconds}
	for i := range c.Runs {
		f := newStandbys(a, fmt.Sprintf("standbys-%d", i+1), 2)
		if err := a.Progress.Step(fmt.Sprintf("Three instances, %d of %d", i+1, c.Runs), func() error {
			ctx, cancel := context.WithTimeout(ctx, runLimit)
			defer cancel()
			since := time.Now()
			if err := f.apply(ctx, f.key, f.spec); err != nil {
				return err
			}
			primary, err := f.whole(ctx)
			if err != nil {
				return err
			}
			up.took(time.Since(since))
			if err := f.loseStandby(ctx, primary, again); err != nil {
				return err
			}
			return f.remove(ctx, namespace)
		}); err != nil {
			return err
		}
	}
	return r.table(up, again)
}

func (c standbysCommand) added(ctx context.Context, a application, r *report) error {
	added := &measurement{what: "standby added to a cluster of 1 GiB, to streaming and Ready", atMost: "30 s", unit: seconds}
	f := newStandbys(a, "standbys-filled", 0)
	if err := a.Progress.Step("A database of 1 GiB", func() error { return f.fill(ctx) }); err != nil {
		return err
	}
	for i := range c.Added {
		if err := a.Progress.Step(fmt.Sprintf("A standby is added, %d of %d", i+1, c.Added), func() error { return f.addOnce(ctx, added) }); err != nil {
			return err
		}
	}
	return r.table(added)
}

func newStandbys(a application, name string, standbys int32) *failovers {
	f := &failovers{application: a, key: client.ObjectKey{Namespace: namespace, Name: name}, spec: smallSpec()}
	f.spec.Availability = &v1alpha1.AvailabilitySpec{NumberOfStandbys: standbys}
	return f
}

// loseStandby deletes the Pod of an instance that is not the primary.
func (f *failovers) loseStandby(ctx context.Context, primary string, again *measurement) error {
	cluster := naming.Cluster{Namespace: f.key.Namespace, Name: f.key.Name}
	standby := cluster.Pod(1)
	if standby == primary {
		standby = cluster.Pod(0)
	}
	since := time.Now()
	if err := f.Client.Delete(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: f.key.Namespace, Name: standby}}); err != nil {
		return fmt.Errorf("cannot delete Pod %q: %w", standby, err)
	}
	if err := f.broken(ctx); err != nil {
		return err
	}
	if _, err := f.whole(ctx); err != nil {
		return err
	}
	again.took(time.Since(since))
	return nil
}

// broken waits until the claim says that not all is well.
func (f *failovers) broken(ctx context.Context) error {
	return until(ctx, interval, f.key.Name+" is not well", func(ctx context.Context) (string, bool) {
		claim, err := f.Claim(ctx, f.key)
		if err != nil {
			return err.Error(), false
		}
		state := text(&claim, "status", "rollout", "state")
		return state, state != string(v1alpha1.RolloutComplete)
	})
}

func (f *failovers) fill(ctx context.Context) error {
	f.spec.PrimarySpec.Resources.Disks[0].Size = resource.MustParse("4Gi")
	if err := f.apply(ctx, f.key, f.spec); err != nil {
		return err
	}
	if _, err := f.whole(ctx); err != nil {
		return err
	}
	_, err := f.sql(ctx, f.key, gibibyte)
	return err
}

// addOnce adds a standby, and takes it away again with its volume, so that the next one is copied too.
func (f *failovers) addOnce(ctx context.Context, added *measurement) error {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	since := time.Now()
	if err := f.scale(ctx, 1); err != nil {
		return err
	}
	added.took(time.Since(since))
	if err := f.scale(ctx, 0); err != nil {
		return err
	}
	volume := naming.Cluster{Namespace: f.key.Namespace, Name: f.key.Name}.DataVolume(1)
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: f.key.Namespace, Name: volume}}
	return until(ctx, removalInterval, "volume "+volume+" is gone", func(ctx context.Context) (string, bool) {
		err := f.Client.Delete(ctx, claim)
		return fmt.Sprint(err), client.IgnoreNotFound(err) == nil && err != nil
	})
}

func (f *failovers) scale(ctx context.Context, standbys int32) error {
	f.spec.Availability.NumberOfStandbys = standbys
	if err := f.apply(ctx, f.key, f.spec); err != nil {
		return err
	}
	_, err := f.whole(ctx)
	return err
}
