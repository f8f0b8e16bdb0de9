// Package platform brings up what runs databases from Git, on whatever cluster a kubeconfig names: Flux, a Git repository
// made from gitops/ that it follows, and through it Crossplane and the packages. The demo and the end-to-end tests stand
// on it.
package platform

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/test/cluster/gitserver"
	"github.com/xdbcluster/xdbcluster/test/progress"
	"github.com/xdbcluster/xdbcluster/tools/program"
)

// Namespace is where the local cluster's claims live.
const Namespace = "databases"

// repositoryName is the Git repository that Flux follows.
const repositoryName = "xdbcluster"

// readyTimeout bounds how long Flux and all that it brings take to come up on a slow machine.
const readyTimeout = 10 * time.Minute

// Options say where a platform comes up and from what.
type Options struct {
	// Project is this project's folder.
	Project string

	// Kubeconfig names the cluster.
	Kubeconfig string

	// Registry is the path that the packages were published under, as the cluster reaches it. The images of Flux and
	// Crossplane are published there too.
	Registry string

	// Package is the reference of the Configuration to install.
	Package string

	// Git serves the repository that Flux follows, at an address that the cluster reaches.
	Git gitserver.Server

	// Progress tells what is done.
	Progress *progress.Reporter
}

// A Platform is a cluster that runs databases from Git.
type Platform struct {
	Options

	// Client reads and writes the cluster's objects.
	Client client.WithWatch

	// Logs reads what Pods print, which Client cannot.
	Logs kubernetes.Interface

	// Repository is what Flux follows.
	Repository Repository
}

// New returns the platform of a cluster, which may not be up yet.
func New(ctx context.Context, o Options) (*Platform, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("cannot read kubeconfig %q: %w", o.Kubeconfig, err)
	}
	config.QPS = -1 // The API server's own fairness is limit enough.
	config.WarningHandler = rest.NoWarnings{}
	c, err := client.NewWithWatch(config, client.Options{})
	if err != nil {
		return nil, fmt.Errorf("cannot reach the cluster of kubeconfig %q: %w", o.Kubeconfig, err)
	}
	logs, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the cluster of kubeconfig %q: %w", o.Kubeconfig, err)
	}
	bare, err := o.Git.Repository(ctx, repositoryName)
	if err != nil {
		return nil, err
	}
	return &Platform{Options: o, Client: c, Logs: logs, Repository: Repository{Bare: bare}}, nil
}

// Up installs what is not there yet and returns when Flux says that all of it is healthy.
func (p *Platform) Up(ctx context.Context) error {
	builder, err := p.builder()
	if err != nil {
		return err
	}
	if err := p.Progress.Step("Images of Flux and Crossplane", func() error { return p.publishImages(ctx, builder) }); err != nil {
		return err
	}
	if err := p.Progress.Step("Flux", func() error { return p.installFlux(ctx, builder) }); err != nil {
		return err
	}
	return p.Progress.Step("Crossplane and packages, by Flux", func() error {
		revision, err := p.syncRepository(ctx, builder)
		if err != nil {
			return err
		}
		// What is built before takes as long as it takes.
		ctx, cancel := context.WithTimeout(ctx, readyTimeout)
		defer cancel()
		if err := p.follow(ctx); err != nil {
			return err
		}
		if err := p.tellOfPushes(ctx, builder); err != nil {
			return err
		}
		if err := p.Reconcile(ctx); err != nil {
			return err
		}
		// A database that is in trouble must not keep the platform from coming up.
		if err := p.waitStages(ctx, revision, slices.DeleteFunc(stageNames(), func(name string) bool { return name == databasesStage })); err != nil {
			return err
		}
		return p.provideStore(ctx)
	})
}

func (p *Platform) builder() (program.Builder, error) {
	catalog, err := program.LoadCatalog(p.path("tools", "versions.yaml"))
	if err != nil {
		return program.Builder{}, err
	}
	return program.Builder{Catalog: catalog, Cache: p.path(".cache")}, nil
}

// Program makes a program of tools/versions.yaml ready and returns its path.
func (p *Platform) Program(ctx context.Context, name string) (string, error) {
	builder, err := p.builder()
	if err != nil {
		return "", err
	}
	return p.build(ctx, builder, name)
}

// build makes a program ready, and says so when that takes its time.
func (p *Platform) build(ctx context.Context, builder program.Builder, name string) (string, error) {
	if builder.Built(name) {
		return builder.Build(ctx, name)
	}
	binary := ""
	err := p.Progress.Step("Build of "+name, func() (err error) {
		binary, err = builder.Build(ctx, name)
		return err
	})
	return binary, err
}
