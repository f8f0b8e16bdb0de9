// Command e2e runs the end-to-end tests: it brings the platform up as the demo does, tests the cluster if it is the local
// one, lets uptest go over the examples, and runs the tests of ./test/e2e/databases for what uptest cannot say.
//
//	go run ./test/e2e                            on the local cluster, or on the one KUBECONFIG names
//	go run ./test/e2e --run TestParameters       one test, without uptest
//	go run ./test/e2e --group nodes --nodes 3    a group of the tests that take long
//
// What is needed to see why something failed is left in one folder, test/output/<time>.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
	"github.com/xdbcluster/xdbcluster/test/e2e/evidence"
	"github.com/xdbcluster/xdbcluster/test/platform"
	"github.com/xdbcluster/xdbcluster/test/progress"
)

// groups are the tests that take long, each group less than an hour. TestFailover/17, TestBackup and TestRestore/17, which have
// most in common with them, are run every time. A name that others begin with ends in $: the go command stops looking for what to
// skip at the first name that matches in part.
func groups() map[string]string {
	return map[string]string{
		// Instances fail, change and are operated.
		"instances": "TestFailover$/15|TestCrashes$/15|TestInterruptedBirth|TestDemotedPrimary|TestSecondCrash|TestStalls|TestPatroniLoopHangs|TestAutoHeal|TestDiskFull|TestRollingUpdate|TestScale$|TestFailoverDuringChanges|TestRecreateCluster|TestOperationsInGit|TestClockJumps|TestParametersThatKeepFromStarting",
		// Nodes, their network and the control plane fail. Each test runs alone.
		"nodes": "TestNodeCutOff|TestNodeLost|TestOneWay|TestPrimaryAndStandbyLost|TestNoAutoFailover|TestAsynchronous|TestControlPlaneAway|TestSlowAPI",
		// What fails is drawn by lot.
		"random": "TestChaos",
		// Databases are backed up and restored, and backups tried.
		"backup": "TestRestore$/15|TestRestoreTargets|TestRestoreLongWAL|TestBackupsExist|TestDefaultStore|TestVerification|TestRestoreInPlace|TestCreateBucket|TestBucket|TestBackupOptions|TestRetention|TestMissedSchedule|TestRotatedCredentials|TestOtherTenant|TestGrantedBackups",
		// What backs up, restores and tries is killed, and the object store fails.
		"store": "TestInterruptedBackup|TestInterruptedRestore|TestInterruptedVerification|TestStoreAway|TestPrimaryLostWhileStoreIsAway|TestArchiveGap|TestStoreFaults|TestStoreFull",
		// The Kubernetes cluster is lost, and made again from Git and buckets.
		"rebuild": "TestRebuild",
	}
}

// evidenceTimeout bounds the collection of evidence on a cluster that may not answer any more.
const evidenceTimeout = 3 * time.Minute

