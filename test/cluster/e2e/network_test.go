//go:build e2e

package e2e

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// port is where a probe serves.
func port() intstr.IntOrString { return intstr.FromInt32(8080) }

// apart asks for another node than the server's where there is one.
func apart(p *corev1.Pod) {
	p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
			Weight: 100,
			PodAffinityTerm: corev1.PodAffinityTerm{
				TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"name": "server"}},
			},
		}},
	}}
}

func (w world) service() {
	w.create(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "server"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"name": "server"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: port()}}},
	})
}

// answers says whether the server answers a Pod that asks by the Service's name.
func (w world) answers(pod string) error {
	got, err := w.probe(pod, "get", "http://server."+w.namespace+".svc.cluster.local/")
	if err != nil {
		return err
	}
	if got != "server" {
		return errors.New("somebody else answers: " + got)
	}
	return nil
}

func TestPodsReachServicesByName(t *testing.T) {
	w := newWorld(t)
	w.service()
	w.pod("server", nil)
	w.pod("client", apart)

	nodes := &corev1.NodeList{}
	if err := w.List(t.Context(), nodes); err != nil {
		t.Fatal(err)
	}
	if len(nodes.Items) > 1 && w.nodeOf("server") == w.nodeOf("client") {
		t.Error("Both Pods are on one node although there are others, so the way between nodes is not tested.")
	}
	w.eventually("the server answers another Pod", func() error { return w.answers("client") })
	w.eventually("the server answers itself through its Service", func() error { return w.answers("server") })
}

func TestNetworkPoliciesAreEnforced(t *testing.T) {
	w := newWorld(t)
	w.service()
	w.pod("server", nil)
	w.pod("friend", func(p *corev1.Pod) { p.Labels["friend"] = "yes"; apart(p) })
	w.pod("stranger", apart)
	w.eventually("without a policy everybody is answered", func() error { return w.answers("stranger") })

	w.create(&networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "friends"},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"name": "server"}},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"friend": "yes"}}}},
			}},
		},
	})
	w.eventually("a stranger is refused", func() error {
		if err := w.answers("stranger"); err == nil {
			return errors.New("it is answered")
		}
		return nil
	})
	if err := w.answers("friend"); err != nil {
		t.Errorf("A friend is refused: %v", err)
	}
	w.pod("latecomer", func(p *corev1.Pod) { p.Labels["friend"] = "yes" })
	w.eventually("a friend that came later is answered", func() error { return w.answers("latecomer") })
}

func (w world) nodeOf(pod string) string {
	w.t.Helper()
	p := &corev1.Pod{}
	if err := w.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: pod}, p); err != nil {
		w.t.Fatal(err)
	}
	return p.Spec.NodeName
}
