// Command serve serves the local cluster's container registry.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/xdbcluster/xdbcluster/test/cluster/registry"
)

func main() {
	address := flag.String("address", "", "where to listen")
	folder := flag.String("folder", "", "where to keep what is pushed")
	flag.Parse()
	if err := serve(*address, *folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(address, folder string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	r, err := registry.Open(ctx, folder)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: address, Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("cannot listen on %q: %w", address, err)
	}
	return nil
}
