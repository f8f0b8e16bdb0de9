// Command demo goes from a Git commit to rows read by psql, on a cluster of this machine.
//
//	go run ./test/demo           bring everything up, commit a claim, read rows; again at any time
//	go run ./test/demo platform  bring everything up, without a database
//	go run ./test/demo down      remove all of it
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/test/platform"
	"github.com/xdbcluster/xdbcluster/test/progress"
)

const rolloutTimeout = 5 * time.Minute

const statements = `set client_min_messages = warning;
create table if not exists visits (id bigint generated always as identity primary key, at timestamptz not null default now());
insert into visits default values;
select id, at, current_setting('server_version') as server, ssl_version, cipher from visits, (select version as ssl_version, cipher from pg_stat_ssl where pid = pg_backend_pid()) as ssl order by id desc limit 5;
`

// plan names no store: the platform has one.
const plan = `apiVersion: xdbcluster.io/v1alpha1
kind: BackupPlan
metadata:
  name: demo-backups
spec:
  dbclusterRef: demo
`

const next = `
What to try next:

  export KUBECONFIG=%[1]s PATH=%[2]s:$PATH
  kubectl get dbclusters -A                                  the claim at a glance
  kubectl -n %[3]s describe dbcluster %[4]s                  all that its status says
  kubectl -n %[3]s exec -it %[4]s-0 -c database -- psql      a session in the database
  kubectl -n %[3]s delete dbcluster %[4]s                    refused: it is protected
  kubectl -n %[3]s get backupplans,backups                   what it can be restored to
  kubectl -n flux-system get gitrepositories,kustomizations  what Flux says

  git clone %[5]s /tmp/xdbcluster && cd /tmp/xdbcluster      the repository that Flux follows
  $EDITOR databases/local/%[4]s.yaml                         for example spec.primarySpec.parameters: {work_mem: 16MB}
  git commit -am 'More memory to work with' && git push      about ten seconds later it is in force

  make demo   again, any time        make down   removes everything
`

type options struct {
	Nodes      int    `default:"1"          env:"NODES"                       help:"How many nodes the local cluster gets."`
	Registry   string `default:"${registry}" env:"REGISTRY"                   help:"The path that packages and images are published under."`
	GitAddress string `default:"${git}"     help:"Where the Git server listens: an address of this machine that the cluster reaches."`
	Kubeconfig string `env:"KUBECONFIG"     help:"Use this cluster instead of the local one."`

	Demo     struct{} `cmd:"" default:"1" help:"From a commit to rows."`
	Platform struct{} `cmd:"" help:"Bring everything up, without a database."`
	Down     struct{} `cmd:"" help:"Remove everything."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := options{}
	command := kong.Parse(&o, kong.Vars{"registry": platform.DefaultRegistry, "git": platform.GitAddress})
	if err := run(ctx, command.Command(), o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "\nThe demo failed:", err)
		os.Exit(1) //nolint:gocritic // The process ends; there is nothing to stop listening to.
	}
}

func run(ctx context.Context, command string, o options, out io.Writer) error {
	start := time.Now()
	project, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("cannot find the project's folder: %w", err)
	}
	local := platform.Local{
		Project: project, Kubeconfig: o.Kubeconfig, Nodes: o.Nodes, Registry: o.Registry, GitAddress: o.GitAddress, Out: out,
	}
	if command == "down" {
		return local.Down(ctx)
	}
	p, err := local.Up(ctx)
	if err != nil || command == "platform" {
		return err
	}
	if err := demonstrate(ctx, p); err != nil {
		return err
	}
	p.Progress.Say("\nThe whole demo took %s.\n", progress.Duration(time.Since(start)))
	return nil
}

// demonstrate commits the example and reads rows from what comes of it.
func demonstrate(ctx context.Context, p *platform.Platform) error {
	ctx, cancel := context.WithTimeout(ctx, rolloutTimeout)
	defer cancel()
	manifest, err := os.ReadFile(filepath.Join(p.Project, "examples", "claims", "dbcluster.yaml"))
	if err != nil {
		return fmt.Errorf("cannot read the example: %w", err)
	}
	claim := client.ObjectKey{Namespace: platform.Namespace, Name: "demo"}
	if err := commit(ctx, p, claim, manifest); err != nil {
		return err
	}
	rows := ""
	err = p.Progress.Step("Rows by psql, over TLS, with the connection Secret", func() error {
		rows, err = p.SQL(ctx, claim, statements)
		return err
	})
	if err != nil {
		return err
	}
	p.Progress.Say("\n%s", rows)
	if err := backUp(ctx, p); err != nil {
		return err
	}
	p.Progress.Say(next, p.Kubeconfig, filepath.Join(p.Project, ".cache", "bin"), claim.Namespace, claim.Name, p.Repository.Bare)
	return nil
}

// backUp gives the database a BackupPlan, where the platform has a store, and waits for the first backup.
func backUp(ctx context.Context, p *platform.Platform) error {
	has, err := p.HasStore(ctx)
	if err != nil || !has {
		return err
	}
	key := client.ObjectKey{Namespace: platform.Namespace, Name: "demo-backups"}
	return p.Progress.Step("Commit of a BackupPlan, and the first backup", func() error {
		if _, err := p.Repository.AddClaim(ctx, key.Name, []byte(plan)); err != nil {
			return err
		}
		return p.WaitBackedUp(ctx, key)
	})
}

// commit commits the claim and waits until Flux says that it is rolled out. A new claim's way is timed.
func commit(ctx context.Context, p *platform.Platform, claim client.ObjectKey, manifest []byte) error {
	_, err := p.Claim(ctx, claim)
	if err == nil {
		return p.Progress.Step("The database that is there already", func() error {
			revision, err := p.Repository.Head(ctx)
			if err != nil {
				return err
			}
			return p.WaitRolledOut(ctx, revision)
		})
	}
	if !apierrors.IsNotFound(err) {
		return err
	}
	var d platform.Delivery
	err = p.Progress.Step("Commit of examples/claims/dbcluster.yaml", func() error {
		d, err = p.Deliver(ctx, claim, bytes.TrimSpace(manifest))
		return err
	})
	if err != nil {
		return err
	}
	p.Progress.Say("\nFrom git push to Ready: %s; until Flux said so: %s.\n", progress.Duration(d.Ready.Sub(d.Pushed)), progress.Duration(d.RolledOut.Sub(d.Pushed)))
	for _, mark := range d.Marks {
		p.Progress.Say("  %6.1f s  %s\n", mark.At.Sub(d.Pushed).Seconds(), mark.What)
	}
	p.Progress.Say("\n")
	return nil
}
