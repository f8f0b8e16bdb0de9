//go:build e2e

package databases

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/test/e2e/evidence"
)

const (
	// interval is how often the cluster is looked at for what a test waits for.
	interval = 150 * time.Millisecond

	// rolloutLimit bounds how long a change may take on a machine that is busy with other tests.
	rolloutLimit = 3 * time.Minute

	// worthTelling is how long something must take to be told of.
	worthTelling = 3 * time.Second

	// removalLimit bounds how long what a test made takes to go.
	removalLimit = 3 * time.Minute

	// fieldOwner is the name under which tests apply.
	fieldOwner = client.FieldOwner("e2e")
)

// A scene is a namespace of a test's own, and what a test does in it.
type scene struct {
	*testing.T

	kube       client.WithWatch
	config     *rest.Config
	core       kubernetes.Interface
	kubeconfig string
	namespace  string

	// afterwards is called once the databases are gone, and before what they stored is.
	afterwards []func() error

	// stored are the folders of the object store that go after the databases: until then they write to them.
	stored []string
}

// TestMain fails when a namespace that a test has removed does not go.
func TestMain(m *testing.M) {
	code := m.Run()
	if err := namespacesGone(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// namespacesGone waits until no namespace is on its way out any more.
func namespacesGone() error {
	kube, _, err := reach()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), removalLimit)
	defer cancel()
	for {
		namespaces := &corev1.NamespaceList{}
		if err := kube.List(ctx, namespaces); err != nil {
			return fmt.Errorf("cannot list namespaces: %w", err)
		}
		left := slices.IndexFunc(namespaces.Items, func(n corev1.Namespace) bool { return n.DeletionTimestamp != nil })
		if left < 0 {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("namespace %q does not go: %v", namespaces.Items[left].Name, namespaces.Items[left].Status.Conditions)
		}
		time.Sleep(interval)
	}
}

// newScene makes the namespace, without what a test that was killed may have left in it, and removes it after the test.
func newScene(t *testing.T) *scene {
	t.Helper()
	s := connect(t)
	s.namespace = "e2e-" + kebab(t.Name())
	if err := errors.Join(s.remove(t.Context()), s.gone(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}})); err != nil {
		t.Fatalf("cannot clear namespace %q of what an earlier run left: %v", s.namespace, err)
	}
	if err := s.kube.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}); err != nil {
		t.Fatalf("cannot create namespace %q: %v", s.namespace, err)
	}
	t.Cleanup(s.end)
	return s
}

// connect reaches the cluster, without a namespace.
func connect(t *testing.T) *scene {
	t.Helper()
	kube, config, err := reach()
	if err != nil {
		t.Fatal(err)
	}
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatalf("cannot reach the cluster of KUBECONFIG: %v", err)
	}
	return &scene{T: t, kube: kube, config: config, core: core, kubeconfig: os.Getenv("KUBECONFIG")}
}

// reach returns a client of the cluster that KUBECONFIG names.
func reach() (client.WithWatch, *rest.Config, error) {
	kubeconfig := os.Getenv("KUBECONFIG")
	if kubeconfig == "" {
		return nil, nil, errors.New("KUBECONFIG names no cluster: make e2e brings one up and sets it")
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the kubeconfig %q that KUBECONFIG names: %w", kubeconfig, err)
	}
	config.QPS = -1 // The API server's own fairness is limit enough.
	config.WarningHandler = rest.NoWarnings{}
	kube, err := client.NewWithWatch(config, client.Options{})
	if err != nil {
		return nil, nil, fmt.Errorf("cannot reach the cluster of KUBECONFIG: %w", err)
	}
	return kube, config, nil
}

// end keeps what there is to see when the test failed, and then removes what it made.
func (s *scene) end() {
	ctx, cancel := context.WithTimeout(context.Background(), removalLimit)
	defer cancel()
	s.keepEvidence(ctx)
	start := time.Now()
	if err := s.remove(ctx); err != nil {
		s.Errorf("cannot remove namespace %q: %v", s.namespace, err)
	}
	for _, undo := range s.afterwards {
		if err := undo(); err != nil {
			s.Errorf("cannot undo what the test needed: %v", err)
		}
	}
	for _, folder := range s.stored {
		if err := os.RemoveAll(folder); err != nil {
			s.Errorf("cannot remove what was stored: %v", err)
		}
	}
	s.Logf("removed in %s", ago(start))
}

