package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ErrRolloutFailed is the error of a commit that Flux says has failed.
var ErrRolloutFailed = errors.New("the commit was not rolled out")

// A stage is what Flux says of one of its Kustomizations.
type stage struct {
	name      string
	ready     string
	reason    string
	message   string
	applied   string
	attempted string
}

// rolledOut says whether a stage has a commit in force, and healthy.
func (s stage) rolledOut(revision string) bool {
	return s.ready == "True" && strings.HasSuffix(s.applied, revision)
}

// failed says whether a stage has tried a commit and given it up. A failure to apply is not final: what is missing may
// come with another stage.
func (s stage) failed(revision string) bool {
	final := []string{"HealthCheckFailed", "BuildFailed", "PruneFailed"}
	return s.ready == "False" && strings.HasSuffix(s.attempted, revision) && slices.Contains(final, s.reason)
}

// waiting says what a stage waits for, without what only says that it waits.
func (s stage) waiting() string {
	if s.ready != "False" || s.reason == "DependencyNotReady" {
		return "waiting for " + s.name
	}
	return "waiting for " + s.name + ": " + s.message
}

// stageNames are the names of Flux's Kustomizations, in the order in which they depend on each other. Operations are not
// among them: whether one failed that was committed before says nothing of a database.
func stageNames() []string {
	return []string{fluxNamespace, "platform", "packages", "config", databasesStage}
}

// databasesStage is the one that holds claims.
const databasesStage = "databases"

// WaitRolledOut waits until Flux says that a commit is in force and healthy in every stage. The error is ErrRolloutFailed
// when Flux says that it is not going to be.
func (p *Platform) WaitRolledOut(ctx context.Context, revision string) error {
	return p.waitStages(ctx, revision, stageNames())
}

// WaitOperations waits until Flux says what became of the operations of a commit.
func (p *Platform) WaitOperations(ctx context.Context, revision string) error {
	return p.waitStages(ctx, revision, []string{fluxNamespace, "operations"})
}

func (p *Platform) waitStages(ctx context.Context, revision string, names []string) error {
	waitingFor := stage{name: names[0]}
	err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		stages, err := p.stages(ctx, names)
		if err != nil {
			return false, nil //nolint:nilerr // The API server may be busy starting; the context ends this.
		}
		for _, s := range stages {
			if s.failed(revision) {
				return false, fmt.Errorf("%w: %s says %s: %s", ErrRolloutFailed, s.name, s.reason, s.message)
			}
		}
		for _, s := range stages {
			if !s.rolledOut(revision) {
				waitingFor = s
				p.Progress.Note("Flux", s.waiting())
				return false, nil
			}
		}
		return true, nil
	})
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrRolloutFailed) {
		return fmt.Errorf("%w\n%s", err, p.Describe(context.WithoutCancel(ctx)))
	}
	return fmt.Errorf("cannot see commit %s rolled out, waiting for %s (%s): %w\n%s",
		revision, waitingFor.name, waitingFor.message, err, p.Describe(context.WithoutCancel(ctx)))
}

// Reconcile asks Flux to look at the repository now rather than at its next interval.
func (p *Platform) Reconcile(ctx context.Context) error {
	for kind, apiVersion := range map[string]string{
		"GitRepository": "source.toolkit.fluxcd.io/v1",
		"Kustomization": "kustomize.toolkit.fluxcd.io/v1",
	} {
		items, err := p.list(ctx, apiVersion, kind, client.InNamespace(fluxNamespace))
		if err != nil {
			return err
		}
		for _, item := range items {
			patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, annotationRequested, time.Now().Format(time.RFC3339Nano))
			if err := p.Client.Patch(ctx, &item, client.RawPatch(types.MergePatchType, patch)); err != nil {
				return fmt.Errorf("cannot ask Flux to reconcile %s %q: %w", kind, item.GetName(), err)
			}
		}
	}
	return nil
}

