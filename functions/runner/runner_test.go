package runner

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/functiontest"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

const testdata = "../dbcluster/testdata"

func runner() *Runner {
	return New(logging.NewNopLogger(), WithClock(functiontest.Now), WithRand(functiontest.Rand(1)))
}

// request returns what Crossplane would send for a case in the testdata of a composer.
func request(t testing.TB, name string) *fnv1.RunFunctionRequest {
	t.Helper()
	in := functiontest.Load(t, filepath.Join(testdata, name))
	req := &fnv1.RunFunctionRequest{
		Meta:              &fnv1.RequestMeta{Tag: name},
		Input:             (*structpb.Struct)(in.Config),
		Observed:          &fnv1.State{Composite: resourceOf(in.Composite), Resources: map[string]*fnv1.Resource{}},
		RequiredResources: map[string]*fnv1.Resources{},
	}
	for name, o := range in.Observed {
		req.Observed.Resources[name] = resourceOf(o)
	}
	for name, list := range in.Required {
		found := &fnv1.Resources{}
		for _, o := range list {
			found.Items = append(found.Items, resourceOf(o))
		}
		req.RequiredResources[name] = found
	}
	return req
}

func resourceOf(r *compose.Resource) *fnv1.Resource {
	return &fnv1.Resource{Resource: (*structpb.Struct)(r)}
}

// fatal returns the message of a response's fatal result, or nothing.
func fatal(rsp *fnv1.RunFunctionResponse) string {
	for _, r := range rsp.GetResults() {
		if r.GetSeverity() == fnv1.Severity_SEVERITY_FATAL {
			return r.GetMessage()
		}
	}
	return ""
}

func TestRunFunction(t *testing.T) {
	other := &structpb.Struct{Fields: map[string]*structpb.Value{"kind": structpb.NewStringValue("XSomething")}}
	cases := map[string]struct {
		reason string
		req    *fnv1.RunFunctionRequest
		fatal  string
		ready  map[string]bool
		awaits bool // More objects.
	}{
		"Empty": {
			reason: "A request without a composite cannot be answered, and nothing may be changed.",
			req:    &fnv1.RunFunctionRequest{},
			fatal:  "cannot read the request: it holds no composite resource",
		},
		"UnknownKind": {
			reason: "A composite of a kind without a composer is a mistake in a Composition.",
			req:    &fnv1.RunFunctionRequest{Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: other}}},
			fatal:  `cannot compose kind "XSomething": this function knows XDBCluster, XSwitchover, XFailover, XRestore, XBackupPlan, XBackup; check the compositeTypeRef of the Composition`,
		},
		"Undecodable": {
			reason: "A composite that cannot be understood must not lose its objects.",
			req:    request(t, "unknown-field"),
			fatal:  `cannot read the spec: json: unknown field "somethingElse"`,
		},
		"New": {
			reason: "The first call brings forth the Secrets that all else waits for. They have nothing to become; the composite has.",
			req:    request(t, "new"),
			ready:  map[string]bool{naming.ObjectAuthority: true, naming.ObjectCredentials: true},
			awaits: true,
		},
		"Running": {
			reason: "Everything of a running cluster is desired and ready.",
			req:    request(t, "running"),
			ready:  map[string]bool{naming.ObjectStatefulSet: true, naming.ObjectConnection: true, naming.ObjectUsageOfClaim: true},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp, err := runner().RunFunction(context.Background(), tc.req)
			if err != nil {
				t.Fatalf("%s\nRunFunction returned an error, which hides conditions and events: %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.fatal, fatal(rsp)); diff != "" {
				t.Errorf("%s\nfatal (-want +got):\n%s", tc.reason, diff)
			}
			if got := rsp.GetDesired().GetComposite().GetReady() == fnv1.Ready_READY_FALSE; got != tc.awaits {
				t.Errorf("%s\nthe composite awaits more objects: got %t, want %t", tc.reason, got, tc.awaits)
			}
			for name, want := range tc.ready {
				r, ok := rsp.GetDesired().GetResources()[name]
				if got := r.GetReady() == fnv1.Ready_READY_TRUE; !ok || got != want {
					t.Errorf("%s\n%s: desired %t, ready %t, want it desired and ready %t", tc.reason, name, ok, got, want)
				}
			}
		})
	}
}

func TestRunFunctionRequirements(t *testing.T) {
	rsp, _ := runner().RunFunction(context.Background(), request(t, "new-password-not-looked-up"))
	namespace := "shop"
	want := map[string]*fnv1.ResourceSelector{
		"password": {
			ApiVersion: "v1", Kind: "Secret", Namespace: &namespace, Match: &fnv1.ResourceSelector_MatchName{MatchName: "demo-password"},
		},
		"plans": { // All of the namespace.
			ApiVersion: "xdbcluster.io/v1alpha1", Kind: "BackupPlan", Namespace: &namespace,
			Match: &fnv1.ResourceSelector_MatchLabels{MatchLabels: &fnv1.MatchLabels{}},
		},
	}
	for name, selector := range want {
		if got := rsp.GetRequirements().GetResources()[name]; !proto.Equal(selector, got) {
			t.Errorf("%s must be asked for on every call: want %v, got %v", name, selector, got)
		}
	}
	if ready := rsp.GetDesired().GetComposite().GetReady(); ready != fnv1.Ready_READY_FALSE {
		t.Errorf("a composite whose StatefulSet is still to come must not be ready, but is %v", ready)
	}
}

func TestRunFunctionPanic(t *testing.T) {
	r := runner()
	r.now = func() time.Time { panic("no clock") }
	rsp, err := r.RunFunction(context.Background(), request(t, "running"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(fatal(rsp), "cannot compose: the function has a bug") {
		t.Errorf("a panic must be fatal to the call alone, got %q", fatal(rsp))
	}
}

func TestConversions(t *testing.T) {
	for in, want := range map[compose.Truth]fnv1.Status{
		compose.True:    fnv1.Status_STATUS_CONDITION_TRUE,
		compose.False:   fnv1.Status_STATUS_CONDITION_FALSE,
		compose.Unknown: fnv1.Status_STATUS_CONDITION_UNKNOWN,
		"":              fnv1.Status_STATUS_CONDITION_UNKNOWN,
	} {
		if got := truth(in); got != want {
			t.Errorf("truth(%q) = %v, want %v", in, got, want)
		}
	}
}

// BenchmarkRunFunction measures one call for a full DBCluster. The limit is 1 ms and 2 MB.
func BenchmarkRunFunction(b *testing.B) { benchmark(b, request(b, "running")) }

// benchmark measures calls that are answered.
func benchmark(b *testing.B, req *fnv1.RunFunctionRequest) {
	b.Helper()
	r := runner()
	b.ReportAllocs()
	for b.Loop() {
		rsp, err := r.RunFunction(context.Background(), req)
		if err != nil || fatal(rsp) != "" {
			b.Fatal(err, fatal(rsp))
		}
	}
}
