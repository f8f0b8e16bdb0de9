// Package schema checks the definitions of claims and managed resources: what must be taken is taken, and what must be refused is refused with a
// message that a person can act on.
package schema

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/test/schema/admission"
)

const (
	definitions = "../../apis/*/definition.yaml"
	resources   = "../../package/provider/crds/*.yaml"
	examples    = "../../examples/claims"
	managed     = "../../examples/provider"
	kubectl     = "../../.cache/bin/kubectl"
	kubeconfig  = "../../.cluster/kubeconfig"

	// wantMark begins the lines that say what is expected, one for each reason.
	wantMark = "# want: "
)

// minimum is how many invalid claims there have to be at least, so that lost files are missed.
const minimum = 60

var update = flag.Bool("update", false, "write what the claims are refused with into their files; read the difference!")

// TestExamples checks that every example is valid.
func TestExamples(t *testing.T) {
	definitions := load(t)
	seen := 0
	for _, file := range append(files(t, examples), files(t, managed)...) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			for _, object := range objects(t, file) {
				if !strings.HasSuffix(object.GroupVersionKind().Group, v1alpha1.Group) {
					continue
				}
				seen++
				if _, err := definitions.Create(t.Context(), namespaced(object)); err != nil {
					t.Errorf("%s is refused: %v", object.GetName(), err)
				}
			}
		})
	}
	if seen == 0 {
		t.Error("no example has a claim")
	}
}

// TestInvalid checks that every claim in testdata/invalid is refused, for the reasons that its first lines say and no other.
func TestInvalid(t *testing.T) {
	definitions := load(t)
	cases := files(t, "testdata/invalid")
	if len(cases) < minimum {
		t.Errorf("there are %d invalid claims, and should be %d at least", len(cases), minimum)
	}
	for _, file := range cases {
		t.Run(name(file), func(t *testing.T) {
			list := objects(t, file)
			if len(list) != 1 {
				t.Fatalf("%s has %d objects, and should have one", file, len(list))
			}
			_, err := definitions.Create(t.Context(), namespaced(list[0]))
			expect(t, file, err)
		})
	}
}

// TestInvalidUpdates checks that every change in testdata/invalid-updates is refused: from the first object of the file,
// which is valid, to the second.
func TestInvalidUpdates(t *testing.T) {
	definitions := load(t)
	for _, file := range files(t, "testdata/invalid-updates") {
		t.Run(name(file), func(t *testing.T) { expect(t, file, change(t, definitions, file)) })
	}
}

// TestValidUpdates checks that what may be changed can be.
func TestValidUpdates(t *testing.T) {
	definitions := load(t)
	for _, file := range files(t, "testdata/valid-updates") {
		t.Run(name(file), func(t *testing.T) {
			if err := change(t, definitions, file); err != nil {
				t.Errorf("the change is refused: %v", err)
			}
		})
	}
}

// TestComposite checks that what Crossplane adds is taken, and that no claim is valid whose composite is not: nobody would
// see why.
func TestComposite(t *testing.T) {
	definitions := load(t)
	claim := namespaced(objects(t, filepath.Join(examples, "dbcluster.yaml"))[1])
	claim.SetName(strings.Repeat("a", 46))
	stored, err := definitions.Create(t.Context(), claim)
	if err != nil {
		t.Fatalf("a claim with the longest name is refused: %v", err)
	}

	changed := stored.DeepCopy()
	set(t, changed, map[string]any{"apiVersion": "xdbcluster.io/v1alpha1", "kind": "XDBCluster", "name": claim.GetName() + "-x7k2p"}, "resourceRef")
	set(t, changed, map[string]any{"name": "xdbclusters.xdbcluster.io"}, "compositionRef")
	set(t, changed, map[string]any{"name": "xdbclusters.xdbcluster.io-7ee6ac8"}, "compositionRevisionRef")
	set(t, changed, "Automatic", "compositionUpdatePolicy")
	if err := definitions.Update(t.Context(), stored, changed); err != nil {
		t.Errorf("what Crossplane adds to a claim is refused: %v", err)
	}

	composite := stored.DeepCopy()
	composite.SetKind(v1alpha1.KindXDBCluster)
	composite.SetNamespace("")
	composite.SetName(claim.GetName() + "-x7k2p")
	unstructured.RemoveNestedField(composite.Object, "spec", "compositeDeletePolicy")
	set(t, composite, map[string]any{"apiVersion": "xdbcluster.io/v1alpha1", "kind": "DBCluster", "name": claim.GetName(), "namespace": "shop"}, "claimRef")
	if _, err := definitions.Create(t.Context(), composite); err != nil {
		t.Errorf("the composite of a claim with the longest name is refused: %v", err)
	}
}

