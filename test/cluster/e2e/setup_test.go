//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/test/cluster/image"
	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
)

const project = "../../.."

// A world is a namespace of a cluster for one test.
type world struct {
	client.Client

	t          *testing.T
	kubeconfig string
	namespace  string
	image      string
}

// newWorld connects to the cluster, pushes the probe's image and makes a namespace that goes with the test.
func newWorld(t *testing.T) world {
	t.Helper()
	kubeconfig := os.Getenv("KUBECONFIG")
	if kubeconfig == "" {
		kubeconfig = filepath.Join(project, ".cluster", "kubeconfig")
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatalf("cannot read the kubeconfig (go run ./test/cluster up): %v", err)
	}
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatalf("cannot reach the cluster (go run ./test/cluster up): %v", err)
	}
	w := world{Client: c, t: t, kubeconfig: kubeconfig, image: pushProbe(t)}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "cluster-test-"}}
	w.create(ns)
	w.namespace = ns.Name
	t.Cleanup(func() {
		if err := c.Delete(context.WithoutCancel(t.Context()), ns); err != nil {
			t.Errorf("cannot delete namespace %q: %v", ns.Name, err)
		}
	})
	w.eventually("the namespace has its service account", func() error {
		return w.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "default"}, &corev1.ServiceAccount{})
	})
	return w
}

func pushProbe(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "probe")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", binary, "./probe") //nolint:gosec // A folder of the test's own.
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the probe: %v\n%s", err, out)
	}
	registry := os.Getenv("REGISTRY")
	if registry == "" {
		registry = layout.Registry + "/xdbcluster"
	}
	reference := registry + "/local/probe:v1"
	if err := image.PushBinary(t.Context(), reference, binary, "/probe"); err != nil {
		t.Fatal(err)
	}
	return reference
}

func (w world) create(o client.Object) {
	w.t.Helper()
	if err := w.Create(w.t.Context(), o); err != nil {
		w.t.Fatalf("cannot create %T %q: %v", o, o.GetName(), err)
	}
}

// pod starts a probe and waits until it is ready.
func (w world) pod(name string, change func(*corev1.Pod)) {
	w.t.Helper()
	grace := int64(1)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name, Labels: map[string]string{"name": name}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &grace,
			SecurityContext:               &corev1.PodSecurityContext{FSGroup: new(int64(65532))},
			Containers: []corev1.Container{{
				Name: "probe", Image: w.image, Args: []string{"serve"}, ImagePullPolicy: corev1.PullAlways,
				ReadinessProbe: &corev1.Probe{
					PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: port()}},
				},
			}},
		},
	}
	if change != nil {
		change(p)
	}
	w.create(p)
	w.eventually("Pod "+name+" is ready", func() error {
		if err := w.Get(w.t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
			return err
		}
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("it is not: %v", p.Status.Conditions)
	})
}

// probe runs the probe in a Pod and returns what it printed.
func (w world) probe(pod string, args ...string) (string, error) {
	kubectl := filepath.Join(project, ".cache", "bin", "kubectl")
	if _, err := os.Stat(kubectl); err != nil {
		kubectl = "kubectl"
	}
	cmd := exec.CommandContext(w.t.Context(), kubectl, append([]string{"--kubeconfig", w.kubeconfig, "-n", w.namespace, "exec", pod, "--", "/probe"}, args...)...)
	errs := &bytes.Buffer{}
	cmd.Stderr = errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("probe %s: %w: %s", strings.Join(args, " "), err, errs)
	}
	return string(out), nil
}

func (w world) mustProbe(pod string, args ...string) string {
	w.t.Helper()
	out, err := w.probe(pod, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w world) eventually(what string, check func() error) {
	w.t.Helper()
	const patience = time.Minute
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("not true after %s: %s: %v", patience, what, err)
		}
	}
}
