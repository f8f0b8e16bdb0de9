package dbcluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/functiontest"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/functions/tls"
)

// A world is a claim's composite, the control plane that it lives in, and the instances that run in it.
type world struct {
	t     *testing.T
	xr    *unstructured.Unstructured
	plane *functiontest.ControlPlane
	now   time.Time
	rand  *rand.ChaCha8
	calls int
}

func newWorld(t *testing.T, spec string) *world {
	t.Helper()
	return &world{
		t: t, xr: composite(t, spec), plane: functiontest.NewControlPlane(),
		now: functiontest.Now(), rand: rand.NewChaCha8([32]byte{1}),
	}
}

// composite returns a composite with the given spec.
func composite(t testing.TB, spec string) *unstructured.Unstructured {
	t.Helper()
	xr := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(`
apiVersion: xdbcluster.io/v1alpha1
kind: XDBCluster
metadata: {name: demo-x7k2p, uid: 3f1c6a0e-0000-4000-8000-000000000001}
spec: {}`), &xr.Object); err != nil {
		t.Fatal(err)
	}
	content := map[string]any{}
	if err := yaml.Unmarshal([]byte(spec), &content); err != nil {
		t.Fatal(err)
	}
	content["claimRef"] = map[string]any{"apiVersion": "xdbcluster.io/v1alpha1", "kind": "DBCluster", "namespace": "shop", "name": "demo"}
	xr.Object["spec"] = content
	return xr
}

const smallSpec = `
primarySpec:
  version: "15"
  resources: {cpu: 500m, memory: 1Gi, disks: [{name: DataDisk, size: 2Gi}]}
`

// call composes with the given view of the control plane and applies what comes out.
func (w *world) call(observed map[string]*unstructured.Unstructured, required map[string][]*compose.Resource) (compose.Output, []string, []string) {
	w.t.Helper()
	w.calls++
	in := compose.Input{
		Composite: functiontest.Resource(w.t, w.xr), Observed: functiontest.Resources(w.t, observed),
		Required: map[string][]*compose.Resource{requiredPlans: nil}, // There is none.
		Config:   functiontest.Config(w.t), Now: w.now, Rand: w.rand,
	}
	maps.Copy(in.Required, required)
	out, err := Compose(in)
	if err != nil {
		w.t.Fatalf("call %d: %v", w.calls, err)
	}
	refused, deleted := w.plane.Apply(w.t, observed, out)
	w.refer(out)
	return out, refused, deleted
}

// object returns an object that exists as a composer sees it, or nil.
func (w *world) object(name string) *compose.Resource {
	w.t.Helper()
	return functiontest.Resource(w.t, w.plane.Objects[name])
}

// refer writes the composite's references, as Crossplane does before it applies anything.
func (w *world) refer(out compose.Output) {
	refs := make([]any, 0, len(out.Objects))
	for _, o := range out.Objects {
		content := functiontest.Content(w.t, o.Content)
		refs = append(refs, map[string]any{"apiVersion": content["apiVersion"], "kind": content["kind"]})
	}
	if err := unstructured.SetNestedSlice(w.xr.Object, refs, "spec", "resourceRefs"); err != nil {
		w.t.Fatal(err)
	}
}

// settle lets the controllers and the instances do what was asked of them.
func (w *world) settle() {
	w.t.Helper()
	for _, name := range usages(true) {
		if _, ok := w.plane.Objects[name]; ok {
			w.plane.SetStatus(name, map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}})
		}
	}
	set, ok := w.plane.Objects[naming.ObjectStatefulSet]
	if !ok {
		return
	}
	replicas := w.object(naming.ObjectStatefulSet).Number("spec", "replicas")
	w.plane.SetStatus(naming.ObjectStatefulSet, map[string]any{
		"observedGeneration": set.GetGeneration(), "replicas": replicas, "readyReplicas": replicas,
		"updatedReplicas": replicas, "currentRevision": "demo-1", "updateRevision": "demo-1",
	})
	if replicas == 0 {
		return
	}
	config := observeConfig(w.object(naming.ObjectConfig))
	report, err := json.Marshal(instance.Report{
		Pod: "uid-0", Node: "node-1", Incarnation: w.running(), Role: instance.RolePrimary, State: instance.StateRunning, Timeline: 1,
		ServerVersion: "15.20", SystemIdentifier: "7300000000000000000", SettingsHash: config.SettingsHash,
		Parameters: config.Parameters, AdminRevision: config.AdminRevision, CertificateRevision: config.CertificateRevision,
		DataDiskSize: config.DataDiskSize,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.plane.SetData(naming.ObjectReports, map[string]any{"demo-0": string(report)})
}

// TestCreation follows a cluster from its first call to the end of its rollout.
func TestCreation(t *testing.T) {
	w := newWorld(t, smallSpec)

	first, _, _ := w.call(w.plane.Observed(), nil)
	if _, ok := first.Objects[naming.ObjectStatefulSet]; ok || !first.Incomplete {
		t.Errorf("first call: there must be no StatefulSet before its Secrets are seen, and the composite must not be ready")
	}
	second, _, _ := w.call(w.plane.Observed(), nil)
	if _, ok := second.Objects[naming.ObjectStatefulSet]; !ok || second.Incomplete {
		t.Errorf("second call: there must be a StatefulSet")
	}
	w.call(w.plane.Observed(), nil)
	w.settle()
	done, _, _ := w.call(w.plane.Observed(), nil)

	status := shown(t, done)
	if status.Rollout.State != "Complete" || status.Phase != "Running" {
		t.Errorf("settled: rollout is %s (%s) and phase %s, want Complete and Running", status.Rollout.State, status.Rollout.Message, status.Phase)
	}
	for name, o := range done.Objects {
		if !o.Ready {
			t.Errorf("settled: object %s is not ready", name)
		}
	}
}

// TestRepeatedCalls shows that a call which sees the same says the same, byte for byte.
func TestRepeatedCalls(t *testing.T) {
	w := newWorld(t, smallSpec)
	for range 3 {
		w.call(w.plane.Observed(), nil)
		w.settle()
	}
	want, _, _ := w.call(w.plane.Observed(), nil)
	for i := range 10 {
		got, refused, deleted := w.call(w.plane.Observed(), nil)
		if diff := cmp.Diff(dump(t, want), dump(t, got)); diff != "" {
			t.Fatalf("call %d differs (-first +this):\n%s", i+1, diff)
		}
		if len(refused)+len(deleted) > 0 {
			t.Fatalf("call %d: refused %v, deleted %v", i+1, refused, deleted)
		}
	}
}

// TestLaggingObservation calls the composer with views that lack objects and show old ones, changes the claim meanwhile,
// and checks after every call what must never happen.
func TestLaggingObservation(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w, r := newWorld(t, smallSpec), rand.New(rand.NewPCG(seed, 1))
			var authority, credentials any
			born := false
			for step := range 40 {
				w.vary(r)
				_, refused, deleted := w.call(w.plane.Lagging(r), nil)
				for _, name := range refused {
					if name != naming.ObjectAuthority && name != naming.ObjectCredentials && name != naming.ObjectStatefulSet {
						t.Fatalf("step %d: the API server refused %s", step, name)
					}
				}
				for _, name := range deleted {
					if !slices.Contains(usages(true), name) {
						t.Fatalf("step %d: %s was deleted", step, name)
					}
				}
				w.checkSecrets(step, &authority, &credentials)
				_, exists := w.plane.Objects[naming.ObjectStatefulSet]
				if born && !exists {
					t.Fatalf("step %d: the StatefulSet is gone", step)
				}
				born = born || exists
				if r.IntN(2) == 0 {
					w.settle()
				}
			}
			if !born {
				t.Fatal("the cluster never came to be")
			}
			w.checkConverges()
		})
	}
}

