package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/test/platform"
)

type readyCommand struct{ repeated }

// Run measures the way of an applied claim to its first row, each time with another claim and volume.
func (c readyCommand) Run(ctx context.Context, b *bench, r *report) error {
	m := newReadiness()
	err := b.inNamespace(ctx, func(ctx context.Context) error {
		return b.withApplication(ctx, namespace, func(ctx context.Context, a application) error {
			// With the first claim it sees, Crossplane begins to watch what claims consist of. That run does not count.
			if err := newReadiness().run(ctx, a, "ready-warm-up"); err != nil {
				return err
			}
			for i := range c.Runs {
				name := fmt.Sprintf("ready-%d", i+1)
				if err := b.Progress.Step("From apply to the first row, "+name, func() error { return m.run(ctx, a, name) }); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	if err := r.table(m.ready, m.row, m.attempts, m.calls); err != nil {
		return err
	}
	return m.steps.table(r, "kubectl apply to the first row")
}

// A readiness is how long claims took to get ready.
type readiness struct {
	ready, row, attempts, calls *measurement

	steps steps
}

func newReadiness() *readiness {
	return &readiness{
		ready:    &measurement{what: "claim applied, to Ready", atMost: "7 s", unit: seconds},
		row:      &measurement{what: "claim applied, to the first row written through `-rw`", atMost: "7 s", unit: seconds},
		attempts: &measurement{what: "attempts of psql until that row was written, from Ready on", unit: count},
		calls:    &measurement{what: "calls of the function until Ready", unit: count},
		steps:    steps{},
	}
}

func (m *readiness) run(ctx context.Context, a application, name string) error {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	key := client.ObjectKey{Namespace: namespace, Name: name}
	trace, err := a.Trace(ctx, key)
	if err != nil {
		return err
	}
	calls, err := a.functionCalls(ctx)
	if err != nil {
		return err
	}

	applied := time.Now()
	if err := a.apply(ctx, key, smallSpec()); err != nil {
		return err
	}
	if err := a.WaitClaimReady(ctx, key); err != nil {
		return err
	}
	ready := time.Now()
	attempts, err := a.firstRow(ctx, key)
	if err != nil {
		return err
	}
	row := time.Now()

	after, err := a.functionCalls(ctx)
	if err != nil {
		return err
	}
	inside, err := a.start(ctx, key)
	if err != nil {
		return err
	}
	m.ready.took(ready.Sub(applied))
	m.row.took(row.Sub(applied))
	m.attempts.add(float64(attempts))
	m.calls.add(after - calls)
	m.steps.add(applied, withoutFlux(trace.Marks())...)
	m.steps.add(applied, inside...)
	m.steps.add(applied, platform.Mark{What: "first row written", At: row})
	return a.remove(ctx, namespace)
}

// withoutFlux leaves out what a trace takes for Flux's work: the claim was applied by hand.
func withoutFlux(marks []platform.Mark) []platform.Mark {
	return slices.DeleteFunc(marks, func(m platform.Mark) bool { return strings.HasPrefix(m.What, "Flux ") })
}
