// Command build makes the packages and images, and publishes them.
//
//	go run ./package/build build   --registry PATH   makes them
//	go run ./package/build publish --registry PATH   makes and publishes them
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"
)

// defaultRegistry is the public path. The files in Git name it.
const defaultRegistry = "ghcr.io/xdbcluster"

type commands struct {
	Build   buildCommand   `cmd:"" help:"Make packages and images."`
	Publish publishCommand `cmd:"" aliases:"all" help:"Make packages and images and publish them."`
}

type options struct {
	Registry string `default:"${registry}" help:"The registry path that packages and images are published under."`
	Arch     string `default:"${arch}" help:"Architectures of the Go images, separated by commas."`
}

type buildCommand struct {
	options
}

func (c buildCommand) Run(ctx context.Context) error {
	_, err := c.build(ctx, os.Stdout)
	return err
}

type publishCommand struct {
	options
}

func (c publishCommand) Run(ctx context.Context) error {
	made, err := c.build(ctx, os.Stdout)
	if err != nil {
		return err
	}
	return made.publish(ctx, os.Stdout)
}

func (o options) build(ctx context.Context, out io.Writer) (products, error) {
	project, err := os.Getwd()
	if err != nil {
		return products{}, fmt.Errorf("cannot find the project's folder: %w", err)
	}
	b := builder{project: project, output: filepath.Join(project, "_output"), registry: o.Registry, architectures: o.Arch, out: out}
	return b.build(ctx)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k := kong.Parse(&commands{}, kong.Vars{"registry": defaultRegistry, "arch": "amd64,arm64"})
	k.BindTo(ctx, (*context.Context)(nil))
	k.FatalIfErrorf(k.Run())
}
