// Command tools builds programs of other projects, at the versions in tools/versions.yaml, into .cache/bin.
//
//	go run ./tools kubectl etcd     builds these
//	go run ./tools                  builds all
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"github.com/xdbcluster/xdbcluster/tools/program"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // The process ends; there is nothing to stop listening to.
	}
}

func run(ctx context.Context, names []string) error {
	catalog, err := program.LoadCatalog("tools/versions.yaml")
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = catalog.Names()
		slices.Sort(names)
	}
	cache, err := filepath.Abs(".cache")
	if err != nil {
		return fmt.Errorf("cannot find the cache folder: %w", err)
	}
	builder := program.Builder{Catalog: catalog, Cache: cache}
	for _, name := range names {
		start := time.Now()
		if _, err := builder.Build(ctx, name); err != nil {
			return err
		}
		if took := time.Since(start); took > time.Second {
			if _, err := fmt.Fprintf(os.Stdout, "%-28s %s\n", name, took.Round(100*time.Millisecond)); err != nil {
				return err
			}
		}
	}
	return nil
}
