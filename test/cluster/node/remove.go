package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
)

// RemoveAll ends every container of every node, and removes their mounts, cgroups and logs. The nodes' own processes must
// have ended. It also clears up after a cluster whose processes were killed.
func RemoveAll(ctx context.Context) error {
	errs := []error{}
	for _, n := range layout.Nodes(layout.MaxNodes) {
		errs = append(
			errs, endContainers(n), unmountUnder(ctx, runFolder(n), n.Folder()), removeCgroups(n),
			removeLeftovers(ctx, n), os.RemoveAll(runFolder(n)), os.RemoveAll(logFolder(n)),
		)
	}
	return errors.Join(errs...)
}

// Crash ends a node as a power failure would: nothing of it gets to tell anybody, and what it kept in memory is gone.
func (r Runner) Crash(ctx context.Context, n layout.Node) error {
	names := []string{n.Process(KubeRouter)}
	for _, p := range r.processes(n, "") {
		names = append(names, p.Name)
	}
	for _, name := range names {
		if err := r.Supervisor.Kill(name); err != nil {
			return err
		}
	}
	if err := freeze(n, "FROZEN"); err != nil {
		return err
	}
	return errors.Join(endContainers(n), unmountUnder(ctx, runFolder(n), n.Folder()), os.RemoveAll(runFolder(n)))
}

// freeze stops the node's containers all at once, so that none sees another one die. They are thawed by endContainers,
// because a frozen process does not die.
func freeze(n layout.Node, state string) error {
	err := os.WriteFile(filepath.Join(cgroups, "freezer", n.Name(), "freezer.state"), []byte(state), 0o644) //nolint:gosec // A file of the kernel's.
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot freeze or thaw node %q: %w", n.Name(), err)
	}
	return nil
}

// removeLeftovers removes what others than this program wrote about a node outside of the cluster's folders: the network
// plugins' notes on its Pods, the kubelet's links to its logs, and the sockets of its containers' shims.
func removeLeftovers(ctx context.Context, n layout.Node) error {
	leftovers := []string{}
	sandboxes, err := filepath.Glob(filepath.Join(n.Folder(), "containerd", "io.containerd.grpc.v1.cri", "sandboxes", "*"))
	if err != nil {
		return fmt.Errorf("cannot list the Pods of node %q: %w", n.Name(), err)
	}
	for _, s := range sandboxes {
		notes, err := filepath.Glob("/var/lib/cni/results/*-" + filepath.Base(s) + "-*")
		if err != nil {
			return fmt.Errorf("cannot list the notes of network plugins: %w", err)
		}
		leftovers = append(leftovers, notes...)
	}
	links, err := filepath.Glob("/var/log/containers/*.log")
	if err != nil {
		return fmt.Errorf("cannot list links to logs: %w", err)
	}
	for _, l := range links {
		if target, err := os.Readlink(l); err == nil && strings.HasPrefix(target, logFolder(n)+"/") {
			leftovers = append(leftovers, l)
		}
	}
	sockets, err := filepath.Glob("/run/containerd/s/*")
	if err != nil {
		return fmt.Errorf("cannot list the sockets of shims: %w", err)
	}
	for _, s := range sockets {
		if abandoned(ctx, s) {
			leftovers = append(leftovers, s)
		}
	}
	errs := []error{}
	for _, l := range leftovers {
		errs = append(errs, os.RemoveAll(l))
	}
	return errors.Join(errs...)
}

// abandoned says whether nothing listens on a socket any more.
func abandoned(ctx context.Context, socket string) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err == nil {
		_ = conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

func runFolder(n layout.Node) string { return "/run/" + n.Name() }

func logFolder(n layout.Node) string { return filepath.Join(podLogs, n.Name()) }

// endContainers kills whatever runs in the node's cgroup: containers, and the shims that containerd leaves to hold them.
func endContainers(n layout.Node) error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		pids, err := containerProcesses(n)
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cannot end processes %v of node %q", pids, n.Name())
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("cannot kill process %d of node %q: %w", pid, n.Name(), err)
			}
		}
		if err := freeze(n, "THAWED"); err != nil {
			return err
		}
	}
}

func containerProcesses(n layout.Node) ([]int, error) {
	pids, err := shims(n)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(filepath.Join(cgroups, "pids", n.Name()), func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Base(path) != "cgroup.procs" {
			return ignoreMissing(err)
		}
		raw, err := os.ReadFile(path) //nolint:gosec // A file of the cgroup file system.
		if err != nil {
			return ignoreMissing(err)
		}
		for _, field := range strings.Fields(string(raw)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return fmt.Errorf("cannot read a process id in %q: %w", path, err)
			}
			pids = append(pids, pid)
		}
		return nil
	})
	return pids, err
}

// shims finds the node's container shims by the socket of the container runtime in their command line.
func shims(n layout.Node) ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, fmt.Errorf("cannot list processes: %w", err)
	}
	pids := []int{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil || !strings.Contains(string(raw), "containerd-shim") || !strings.Contains(string(raw), n.ContainerdSocket()) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err != nil {
			return nil, fmt.Errorf("cannot read the process id in %q: %w", f, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// unmountUnder unmounts whatever is mounted in folders, the innermost first.
func unmountUnder(ctx context.Context, folders ...string) error {
	raw, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return fmt.Errorf("cannot list mounts: %w", err)
	}
	targets := []string{}
	for line := range strings.Lines(string(raw)) {
		target := strings.Fields(line)[1]
		if slices.ContainsFunc(folders, func(f string) bool { return strings.HasPrefix(target, f+"/") }) {
			targets = append(targets, target)
		}
	}
	slices.Reverse(targets)
	errs := []error{}
	for _, t := range targets {
		if out, err := exec.CommandContext(ctx, "umount", t).CombinedOutput(); err != nil { //nolint:gosec // A mount of the cluster's own.
			errs = append(errs, fmt.Errorf("cannot unmount %q: %w: %s", t, err, out))
		}
	}
	return errors.Join(errs...)
}

// removeCgroups removes the node's cgroups, the innermost first: they are folders that are removed, not their files.
func removeCgroups(n layout.Node) error {
	tops, err := filepath.Glob(filepath.Join(cgroups, "*", n.Name()))
	if err != nil {
		return fmt.Errorf("cannot list the cgroups of node %q: %w", n.Name(), err)
	}
	folders := []string{}
	for _, top := range tops {
		err := filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				folders = append(folders, path)
			}
			return ignoreMissing(err)
		})
		if err != nil {
			return fmt.Errorf("cannot list the cgroups of node %q: %w", n.Name(), err)
		}
	}
	slices.Reverse(folders)
	for _, f := range folders {
		if err := ignoreMissing(syscall.Rmdir(f)); err != nil {
			return fmt.Errorf("cannot remove cgroup %q: %w", f, err)
		}
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return nil
	}
	return err
}
