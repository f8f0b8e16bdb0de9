// Command build makes the packages and images, and publishes them.
//
//	go run ./package/build build   --registry PATH   makes them and writes them to _output
//	go run ./package/build publish --registry PATH   makes and publishes them
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/xdbcluster/xdbcluster/package/oci"
)

// defaultRegistry is the public path. The files in Git name it.
const defaultRegistry = "ghcr.io/xdbcluster"

type commands struct {
	Build   buildCommand   `cmd:"" help:"Make packages and images."`
	Publish publishCommand `cmd:"" aliases:"all" help:"Make packages and images and publish them."`
}

type options struct {
	Registry string   `default:"${registry}" help:"The registry path that packages and images are published under."`
	Arch     []string `default:"${arch}"     help:"Architectures that function and provider are made for."`
	Release  bool     `help:"Tag with the file VERSION alone. Without it a tag also names the content, so that what changed has another."`
}

type buildCommand struct {
	options
}

func (c buildCommand) Run(ctx context.Context) error {
	b, err := c.builder(os.Stdout)
	if err != nil {
		return err
	}
	made, err := b.build(ctx)
	if err != nil {
		return err
	}
	return made.write(b.output, os.Stdout)
}

type publishCommand struct {
	options
}

func (c publishCommand) Run(ctx context.Context) error {
	b, err := c.builder(os.Stdout)
	if err != nil {
		return err
	}
	made, err := b.build(ctx)
	if err != nil {
		return err
	}
	if err := made.publish(ctx, os.Stdout); err != nil {
		return err
	}
	return made.remember(b.output)
}

func (o options) builder(out io.Writer) (builder, error) {
	project, err := os.Getwd()
	if err != nil {
		return builder{}, fmt.Errorf("cannot find the project's folder: %w", err)
	}
	return builder{
		project:       project,
		output:        filepath.Join(project, "_output"),
		cache:         oci.Cache(filepath.Join(project, ".cache", "images")),
		registry:      strings.TrimSuffix(o.Registry, "/"),
		architectures: o.Arch,
		release:       o.Release,
		out:           out,
	}, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k := kong.Parse(&commands{}, kong.Vars{"registry": defaultRegistry, "arch": "amd64,arm64"})
	k.BindTo(ctx, (*context.Context)(nil))
	k.FatalIfErrorf(k.Run())
}