// keepEvidence keeps what there is to see when the test failed.
func (s *scene) keepEvidence(ctx context.Context) {
	output := os.Getenv("E2E_OUTPUT")
	if !s.Failed() || output == "" {
		return
	}
	folder := filepath.Join(output, strings.TrimPrefix(s.namespace, "e2e-"))
	collector := evidence.Collector{Kubectl: kubectl(), Kubeconfig: s.kubeconfig}
	if err := collector.Namespace(ctx, folder, s.namespace); err != nil {
		s.Logf("cannot keep all evidence: %v", err)
	}
	s.Logf("What the cluster said is in %s", folder)
}

// remove lifts the protection of all databases of the namespace, deletes them with their volumes, then the Pods that are not theirs,
// and has the namespace go, which takes care of the rest.
func (s *scene) remove(ctx context.Context) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}
	if err := s.kube.Get(ctx, client.ObjectKeyFromObject(namespace), namespace); err != nil {
		return client.IgnoreNotFound(err)
	}
	claims, err := s.claims(ctx)
	if err != nil {
		return err
	}
	for _, claim := range claims {
		d := database{scene: s, name: claim.GetName()}
		if err := d.removeNow(ctx); err != nil {
			return err
		}
	}
	if err := s.removePods(ctx); err != nil {
		return err
	}
	if err := s.kube.Delete(ctx, namespace); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("cannot delete namespace %q: %w", s.namespace, err)
	}
	return nil
}

// removePods deletes all Pods of the namespace and waits until they are gone. A namespace that is deleted with Pods in it takes half
// of their grace period before it looks again.
func (s *scene) removePods(ctx context.Context) error {
	for deadline := time.Now().Add(removalLimit); ; time.Sleep(interval) {
		pods := &corev1.PodList{}
		if err := s.kube.List(ctx, pods, client.InNamespace(s.namespace)); err != nil {
			return fmt.Errorf("cannot list Pods: %w", err)
		}
		if len(pods.Items) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d Pods are still there, one of them %q", len(pods.Items), pods.Items[0].Name)
		}
		for _, pod := range pods.Items {
			if pod.DeletionTimestamp != nil {
				continue
			}
			if err := s.kube.Delete(ctx, &pod, client.GracePeriodSeconds(1)); client.IgnoreNotFound(err) != nil {
				return fmt.Errorf("cannot delete Pod %q: %w", pod.Name, err)
			}
		}
	}
}

// gone deletes an object and waits until it is not there any more.
func (s *scene) gone(ctx context.Context, object client.Object) error {
	key := client.ObjectKeyFromObject(object)
	for deadline := time.Now().Add(removalLimit); ; time.Sleep(interval) {
		err := s.kube.Delete(ctx, object)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%T %q is still there: %w", object, key, errors.Join(err, ctx.Err(), s.kube.Get(context.WithoutCancel(ctx), key, object)))
		}
	}
}

func (s *scene) claims(ctx context.Context) ([]unstructured.Unstructured, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(claimKind())
	if err := s.kube.List(ctx, list, client.InNamespace(s.namespace)); err != nil {
		return nil, fmt.Errorf("cannot list DBClusters: %w", err)
	}
	return list.Items, nil
}

// eventually waits until something is so. The check says what it saw; that is what the test ends with otherwise.
func (s *scene) eventually(limit time.Duration, what string, check func(ctx context.Context) (seen string, done bool)) {
	s.Helper()
	start := time.Now()
	deadline := start.Add(limit)
	for {
		looked := time.Now()
		seen, done := check(s.Context())
		if took := time.Since(start); done && took > worthTelling {
			s.Logf("%s: after %s", what, took.Round(100*time.Millisecond))
		}
		if done {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("%s: not so after %s. What is seen instead: %s", what, limit, seen)
		}
		// What takes long to look at, a command in a Pod, takes its time from what is waited for.
		time.Sleep(max(interval, time.Since(looked)))
	}
}

// secret writes a Secret.
func (s *scene) secret(name string, data map[string]string) {
	s.Helper()
	values := map[string]any{}
	for key, value := range data {
		values[key] = value
	}
	s.apply(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name}, "stringData": values,
	})
}

// apply applies an object in the scene's namespace.
func (s *scene) apply(object map[string]any) {
	s.Helper()
	if err := s.tryApply(object); err != nil {
		s.Fatal(err)
	}
}

