// Command provider keeps what is outside of Kubernetes as its managed resources say: buckets of object stores.
package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/alecthomas/kong"
	"github.com/crossplane/crossplane-runtime/v2/pkg/controller"
	"github.com/crossplane/crossplane-runtime/v2/pkg/logging"
	"github.com/crossplane/crossplane-runtime/v2/pkg/ratelimiter"
	"github.com/crossplane/crossplane-runtime/v2/pkg/reconciler/managed"
	_ "golang.org/x/crypto/x509roots/fallback" // The image has no certificates of its own: Mozilla's are in the binary.
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
	"github.com/xdbcluster/xdbcluster/internal/provider/bucket"
	"github.com/xdbcluster/xdbcluster/internal/provider/config"
)

// cli holds the flags.
type cli struct {
	Debug            bool          `help:"Write debug messages to the log." short:"d"`
	PollInterval     time.Duration `help:"How often a bucket is looked at for what somebody else changed." default:"1m"`
	MaxReconcileRate int           `help:"How many resources are looked at in a second, and at a time." default:"10"`
	LeaderElection   bool          `help:"Let one of several replicas work, and the others wait."`
	MetricsAddress   string        `help:"Address of Prometheus metrics, at /metrics. Empty for none." default:":8080"`
	HealthAddress    string        `help:"Address of health checks, at /healthz and /readyz. Empty for none." default:":8081"`
}

// Run serves the provider until it is asked to end.
func (c *cli) Run() error {
	log := zap.New(zap.UseDevMode(c.Debug))
	ctrl.SetLogger(log)
	m, err := c.manager()
	if err != nil {
		return err
	}
	recorder := managed.NewMRMetricRecorder()
	metrics.Registry.MustRegister(recorder)
	o := controller.Options{
		Logger:                  logging.NewLogrLogger(log.WithName("provider-xdbcluster")),
		MaxConcurrentReconciles: c.MaxReconcileRate,
		PollInterval:            c.PollInterval,
		GlobalRateLimiter:       ratelimiter.NewGlobal(c.MaxReconcileRate),
		MetricOptions:           &controller.MetricOptions{MRMetrics: recorder},
	}
	if err := config.Setup(m, o); err != nil {
		return err
	}
	if err := bucket.Setup(m, o); err != nil {
		return err
	}
	return m.Start(ctrl.SetupSignalHandler())
}

// manager returns a manager that knows the provider's kinds, and says that it is well once it has begun.
func (c *cli) manager() (manager.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("cannot make kinds known: %w", err)
		}
	}
	kubeconfig, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("cannot find the API server: %w", err)
	}
	m, err := ctrl.NewManager(kubeconfig, ctrl.Options{
		Scheme: scheme,
		// Secrets are read one by one: no copy of all the cluster's is kept, and changed credentials are used at once.
		Client:                        client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		Metrics:                       metricsserver.Options{BindAddress: cmp.Or(c.MetricsAddress, "0")},
		HealthProbeBindAddress:        cmp.Or(c.HealthAddress, "0"),
		LeaderElection:                c.LeaderElection,
		LeaderElectionID:              "provider-xdbcluster",
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot make the manager of controllers: %w", err)
	}
	for _, add := range []func(string, healthz.Checker) error{m.AddHealthzCheck, m.AddReadyzCheck} {
		if err := add("ping", healthz.Ping); err != nil {
			return nil, fmt.Errorf("cannot add a health check: %w", err)
		}
	}
	return m, nil
}

func main() {
	ctx := kong.Parse(&cli{}, kong.Description("Crossplane provider of xdbcluster: buckets of S3-compatible stores as managed resources."))
	ctx.FatalIfErrorf(ctx.Run())
}
