package platform

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/xdbcluster/xdbcluster/test/cluster/gitserver"
)

func TestFluxManifests(t *testing.T) {
	p := Platform{Options: Options{Project: "../..", Registry: "registry.test/xdbcluster"}}
	builder, err := p.builder()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := p.fluxManifests(t.Context(), builder)
	if err != nil {
		t.Fatal(err)
	}

	images := map[string]string{}
	for _, object := range objects {
		if namespace := object.GetNamespace(); namespace != "" && namespace != fluxNamespace {
			t.Errorf("%s %q is in namespace %q, want %q", object.GetKind(), object.GetName(), namespace, fluxNamespace)
		}
		if object.GetKind() == "Deployment" {
			containers, _, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
			images[object.GetName()], _, _ = unstructured.NestedString(containers[0].(map[string]any), "image") //nolint:forcetypeassert // A failure fails the test.
		}
	}
	want := map[string]string{}
	for _, name := range controllers() {
		_, version, err := builder.Source(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		want[name] = "registry.test/xdbcluster/local/" + name + ":" + version
	}
	if diff := cmp.Diff(want, images); diff != "" {
		t.Errorf("images: -want, +got:\n%s", diff)
	}
}

func TestRepository(t *testing.T) {
	bare, err := gitserver.Server{Dir: t.TempDir()}.Repository(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	r := Repository{Bare: bare}
	tree := func(dir string) error { return replaceTree(dir, "../../gitops") }

	first := commit(t)(r.Change(t.Context(), "install", tree))
	if again := commit(t)(r.Change(t.Context(), "install", tree)); again != first {
		t.Errorf("a change that changes nothing: got commit %s, want the last one, %s", again, first)
	}
	commit(t)(r.AddClaim(t.Context(), "a", []byte("{}\n")))
	commit(t)(r.AddClaim(t.Context(), "b", []byte("{}\n")))
	commit(t)(r.AddClaim(t.Context(), "b", []byte("{x: 1}\n")))
	if diff := cmp.Diff([]string{"a.yaml", "b.yaml"}, claims(t, r)); diff != "" {
		t.Errorf("claims after adding two: -want, +got:\n%s", diff)
	}
	commit(t)(r.Change(t.Context(), "install", tree))
	if diff := cmp.Diff([]string{"a.yaml", "b.yaml"}, claims(t, r)); diff != "" {
		t.Errorf("claims after installing again: -want, +got:\n%s", diff)
	}
	commit(t)(r.RemoveClaim(t.Context(), "a"))
	if diff := cmp.Diff([]string{"b.yaml"}, claims(t, r)); diff != "" {
		t.Errorf("claims after removing one: -want, +got:\n%s", diff)
	}
	if _, err := r.RemoveClaim(t.Context(), "a"); err == nil {
		t.Error("removing a claim that is not there: want an error")
	}
}

func TestStage(t *testing.T) {
	const revision = "4f2d"
	cases := map[string]struct {
		reason    string
		stage     stage
		rolledOut bool
		failed    bool
	}{
		"InForce": {
			reason:    "A stage that is ready at the commit has it in force.",
			stage:     stage{ready: "True", applied: "main@sha1:4f2d", attempted: "main@sha1:4f2d"},
			rolledOut: true,
		},
		"ReadyAtAnother": {
			reason: "Ready at the commit before says nothing about this one.",
			stage:  stage{ready: "True", applied: "main@sha1:0000", attempted: "main@sha1:0000"},
		},
		"Unhealthy": {
			reason: "Flux gives up when a claim says that it has failed.",
			stage:  stage{ready: "False", reason: "HealthCheckFailed", attempted: "main@sha1:4f2d"},
			failed: true,
		},
		"UnhealthyAtAnother": {
			reason: "What failed was the commit before.",
			stage:  stage{ready: "False", reason: "HealthCheckFailed", attempted: "main@sha1:0000"},
		},
		"NotApplied": {
			reason: "What is missing may come with another stage, so Flux tries again.",
			stage:  stage{ready: "False", reason: "ReconciliationFailed", attempted: "main@sha1:4f2d"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.stage.rolledOut(revision); got != tc.rolledOut {
				t.Errorf("\n%s\nrolledOut: got %t, want %t", tc.reason, got, tc.rolledOut)
			}
			if got := tc.stage.failed(revision); got != tc.failed {
				t.Errorf("\n%s\nfailed: got %t, want %t", tc.reason, got, tc.failed)
			}
		})
	}
}

func commit(t *testing.T) func(revision string, err error) string {
	t.Helper()
	return func(revision string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
}

// claims returns the files that the newest commit names as claims, and fails when one is not there.
func claims(t *testing.T, r Repository) []string {
	t.Helper()
	k := struct{ Resources []string }{}
	commit(t)(r.Change(t.Context(), "look", func(dir string) error {
		raw, err := os.ReadFile(filepath.Join(dir, DatabasesFolder, "kustomization.yaml"))
		if err != nil {
			return err
		}
		if err := yaml.Unmarshal(raw, &k); err != nil {
			return err
		}
		for _, file := range k.Resources {
			if _, err := os.Stat(filepath.Join(dir, DatabasesFolder, file)); err != nil {
				return err
			}
		}
		return nil
	}))
	return k.Resources
}

func TestNameDependencies(t *testing.T) {
	stage, err := os.ReadFile("../../gitops/clusters/base/packages.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "packages.yaml")
	if err := os.WriteFile(file, stage, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := nameDependencies(file, "registry.test:5000/some/where"); err != nil {
		t.Fatal(err)
	}
	object := unstructured.Unstructured{}
	if stage, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(stage, &object.Object); err != nil {
		t.Fatal(err)
	}
	checks, _, _ := unstructured.NestedSlice(object.Object, "spec", "healthChecks")
	got := map[string]string{}
	for _, c := range checks {
		check := c.(map[string]any) //nolint:forcetypeassert // A failure fails the test.
		if kind, _ := check["kind"].(string); kind != "CompositeResourceDefinition" {
			got[kind], _ = check["name"].(string)
		}
	}
	want := map[string]string{
		"Configuration": "xdbcluster-configuration-xdbcluster",
		"Function":      "some-where-function-xdbcluster",
		"Provider":      "some-where-provider-xdbcluster",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the stage waits for: -want, +got:\n%s", diff)
	}
}
