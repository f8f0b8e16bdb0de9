// Command bench measures what docs/performance.md says, on the local cluster or on the one KUBECONFIG names, and prints it
// as tables of Markdown. Progress goes to the standard error.
//
//	go run ./test/bench             ready, push, reload and function
//	go run ./test/bench ready       a claim is applied, until it is ready and the first row is written
//	go run ./test/bench push        git push, until the claim is ready
//	go run ./test/bench reload      git push of a parameter, until it is in force and shown
//	go run ./test/bench function    one call of the function, in process
//	go run ./test/bench failover    faults of a primary with two standbys, until rows are written again
//	go run ./test/bench standbys    clusters with standbys: until they are up, whole again, and have one more
//	go run ./test/bench backup      the first backup of a small database, and a restore in place
//	go run ./test/bench archive     how long a change to a quiet database is in no archive; takes long
//	go run ./test/bench large       a full backup and a clone of 5 GiB, beside the same by hand; takes long
//	go run ./test/bench scale       500 stopped claims: time and memory; takes long
//	go run ./test/bench demo        make demo again, or with --from-down after make down, which removes all databases
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/xdbcluster/xdbcluster/test/platform"
)

type options struct {
	Nodes      int    `default:"1"           env:"NODES"      help:"How many nodes the local cluster gets."`
	Registry   string `default:"${registry}" env:"REGISTRY"   help:"The path that packages and images are published under."`
	GitAddress string `default:"${git}"      help:"Where the Git server listens: an address of this machine that the cluster reaches."`
	Kubeconfig string `env:"KUBECONFIG"      help:"Use this cluster instead of the local one."`

	All      allCommand      `cmd:"" default:"withargs" help:"Measure all but scale and demo, which take long or remove databases."`
	Ready    readyCommand    `cmd:"" help:"Time a claim from kubectl apply to ready and to the first row."`
	Push     pushCommand     `cmd:"" help:"Time a claim from git push to ready."`
	Reload   reloadCommand   `cmd:"" help:"Time a parameter from git push to in force."`
	Failover failoverCommand `cmd:"" help:"Measure how long nobody can write after faults of a primary with standbys."`
	Standbys standbysCommand `cmd:"" help:"Time clusters with standbys: until they are up, whole again after a Pod is lost, and have one more."`
	Backup   backupCommand   `cmd:"" help:"Time the first backup of a small database, and a restore in place."`
	Archive  archiveCommand  `cmd:"" help:"Time a change to a quiet database from its commit to the archive."`
	Large    largeCommand    `cmd:"" help:"Measure a full backup and a clone of a large database, beside the same by hand."`
	Scale    scaleCommand    `cmd:"" help:"Measure time and memory with many stopped claims."`
	Function functionCommand `cmd:"" help:"Measure one call of the function, in process."`
	Demo     demoCommand     `cmd:"" help:"Time make demo."`
}

// repeated is for what is measured again and again.
type repeated struct {
	Runs int `default:"10" help:"How often to measure."`
}

type allCommand struct{ repeated }

func (c allCommand) Run(ctx context.Context, b *bench, r *report) error {
	for _, measure := range []func() error{
		func() error { return readyCommand(c).Run(ctx, b, r) },
		func() error { return pushCommand(c).Run(ctx, b, r) },
		func() error { return reloadCommand(c).Run(ctx, b, r) },
		func() error { return functionCommand{}.Run(ctx, r) },
	} {
		if err := measure(); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := &options{}
	command := kong.Parse(o, kong.Description("Measure what docs/performance.md says."),
		kong.Vars{"registry": platform.DefaultRegistry, "git": platform.GitAddress})
	if err := run(ctx, command, o); err != nil {
		fmt.Fprintln(os.Stderr, "\nThe benchmarks failed:", err)
		os.Exit(1) //nolint:gocritic // The process ends; there is nothing to stop listening to.
	}
}

func run(ctx context.Context, command *kong.Context, o *options) error {
	project, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("cannot find the project's folder: %w", err)
	}
	r := &report{out: os.Stdout, log: os.Stderr, project: project}
	command.BindTo(ctx, (*context.Context)(nil))
	command.Bind(r)
	// What needs no cluster is not to bring one up.
	err = command.BindSingletonProvider(func() (*bench, error) { return newBench(ctx, o, r) })
	if err != nil {
		return fmt.Errorf("cannot prepare the command: %w", err)
	}
	if err := r.surroundings(ctx); err != nil {
		return err
	}
	return command.Run()
}

// A report is where results and progress go.
type report struct {
	out, log io.Writer
	project  string
}

// surroundings tells what was measured, and on what.
func (r *report) surroundings(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12")
	cmd.Dir = r.project
	commit, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("cannot tell which commit is measured: %w", err)
	}
	_, err = fmt.Fprintf(r.out, "Commit %s, %d cores, %s.\n\n", strings.TrimSpace(string(commit)), runtime.NumCPU(), runtime.GOARCH)
	return err
}
