// Package local brings up, takes down and disturbs the Kubernetes cluster of this machine.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/xdbcluster/xdbcluster/test/cluster/addons"
	"github.com/xdbcluster/xdbcluster/test/cluster/controlplane"
	"github.com/xdbcluster/xdbcluster/test/cluster/image"
	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
	"github.com/xdbcluster/xdbcluster/test/cluster/network"
	"github.com/xdbcluster/xdbcluster/test/cluster/node"
	"github.com/xdbcluster/xdbcluster/test/cluster/objectstore"
	"github.com/xdbcluster/xdbcluster/test/cluster/process"
	"github.com/xdbcluster/xdbcluster/test/progress"
	"github.com/xdbcluster/xdbcluster/tools/program"
)

// pauseImage is what holds a Pod's namespaces.
const pauseImage = layout.Registry + "/xdbcluster/local/pause:v1"

// registry is the program that keeps images and packages.
const registry = "registry"

// A Cluster is the Kubernetes cluster of this machine.
type Cluster struct {
	// Project is this project's folder.
	Project string

	// Nodes is how many nodes the cluster is to have at least. Nodes that are there already stay.
	Nodes int

	// Progress tells what is done.
	Progress *progress.Reporter
}

// Kubeconfig returns the file that a user of the cluster connects with. Up writes it.
func (c Cluster) Kubeconfig() string {
	return filepath.Join(c.Project, ".cluster", "kubeconfig")
}

// Up starts what is not running and returns when every node is ready.
func (c Cluster) Up(ctx context.Context) error {
	if c.Nodes < 1 || c.Nodes > layout.MaxNodes {
		return fmt.Errorf("a cluster has 1 to %d nodes, not %d", layout.MaxNodes, c.Nodes)
	}
	if os.Geteuid() != 0 {
		return errors.New("the local cluster needs root, for network namespaces and mounts; for a cluster of yours set KUBECONFIG")
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if c.Nodes, err = atLeastExisting(c.Nodes); err != nil {
		return err
	}
	if err := c.installPackages(ctx); err != nil {
		return err
	}
	builder, err := c.builder()
	if err != nil {
		return err
	}
	if err := c.build(ctx, builder); err != nil {
		return err
	}
	if err := c.Progress.Step("Control plane", func() error { return c.controlPlane(ctx, builder) }); err != nil {
		return err
	}
	return c.Progress.Step(fmt.Sprintf("Nodes (%d)", c.Nodes), func() error { return c.nodes(ctx, builder) })
}

// Down removes all that Up made.
func (c Cluster) Down(ctx context.Context) error {
	return c.remove(ctx, "Local cluster down")
}

// Lose removes all that Up made but what a platform has outside of its Kubernetes: Git repositories and the object store. After
// it, Up makes another cluster, as one does after a disaster.
func (c Cluster) Lose(ctx context.Context) error {
	return c.remove(ctx, "Local cluster lost", layout.Git(), objectstore.Folder())
}

// remove ends all processes and removes the cluster's folder, but for what is kept in it.
func (c Cluster) remove(ctx context.Context, step string, kept ...string) error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return c.Progress.Step(step, func() error {
		err := errors.Join(killProcesses(c.supervisor()), node.RemoveAll(ctx))
		if err != nil {
			return err // The rest is needed to try again.
		}
		return errors.Join(network.Down(ctx), removeBut(layout.State, kept), os.RemoveAll(c.Kubeconfig()))
	})
}

// removeBut removes a folder, or all that is in it but what is kept.
func removeBut(folder string, kept []string) error {
	if len(kept) == 0 {
		return os.RemoveAll(folder)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("cannot read the cluster's folder: %w", err)
	}
	errs := []error{}
	for _, entry := range entries {
		if path := filepath.Join(folder, entry.Name()); !slices.Contains(kept, path) {
			errs = append(errs, os.RemoveAll(path))
		}
	}
	return errors.Join(errs...)
}

// lock lets one command at a time work on the machine's one cluster, and says what another waits for.
func (c Cluster) lock() (unlock func(), err error) {
	f, err := os.OpenFile(layout.LockFile, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the cluster's lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		c.Progress.Say("Waiting for another command that works on the local cluster.\n")
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
			return nil, fmt.Errorf("cannot lock the cluster: %w", err)
		}
	}
	return func() { _ = f.Close() }, nil // Closing unlocks.
}

// atLeastExisting returns how many nodes to bring up: never fewer than there are, because that would lose what is on them.
func atLeastExisting(nodes int) (int, error) {
	for _, n := range layout.Nodes(layout.MaxNodes) {
		_, err := os.Stat(n.Folder())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("cannot look for node %q: %w", n.Name(), err)
		}
		nodes = max(nodes, n.Number)
	}
	return nodes, nil
}

// killProcesses ends all there is: nothing that they could still write down is kept. Kubelets go before the container
// runtimes, or they would start containers anew.
func killProcesses(s process.Supervisor) error {
	names, err := s.Names()
	if err != nil {
		return err
	}
	errs := []error{}
	for _, last := range []bool{false, true} {
		for _, name := range names {
			if strings.HasPrefix(name, node.Containerd) == last {
				errs = append(errs, s.Kill(name))
			}
		}
	}
	return errors.Join(errs...)
}

// programs are what the cluster itself runs.
func programs() []string {
	return []string{
		controlplane.Etcd, controlplane.APIServer, controlplane.ControllerManager, controlplane.Scheduler, controlplane.Kubeadm,
		node.Kubelet, node.KubeProxy, node.KubeRouter, node.Provisioner, node.Resizer, "kubectl", "coredns", objectstore.Program,
	}
}

