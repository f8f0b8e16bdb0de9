//go:build e2e

package databases

import (
	"context"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// TestRefusedByKubernetes lets a policy of the platform refuse what a claim becomes. The claim says where to read why, and goes on when the
// policy is gone.
func TestRefusedByKubernetes(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	const name = "unwanted"
	labels := map[string]string{"probe": name}
	allow := s.forbid("statefulsets", &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.namespace},
		Spec: appsv1.StatefulSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: name}}},
			},
		},
	}, "this platform wants no such StatefulSet")

	d := s.start(name, smallSpec("17"))
	d.waitRollout(v1alpha1.RolloutFailed)
	stalled := d.condition(v1alpha1.ConditionStalled)
	if want := "kubectl describe xdbcluster " + d.composite().GetName(); stalled.Reason != v1alpha1.ReasonRefusedByKubernetes || !strings.Contains(stalled.Message, want) {
		t.Errorf("Stalled is %s: %s; want %s, and %q", stalled.Reason, stalled.Message, v1alpha1.ReasonRefusedByKubernetes, want)
	}
	allow()
	d.waitRollout(v1alpha1.RolloutComplete) // Until Crossplane tries again it is Failed.
}

// newClaim returns a small DBCluster that is not there.
func (s *scene) newClaim(name string) *unstructured.Unstructured {
	s.Helper()
	small := smallSpec("17")
	spec, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&small)
	if err != nil {
		s.Fatalf("cannot encode a claim: %v", err)
	}
	claim := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	claim.SetGroupVersionKind(claimKind())
	claim.SetNamespace(s.namespace)
	claim.SetName(name)
	return claim
}

// forbid lets the API server refuse to create an object of the test's namespace, as a policy of the platform would, until it is allowed
// again.
func (s *scene) forbid(resource string, object client.Object, reason string) (allow func()) {
	s.Helper()
	meta := metav1.ObjectMeta{Name: s.namespace + "-" + object.GetName()}
	rule := admissionv1.NamedRuleWithOperations{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Create},
		Rule:       admissionv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{resource}},
	}}
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: meta, Spec: admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{rule}},
		Validations: []admissionv1.Validation{{
			Expression: fmt.Sprintf("object.metadata.namespace != %q || object.metadata.name != %q", s.namespace, object.GetName()), Message: reason,
		}},
	}}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: meta.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
	}}
	allow = func() {
		for _, o := range []client.Object{binding, policy} {
			_ = s.kube.Delete(context.WithoutCancel(s.Context()), o) // It concerns this namespace alone.
		}
	}
	for _, o := range []client.Object{policy, binding} {
		if err := s.kube.Create(s.Context(), o); err != nil && !apierrors.IsAlreadyExists(err) { // Left by a run that was killed.
			s.Fatalf("cannot forbid %s %q: %v", resource, object.GetName(), err)
		}
	}
	s.Cleanup(allow)
	s.eventually(rolloutLimit, "The policy is in force", func(ctx context.Context) (string, bool) {
		probe, _ := object.DeepCopyObject().(client.Object)
		err := s.kube.Create(ctx, probe, client.DryRunAll)
		return fmt.Sprint(err), err != nil && strings.Contains(err.Error(), reason)
	})
	return allow
}