// tryApply is apply for what may be refused.
func (s *scene) tryApply(object map[string]any) error {
	u := &unstructured.Unstructured{Object: object}
	u.SetNamespace(s.namespace)
	err := s.kube.Apply(s.Context(), client.ApplyConfigurationFromUnstructured(u.DeepCopy()), fieldOwner, client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("cannot apply %s %q: %w", u.GetKind(), u.GetName(), err)
	}
	return nil
}

// get reads an object of the scene's namespace.
func (s *scene) get(object client.Object, name string) {
	s.Helper()
	if err := s.kube.Get(s.Context(), client.ObjectKey{Namespace: s.namespace, Name: name}, object); err != nil {
		s.Fatalf("cannot read %T %q: %v", object, name, err)
	}
}

// exec runs a command in a container and returns what it printed.
func (s *scene) exec(ctx context.Context, pod, container, input string, command ...string) (string, error) {
	request := s.core.CoreV1().RESTClient().Post().Resource("pods").Namespace(s.namespace).Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: container, Command: command, Stdin: input != "", Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(s.config, "GET", request.URL().String())
	if err != nil {
		return "", fmt.Errorf("cannot run a command in Pod %q: %w", pod, err)
	}
	out, errs := &bytes.Buffer{}, &bytes.Buffer{}
	options := remotecommand.StreamOptions{Stdout: out, Stderr: errs}
	if input != "" {
		options.Stdin = strings.NewReader(input)
	}
	if err := executor.StreamWithContext(ctx, options); err != nil {
		return out.String(), fmt.Errorf("cannot run %q in Pod %q: %w: %s", command[0], pod, err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// needStorageClass skips the test on a cluster without a storage class that only the local cluster has.
func (s *scene) needStorageClass(name string) {
	s.Helper()
	err := s.kube.Get(s.Context(), client.ObjectKey{Name: name}, &storagev1.StorageClass{})
	if apierrors.IsNotFound(err) {
		s.Skipf("this cluster has no StorageClass %q, which the local cluster has for this test", name)
	}
	if err != nil {
		s.Fatalf("cannot look for StorageClass %q: %v", name, err)
	}
}

func claimKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: v1alpha1.Group, Version: "v1alpha1", Kind: v1alpha1.KindDBCluster}
}

func compositeKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: v1alpha1.Group, Version: "v1alpha1", Kind: v1alpha1.KindXDBCluster}
}

// project returns the path of a file of this project.
func project(elements ...string) string {
	root := os.Getenv("E2E_PROJECT")
	if root == "" {
		root = filepath.Join("..", "..", "..")
	}
	return filepath.Join(append([]string{root}, elements...)...)
}

// kubectl is used for evidence only.
func kubectl() string {
	if built := project(".cache", "bin", "kubectl"); exists(built) {
		return built
	}
	return "kubectl"
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// kebab turns the name of a test into one that Kubernetes takes: TestStopAndStart becomes stop-and-start.
func kebab(name string) string {
	out := &strings.Builder{}
	for i, r := range strings.TrimPrefix(name, "Test") {
		switch {
		case r >= 'A' && r <= 'Z':
			if i > 0 {
				out.WriteByte('-')
			}
			out.WriteRune(r + 'a' - 'A')
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			out.WriteRune(r)
		default:
			out.WriteByte('-')
		}
	}
	return strings.ReplaceAll(out.String(), "--", "-")
}

// enforcesPolicies says whether the cluster is the local one, which enforces NetworkPolicies.
func (s *scene) enforcesPolicies() bool {
	s.Helper()
	err := s.kube.Get(s.Context(), client.ObjectKey{Name: "local-loop"}, &storagev1.StorageClass{})
	if client.IgnoreNotFound(err) != nil {
		s.Fatalf("cannot look for the local cluster's StorageClass: %v", err)
	}
	return err == nil
}

// removeNamespace removes a second namespace of a test, after its end.
func (s *scene) removeNamespace(namespace *corev1.Namespace) {
	ctx, cancel := context.WithTimeout(context.Background(), removalLimit)
	defer cancel()
	if err := s.kube.Delete(ctx, namespace); client.IgnoreNotFound(err) != nil {
		s.Errorf("cannot delete namespace %q: %v", namespace.Name, err)
	}
}
