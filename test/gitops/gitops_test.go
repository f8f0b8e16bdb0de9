package gitops

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/crossplane/crossplane-runtime/v2/pkg/xcrd"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	celgo "github.com/google/cel-go/cel"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/test/schema/admission"
)

const (
	tree        = "../../gitops"
	definitions = "../../apis/*/definition.yaml"

	wantMark = "# want: "
)

// TestClaims checks that the API server would take every claim of every cluster, in a namespace that is there by then.
func TestClaims(t *testing.T) {
	files, err := filepath.Glob(definitions)
	if err != nil {
		t.Fatal(err)
	}
	known, err := admission.Load(t.Context(), files...)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	eachCluster(t, func(t *testing.T, stages []Stage) {
		t.Helper()
		namespaces := names(stages, "Namespace")
		for _, stage := range stages {
			for _, claim := range claims(stage) {
				seen++
				if !slices.Contains(namespaces, claim.GetNamespace()) {
					t.Errorf("claim %q is in namespace %q, which no stage makes; those are %v", claim.GetName(), claim.GetNamespace(), namespaces)
				}
				if _, err := known.Create(t.Context(), claim); err != nil {
					t.Errorf("claim %q of stage %q is refused: %v", claim.GetName(), stage.Name, err)
				}
			}
		}
	})
	if seen == 0 {
		t.Error("no cluster has a claim")
	}
}

// TestNothingForces checks that nothing makes Flux delete and recreate what the API server refuses to change.
func TestNothingForces(t *testing.T) {
	eachCluster(t, func(t *testing.T, stages []Stage) {
		t.Helper()
		for _, stage := range stages {
			if stage.Spec.Force {
				t.Errorf("stage %q has force: a typo in a claim would delete the database", stage.Name)
			}
			for _, object := range stage.Objects {
				if _, ok := object.GetAnnotations()["kustomize.toolkit.fluxcd.io/force"]; ok {
					t.Errorf("%s %q of stage %q has the force annotation: a typo would delete it", object.GetKind(), object.GetName(), stage.Name)
				}
			}
		}
	})
}

// TestStages checks what keeps databases from being pruned with something else, and that a stage is green only when what it
// brought is healthy.
func TestStages(t *testing.T) {
	eachCluster(t, func(t *testing.T, stages []Stage) {
		t.Helper()
		all := []string{}
		for _, stage := range stages {
			all = append(all, stage.Name)
		}
		for _, stage := range stages {
			if !stage.Spec.Wait && len(stage.Spec.HealthChecks) == 0 {
				t.Errorf("stage %q waits for nothing: set wait or healthChecks", stage.Name)
			}
			if stage.Spec.DeletionPolicy != "Orphan" {
				t.Errorf("stage %q takes all it brought with it when it is deleted: set deletionPolicy to Orphan", stage.Name)
			}
			hasClaims := stage.Name == "databases" || stage.Name == "operations"
			if stage.Spec.Prune != hasClaims {
				t.Errorf("stage %q has prune %t: only claims may be pruned, Usages protect databases and operations are remembered", stage.Name, stage.Spec.Prune)
			}
			if !hasClaims && len(claims(stage)) > 0 {
				t.Errorf("stage %q has claims, which belong into databases or operations", stage.Name)
			}
			for _, dependency := range stage.Spec.DependsOn {
				if dependency.Name == "operations" {
					t.Errorf("stage %q depends on operations: one that fails must stop nothing else", stage.Name)
				}
				if !slices.Contains(all, dependency.Name) {
					t.Errorf("stage %q depends on %q, which is not there", stage.Name, dependency.Name)
				}
				if err := compiles(dependency.ReadyExpr); err != nil {
					t.Errorf("stage %q: Flux refuses readyExpr: %v", stage.Name, err)
				}
			}
		}
	})
}

// TestHealth checks how Flux's own evaluator judges recorded states. The first line of each says what it has to say.
func TestHealth(t *testing.T) {
	states, err := filepath.Glob("testdata/states/*.yaml")
	if err != nil || len(states) == 0 {
		t.Fatalf("there are no recorded states: %v", err)
	}
	eachCluster(t, func(t *testing.T, stages []Stage) {
		t.Helper()
		checks := healthChecks(t, stages)
		judged := map[schema.GroupKind]bool{}
		for _, file := range states {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
				want, object := state(t, file)
				kind := object.GroupVersionKind().GroupKind()
				evaluator, ok := checks[kind]
				if !ok {
					t.Fatalf("no stage has a health expression for %s", object.GetKind())
				}
				judged[kind] = true
				result, err := evaluator.Evaluate(t.Context(), object)
				if err != nil {
					t.Fatalf("the expression cannot be evaluated: %v", err)
				}
				if got := result.Status.String(); got != want {
					t.Errorf("Flux would say %s, and should say %s", got, want)
				}
			})
		}
		for kind := range checks {
			if !judged[kind] {
				t.Errorf("there is no recorded state of %s", kind)
			}
		}
	})
}

