package dbcluster

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/functiontest"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// golden is an output as it is written to a file. An error takes the place of all else.
type golden struct {
	Error      string                      `json:"error,omitempty"`
	Incomplete bool                        `json:"incomplete,omitempty"`
	TTL        string                      `json:"ttl,omitempty"`
	Conditions []compose.Condition         `json:"conditions,omitempty"`
	Events     []compose.Event             `json:"events,omitempty"`
	Requires   map[string]compose.Selector `json:"requires,omitempty"`
	Status     any                         `json:"status,omitempty"`
	Objects    map[string]compose.Object   `json:"objects,omitempty"`
}

// TestCompose compares what becomes of every case in testdata with its golden, and checks what must hold in all of them.
func TestCompose(t *testing.T) {
	cases, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name(), func(t *testing.T) {
			dir := filepath.Join("testdata", c.Name())
			in := functiontest.Load(t, dir)
			out, err := Compose(in)
			if err != nil {
				functiontest.Golden(t, filepath.Join(dir, "want.yaml"), golden{Error: err.Error()})
				return
			}
			functiontest.Golden(t, filepath.Join(dir, "want.yaml"), golden{
				Incomplete: out.Incomplete, TTL: out.TTL.String(), Conditions: out.Conditions, Events: out.Events,
				Requires: out.Requires, Status: out.Status, Objects: out.Objects,
			})
			checkInvariants(t, in, out)
		})
	}
}

// checkInvariants checks what must hold for every output.
func checkInvariants(t *testing.T, in compose.Input, out compose.Output) {
	t.Helper()
	identities := map[string]string{}
	for name, o := range out.Objects {
		content := functiontest.Content(t, o.Content)
		kind, _ := content["kind"].(string)
		object, _, _ := unstructured.NestedString(content, "metadata", "name")
		if other, taken := identities[kind+"/"+object]; taken {
			t.Errorf("%s and %s are both the %s %s", name, other, kind, object)
		}
		identities[kind+"/"+object] = name
		if len(object) > 63 {
			t.Errorf("%s is called %s, which has %d characters", name, object, len(object))
		}
		if _, ok := content["status"]; ok {
			t.Errorf("%s has a status, which is its controller's", name)
		}
	}
	for _, name := range []string{naming.ObjectStatefulSet, naming.ObjectAuthority, naming.ObjectCredentials, naming.ObjectConfig} {
		if _, wanted := out.Objects[name]; in.Observed[name] != nil && !wanted {
			t.Errorf("%s is observed and would be deleted", name)
		}
	}
	for _, name := range []string{naming.ObjectAuthority, naming.ObjectCredentials} {
		if observed := in.Observed[name]; observed != nil {
			if diff := cmp.Diff(functiontest.Content(t, observed)["data"], functiontest.Content(t, out.Objects[name].Content)["data"]); diff != "" {
				t.Errorf("%s would change (-observed +desired):\n%s", name, diff)
			}
		}
	}
	told := make([]string, 0, len(out.Conditions))
	for _, c := range out.Conditions {
		if c.Reason == "" || c.Message == "" {
			t.Errorf("condition %s lacks a reason or a message", c.Type)
		}
		told = append(told, c.Type)
	}
	if slices.Sort(told); len(slices.Compact(slices.Clone(told))) != len(told) {
		t.Errorf("some condition is told twice: %v", told)
	}
}
