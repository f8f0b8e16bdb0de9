// Package runner is the gRPC edge of the function: it turns a request into a composer's input and a composer's output into
// a response. It knows which composer is for which kind, and nothing about what a claim becomes.
package runner

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/crossplane/function-sdk-go/response"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/backup"
	"github.com/xdbcluster/xdbcluster/functions/backupplan"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/dbcluster"
	"github.com/xdbcluster/xdbcluster/functions/operation"
	"github.com/xdbcluster/xdbcluster/functions/tls"
)

// A Composer makes the desired state of one kind of composite resource. An error is fatal: nothing of the output but its
// conditions and events takes effect.
type Composer func(compose.Input) (compose.Output, error)

// A Runner answers Crossplane's calls.
type Runner struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	log     logging.Logger
	now     func() time.Time
	rand    io.Reader
	vouched *tls.Vouched
}

// An Option changes a Runner.
type Option func(*Runner)

// WithClock makes the Runner take the time from now.
func WithClock(now func() time.Time) Option {
	return func(r *Runner) { r.now = now }
}

// WithRand makes the Runner take random bytes from rd.
func WithRand(rd io.Reader) Option {
	return func(r *Runner) { r.rand = rd }
}

// New returns a Runner that logs to log.
func New(log logging.Logger, o ...Option) *Runner {
	r := &Runner{log: log, now: time.Now, rand: rand.Reader, vouched: &tls.Vouched{}}
	for _, option := range o {
		option(r)
	}
	return r
}

// RunFunction composes a composite resource. It never returns an error: Crossplane would discard the conditions and
// events that say what is wrong.
func (r *Runner) RunFunction(_ context.Context, req *fnv1.RunFunctionRequest) (rsp *fnv1.RunFunctionResponse, _ error) {
	rsp = response.To(req, 0)
	defer func() {
		if p := recover(); p != nil {
			r.log.Info("Composer panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			rsp = response.To(req, 0)
			response.Fatal(rsp, fmt.Errorf("cannot compose: the function has a bug that its log describes; nothing was changed"))
		}
	}()

	in, err := input(req)
	if err != nil {
		response.Fatal(rsp, fmt.Errorf("cannot read the request: %w", err))
		return rsp, nil
	}
	in.Now, in.Rand, in.Vouched = r.now(), r.rand, r.vouched

	composer, err := composerFor(in.Composite.Text("kind"))
	if err != nil {
		response.Fatal(rsp, err)
		return rsp, nil
	}

	out, err := composer(in)
	explain(rsp, out)
	if err != nil {
		r.log.Info("Cannot compose", "composite", in.Composite.Text("metadata", "name"), "error", err.Error())
		response.Fatal(rsp, err)
		return rsp, nil
	}
	if err := desire(rsp, in.Composite, out); err != nil {
		response.Fatal(rsp, fmt.Errorf("cannot write the response: %w", err))
	}
	return rsp, nil
}

// composerFor returns the composer of a kind.
func composerFor(kind string) (Composer, error) {
	switch kind {
	case v1alpha1.KindXDBCluster:
		return dbcluster.Compose, nil
	case v1alpha1.KindXSwitchover, v1alpha1.KindXFailover, v1alpha1.KindXRestore:
		return operation.Compose, nil
	case v1alpha1.KindXBackupPlan:
		return backupplan.Compose, nil
	case v1alpha1.KindXBackup:
		return backup.Compose, nil
	default:
		known := []string{
			v1alpha1.KindXDBCluster, v1alpha1.KindXSwitchover, v1alpha1.KindXFailover, v1alpha1.KindXRestore, v1alpha1.KindXBackupPlan, v1alpha1.KindXBackup,
		}
		return nil, fmt.Errorf("cannot compose kind %q: this function knows %s; check the compositeTypeRef of the Composition",
			kind, strings.Join(known, ", "))
	}
}
