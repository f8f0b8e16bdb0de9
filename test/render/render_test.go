//go:build render

// Package render renders every example through Crossplane's own engine and compares what comes out with goldens: what the
// composer's own tests cannot know is whether Crossplane accepts it.
package render

import (
	"bytes"
	"cmp"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	function "github.com/crossplane/function-sdk-go"
	"github.com/crossplane/function-sdk-go/logging"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/functiontest"
	"github.com/xdbcluster/xdbcluster/functions/runner"
)

const (
	examples = "../../examples/claims"
	apis     = "../../apis"
	cli      = "../../.cache/bin/crossplane"
	core     = "../../.cache/bin/crossplane-core"

	namespace = "shop"
)

// operated are the goldens of the clusters that the examples of operations are for.
func operated() []string {
	return []string{"testdata/dbcluster-available.yaml", "testdata/dbcluster-demo.yaml"}
}

// rounds is how often an example is rendered until everything is there: what the rest is made from, the instances, and
// what protects them.
const rounds = 3

// TestExamples renders every claim of every example, each time with what came forth before as observed. The golden is the
// last time.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(examples, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no examples in %s: %v", examples, err)
	}
	for _, program := range []string{cli, core} {
		if _, err := os.Stat(program); err != nil {
			t.Fatalf("%s is not built: run go run ./tools crossplane crossplane-core", program)
		}
	}
	for _, file := range files {
		for _, claim := range claims(t, file) {
			name := strings.ToLower(claim.GetKind()) + "-" + claim.GetName()
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				functiontest.WriteObjects(t, filepath.Join(dir, "xr.yaml"), []*unstructured.Unstructured{compositeOf(claim)})
				functiontest.WriteObjects(t, filepath.Join(dir, "required.yaml"), required(t, file))
				functiontest.WriteObjects(t, filepath.Join(dir, "functions.yaml"), []*unstructured.Unstructured{developmentFunction(t)})

				observed := filepath.Join(dir, "observed.yaml")
				rendered := render(t, claim.GetKind(), dir)
				for range rounds - 1 {
					functiontest.WriteObjects(t, observed, composed(rendered))
					rendered = render(t, claim.GetKind(), dir, "--observed-resources="+observed)
				}
				functiontest.Golden(t, filepath.Join("testdata", name+".yaml"), contents(rendered))
			})
		}
	}
}

// claims returns the claims in a file.
func claims(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()
	return slices.DeleteFunc(functiontest.Objects(t, file), func(o *unstructured.Unstructured) bool {
		return o.GroupVersionKind().Group != v1alpha1.Group
	})
}

// required returns what the composer may ask for: the Secrets in a file, where its claims are, and the StatefulSets of
// the clusters that the examples of operations are for.
func required(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()
	list := ofKind(functiontest.Objects(t, file), "Secret")
	for _, s := range list {
		s.SetNamespace(namespace)
		encode(t, s)
	}
	for _, golden := range operated() {
		raw, err := os.ReadFile(golden) //nolint:gosec // A golden of this test.
		if err != nil {
			t.Fatal(err)
		}
		var rendered []map[string]any
		if err := yaml.Unmarshal(raw, &rendered); err != nil {
			t.Fatal(err)
		}
		for _, object := range rendered {
			list = append(list, ofKind([]*unstructured.Unstructured{{Object: object}}, "StatefulSet")...)
		}
	}
	return list
}

// encode moves what a Secret has as text to where the API server keeps it.
func encode(t *testing.T, secret *unstructured.Unstructured) {
	t.Helper()
	texts, _, err := unstructured.NestedStringMap(secret.Object, "stringData")
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range texts {
		data, err := yaml.Marshal([]byte(value)) // Bytes are base64 in YAML.
		if err != nil {
			t.Fatal(err)
		}
		if err := unstructured.SetNestedField(secret.Object, strings.TrimSpace(string(data)), "data", key); err != nil {
			t.Fatal(err)
		}
	}
	unstructured.RemoveNestedField(secret.Object, "stringData")
}

