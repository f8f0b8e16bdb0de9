package runner

import (
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/xdbcluster/xdbcluster/functions/functiontest"
)

// reference returns content in protobuf by way of Kubernetes' own converter.
func reference(content any) (*structpb.Struct, error) {
	if fields, isMap := content.(map[string]any); isMap {
		content = &fields
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(content)
	if err != nil {
		return nil, err
	}
	return structpb.NewStruct(fields)
}

// TestStructOfOutputs compares every object and every status in the composers' testdata with what Kubernetes' own converter
// makes of it.
func TestStructOfOutputs(t *testing.T) {
	compared := 0
	for _, dir := range cases(t) {
		in := functiontest.Load(t, dir)
		composer, err := composerFor(in.Composite.Text("kind"))
		if err != nil {
			t.Fatal(err)
		}
		out, err := composer(in)
		if err != nil {
			continue // A case of a composite that cannot be understood.
		}
		contents := map[string]any{"the status": out.Status}
		for name, o := range out.Objects {
			contents[name] = o.Content
		}
		maps.DeleteFunc(contents, func(_ string, content any) bool { return content == nil })
		for name, content := range contents {
			want, err := reference(content)
			if err != nil {
				t.Fatal(err)
			}
			got, err := structOf(content)
			if err != nil {
				t.Fatalf("%s: %s: %v", dir, name, err)
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("%s: %s (-Kubernetes +structOf):\n%s", dir, name, diff)
			}
			compared++
		}
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
}

// cases returns the folders of the composers' cases.
func cases(t testing.TB) []string {
	t.Helper()
	list, err := filepath.Glob("../*/testdata/*/xr.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range list {
		list[i] = filepath.Dir(file)
	}
	return list
}

type inner struct {
	Text *string `json:"text,omitempty"`
	Zero string  `json:"zero"`
}

type outer struct {
	inner    `json:",inline"`
	Count    *int32                       `json:"count,omitempty"`
	Ratio    float64                      `json:"ratio,omitempty"`
	Whether  *bool                        `json:"whether,omitempty"`
	Bytes    []byte                       `json:"bytes,omitempty"`
	Port     *intstr.IntOrString          `json:"port,omitempty"`
	Time     metav1.Time                  `json:"time,omitzero"`
	Never    *metav1.Time                 `json:"never"`
	Limits   map[string]resource.Quantity `json:"limits,omitempty"`
	Raw      runtime.RawExtension         `json:"raw,omitempty"`
	List     []inner                      `json:"list"`
	Anything any                          `json:"anything,omitempty"`
	Hidden   string                       `json:"-"`
}

func TestStructOf(t *testing.T) {
	text, count, no, port := "text", int32(5), false, intstr.FromInt32(5432)
	cases := map[string]struct {
		reason  string
		content any
	}{
		"Empty":  {reason: "What is left out is left out, and what is not is null or empty.", content: &outer{}},
		"Inline": {reason: "Fields of an inlined struct are fields of the outer one.", content: &outer{inner: inner{Text: &text}}},
		"Full": {
			reason: "Every kind of field is converted.",
			content: &outer{
				inner: inner{Text: &text, Zero: "0"}, Count: &count, Ratio: 0.5, Whether: &no, Bytes: []byte("\x00\xff"), Port: &port,
				Time: metav1.NewTime(time.Unix(1, 0)), Limits: map[string]resource.Quantity{"cpu": resource.MustParse("500m")},
				Raw: runtime.RawExtension{Raw: []byte(`{"a":[1,2.5,"x",null,true]}`)}, List: []inner{{}, {Text: &text}}, Hidden: "x",
				Anything: map[string]any{"list": []any{int64(1), 2.5, "x", nil, true, map[string]any{}}, "strings": []string{}},
			},
		},
		"Map": {reason: "A map is an object.", content: map[string]any{"spec": map[string]any{"a": 1.5}, "labels": map[string]string{"b": "c"}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			want, err := reference(tc.content)
			if err != nil {
				t.Fatal(err)
			}
			got, err := structOf(tc.content)
			if err != nil {
				t.Fatalf("%s\nstructOf(...): %v", tc.reason, err)
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("%s\nstructOf(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
