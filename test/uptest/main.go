// Command uptest runs Crossplane's uptest over examples/claims on the cluster that KUBECONFIG names: every example is
// applied, becomes Synced and Ready, is rolled out, and is deleted.
//
//	KUBECONFIG=$PWD/.cluster/kubeconfig go run ./test/uptest
//
// The examples stay as users are to read them. What uptest needs is put into copies: a namespace, the hook that takes the
// protection off before the deletion, and the local cluster's object store in place of one that is not there.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/tools/program"
)

const (
	namespace = "uptest"

	// bucket is the one that the examples name.
	bucket = "backups"

	// hook is beside this file, and is put beside the copies: uptest looks for hooks beside the manifests.
	hook = "unprotect"

	// kinds are the claims' own.
	kinds = "dbclusters,backupplans,backups,restores,failovers,switchovers"

	// unmet is kubectl's template for what each claim says it lacks.
	unmet = `{range .items[*]}{.kind}/{.metadata.name}{"\n"}{range .status.conditions[?(@.status!="True")]}    {.type}={.status} {.reason}: {.message}{"\n"}{end}{end}`

	annotationHook       = "uptest.upbound.io/pre-delete-hook"
	annotationConditions = "uptest.upbound.io/conditions"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	project, err := os.Getwd()
	if err == nil {
		err = run(ctx, project, os.Getenv("KUBECONFIG"), os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "uptest failed:", err)
		os.Exit(1) //nolint:gocritic // The process ends; there is nothing to stop listening to.
	}
}

func run(ctx context.Context, project, kubeconfig string, out io.Writer) error {
	if kubeconfig == "" {
		return errors.New("KUBECONFIG names no cluster: make e2e brings one up and sets it")
	}
	work, err := os.MkdirTemp("", "xdbcluster-uptest-")
	if err != nil {
		return fmt.Errorf("cannot create a folder for uptest: %w", err)
	}
	defer os.RemoveAll(work) //nolint:errcheck // A temporary folder that stays does no harm.

	programs, err := build(ctx, project)
	if err != nil {
		return err
	}
	local, err := findStore(ctx, programs["kubectl"], kubeconfig, bucket)
	if err != nil {
		return err
	}
	manifests, err := prepare(project, work, local)
	if err != nil {
		return err
	}
	kubectl := func(args ...string) error {
		return command(ctx, out, work, nil, programs["kubectl"], append([]string{"--kubeconfig", kubeconfig}, args...)...)
	}
	environment := append(os.Environ(),
		// Chainsaw looks for kubectl there.
		"PATH="+filepath.Dir(programs["kubectl"])+string(filepath.ListSeparator)+os.Getenv("PATH"),
		"KUBECONFIG="+kubeconfig, "UPTEST_NAMESPACE="+namespace, "CROSSPLANE_NAMESPACE=crossplane-system",
		"KUBECTL="+programs["kubectl"], "CHAINSAW="+programs["chainsaw"], "CROSSPLANE_CLI="+programs["crossplane"])
	// A run that failed leaves everything for who wants to see why, until the next one.
	if kubectl("get", "namespace", namespace, "--output", "name") == nil {
		if err := errors.Join(
			command(ctx, out, work, environment, filepath.Join(work, hook)),
			kubectl("delete", "dbclusters", "--all", "--namespace", namespace),
			kubectl("delete", "namespace", namespace),
		); err != nil {
			return fmt.Errorf("cannot remove what an earlier run left: %w", err)
		}
	}
	if err := kubectl("create", "namespace", namespace); err != nil {
		return err
	}
	if err := command(ctx, out, work, environment, programs["uptest"], arguments(manifests, work)...); err != nil {
		// Last, so that it is what the end of a long log shows.
		return errors.Join(err, kubectl("get", kinds, "--namespace", namespace, "--output", "jsonpath="+unmet))
	}
	return kubectl("delete", "namespace", namespace)
}

// arguments are uptest's. Claims can neither be imported nor updated by it: those steps are for managed resources. Its timeout is for
// all claims and all steps together, until the last database is gone.
func arguments(manifests []string, work string) []string {
	return []string{
		"e2e", strings.Join(manifests, ","),
		"--test-directory=" + filepath.Join(work, "chainsaw"),
		"--default-conditions=Synced,Ready,InstancesReady,DeletionProtected",
		"--default-timeout=600s",
		"--skip-update", "--skip-import",
		"--only-clean-uptest-resources",
	}
}

