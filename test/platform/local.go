package platform

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/xdbcluster/xdbcluster/test/cluster/gitserver"
	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
	"github.com/xdbcluster/xdbcluster/test/cluster/local"
	"github.com/xdbcluster/xdbcluster/test/cluster/process"
	"github.com/xdbcluster/xdbcluster/test/progress"
)

// DefaultRegistry is the path that packages and images are published under for the local cluster.
const DefaultRegistry = layout.Registry + "/xdbcluster"

// GitAddress is where the local cluster's Git server listens.
const GitAddress = layout.BridgeAddress + ":5080"

// A Local is everything that the demo and the end-to-end tests need on this machine.
type Local struct {
	// Project is this project's folder.
	Project string

	// Kubeconfig names a cluster to use. Empty means the local cluster, which is brought up.
	Kubeconfig string

	// Nodes is how many nodes the local cluster gets.
	Nodes int

	// Registry is the path that packages and images are published under.
	Registry string

	// GitAddress is where the Git server listens: an address of this machine that the cluster reaches.
	GitAddress string

	// Out is where progress is told.
	Out io.Writer
}

// Up brings up the cluster, publishes the packages, and brings up the platform on it. It does only what is not done yet.
func (l Local) Up(ctx context.Context) (*Platform, error) {
	report := progress.To(l.Out)
	kubeconfig := l.Kubeconfig
	if kubeconfig == "" {
		cluster := local.Cluster{Project: l.Project, Nodes: l.Nodes, Progress: report}
		if err := cluster.Up(ctx); err != nil {
			return nil, err
		}
		kubeconfig = cluster.Kubeconfig()
	}
	publish := func() error {
		return l.run(ctx, "./package/build", "all", "--registry", l.Registry, "--arch", runtime.GOARCH)
	}
	if err := report.Step("Packages and images", publish); err != nil {
		return nil, err
	}
	reference, err := l.published()
	if err != nil {
		return nil, err
	}
	server := l.gitServer()
	if err := report.Step("Git server", func() error { return server.Start(ctx) }); err != nil {
		return nil, err
	}
	p, err := New(ctx, Options{
		Project: l.Project, Kubeconfig: kubeconfig, Registry: l.Registry, Package: reference, Git: server, Progress: report,
	})
	if err != nil {
		return nil, err
	}
	return p, p.Up(ctx)
}

// Down removes all that Up made on this machine, the Git server and its repository with the rest: both are among the
// cluster's processes and files. What was built stays in the project's ignored folders.
func (l Local) Down(ctx context.Context) error {
	return local.Cluster{Project: l.Project, Progress: progress.To(l.Out)}.Down(ctx)
}

func (l Local) gitServer() gitserver.Server {
	return gitserver.Server{
		Dir:       layout.Git(),
		Processes: process.Supervisor{Folder: layout.Processes()},
		Address:   l.GitAddress,
		Project:   l.Project,
	}
}

// published returns the reference of the Configuration that was published last.
func (l Local) published() (string, error) {
	raw, err := os.ReadFile(filepath.Join(l.Project, "_output", "configuration"))
	if err != nil {
		return "", fmt.Errorf("cannot read which package was published: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// run runs one of the project's programs and shows what it says.
func (l Local) run(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"run", program}, args...)...) //nolint:gosec // Programs of ours.
	cmd.Dir = l.Project
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = l.Out, l.Out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot run %q (see its messages above): %w", program+" "+strings.Join(args, " "), err)
	}
	return nil
}
