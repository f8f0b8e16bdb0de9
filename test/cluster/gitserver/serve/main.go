// Command serve is the Git server's process.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/xdbcluster/xdbcluster/test/cluster/gitserver"
)

func main() {
	address := flag.String("address", "127.0.0.1:5080", "where to listen")
	dir := flag.String("dir", ".", "the folder that holds the bare repositories")
	flag.Parse()
	if err := serve(*address, *dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(address, dir string) error {
	handler, err := gitserver.Handler(dir)
	if err != nil {
		return err
	}
	server := http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	if err := server.ListenAndServe(); err != nil {
		return fmt.Errorf("cannot serve Git repositories on %s: %w", address, err)
	}
	return nil
}