// vary changes the claim as users do.
func (w *world) vary(r *rand.Rand) {
	w.t.Helper()
	set := func(value any, path ...string) {
		if err := unstructured.SetNestedField(w.xr.Object, value, append([]string{"spec"}, path...)...); err != nil {
			w.t.Fatal(err)
		}
	}
	switch r.IntN(8) {
	case 0:
		set(r.IntN(2) == 0, "primarySpec", "isStopped")
	case 1:
		set(map[string]any{"work_mem": fmt.Sprintf("%dMB", 1+r.IntN(64))}, "primarySpec", "parameters")
	case 2:
		set(map[string]any{"no_such_setting": "1"}, "primarySpec", "parameters")
	case 3:
		set(r.IntN(2) == 0, "deletionProtection")
	case 4:
		w.now = w.now.Add(time.Duration(r.IntN(30)) * 24 * time.Hour)
	}
}

// checkSecrets checks that nothing random was ever made twice, and that what follows from it still does.
func (w *world) checkSecrets(step int, authority, credentials *any) {
	w.t.Helper()
	for name, first := range map[string]*any{naming.ObjectAuthority: authority, naming.ObjectCredentials: credentials} {
		o, ok := w.plane.Objects[name]
		if !ok {
			w.t.Fatalf("step %d: the Secret %s is gone", step, name)
		}
		if *first == nil {
			*first = o.DeepCopy().Object["data"]
		}
		if diff := cmp.Diff(*first, o.Object["data"]); diff != "" {
			w.t.Fatalf("step %d: the Secret %s changed:\n%s", step, name, diff)
		}
	}
	generated := observeCredentials(w.object(naming.ObjectCredentials))
	if admin := compose.SecretData(w.object(naming.ObjectAdmin)); admin != nil && string(admin[instance.KeyAdminPassword]) != generated.Admin {
		w.t.Fatalf("step %d: the administrator's password is not the generated one", step)
	}
	if data := compose.SecretData(w.object(naming.ObjectCertificate)); data != nil {
		pair := tls.Pair{Certificate: data[instance.KeyCertificate], Key: data[instance.KeyPrivateKey]}
		ca := observeAuthority(w.object(naming.ObjectAuthority))
		notBefore, _, err := new(tls.Vouched).Validity(pair.Certificate)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := tls.CheckLeaf(pair, ca.Certificate, []string{"demo-rw.shop.svc"}, notBefore, nil); err != nil {
			w.t.Fatalf("step %d: the certificate is not the authority's: %v", step, err)
		}
	}
}

// checkConverges checks that the cluster is complete once nothing lags and the claim is right.
func (w *world) checkConverges() {
	w.t.Helper()
	unstructured.RemoveNestedField(w.xr.Object, "spec", "primarySpec", "parameters")
	var out compose.Output
	for range 4 {
		out, _, _ = w.call(w.plane.Observed(), nil)
		w.settle()
	}
	if rollout := shown(w.t, out).Rollout; rollout.State != "Complete" {
		w.t.Fatalf("the rollout is %s at the end: %s", rollout.State, rollout.Message)
	}
}

// shown returns the status in an output.
func shown(t *testing.T, out compose.Output) *shownStatus {
	t.Helper()
	status, ok := out.Status.(*shownStatus)
	if !ok {
		t.Fatalf("the status is a %T", out.Status)
	}
	return status
}

func dump(t *testing.T, value any) string {
	t.Helper()
	b, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
