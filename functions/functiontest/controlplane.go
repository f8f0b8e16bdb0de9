package functiontest

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/xdbcluster/xdbcluster/functions/compose"
)

// A ControlPlane does with a composer's outputs what Crossplane and the API server do: it applies objects, deletes those
// that were seen and are not wanted any more, and refuses what the API server refuses.
type ControlPlane struct {
	// Objects that exist, by composition resource name.
	Objects map[string]*unstructured.Unstructured

	// Before is what Objects was before the last call of Apply, as a cache that lags shows it.
	Before map[string]*unstructured.Unstructured

	// Refs are the names of the objects that the composite refers to. Others cannot be observed.
	Refs map[string]bool
}

// NewControlPlane returns a control plane without objects.
func NewControlPlane() *ControlPlane {
	return &ControlPlane{Objects: map[string]*unstructured.Unstructured{}, Refs: map[string]bool{}}
}

// Observed returns the objects as Crossplane shows them when nothing lags.
func (p *ControlPlane) Observed() map[string]*unstructured.Unstructured {
	observed := map[string]*unstructured.Unstructured{}
	for name, o := range p.Objects {
		if p.Refs[name] {
			observed[name] = o.DeepCopy()
		}
	}
	return observed
}

// Lagging returns the objects as they may be shown: some not yet there, some as they were before.
func (p *ControlPlane) Lagging(r *rand.Rand) map[string]*unstructured.Unstructured {
	observed := p.Observed()
	for _, name := range slices.Sorted(maps.Keys(observed)) {
		switch before := p.Before[name]; {
		case r.IntN(4) == 0:
			delete(observed, name)
		case r.IntN(4) == 0 && before != nil:
			observed[name] = before.DeepCopy()
		}
	}
	return observed
}

// Apply makes the desired state so, and returns the names of the objects that were refused and of those that were deleted.
func (p *ControlPlane) Apply(t testing.TB, observed map[string]*unstructured.Unstructured, out compose.Output) (refused, deleted []string) {
	t.Helper()
	p.Before = p.Observed()
	for name := range observed {
		if _, wanted := out.Objects[name]; !wanted {
			delete(p.Objects, name)
			deleted = append(deleted, name)
		}
	}
	p.Refs = map[string]bool{}
	for name, object := range out.Objects {
		p.Refs[name] = true
		if !p.write(name, &unstructured.Unstructured{Object: Content(t, object.Content)}) {
			refused = append(refused, name)
		}
	}
	slices.Sort(refused)
	slices.Sort(deleted)
	return refused, deleted
}

// write applies one object and says whether that was allowed.
func (p *ControlPlane) write(name string, desired *unstructured.Unstructured) bool {
	existing, ok := p.Objects[name]
	if !ok {
		meta(desired)["generation"] = int64(1)
		p.Objects[name] = desired
		return true
	}
	if immutable, _, _ := unstructured.NestedBool(existing.Object, "immutable"); immutable && !reflect.DeepEqual(existing.Object["data"], desired.Object["data"]) {
		return false
	}
	for _, field := range []string{"volumeClaimTemplates", "serviceName", "podManagementPolicy", "selector"} {
		before, _, _ := unstructured.NestedFieldNoCopy(existing.Object, "spec", field)
		after, _, _ := unstructured.NestedFieldNoCopy(desired.Object, "spec", field)
		if existing.GetKind() == "StatefulSet" && !reflect.DeepEqual(before, after) {
			return false
		}
	}

	generation := existing.GetGeneration()
	if !reflect.DeepEqual(existing.Object["spec"], desired.Object["spec"]) {
		generation++
	}
	desired.SetGeneration(generation)
	if status, ok := existing.Object["status"]; ok {
		desired.Object["status"] = status
	}
	if _, owned := desired.Object["data"]; !owned && existing.Object["data"] != nil {
		desired.Object["data"] = existing.Object["data"] // Its writers' own.
	}
	p.Objects[name] = desired
	return true
}

// SetStatus gives an object a status, as its controller would.
func (p *ControlPlane) SetStatus(name string, status map[string]any) {
	p.Objects[name].Object["status"] = status
}

// SetData gives a ConfigMap data, as those who write it would.
func (p *ControlPlane) SetData(name string, data map[string]any) {
	p.Objects[name].Object["data"] = data
}

func meta(o *unstructured.Unstructured) map[string]any {
	m, _ := o.Object["metadata"].(map[string]any)
	return m
}
