package platform

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A Mark is something that happened on the way from a commit to a database, and when it was seen.
type Mark struct {
	What string
	At   time.Time
}

// A Trace watches what happens on the way from a commit to a database.
type Trace struct {
	stop func()

	mu    sync.Mutex
	marks []Mark
}

// A sight is what a Trace looks for: something that an object shows.
type sight struct {
	what  string
	kind  schema.GroupVersionKind
	shows func(object unstructured.Unstructured) bool
}

// Trace begins to watch for the steps of a new claim. End it with Marks.
func (p *Platform) Trace(ctx context.Context, claim client.ObjectKey) (*Trace, error) {
	ctx, cancel := context.WithCancel(ctx)
	t := &Trace{stop: cancel}
	before, err := p.artifact(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	byKind := map[schema.GroupVersionKind][]sight{}
	for _, s := range sights(claim, before) {
		byKind[s.kind] = append(byKind[s.kind], s)
	}
	for kind, sights := range byKind {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		events, err := p.Client.Watch(ctx, list)
		if err != nil {
			cancel()
			return nil, fmt.Errorf("cannot watch %ss: %w", kind.Kind, err)
		}
		go t.look(events, sights)
	}
	return t, nil
}

// Marks ends the trace and returns what it saw, in order.
func (t *Trace) Marks() []Mark {
	t.stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.SortFunc(t.marks, func(a, b Mark) int { return a.At.Compare(b.At) })
	return slices.Clone(t.marks)
}

func (t *Trace) look(events watch.Interface, sights []sight) {
	seen := map[string]bool{}
	for event := range events.ResultChan() {
		object, ok := event.Object.(*unstructured.Unstructured)
		if !ok || event.Type == watch.Deleted {
			continue
		}
		for _, s := range sights {
			if seen[s.what] || !s.shows(*object) {
				continue
			}
			seen[s.what] = true
			t.mu.Lock()
			t.marks = append(t.marks, Mark{What: s.what, At: time.Now()})
			t.mu.Unlock()
		}
	}
}

// sights are the steps from a commit to a claim that is ready.
func sights(claim client.ObjectKey, artifactBefore string) []sight {
	named := func(object unstructured.Unstructured) bool {
		return object.GetNamespace() == claim.Namespace && object.GetName() == claim.Name
	}
	pod := func(object unstructured.Unstructured) bool {
		return object.GetNamespace() == claim.Namespace && object.GetLabels()[clusterLabel] == claim.Name
	}
	podHas := func(kind string) func(unstructured.Unstructured) bool {
		return func(object unstructured.Unstructured) bool { return pod(object) && isTrue(object, kind) }
	}
	pods := schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	return []sight{
		{"Flux fetched the commit", sourceKind(), func(o unstructured.Unstructured) bool {
			revision, _, _ := nested(o, "status", "artifact", "revision")
			return o.GetName() == fluxNamespace && revision != artifactBefore
		}},
		{"Flux applied the claim", claimKind(), named},
		{"Crossplane created the composite", schema.GroupVersionKind{Group: "xdbcluster.io", Version: "v1alpha1", Kind: "XDBCluster"}, func(o unstructured.Unstructured) bool {
			name, _, _ := nested(o, "spec", "claimRef", "name")
			namespace, _, _ := nested(o, "spec", "claimRef", "namespace")
			return name == claim.Name && namespace == claim.Namespace
		}},
		{"Crossplane applied the function's StatefulSet", schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "StatefulSet"}, named},
		{"Pod scheduled", pods, podHas("PodScheduled")},
		{"volume mounted, and a network", pods, podHas("PodReadyToStartContainers")},
		{"database container started", pods, func(o unstructured.Unstructured) bool { return pod(o) && isRunning(o, "database") }},
		{"Pod ready: PostgreSQL is the primary", pods, podHas("Ready")},
		{"claim ready", claimKind(), func(o unstructured.Unstructured) bool { return named(o) && isTrue(o, "Ready") }},
	}
}

func sourceKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "source.toolkit.fluxcd.io", Version: "v1", Kind: "GitRepository"}
}

// artifact returns the revision that Flux has fetched last.
func (p *Platform) artifact(ctx context.Context) (string, error) {
	source := unstructured.Unstructured{}
	source.SetGroupVersionKind(sourceKind())
	if err := p.Client.Get(ctx, client.ObjectKey{Namespace: fluxNamespace, Name: fluxNamespace}, &source); err != nil {
		return "", fmt.Errorf("cannot read the GitRepository: %w", err)
	}
	revision, _, _ := nested(source, "status", "artifact", "revision")
	return revision, nil
}

func isTrue(object unstructured.Unstructured, kind string) bool {
	c, ok := condition(object, kind)
	return ok && strings.EqualFold(c.status, "true")
}

func isRunning(pod unstructured.Unstructured, container string) bool {
	statuses, _, _ := unstructured.NestedSlice(pod.Object, "status", "containerStatuses")
	for _, entry := range statuses {
		status, ok := entry.(map[string]any)
		if !ok || status["name"] != container {
			continue
		}
		_, running, _ := unstructured.NestedMap(status, "state", "running")
		return running
	}
	return false
}