// own are the programs of this project that the cluster runs, by their packages.
func own() map[string]string {
	return map[string]string{
		node.Driver: "./test/cluster/storage/driver", registry: "./test/cluster/registry/serve", "pause": "./test/cluster/pause",
	}
}

func (c Cluster) builder() (program.Builder, error) {
	catalog, err := program.LoadCatalog(filepath.Join(c.Project, "tools", "versions.yaml"))
	if err != nil {
		return program.Builder{}, err
	}
	return program.Builder{Catalog: catalog, Cache: filepath.Join(c.Project, ".cache")}, nil
}

func (c Cluster) build(ctx context.Context, builder program.Builder) error {
	for _, name := range programs() {
		if builder.Built(name) {
			continue
		}
		if err := c.Progress.Step("Build of "+name, func() error {
			_, err := builder.Build(ctx, name)
			return err
		}); err != nil {
			return err
		}
	}
	for name, pkg := range own() {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", filepath.Join(c.binaries(), name), pkg) //nolint:gosec // The project's own package.
		cmd.Dir = c.Project
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build %q: %w: %s", name, err, out)
		}
	}
	return nil
}

func (c Cluster) binaries() string {
	return filepath.Join(c.Project, ".cache", "bin")
}

func (c Cluster) supervisor() process.Supervisor {
	return process.Supervisor{Folder: layout.Processes()}
}

func (c Cluster) plane(builder program.Builder) (controlplane.ControlPlane, error) {
	m, err := builder.Catalog.Find(controlplane.APIServer)
	if err != nil {
		return controlplane.ControlPlane{}, err
	}
	return controlplane.ControlPlane{Binaries: c.binaries(), Version: m.Version, Supervisor: c.supervisor()}, nil
}

func (c Cluster) controlPlane(ctx context.Context, builder program.Builder) error {
	plane, err := c.plane(builder)
	if err != nil {
		return err
	}
	if err := network.Up(ctx, layout.Nodes(c.Nodes)); err != nil {
		return err
	}
	if err := c.registry(ctx); err != nil {
		return err
	}
	if err := plane.Up(ctx); err != nil {
		return err
	}
	return c.writeKubeconfig()
}

func (c Cluster) registry(ctx context.Context) error {
	return c.supervisor().Start(ctx, process.Process{
		Name:    registry,
		Command: []string{filepath.Join(c.binaries(), registry), "--address", layout.Registry, "--folder", filepath.Join(layout.State, registry)},
	})
}

func (c Cluster) writeKubeconfig() error {
	raw, err := os.ReadFile(controlplane.Kubeconfig("super-admin.conf"))
	if err != nil {
		return fmt.Errorf("cannot read the administrator's kubeconfig: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(c.Kubeconfig()), 0o700); err != nil {
		return fmt.Errorf("cannot create the folder of the kubeconfig: %w", err)
	}
	if err := os.WriteFile(c.Kubeconfig(), raw, 0o600); err != nil {
		return fmt.Errorf("cannot write the kubeconfig: %w", err)
	}
	return nil
}

func (c Cluster) nodes(ctx context.Context, builder program.Builder) error {
	if err := image.PushBinary(ctx, pauseImage, filepath.Join(c.binaries(), "pause"), "/pause"); err != nil {
		return err
	}
	plane, err := c.plane(builder)
	if err != nil {
		return err
	}
	for _, n := range layout.Nodes(c.Nodes) {
		if err := c.node(ctx, plane, n); err != nil {
			return err
		}
	}
	for _, n := range layout.Nodes(c.Nodes) {
		if err := c.runner().Wait(ctx, n); err != nil {
			return err
		}
		if err := c.kubectl(ctx, "", "wait", "--for=create", "node/"+n.Name(), "--timeout=60s"); err != nil {
			return err
		}
		if err := c.runner().Enforce(ctx, n); err != nil {
			return err
		}
	}
	return c.addons(ctx, builder)
}

func (c Cluster) node(ctx context.Context, plane controlplane.ControlPlane, n layout.Node) error {
	kubeconfig, err := plane.NodeKubeconfig(ctx, n)
	if err != nil {
		return err
	}
	return c.runner().Up(ctx, n, kubeconfig)
}

func (c Cluster) runner() node.Runner {
	return node.Runner{Binaries: c.binaries(), PauseImage: pauseImage, Supervisor: c.supervisor()}
}

func (c Cluster) addons(ctx context.Context, builder program.Builder) error {
	binary, err := builder.Build(ctx, "coredns")
	if err != nil {
		return err
	}
	kept, err := os.Readlink(binary)
	if err != nil {
		return fmt.Errorf("cannot tell which CoreDNS was built: %w", err)
	}
	// Programs are kept by content, and so is the image: another CoreDNS is another tag, which the cluster rolls out.
	coredns := layout.Registry + "/xdbcluster/local/coredns:" + strings.TrimPrefix(filepath.Base(kept), "coredns-")
	if err := image.PushBinary(ctx, coredns, binary, "/coredns"); err != nil {
		return err
	}
	store, err := objectstore.Store{Binaries: c.binaries(), Supervisor: c.supervisor()}.Up(ctx)
	if err != nil {
		return err
	}
	manifests := addons.Manifests(coredns) + "---\n" + store
	if err := c.kubectl(ctx, manifests, "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
		return err
	}
	if err := c.kubectl(ctx, "", "wait", "--for=condition=Ready", "node", "--all", "--timeout=60s"); err != nil {
		return err
	}
	return c.kubectl(ctx, "", "-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s")
}

func (c Cluster) kubectl(ctx context.Context, input string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(c.binaries(), "kubectl"), append([]string{"--kubeconfig", c.Kubeconfig()}, args...)...) //nolint:gosec // The cluster's own arguments.
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot run kubectl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