// stages returns what Flux says of the named Kustomizations. Of one that is not there yet it says nothing.
func (p *Platform) stages(ctx context.Context, names []string) ([]stage, error) {
	list, err := p.list(ctx, "kustomize.toolkit.fluxcd.io/v1", "Kustomization", client.InNamespace(fluxNamespace))
	if err != nil {
		return nil, err
	}
	stages := make([]stage, 0, len(names))
	for _, name := range names {
		s := stage{name: name, message: "not there yet"}
		i := slices.IndexFunc(list, func(item unstructured.Unstructured) bool { return item.GetName() == name })
		if i >= 0 {
			s = stageOf(list[i])
		}
		stages = append(stages, s)
	}
	return stages, nil
}

func stageOf(kustomization unstructured.Unstructured) stage {
	s := stage{name: kustomization.GetName()}
	s.applied, _, _ = nested(kustomization, "status", "lastAppliedRevision")
	s.attempted, _, _ = nested(kustomization, "status", "lastAttemptedRevision")
	if c, ok := condition(kustomization, "Ready"); ok {
		s.ready, s.reason, s.message = c.status, c.reason, c.message
	}
	return s
}

// Describe says what state the claims, their composites, the packages and Flux are in: what a person asks first when
// something does not come up.
func (p *Platform) Describe(ctx context.Context) string {
	kinds := []schema.GroupVersionKind{
		{Group: "xdbcluster.io", Version: "v1alpha1", Kind: "DBCluster"},
		{Group: "xdbcluster.io", Version: "v1alpha1", Kind: "XDBCluster"},
		{Group: "xdbcluster.io", Version: "v1alpha1", Kind: "Switchover"},
		{Group: "xdbcluster.io", Version: "v1alpha1", Kind: "Failover"},
		{Group: "xdbcluster.io", Version: "v1alpha1", Kind: "Restore"},
		{Group: "pkg.crossplane.io", Version: "v1", Kind: "Configuration"},
		{Group: "pkg.crossplane.io", Version: "v1", Kind: "Function"},
		{Group: "pkg.crossplane.io", Version: "v1", Kind: "FunctionRevision"},
		{Group: "pkg.crossplane.io", Version: "v1", Kind: "Provider"},
		{Group: "pkg.crossplane.io", Version: "v1", Kind: "ProviderRevision"},
		{Group: "source.toolkit.fluxcd.io", Version: "v1", Kind: "GitRepository"},
		{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Kind: "Kustomization"},
	}
	out := &strings.Builder{}
	for _, kind := range kinds {
		items, err := p.list(ctx, kind.GroupVersion().String(), kind.Kind)
		if err != nil {
			continue // A kind that is not there yet has nothing to say.
		}
		for _, item := range items {
			fmt.Fprintf(out, "%s %s\n", kind.Kind, strings.TrimPrefix(item.GetNamespace()+"/"+item.GetName(), "/"))
			for _, c := range conditionsOf(item) {
				fmt.Fprintf(out, "  %s=%s %s: %s\n", c.kind, c.status, c.reason, c.message)
			}
		}
	}
	return out.String()
}

func (p *Platform) list(ctx context.Context, apiVersion, kind string, options ...client.ListOption) ([]unstructured.Unstructured, error) {
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion(apiVersion)
	list.SetKind(kind + "List")
	if err := p.Client.List(ctx, list, options...); err != nil {
		return nil, fmt.Errorf("cannot list %ss: %w", kind, err)
	}
	return list.Items, nil
}

// A conditionState is one of an object's conditions.
type conditionState struct {
	kind, status, reason, message string
}

func conditionsOf(object unstructured.Unstructured) []conditionState {
	entries, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	conditions := make([]conditionState, 0, len(entries))
	for _, entry := range entries {
		fields, ok := entry.(map[string]any)
		if !ok {
			continue
		}
		text := func(name string) string { s, _, _ := unstructured.NestedString(fields, name); return s }
		conditions = append(conditions, conditionState{text("type"), text("status"), text("reason"), text("message")})
	}
	return conditions
}

func condition(object unstructured.Unstructured, kind string) (conditionState, bool) {
	for _, c := range conditionsOf(object) {
		if c.kind == kind {
			return c, true
		}
	}
	return conditionState{}, false
}
