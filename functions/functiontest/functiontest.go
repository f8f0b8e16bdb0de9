// Package functiontest helps to test composers: inputs and outputs as YAML files, and a control plane that applies what a
// composer returns, as late and in whatever order a test wants.
package functiontest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/xdbcluster/xdbcluster/functions/compose"
)

// AnnotationName is where Crossplane writes the name by which a composer knows a composed resource.
const AnnotationName = "crossplane.io/composition-resource-name"

// AnnotationRequired is where a file of required resources says what name each was asked for by.
const AnnotationRequired = "functiontest/required-as"

// Update makes goldens be written instead of compared.
//
//nolint:gochecknoglobals // A flag of the test binary.
var update = flag.Bool("update", false, "write the golden files")

// Now is the time in tests.
func Now() time.Time { return time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC) }

// Rand returns a source of random bytes that is the same for the same seed.
func Rand(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

// Load reads a case's input from the files xr.yaml, observed.yaml and required.yaml of its folder. The last two may be
// missing.
func Load(t testing.TB, dir string) compose.Input {
	t.Helper()
	composites := Objects(t, filepath.Join(dir, "xr.yaml"))
	if len(composites) != 1 {
		t.Fatalf("%s/xr.yaml holds %d objects, want one", dir, len(composites))
	}
	in := compose.Input{
		Composite: Resource(t, composites[0]),
		Observed:  map[string]*compose.Resource{},
		Required:  map[string][]*compose.Resource{},
		Config:    Config(t),
		Now:       Now(),
		Rand:      Rand(1),
	}
	for _, o := range Objects(t, filepath.Join(dir, "observed.yaml")) {
		name := o.GetAnnotations()[AnnotationName]
		if name == "" {
			t.Fatalf("%s/observed.yaml: %s %s lacks the annotation %s", dir, o.GetKind(), o.GetName(), AnnotationName)
		}
		in.Observed[name] = Resource(t, o)
	}
	for _, o := range Objects(t, filepath.Join(dir, "required.yaml")) {
		name := o.GetAnnotations()[AnnotationRequired]
		if o.GetKind() == "" {
			in.Required[name] = nil // Looked up, and not there.
			continue
		}
		in.Required[name] = append(in.Required[name], Resource(t, o))
	}
	return in
}

// Config is the platform's input in tests.
func Config(t testing.TB) *compose.Resource {
	t.Helper()
	return Resource(t, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "xdbcluster.io/v1alpha1",
		"kind":       "PlatformDefaults",
		"images":     map[string]any{"15": "registry.example.org/postgresql:15", "17": "registry.example.org/postgresql:17"},
	}})
}

// Resource returns an object as a composer sees it. There is none of nil.
func Resource(t testing.TB, o *unstructured.Unstructured) *compose.Resource {
	t.Helper()
	if o == nil {
		return nil
	}
	s, err := structpb.NewStruct(o.Object)
	if err != nil {
		t.Fatalf("cannot convert %s: %v", o.GetName(), err)
	}
	return (*compose.Resource)(s)
}

// Resources returns objects as a composer sees them.
func Resources(t testing.TB, objects map[string]*unstructured.Unstructured) map[string]*compose.Resource {
	t.Helper()
	resources := make(map[string]*compose.Resource, len(objects))
	for name, o := range objects {
		resources[name] = Resource(t, o)
	}
	return resources
}

// Content returns what is in an object or a status that a composer returned, as the API server would read it.
func Content(t testing.TB, typed any) map[string]any {
	t.Helper()
	b, err := json.Marshal(typed)
	if err != nil {
		t.Fatalf("cannot encode %T: %v", typed, err)
	}
	var content map[string]any
	if err := json.Unmarshal(b, &content); err != nil {
		t.Fatalf("%T is no object: %v", typed, err)
	}
	return content
}

// Objects reads a file of YAML documents. A file that does not exist holds none.
func Objects(t testing.TB, path string) []*unstructured.Unstructured {
	t.Helper()
	b, err := os.ReadFile(filepath.Clean(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatalf("cannot read %s: %v", path, err)
	}
	var objects []*unstructured.Unstructured
	for document := range strings.SplitSeq("\n"+string(b), "\n---\n") {
		if strings.TrimSpace(document) == "" {
			continue
		}
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
			t.Fatalf("cannot read %s: %v", path, err)
		}
		objects = append(objects, o)
	}
	return objects
}

// Golden compares a value, as YAML, with a file; or writes the file when the test runs with -update.
func Golden(t testing.TB, path string, got any) {
	t.Helper()
	b, err := yaml.Marshal(got)
	if err != nil {
		t.Fatalf("cannot encode what to compare with %s: %v", path, err)
	}
	GoldenText(t, path, b)
}

// GoldenText compares a text with a file; or writes the file when the test runs with -update.
func GoldenText(t testing.TB, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatalf("cannot write %s: %v", path, err)
		}
		return
	}
	want, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		t.Fatalf("cannot read the golden (write it with -update): %v", err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("differs from %s (-want +got); if it is right, run with -update:\n%s", path, cmp.Diff(string(want), string(got)))
	}
}

// WriteObjects writes objects as YAML documents.
func WriteObjects(t testing.TB, path string, objects []*unstructured.Unstructured) {
	t.Helper()
	var out bytes.Buffer
	for i, o := range objects {
		if i > 0 {
			fmt.Fprintln(&out, "---")
		}
		b, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatalf("cannot encode %s: %v", o.GetName(), err)
		}
		out.Write(b)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatalf("cannot write %s: %v", path, err)
	}
}
