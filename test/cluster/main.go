// Command cluster runs a real Kubernetes cluster on this machine, for demonstrations and tests.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
	"github.com/xdbcluster/xdbcluster/test/cluster/local"
	"github.com/xdbcluster/xdbcluster/test/cluster/network"
	"github.com/xdbcluster/xdbcluster/test/progress"
)

type commands struct {
	Up   upCommand   `cmd:"" help:"Start what is not running, and wait until every node is ready."`
	Down downCommand `cmd:"" help:"Remove the cluster: processes, containers, mounts, networks and files."`
	Node nodeCommand `cmd:"" help:"Disturb a node."`
}

type upCommand struct {
	Nodes int `default:"1" help:"How many nodes."`
}

func (u upCommand) Run(ctx context.Context) error {
	c, err := cluster()
	if err != nil {
		return err
	}
	c.Nodes = u.Nodes
	if err := c.Up(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintf(os.Stdout, "export KUBECONFIG=%s\n", c.Kubeconfig())
	return err
}

type downCommand struct{}

func (downCommand) Run(ctx context.Context) error {
	c, err := cluster()
	if err != nil {
		return err
	}
	return c.Down(ctx)
}

type nodeCommand struct {
	Action string `arg:"" enum:"cut,restore" help:"cut takes the node off the network, restore puts it back."`
	Number int    `arg:"" help:"The node's number, from 1."`
}

func (n nodeCommand) Run(ctx context.Context) error {
	node := layout.Node{Number: n.Number}
	switch n.Action {
	case "cut":
		return network.Cut(ctx, node)
	case "restore":
		return network.Restore(ctx, node)
	default:
		return errors.New("unknown action")
	}
}

func cluster() (local.Cluster, error) {
	project, err := os.Getwd()
	if err != nil {
		return local.Cluster{}, fmt.Errorf("cannot find the project's folder: %w", err)
	}
	return local.Cluster{Project: project, Progress: progress.To(os.Stdout)}, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k := kong.Parse(&commands{}, kong.Description("Run a real Kubernetes cluster on this machine."))
	k.BindTo(ctx, (*context.Context)(nil))
	k.FatalIfErrorf(k.Run())
}
