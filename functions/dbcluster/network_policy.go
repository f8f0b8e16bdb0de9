package dbcluster

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	applynetworkingv1 "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// networkPolicy says who may talk to the instances and whom they may talk to. Probes come from the node, which policies do
// not concern.
func networkPolicy(c cluster, p plan) *applynetworkingv1.NetworkPolicyApplyConfiguration {
	return applynetworkingv1.NetworkPolicy(c.NetworkPolicy(), c.Namespace).
		WithLabels(c.Labels()).
		WithSpec(applynetworkingv1.NetworkPolicySpec().
			WithPodSelector(selector(c)).
			WithPolicyTypes(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress).
			WithIngress(ingress(c)...).
			WithEgress(egress(c, p)...))
}

func ingress(c cluster) []*applynetworkingv1.NetworkPolicyIngressRuleApplyConfiguration {
	clients := applynetworkingv1.NetworkPolicyIngressRule().WithPorts(tcp(instance.PortPostgreSQL))
	if !c.Spec.AllowExternalIncomingTraffic {
		clients.WithFrom(applynetworkingv1.NetworkPolicyPeer().WithPodSelector(metav1.LabelSelector()))
	}
	return []*applynetworkingv1.NetworkPolicyIngressRuleApplyConfiguration{
		// Clients: the Pods of the claim's namespace, or everybody.
		clients,
		// The instances among themselves.
		applynetworkingv1.NetworkPolicyIngressRule().
			WithPorts(tcp(instance.PortPostgreSQL), tcp(instance.PortPatroni)).
			WithFrom(applynetworkingv1.NetworkPolicyPeer().WithPodSelector(selector(c))),
		// Jobs that carry out operations and backups.
		applynetworkingv1.NetworkPolicyIngressRule().
			WithPorts(tcp(instance.PortPostgreSQL), tcp(instance.PortPatroni), tcp(instance.PortBackup)).
			WithFrom(applynetworkingv1.NetworkPolicyPeer().WithPodSelector(
				metav1.LabelSelector().WithMatchLabels(map[string]string{naming.LabelOperation: c.Name}))),
		// Prometheus, in whichever namespace it is. Metrics hold no data and no secret.
		applynetworkingv1.NetworkPolicyIngressRule().
			WithPorts(tcp(instance.PortMetrics), tcp(instance.PortAgent)).
			WithFrom(applynetworkingv1.NetworkPolicyPeer().WithNamespaceSelector(metav1.LabelSelector())),
	}
}

func egress(c cluster, p plan) []*applynetworkingv1.NetworkPolicyEgressRuleApplyConfiguration {
	rules := []*applynetworkingv1.NetworkPolicyEgressRuleApplyConfiguration{
		// DNS. Policies see the port of the Pod, not of the Service, and DNS servers that are not root cannot have 53: it is
		// 5353 on OpenShift, and whatever it likes behind Kubernetes' own label. A cache on the node has no Pod to select.
		applynetworkingv1.NetworkPolicyEgressRule().WithPorts(
			port(corev1.ProtocolUDP, 53), port(corev1.ProtocolTCP, 53), port(corev1.ProtocolUDP, 5353), port(corev1.ProtocolTCP, 5353)),
		applynetworkingv1.NetworkPolicyEgressRule().WithTo(applynetworkingv1.NetworkPolicyPeer().
			WithNamespaceSelector(metav1.LabelSelector()).
			WithPodSelector(metav1.LabelSelector().WithMatchLabels(map[string]string{"k8s-app": "kube-dns"}))),
		// The API server. Its address cannot be known here, and is behind a Service's.
		applynetworkingv1.NetworkPolicyEgressRule().WithPorts(tcp(443), tcp(6443)),
		// The instances among themselves.
		applynetworkingv1.NetworkPolicyEgressRule().
			WithPorts(tcp(instance.PortPostgreSQL), tcp(instance.PortPatroni)).
			WithTo(applynetworkingv1.NetworkPolicyPeer().WithPodSelector(selector(c))),
	}
	for _, number := range p.Backup.Ports {
		// A BackupPlan's store, wherever it is. The port behind a Service of it may be another one.
		rules = append(rules, applynetworkingv1.NetworkPolicyEgressRule().WithPorts(tcp(number)))
	}
	return rules
}

func tcp(number int32) *applynetworkingv1.NetworkPolicyPortApplyConfiguration {
	return port(corev1.ProtocolTCP, number)
}

func port(protocol corev1.Protocol, number int32) *applynetworkingv1.NetworkPolicyPortApplyConfiguration {
	return applynetworkingv1.NetworkPolicyPort().WithProtocol(protocol).WithPort(intstr.FromInt32(number))
}
