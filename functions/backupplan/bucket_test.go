package backupplan

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/functiontest"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// TestBucket shows what is composed for a bucket, and that nothing is that could delete it.
func TestBucket(t *testing.T) {
	location := nightly().Repository.ID()
	labels := map[string]any{
		naming.LabelName: "postgresql", naming.LabelManagedBy: "xdbcluster", naming.LabelCluster: "orders", naming.LabelBackupPlan: "nightly",
	}
	name := "orders-backup-" + location[:8]
	bucket := map[string]any{
		"apiVersion": "objectstore.xdbcluster.io/v1alpha1", "kind": "Bucket",
		"metadata": map[string]any{
			"name": name, "namespace": "shop", "labels": labels, "annotations": map[string]any{"crossplane.io/external-name": "backups"},
		},
		"spec": map[string]any{
			"providerConfigRef": map[string]any{"kind": "ProviderConfig", "name": name}, "managementPolicies": []any{"Observe", "Create", "Update"},
		},
	}
	store := func(spec map[string]any) map[string]any {
		return map[string]any{
			"apiVersion": "objectstore.xdbcluster.io/v1alpha1", "kind": "ProviderConfig",
			"metadata": map[string]any{"name": name, "namespace": "shop", "labels": labels}, "spec": spec,
		}
	}
	cases := map[string]struct {
		reason string
		r      request
		plan   plan
		seen   facts
		want   map[string]compose.Object
	}{
		"None": {
			reason: "A plan that makes no bucket has none.",
			r:      nightly(), want: map[string]compose.Object{},
		},
		"OnItsWay": {
			reason: "The bucket comes before all else, and is not ready until the provider says so.",
			r:      nightly(creating), plan: plan{Bucket: true},
			want: map[string]compose.Object{
				"bucket-" + location: {Content: bucket},
				"store-" + location: {Ready: true, Content: store(map[string]any{
					"endpoint": "s3.example.org", "region": "us-east-1", "uriStyle": "path", "secretRef": map[string]any{"name": "store"},
				})},
			},
		},
		"Trusting": {
			reason: "What the plan trusts the provider trusts.",
			r: nightly(creating, func(r *request) {
				r.Bundle, r.Secrets.Trust, r.Repository.InsecureSkipVerify = "PEM", "authority", true
			}),
			plan: plan{Bucket: true}, seen: facts{Bucket: bucketState{Ready: true}},
			want: map[string]compose.Object{
				"bucket-" + location: {Ready: true, Content: bucket},
				"store-" + location: {Ready: true, Content: store(map[string]any{
					"endpoint": "s3.example.org", "region": "us-east-1", "uriStyle": "path", "secretRef": map[string]any{"name": "store"},
					"caBundle": []any{"PEM"}, "certRef": map[string]any{"name": "authority"}, "insecureSkipVerify": true,
				})},
			},
		},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			got, err := objects(tc.r, tc.seen, tc.plan)
			if err != nil {
				t.Fatal(err)
			}
			for name, object := range got {
				object.Content = functiontest.Content(t, object.Content)
				got[name] = object
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nobjects(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
