package config

import (
	"context"
	"testing"

	"github.com/crossplane/crossplane-runtime/v2/pkg/controller"
	"github.com/crossplane/crossplane-runtime/v2/pkg/logging"
	"github.com/crossplane/crossplane-runtime/v2/pkg/resource"
	"github.com/crossplane/crossplane-runtime/v2/pkg/resource/fake"
	xpv2 "github.com/crossplane/crossplane/apis/v2/core/v2"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	kubefake "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
)

// TestUsage shows that both kinds stay as long as a Bucket uses them, and go then.
func TestUsage(t *testing.T) {
	meta := metav1.ObjectMeta{Name: "store", Namespace: "shop"}
	cases := map[string]struct {
		reason string
		config resource.ProviderConfig
		usage  resource.TypedProviderConfigUsage
	}{
		v1alpha1.KindProviderConfig: {
			reason: "One of the namespace.",
			config: &v1alpha1.ProviderConfig{ObjectMeta: meta}, usage: &v1alpha1.ProviderConfigUsage{},
		},
		v1alpha1.KindClusterProviderConfig: {
			reason: "One of the cluster, which is used from namespaces.",
			config: &v1alpha1.ClusterProviderConfig{ObjectMeta: metav1.ObjectMeta{Name: "store"}}, usage: &v1alpha1.ClusterProviderConfigUsage{},
		},
	}
	for kind, tc := range cases {
		t.Run(kind, func(t *testing.T) {
			scheme := runtime.NewScheme()
			if err := v1alpha1.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			bucket := &v1alpha1.Bucket{ObjectMeta: metav1.ObjectMeta{Name: "reports", Namespace: "shop", UID: "1"}}
			tc.config.GetObjectKind().SetGroupVersionKind(v1alpha1.GroupVersion().WithKind(kind))
			kube := kubefake.NewClientBuilder().WithScheme(scheme).WithObjects(bucket, tc.config).WithStatusSubresource(tc.config).Build()
			bucket.SetGroupVersionKind(v1alpha1.GroupVersion().WithKind(v1alpha1.KindBucket))
			bucket.Spec.ProviderConfigReference = &xpv2.ProviderConfigReference{Kind: kind, Name: "store"}
			if err := resource.NewProviderConfigUsageTracker(kube, tc.usage).Track(t.Context(), bucket); err != nil {
				t.Fatal(err)
			}
			r := newReconciler(&fake.Manager{Client: typed{kube, kind}, Scheme: scheme}, controller.Options{Logger: logging.NewNopLogger()}, kind)
			key := client.ObjectKeyFromObject(tc.config)
			look := func() {
				t.Helper()
				if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: key}); err != nil {
					t.Fatal(err)
				}
			}
			look()
			if err := kube.Get(t.Context(), key, tc.config); err != nil || tc.config.GetUsers() != 1 {
				t.Fatalf("\n%s\nit has %d users (%v); want one", tc.reason, tc.config.GetUsers(), err)
			}
			if err := kube.Delete(t.Context(), tc.config); err != nil {
				t.Fatal(err)
			}
			look()
			if err := kube.Get(t.Context(), key, tc.config); err != nil {
				t.Fatalf("\n%s\nit is gone though it is used: %v", tc.reason, err)
			}
			tc.usage.SetNamespace("shop")
			tc.usage.SetName("1")
			if err := kube.Delete(t.Context(), tc.usage); err != nil {
				t.Fatal(err)
			}
			look()
			if err := kube.Get(t.Context(), key, tc.config); !kerrors.IsNotFound(err) {
				t.Errorf("\n%s\nit stays though nobody uses it: %v", tc.reason, err)
			}
		})
	}
}

// typed sets the kind of what it reads, as the API server's client does.
type typed struct {
	client.Client

	kind string
}

func (t typed) Get(ctx context.Context, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
	err := t.Client.Get(ctx, key, o, options...)
	o.GetObjectKind().SetGroupVersionKind(v1alpha1.GroupVersion().WithKind(t.kind))
	return err
}
