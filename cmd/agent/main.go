// Command agent is PID 1 of every database container.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/prepare"
	"github.com/xdbcluster/xdbcluster/internal/agent/run"
)

type commands struct {
	Prepare prepareCommand `cmd:"" help:"Check that an instance has all it needs."`
	Run     runCommand     `cmd:"" help:"Run an instance until told to stop."`
}

type prepareCommand struct{}

func (prepareCommand) Run(context.Context) error { return prepare.Run() }

type runCommand struct{}

func (runCommand) Run(ctx context.Context) error {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	agent, err := run.New(run.Environment{
		Pod:       os.Getenv(instance.EnvPodName),
		Namespace: os.Getenv(instance.EnvPodNamespace),
		PodIP:     os.Getenv(instance.EnvPodIP),
		PodUID:    os.Getenv(instance.EnvPodUID),
		Node:      os.Getenv(instance.EnvNodeName),
	}, log)
	if err != nil {
		return err
	}
	return agent.Run(ctx)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	k := kong.Parse(&commands{}, kong.Description("Run one instance of a database cluster."))
	k.BindTo(ctx, (*context.Context)(nil))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // The process ends; there is nothing to stop listening to.
	}
}