type options struct {
	Nodes      int           `default:"1"          env:"NODES"    help:"How many nodes the local cluster gets."`
	Registry   string        `default:"${registry}" env:"REGISTRY" help:"The path that packages and images are published under."`
	GitAddress string        `default:"${git}"     help:"Where the Git server listens: an address of this machine that the cluster reaches."`
	Kubeconfig string        `env:"KUBECONFIG"     help:"Use this cluster instead of the local one."`
	Group      string        `default:""           help:"Run a group of the long tests, and nothing else: instances, nodes, random, backup, store or rebuild."`
	Run        string        `help:"Run only the tests that match, and not uptest."`
	Parallel   int           `default:"2"          help:"How many tests run at once: a database starting takes a whole core."`
	Timeout    time.Duration `default:"40m"        help:"How long the tests may take."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := options{}
	kong.Parse(&o, kong.Vars{"registry": platform.DefaultRegistry, "git": platform.GitAddress})
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "\nThe end-to-end tests failed:", err)
		os.Exit(1) //nolint:gocritic // The process ends; there is nothing to stop listening to.
	}
}

func run(ctx context.Context, o options) error {
	project, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("cannot find the project's folder: %w", err)
	}
	s := suite{options: o, project: project, out: os.Stdout, output: filepath.Join(project, "test", "output", time.Now().Format("20060102-150405"))}
	if err := os.MkdirAll(s.output, 0o750); err != nil {
		return fmt.Errorf("cannot create the folder for evidence: %w", err)
	}
	if err := s.run(ctx); err != nil {
		return errors.Join(err, s.keepEvidence(context.WithoutCancel(ctx)))
	}
	return os.RemoveAll(s.output)
}

// A suite is one run of all end-to-end tests.
type suite struct {
	options

	project string
	output  string
	out     io.Writer
}

func (s *suite) run(ctx context.Context) error {
	local := platform.Local{
		Project: s.project, Kubeconfig: s.Kubeconfig, Nodes: s.Nodes, Registry: s.Registry, GitAddress: s.GitAddress, Out: s.out,
	}
	ours := s.Kubeconfig == ""
	p, err := local.Up(ctx)
	if err != nil {
		return err
	}
	s.Kubeconfig = p.Kubeconfig
	report := progress.To(s.out)
	all := s.Run == "" && s.Group == ""
	if all && ours {
		if err := report.Step("Tests of the local cluster", func() error { return s.cluster(ctx) }); err != nil {
			return err
		}
	}
	if all {
		if err := report.Step("uptest over examples/claims", func() error { return s.uptest(ctx) }); err != nil {
			return err
		}
	}
	return report.Step("Tests of databases", func() error { return s.tests(ctx, p) })
}

// cluster tests what all other tests stand on: names, network policies, volumes.
func (s *suite) cluster(ctx context.Context) error {
	return s.command(ctx, "cluster.log", nil, "go", "test", "-tags", "e2e", "-count=1", "./test/cluster/e2e")
}

func (s *suite) uptest(ctx context.Context) error {
	return s.command(ctx, "uptest.log", nil, "go", "run", "./test/uptest")
}

// tests runs them with gotestsum, which repeats at the end what the failed ones said.
func (s *suite) tests(ctx context.Context, p *platform.Platform) error {
	gotestsum, err := p.Program(ctx, "gotestsum")
	if err != nil {
		return err
	}
	args := []string{
		"--format=standard-verbose", "--", "-tags", "e2e", "-count=1", fmt.Sprintf("-parallel=%d", s.Parallel), fmt.Sprintf("-timeout=%s", s.Timeout),
		"./test/e2e/databases",
	}
	switch {
	case s.Run != "":
		args = append(args, "-run", s.Run)
	case s.Group != "":
		group, ok := groups()[s.Group]
		if !ok {
			return fmt.Errorf("there is no group %q of tests: the groups are %s", s.Group, strings.Join(slices.Sorted(maps.Keys(groups())), ", "))
		}
		args = append(args, "-run", group)
	default:
		args = append(args, "-skip", strings.Join(slices.Sorted(maps.Values(groups())), "|"))
	}
	environment := []string{"E2E_PROJECT=" + s.project, "E2E_OUTPUT=" + s.output, "E2E_REPOSITORY=" + p.Repository.Bare}
	return s.command(ctx, "tests.log", environment, gotestsum, args...)
}

// command runs a program, shows what it says, and keeps it with the evidence.
func (s *suite) command(ctx context.Context, log string, environment []string, program string, args ...string) error {
	file, err := os.Create(filepath.Join(s.output, log))
	if err != nil {
		return fmt.Errorf("cannot create %q: %w", log, err)
	}
	defer file.Close()                                //nolint:errcheck // What the command said was shown already.
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // Program and arguments are ours.
	// Killed, the go command would leave the tests running.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	cmd.Dir = s.project
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "KUBECONFIG="+s.Kubeconfig), environment...)
	cmd.Stdout = io.MultiWriter(s.out, file)
	cmd.Stderr = cmd.Stdout
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w (see %s)", filepath.Base(program), err, file.Name())
	}
	return nil
}

// keepEvidence keeps what the cluster says now. Tests that failed have left what it said then beside it.
func (s *suite) keepEvidence(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, evidenceTimeout)
	defer cancel()
	var errs []error
	if s.Kubeconfig != "" {
		collector := evidence.Collector{Kubectl: filepath.Join(s.project, ".cache", "bin", "kubectl"), Kubeconfig: s.Kubeconfig}
		errs = append(errs, collector.Cluster(ctx, s.output))
	}
	// The local cluster's own processes: kubelet, container runtime, control plane.
	if logs, err := filepath.Glob(filepath.Join(layout.Processes(), "*.log")); err == nil {
		errs = append(errs, evidence.Tails(filepath.Join(s.output, "processes"), logs))
	}
	_, err := fmt.Fprintf(s.out, "\nWhat is needed to see why is in %s\n", s.output)
	return errors.Join(append(errs, err)...)
}
