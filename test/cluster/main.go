// Command cluster runs a real Kubernetes cluster on this machine, for demonstrations and tests.
//
//	go run ./test/cluster up --nodes 3        start it, or whatever of it does not run
//	go run ./test/cluster status              what runs, and where its logs are
//	go run ./test/cluster node cut NAME       take a node off the network; restore puts it back
//	go run ./test/cluster node stop NAME      end a node as a power failure would; start starts it
//	go run ./test/cluster down                remove it
//
// With --provider kind it is made of containers instead, and with KUBECONFIG set, up only checks that that cluster answers.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/xdbcluster/xdbcluster/test/cluster/existing"
	"github.com/xdbcluster/xdbcluster/test/cluster/kind"
	"github.com/xdbcluster/xdbcluster/test/cluster/local"
	"github.com/xdbcluster/xdbcluster/test/progress"
)

const providerKind = "kind"

type commands struct {
	Up     upCommand     `cmd:"" help:"Start what is not running, and wait until every node is ready."`
	Down   downCommand   `cmd:"" help:"Remove the cluster: processes, containers, mounts, networks and files."`
	Status statusCommand `cmd:"" help:"Say what runs and what has died."`
	Node   struct {
		Cut     cutCommand     `cmd:"" help:"Take a node off the network."`
		Restore restoreCommand `cmd:"" help:"Put a node back on the network."`
		Stop    stopCommand    `cmd:"" help:"End a node as a power failure would. Its disks stay."`
		Start   startCommand   `cmd:"" help:"Start a node that was stopped."`
	} `cmd:"" help:"Disturb a node."`
}

type provider struct {
	Provider string `default:"local" enum:"local,kind" help:"What the cluster is made of: local (this machine's namespaces) or kind (containers)."`
}

type upCommand struct {
	provider

	Nodes      int    `default:"1"      help:"How many nodes at least."`
	Kubeconfig string `env:"KUBECONFIG" help:"Use this cluster."`
}

func (u upCommand) Run(ctx context.Context, c local.Cluster) error {
	c.Nodes = u.Nodes
	switch {
	case u.Kubeconfig != "" && filepath.Clean(u.Kubeconfig) != c.Kubeconfig():
		return existing.Check(ctx, u.Kubeconfig)
	case u.Provider == providerKind:
		e, err := kind.Cluster{Project: c.Project, Nodes: u.Nodes, Progress: c.Progress}.Up(ctx)
		if err != nil {
			return err
		}
		c.Progress.Say("export KUBECONFIG=%s REGISTRY=%s/xdbcluster GIT_ADDRESS=%s:5080\n", e.Kubeconfig, e.Registry, e.Gateway)
		return nil
	default:
		if err := c.Up(ctx); err != nil {
			return err
		}
		c.Progress.Say("export KUBECONFIG=%s\n", c.Kubeconfig())
		return nil
	}
}

type downCommand struct{ provider }

func (d downCommand) Run(ctx context.Context, c local.Cluster) error {
	if d.Provider == providerKind {
		return kind.Cluster{Project: c.Project, Progress: c.Progress}.Down(ctx)
	}
	return c.Down(ctx)
}

type statusCommand struct{}

func (statusCommand) Run(ctx context.Context, c local.Cluster) error { return c.Status(ctx, os.Stdout) }

type named struct {
	Name string `arg:"" help:"The node's name, for example xdb-node-2."`
}

type (
	cutCommand     struct{ named }
	restoreCommand struct{ named }
	stopCommand    struct{ named }
	startCommand   struct{ named }
)

func (n cutCommand) Run(ctx context.Context, c local.Cluster) error { return c.Cut(ctx, n.Name) }

func (n restoreCommand) Run(ctx context.Context, c local.Cluster) error {
	return c.Restore(ctx, n.Name)
}

func (n stopCommand) Run(ctx context.Context, c local.Cluster) error { return c.Stop(ctx, n.Name) }

func (n startCommand) Run(ctx context.Context, c local.Cluster) error { return c.Start(ctx, n.Name) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	command := kong.Parse(&commands{}, kong.Description("Run a real Kubernetes cluster on this machine."))
	if err := run(ctx, command); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // The process ends; there is nothing to stop listening to.
	}
}

func run(ctx context.Context, command *kong.Context) error {
	project, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("cannot find the project's folder: %w", err)
	}
	command.BindTo(ctx, (*context.Context)(nil))
	return command.Run(local.Cluster{Project: project, Progress: progress.To(os.Stdout)})
}
