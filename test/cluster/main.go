// Command cluster runs a real Kubernetes cluster on this machine, for demonstrations and tests.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/xdbcluster/xdbcluster/test/cluster/controlplane"
	"github.com/xdbcluster/xdbcluster/test/cluster/image"
	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
	"github.com/xdbcluster/xdbcluster/test/cluster/network"
	"github.com/xdbcluster/xdbcluster/test/cluster/node"
	"github.com/xdbcluster/xdbcluster/test/cluster/process"
)

func main() {
	ctx := context.Background()
	start := time.Now()
	step := func(name string, err error) {
		fmt.Println(name, time.Since(start), err)
		if err != nil {
			os.Exit(1)
		}
	}
	sup := process.Supervisor{Folder: layout.Processes()}
	if os.Args[1] == "down" {
		names, _ := sup.Names()
		for _, n := range names {
			step("stop "+n, sup.Stop(n, 3*time.Second))
		}
		return
	}
	count, _ := strconv.Atoi(os.Args[2])
	bin, _ := filepath.Abs(".cache/bin")
	nodes := layout.Nodes(count)
	step("network", network.Up(ctx, nodes))
	_ = os.MkdirAll(layout.State+"/registry", 0o750)
	step("registry", sup.Start(ctx, process.Process{Name: "registry", Command: []string{filepath.Join(bin, "crane"), "registry", "serve", "--address", layout.Registry, "--disk", layout.State + "/registry"}}))
	cp := controlplane.ControlPlane{Binaries: bin, Version: "v1.36.4", Supervisor: sup}
	step("control plane", cp.Up(ctx))
	out, err := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", "_output/pause", "./test/cluster/pause").CombinedOutput()
	step("pause "+string(out), err)
	pause := layout.Registry + "/xdbcluster/local/pause:v1"
	step("push", image.PushBinary(ctx, pause, "_output/pause", "/pause"))
	r := node.Runner{Binaries: bin, PauseImage: pause, Supervisor: sup}
	for _, n := range nodes {
		k, err := cp.NodeKubeconfig(ctx, n)
		step("kubeconfig", err)
		step(n.Name(), r.Up(ctx, n, k))
	}
}
