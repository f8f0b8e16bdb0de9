// Command driver serves the volumes of one node of the local cluster.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/xdbcluster/xdbcluster/test/cluster/storage"
)

func main() {
	node := flag.String("node", "", "name of the node")
	volumes := flag.String("volumes", "", "folder that holds the volumes")
	kubelet := flag.String("kubelet", "", "root folder of the node's kubelet")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := storage.NewDriver(*node, *volumes).Serve(ctx, *kubelet); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // The process ends; there is nothing to stop listening to.
	}
}