// TestMachinery checks that the claim's health expressions leave out just those fields of a spec that Crossplane adds: one
// too few, and no claim ever becomes healthy; one too many, and a change of it is not waited for.
func TestMachinery(t *testing.T) {
	want := slices.Sorted(maps.Keys(xcrd.CompositeResourceClaimSpecProps(nil)))
	list := regexp.MustCompile(`k in \[([^\]]*)\]`)
	eachCluster(t, func(t *testing.T, stages []Stage) {
		t.Helper()
		check, ok := claimCheck(stages)
		if !ok {
			t.Fatal("no stage has a health expression for claims")
		}
		for name, expression := range map[string]string{"current": check.Current, "failed": check.Failed} {
			match := list.FindStringSubmatch(expression)
			if match == nil {
				t.Fatalf("%s leaves out no fields", name)
			}
			got := strings.Split(strings.ReplaceAll(match[1], "'", ""), ", ")
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s leaves out other fields than Crossplane adds (-want +got):\n%s", name, diff)
			}
		}
	})
}

func eachCluster(t *testing.T, check func(t *testing.T, stages []Stage)) {
	t.Helper()
	clusters, err := Clusters(tree)
	if err != nil || len(clusters) == 0 {
		t.Fatalf("there are no clusters: %v", err)
	}
	for _, cluster := range clusters {
		t.Run(cluster, func(t *testing.T) {
			stages, err := Stages(tree, cluster)
			if err != nil {
				t.Fatal(err)
			}
			check(t, stages)
		})
	}
}

func claims(stage Stage) []*unstructured.Unstructured {
	list := []*unstructured.Unstructured{}
	for _, object := range stage.Objects {
		if object.GroupVersionKind().Group == v1alpha1.Group {
			list = append(list, object)
		}
	}
	return list
}

func names(stages []Stage, kind string) []string {
	list := []string{}
	for _, stage := range stages {
		for _, object := range stage.Objects {
			if object.GetKind() == kind {
				list = append(list, object.GetName())
			}
		}
	}
	return list
}

// compiles checks an expression over two stages as the kustomize-controller does.
func compiles(expression string) error {
	if expression == "" {
		return nil
	}
	_, err := cel.NewExpression(expression, cel.WithCompile(), cel.WithOutputType(celgo.BoolType), cel.WithStructVariables("self", "dep"))
	return err
}

// healthChecks returns the evaluators of a cluster's health expressions.
func healthChecks(t *testing.T, stages []Stage) map[schema.GroupKind]*cel.StatusEvaluator {
	t.Helper()
	evaluators := map[schema.GroupKind]*cel.StatusEvaluator{}
	for _, stage := range stages {
		if _, err := cel.NewStatusReader(stage.Spec.HealthCheckExprs); err != nil {
			t.Fatalf("Flux refuses the health expressions of stage %q: %v", stage.Name, err)
		}
		for _, check := range stage.Spec.HealthCheckExprs {
			evaluator, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
			if err != nil {
				t.Fatal(err)
			}
			evaluators[schema.FromAPIVersionAndKind(check.APIVersion, check.Kind).GroupKind()] = evaluator
		}
	}
	return evaluators
}

func claimCheck(stages []Stage) (kustomize.CustomHealthCheck, bool) {
	for _, stage := range stages {
		for _, check := range stage.Spec.HealthCheckExprs {
			if check.Kind == v1alpha1.KindDBCluster {
				return check, true
			}
		}
	}
	return kustomize.CustomHealthCheck{}, false
}

// state returns what Flux has to say about a recorded object, and the object.
func state(t *testing.T, file string) (string, *unstructured.Unstructured) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	want, ok := strings.CutPrefix(first, wantMark)
	objects, err := admission.Parse(raw)
	if !ok || err != nil || len(objects) != 1 {
		t.Fatalf("%s must begin with %q and hold one object: %v", file, wantMark, err)
	}
	return want, objects[0]
}
