// Package bucket keeps the Buckets of S3-compatible stores as their managed resources say.
package bucket

import (
	"context"
	"fmt"
	"time"

	"github.com/crossplane/crossplane-runtime/v2/pkg/controller"
	"github.com/crossplane/crossplane-runtime/v2/pkg/event"
	"github.com/crossplane/crossplane-runtime/v2/pkg/ratelimiter"
	"github.com/crossplane/crossplane-runtime/v2/pkg/reconciler/managed"
	"github.com/crossplane/crossplane-runtime/v2/pkg/resource"
	xpv2 "github.com/crossplane/crossplane/apis/v2/core/v2"
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
	"github.com/xdbcluster/xdbcluster/internal/provider/store"
)

// timeout bounds all that is done about a Bucket at a time.
const timeout = time.Minute

// Setup adds the controller of Buckets to a manager.
func Setup(m manager.Manager, o controller.Options) error {
	name := managed.ControllerName(v1alpha1.KindBucket)
	recorder := event.NewAPIRecorder(m.GetEventRecorderFor(name), o.EventFilterFunctions...) //nolint:staticcheck // Crossplane's runtime takes this one.
	err := ctrl.NewControllerManagedBy(m).
		Named(name).
		WithOptions(o.ForControllerRuntime()).
		WithEventFilter(resource.DesiredStateChanged()).
		For(&v1alpha1.Bucket{}).
		Complete(ratelimiter.NewReconciler(name, newReconciler(m, o, managed.WithRecorder(recorder)), o.GlobalRateLimiter))
	if err != nil {
		return fmt.Errorf("cannot add the controller of Buckets: %w", err)
	}
	return nil
}

func newReconciler(m manager.Manager, o controller.Options, more ...managed.ReconcilerOption) *managed.Reconciler {
	options := []managed.ReconcilerOption{
		managed.WithTypedExternalConnector(newConnector(m.GetClient())),
		managed.WithManagementPolicies(),
		// A bucket's name is known before it is made: one whose creation was cut short is found again.
		managed.WithDeterministicExternalName(true),
		managed.WithPollInterval(o.PollInterval),
		managed.WithPollIntervalHook(again),
		managed.WithTimeout(timeout),
		managed.WithLogger(o.Logger.WithValues("controller", v1alpha1.KindBucket)),
	}
	if o.MetricOptions != nil {
		options = append(options, managed.WithMetricRecorder(o.MetricOptions.MRMetrics))
	}
	return managed.NewReconciler(m, resource.ManagedKind(v1alpha1.GroupVersion().WithKind(v1alpha1.KindBucket)), append(options, more...)...)
}

// again returns when to look at a Bucket again. What was seen of one that was just taken over is lost when its finalizer is written,
// so that it is looked at once more at once.
func again(mg resource.Managed, interval time.Duration) time.Duration {
	if mg.GetCondition(xpv2.TypeReady).Status == corev1.ConditionTrue {
		return interval
	}
	return min(interval, time.Second)
}

// A connector finds the store of a Bucket.
type connector struct {
	kube client.Client

	// usages note who uses a configuration, by the configuration's kind.
	usages map[string]resource.ModernTracker
}

func newConnector(kube client.Client) managed.TypedExternalConnector[*v1alpha1.Bucket] {
	return connector{kube: kube, usages: map[string]resource.ModernTracker{
		v1alpha1.KindProviderConfig:        resource.NewProviderConfigUsageTracker(kube, &v1alpha1.ProviderConfigUsage{}),
		v1alpha1.KindClusterProviderConfig: resource.NewProviderConfigUsageTracker(kube, &v1alpha1.ClusterProviderConfigUsage{}),
	}}
}

// Connect makes a client of the Bucket's store. Nothing is sent to the store yet.
func (c connector) Connect(ctx context.Context, b *v1alpha1.Bucket) (managed.TypedExternalClient[*v1alpha1.Bucket], error) {
	if ref := b.GetProviderConfigReference(); ref != nil && c.usages[ref.Kind] != nil {
		if err := c.usages[ref.Kind].Track(ctx, b); err != nil {
			return nil, fmt.Errorf("cannot note that the %s %s is used: %w", ref.Kind, ref.Name, err)
		}
	}
	location, err := store.Find(ctx, c.kube, b)
	if err != nil {
		return nil, err
	}
	client, err := location.Connect()
	if err != nil {
		return nil, err
	}
	return external{location: location, store: client}, nil
}
