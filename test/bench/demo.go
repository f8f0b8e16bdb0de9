package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

type demoCommand struct {
	FromDown bool `help:"Take the local cluster down first, and time make demo from there too. Removes all databases."`
}

// Run times make demo as a person would, from outside. The second of two has nothing left to do but the demonstration.
func (c demoCommand) Run(ctx context.Context, r *report) error {
	down := &measurement{what: "`make demo`, cluster down, all built", atMost: "3 min", unit: seconds}
	again := &measurement{what: "`make demo`, cluster up", atMost: "60 s", unit: seconds}
	if c.FromDown {
		if err := r.make(ctx, "down"); err != nil {
			return err
		}
	}
	for _, m := range []*measurement{down, again} {
		start := time.Now()
		if err := r.make(ctx, "demo"); err != nil {
			return err
		}
		m.took(time.Since(start))
	}
	if c.FromDown {
		return r.table(down, again)
	}
	return r.table(again)
}

func (r *report) make(ctx context.Context, target string) error {
	cmd := exec.CommandContext(ctx, "make", target)
	cmd.Dir = r.project
	cmd.Stdout, cmd.Stderr = r.log, r.log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot make %s (see its messages above): %w", target, err)
	}
	return nil
}
