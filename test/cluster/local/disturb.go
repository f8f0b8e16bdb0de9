package local

import (
	"context"
	"fmt"

	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
	"github.com/xdbcluster/xdbcluster/test/cluster/network"
)

// Cut takes a node off the network, as a pulled cable would. The node goes on alone.
func (c Cluster) Cut(ctx context.Context, node string) error {
	n, err := layout.Find(node)
	if err != nil {
		return err
	}
	return network.Cut(ctx, n)
}

// Restore puts a node back on the network.
func (c Cluster) Restore(ctx context.Context, node string) error {
	n, err := layout.Find(node)
	if err != nil {
		return err
	}
	return network.Restore(ctx, n)
}

// Stop ends a node as a power failure would. Its disks stay.
func (c Cluster) Stop(ctx context.Context, node string) error {
	n, err := layout.Find(node)
	if err != nil {
		return err
	}
	if n == layout.ControlPlane() {
		return fmt.Errorf("node %q holds the control plane: stop another one", node)
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := network.Cut(ctx, n); err != nil {
		return err
	}
	if err := c.runner().Crash(ctx, n); err != nil {
		return fmt.Errorf("cannot stop node %q: %w", node, err)
	}
	return network.Remove(ctx, n)
}

// Start starts a node that was stopped, and whatever else of the cluster does not run.
func (c Cluster) Start(ctx context.Context, node string) error {
	n, err := layout.Find(node)
	if err != nil {
		return err
	}
	c.Nodes = n.Number
	return c.Up(ctx)
}
