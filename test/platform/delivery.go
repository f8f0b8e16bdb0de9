package platform

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A Delivery is when a new claim got where on its way from a Git commit to a database. The demo tells of it once, the
// benchmarks measure it again and again.
type Delivery struct {
	// Pushed is when the commit began: clone, commit and push are part of the way.
	Pushed time.Time

	// Ready is when the claim said that it is ready.
	Ready time.Time

	// RolledOut is when Flux said that the commit is in force.
	RolledOut time.Time

	// Marks are the steps between Pushed and Ready.
	Marks []Mark
}

// Deliver commits a new claim and waits until Flux says that it is rolled out.
func (p *Platform) Deliver(ctx context.Context, claim client.ObjectKey, manifest []byte) (Delivery, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // Ends the trace of a delivery that fails.
	trace, err := p.Trace(ctx, claim)
	if err != nil {
		return Delivery{}, err
	}
	d := Delivery{Pushed: time.Now()}
	revision, err := p.Repository.AddClaim(ctx, claim.Name, manifest)
	if err != nil {
		return Delivery{}, err
	}
	if err := p.WaitClaimReady(ctx, claim); err != nil {
		return Delivery{}, err
	}
	d.Ready = time.Now()
	if err := p.WaitRolledOut(ctx, revision); err != nil {
		return Delivery{}, err
	}
	d.RolledOut = time.Now()
	d.Marks = trace.Marks()
	return d, nil
}
