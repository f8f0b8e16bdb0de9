package runner

import (
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/functiontest"
)

// BenchmarkRunFunctionOfKinds measures the first call for the examples of the kinds that are not a DBCluster.
func BenchmarkRunFunctionOfKinds(b *testing.B) {
	for _, example := range []string{"backupplan", "backup", "switchover", "failover", "restore"} {
		for _, o := range functiontest.Objects(b, "../../examples/claims/"+example+".yaml") {
			if o.GroupVersionKind().Group == v1alpha1.Group {
				b.Run(o.GetKind(), func(b *testing.B) { benchmark(b, firstCall(b, o)) })
			}
		}
	}
}

// firstCall returns what Crossplane sends first for a claim.
func firstCall(tb testing.TB, claim *unstructured.Unstructured) *fnv1.RunFunctionRequest {
	tb.Helper()
	xr := claim.DeepCopy()
	xr.SetKind("X" + claim.GetKind())
	xr.SetName(claim.GetName() + "-x7k2p")
	claimRef := map[string]any{"namespace": "shop", "name": claim.GetName()}
	if err := unstructured.SetNestedMap(xr.Object, claimRef, "spec", "claimRef"); err != nil {
		tb.Fatal(err)
	}
	composite, err := structpb.NewStruct(xr.Object)
	if err != nil {
		tb.Fatal(err)
	}
	return &fnv1.RunFunctionRequest{Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: composite}}}
}