// TestDefaults checks what a claim gets that says only what it must.
func TestDefaults(t *testing.T) {
	claim := namespaced(objects(t, "testdata/valid-updates/disk-grown.yaml")[0])
	stored, err := load(t).Create(t.Context(), claim)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"allowExternalIncomingTraffic": false,
		"compositeDeletePolicy":        "Foreground",
		"databaseEngine":               "PostgreSQL",
		"deletionProtection":           true,
		"ifBackupsExist":               "Fail",
		"volumeRetentionPolicy":        "Retain",
		"primarySpec": map[string]any{
			"isStopped": false,
			"version":   "17",
			"resources": map[string]any{
				"cpu":    "1",
				"memory": "256Mi",
				"disks":  []any{map[string]any{"name": "DataDisk", "size": "1Gi", "accessModes": []any{"ReadWriteOnce"}}},
			},
		},
	}
	if diff := cmp.Diff(want, stored.Object["spec"]); diff != "" {
		t.Errorf("the defaults are not what they should be (-want +got):\n%s", diff)
	}
}

// TestAPIServer asks the API server of the local cluster, when it is up, whether it would take the definitions.
func TestAPIServer(t *testing.T) {
	for _, file := range []string{kubectl, kubeconfig} {
		if _, err := os.Stat(file); err != nil {
			t.Skipf("the local cluster is not up: %v", err)
		}
	}
	ready := exec.CommandContext(t.Context(), kubectl, "--kubeconfig", kubeconfig, "--request-timeout=5s", "get", "--raw=/readyz")
	if out, err := ready.CombinedOutput(); err != nil {
		t.Skipf("the local cluster does not answer: %v: %s", err, out)
	}
	crds := []*extv1.CustomResourceDefinition{}
	for _, file := range append(matching(t, definitions), matching(t, resources)...) {
		made, err := admission.CustomResourceDefinitions(file)
		if err != nil {
			t.Fatal(err)
		}
		crds = append(crds, made...)
	}
	for _, crd := range crds {
		// Under a name of its own: the dry run is about the rules, not about what the cluster has already.
		crd.OwnerReferences = nil
		crd.APIVersion, crd.Kind = "apiextensions.k8s.io/v1", "CustomResourceDefinition"
		crd.Spec.Group = "schema-test." + crd.Spec.Group
		crd.Name = crd.Spec.Names.Plural + "." + crd.Spec.Group
		raw, err := yaml.Marshal(crd)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), kubectl, "--kubeconfig", kubeconfig, "create", "--dry-run=server", "-f", "-")
		cmd.Stdin = bytes.NewReader(raw)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("the API server refuses the definition of %s: %v: %s", crd.Spec.Names.Kind, err, out)
		}
	}
}

func load(t *testing.T) *admission.Definitions {
	t.Helper()
	loaded, err := admission.Load(context.Background(), append(matching(t, definitions), matching(t, resources)...)...)
	if err != nil {
		t.Fatalf("the API server would refuse the definitions: %v", err)
	}
	return loaded
}

func files(t *testing.T, folder string) []string {
	t.Helper()
	return matching(t, filepath.Join(folder, "*.yaml"))
}

func matching(t *testing.T, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(pattern)
	if err != nil || len(list) == 0 {
		t.Fatalf("there are no manifests %s: %v", pattern, err)
	}
	return list
}

func objects(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()
	list, err := admission.Objects(file)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return list
}

// namespaced puts a claim into a namespace, as kubectl and Flux do.
func namespaced(object *unstructured.Unstructured) *unstructured.Unstructured {
	if object.GetNamespace() == "" && object.GetKind() != "ClusterProviderConfig" {
		object.SetNamespace("shop")
	}
	return object
}

// change returns why the change from the first to the second object of a file is refused.
func change(t *testing.T, definitions *admission.Definitions, file string) error {
	t.Helper()
	list := objects(t, file)
	if len(list) != 2 {
		t.Fatalf("%s has %d objects, and should have two", file, len(list))
	}
	stored, err := definitions.Create(t.Context(), namespaced(list[0]))
	if err != nil {
		t.Fatalf("the first object is refused: %v", err)
	}
	changed := namespaced(list[1])
	changed.SetUID(stored.GetUID())
	changed.SetCreationTimestamp(stored.GetCreationTimestamp())
	return definitions.Update(t.Context(), stored, changed)
}

// expect compares a refusal with what the first lines of a file say.
func expect(t *testing.T, file string, refusal error) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, rest := []string{}, []string{}
	for line := range strings.Lines(string(raw)) {
		if reason, ok := strings.CutPrefix(line, wantMark); ok {
			want = append(want, strings.TrimSuffix(reason, "\n"))
			continue
		}
		rest = append(rest, line)
	}
	got := admission.Refusals(refusal)
	if *update && len(got) > 0 {
		content := wantMark + strings.Join(got, "\n"+wantMark) + "\n" + strings.Join(rest, "")
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if len(want) == 0 {
		t.Fatalf("%s does not say what is expected, in lines that begin with %q", file, wantMark)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("it is not refused as it should be (-want +got):\n%s", diff)
	}
}

func set(t *testing.T, object *unstructured.Unstructured, value any, field string) {
	t.Helper()
	if err := unstructured.SetNestedField(object.Object, value, "spec", field); err != nil {
		t.Fatal(err)
	}
}

func name(file string) string { return strings.TrimSuffix(filepath.Base(file), ".yaml") }