// build makes the programs ready, so that uptest downloads none.
func build(ctx context.Context, project string) (map[string]string, error) {
	catalog, err := program.LoadCatalog(filepath.Join(project, "tools", "versions.yaml"))
	if err != nil {
		return nil, err
	}
	builder := program.Builder{Catalog: catalog, Cache: filepath.Join(project, ".cache")}
	programs := map[string]string{}
	for _, name := range []string{"uptest", "chainsaw", "crossplane", "kubectl"} {
		binary, err := builder.Build(ctx, name)
		if err != nil {
			return nil, err
		}
		if programs[name], err = filepath.Abs(binary); err != nil {
			return nil, fmt.Errorf("cannot find %q: %w", name, err)
		}
	}
	return programs, nil
}

// prepare copies the examples and the hook to where uptest works, and returns the names of the copies.
func prepare(project, work string, local store) ([]string, error) {
	script, err := os.ReadFile(filepath.Join(project, "test", "uptest", hook)) //nolint:gosec // A file of this project.
	if err != nil {
		return nil, fmt.Errorf("cannot read the hook: %w", err)
	}
	if err := os.WriteFile(filepath.Join(work, hook), script, 0o700); err != nil { //nolint:gosec // It is executed.
		return nil, fmt.Errorf("cannot write the hook: %w", err)
	}
	examples, err := filepath.Glob(filepath.Join(project, "examples", "claims", "*.yaml"))
	if err != nil || len(examples) == 0 {
		return nil, fmt.Errorf("cannot find examples: %w", errors.Join(err, errors.New("examples/claims holds none")))
	}
	names := make([]string, 0, len(examples))
	for _, example := range examples {
		raw, err := os.ReadFile(example) //nolint:gosec // A file of this project.
		if err != nil {
			return nil, fmt.Errorf("cannot read an example: %w", err)
		}
		adapted, err := adapt(raw, local)
		if err != nil {
			return nil, fmt.Errorf("cannot adapt example %q: %w", example, err)
		}
		name := filepath.Base(example)
		if err := os.WriteFile(filepath.Join(work, name), adapted, 0o600); err != nil {
			return nil, fmt.Errorf("cannot write the copy of an example: %w", err)
		}
		names = append(names, name)
	}
	return names, nil
}

// adapt puts a manifest's objects into uptest's namespace, gives claims the hook, and lets plans have the local store.
func adapt(manifest []byte, local store) ([]byte, error) {
	out := &bytes.Buffer{}
	for document := range bytes.SplitSeq(manifest, []byte("\n---\n")) {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return nil, fmt.Errorf("cannot parse: %w", err)
		}
		object.SetNamespace(namespace)
		objects := []*unstructured.Unstructured{object}
		switch object.GetKind() {
		case v1alpha1.KindDBCluster:
			object.SetAnnotations(map[string]string{annotationHook: hook})
		case v1alpha1.KindBackupPlan:
			object.SetAnnotations(map[string]string{annotationConditions: "Synced,Ready"})
			if err := local.locate(object); err != nil {
				return nil, fmt.Errorf("cannot put the local store into %q: %w", object.GetName(), err)
			}
			objects = append(objects, local.secret())
		case v1alpha1.KindSwitchover, v1alpha1.KindFailover, v1alpha1.KindRestore, v1alpha1.KindBackup:
			object.SetAnnotations(map[string]string{annotationConditions: "Synced,Ready"})
		}
		for _, o := range objects {
			raw, err := yaml.Marshal(o.Object)
			if err != nil {
				return nil, fmt.Errorf("cannot encode: %w", err)
			}
			out.WriteString("---\n")
			out.Write(raw)
		}
	}
	return out.Bytes(), nil
}

func command(ctx context.Context, out io.Writer, dir string, environment []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // Programs and arguments are ours.
	cmd.Dir, cmd.Env = dir, environment
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot run %s: %w", filepath.Base(name), err)
	}
	return nil
}