func ofKind(objects []*unstructured.Unstructured, kind string) []*unstructured.Unstructured {
	var list []*unstructured.Unstructured
	for _, o := range objects {
		if o.GetKind() == kind {
			list = append(list, o)
		}
	}
	return list
}

// compositeOf returns the composite that Crossplane makes of a claim.
func compositeOf(claim *unstructured.Unstructured) *unstructured.Unstructured {
	xr := claim.DeepCopy()
	xr.SetKind("X" + claim.GetKind())
	xr.SetName(claim.GetName() + "-x7k2p")
	xr.SetNamespace("")
	xr.Object["spec"].(map[string]any)["claimRef"] = map[string]any{ //nolint:forcetypeassert // The test may panic.
		"apiVersion": claim.GetAPIVersion(), "kind": claim.GetKind(), "namespace": namespace, "name": claim.GetName(),
	}
	return xr
}

// developmentFunction serves the function for one test, with a fixed time and fixed random bytes, and returns the object
// that tells the command where.
func developmentFunction(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // Only to find a free port.
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	r := runner.New(logging.NewNopLogger(), runner.WithClock(functiontest.Now), runner.WithRand(functiontest.Rand(7)))
	go func() {
		// It serves until the process ends: the SDK has no way to stop it.
		_ = function.Serve(r, function.Listen("tcp", address), function.Insecure(true), function.WithMetricsServer(""))
	}()
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "pkg.crossplane.io/v1",
		"kind":       "Function",
		"metadata": map[string]any{
			"name": functionName(t),
			"annotations": map[string]any{
				"render.crossplane.io/runtime":                    "Development",
				"render.crossplane.io/runtime-development-target": address,
			},
		},
		"spec": map[string]any{"package": "example.org/function:v0"},
	}}
}

// functionName returns the name that the composition knows the function by.
func functionName(t *testing.T) string {
	t.Helper()
	composition := composition(v1alpha1.KindDBCluster)
	steps, _, err := unstructured.NestedSlice(functiontest.Objects(t, composition)[0].Object, "spec", "pipeline")
	if err != nil || len(steps) != 1 {
		t.Fatalf("%s has %d steps, want one: %v", composition, len(steps), err)
	}
	name, _, _ := unstructured.NestedString(steps[0].(map[string]any), "functionRef", "name") //nolint:forcetypeassert // The test may panic.
	return name
}

func composition(kind string) string {
	return filepath.Join(apis, strings.ToLower(kind), "composition.yaml")
}

func definition(kind string) string {
	return filepath.Join(apis, strings.ToLower(kind), "definition.yaml")
}

// render runs the command and returns what it prints.
func render(t *testing.T, kind, dir string, args ...string) []*unstructured.Unstructured {
	t.Helper()
	args = append([]string{
		"composition", "render", filepath.Join(dir, "xr.yaml"), composition(kind), filepath.Join(dir, "functions.yaml"),
		"--crossplane-binary=" + core, "--xrd=" + definition(kind), "--required-resources=" + filepath.Join(dir, "required.yaml"),
		"--include-function-results",
	}, args...)
	cmd := exec.CommandContext(t.Context(), cli, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	out := filepath.Join(dir, fmt.Sprintf("out-%d.yaml", len(args)))
	if err := os.WriteFile(out, stdout.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return functiontest.Objects(t, out)
}

// composed returns the composed resources among what was rendered.
func composed(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	var list []*unstructured.Unstructured
	for _, o := range objects {
		if o.GetAnnotations()[functiontest.AnnotationName] != "" {
			list = append(list, o)
		}
	}
	return list
}

// contents returns what was rendered, with Crossplane's messages last and sorted: it walks through its maps at random.
func contents(objects []*unstructured.Unstructured) []map[string]any {
	message := func(o *unstructured.Unstructured) string {
		m, _, _ := unstructured.NestedString(o.Object, "message")
		return m
	}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return cmp.Compare(message(a), message(b)) })

	list := make([]map[string]any, 0, len(objects))
	for _, o := range objects {
		list = append(list, o.Object)
	}
	return list
}
