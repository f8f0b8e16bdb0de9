// Package config keeps count of who uses a ProviderConfig or a ClusterProviderConfig, and keeps it from going as long as anybody
// does: Buckets could not be deleted without it.
package config

import (
	"fmt"

	"github.com/crossplane/crossplane-runtime/v2/pkg/controller"
	"github.com/crossplane/crossplane-runtime/v2/pkg/event"
	"github.com/crossplane/crossplane-runtime/v2/pkg/ratelimiter"
	"github.com/crossplane/crossplane-runtime/v2/pkg/reconciler/providerconfig"
	"github.com/crossplane/crossplane-runtime/v2/pkg/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
)

// Setup adds the controllers of both kinds to a manager.
func Setup(m manager.Manager, o controller.Options) error {
	if err := setup(m, o, v1alpha1.KindProviderConfig, &v1alpha1.ProviderConfig{}, &v1alpha1.ProviderConfigUsage{}); err != nil {
		return err
	}
	return setup(m, o, v1alpha1.KindClusterProviderConfig, &v1alpha1.ClusterProviderConfig{}, &v1alpha1.ClusterProviderConfigUsage{})
}

func setup(m manager.Manager, o controller.Options, kind string, config, usage client.Object) error {
	name := providerconfig.ControllerName(kind)
	recorder := event.NewAPIRecorder(m.GetEventRecorderFor(name), o.EventFilterFunctions...) //nolint:staticcheck // Crossplane's runtime takes this one.
	reconciler := newReconciler(m, o, kind, providerconfig.WithRecorder(recorder))
	err := ctrl.NewControllerManagedBy(m).
		Named(name).
		WithOptions(o.ForControllerRuntime()).
		For(config).
		Watches(usage, &resource.EnqueueRequestForProviderConfig{Kind: kind}).
		Complete(ratelimiter.NewReconciler(name, reconciler, o.GlobalRateLimiter))
	if err != nil {
		return fmt.Errorf("cannot add the controller of %ss: %w", kind, err)
	}
	return nil
}

func newReconciler(m manager.Manager, o controller.Options, kind string, more ...providerconfig.ReconcilerOption) *providerconfig.Reconciler {
	options := []providerconfig.ReconcilerOption{providerconfig.WithLogger(o.Logger.WithValues("controller", kind))}
	return providerconfig.NewReconciler(m, kinds(kind), append(options, more...)...)
}

func kinds(kind string) resource.ProviderConfigKinds {
	of := func(kind string) schema.GroupVersionKind { return v1alpha1.GroupVersion().WithKind(kind) }
	return resource.ProviderConfigKinds{Config: of(kind), Usage: of(kind + "Usage"), UsageList: of(kind + "UsageList")}
}
