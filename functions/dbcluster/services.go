package dbcluster

import (
	"maps"

	"k8s.io/apimachinery/pkg/util/intstr"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/functions/patroni"
)

// readWriteService leads to the primary, wherever Patroni has it: it selects the label that the agents set.
func readWriteService(c cluster, p plan) *applycorev1.ServiceApplyConfiguration {
	return roleService(c, p, c.ReadWrite(), patroni.PrimaryLabel(c.Spec.PrimarySpec.Version))
}

// readOnlyService leads to the standbys. Without any it has no endpoints.
func readOnlyService(c cluster, p plan) *applycorev1.ServiceApplyConfiguration {
	return roleService(c, p, c.ReadOnly(), patroni.StandbyLabel(c.Spec.PrimarySpec.Version))
}

// podsService gives every instance a DNS name, also while it is not ready: instances find each other by it.
func podsService(c cluster) *applycorev1.ServiceApplyConfiguration {
	return applycorev1.Service(c.Pods(), c.Namespace).
		WithLabels(c.Labels()).
		WithSpec(applycorev1.ServiceSpec().
			WithClusterIP("None").
			WithPublishNotReadyAddresses(true).
			WithSelector(c.Selector()).
			WithPorts(
				servicePort("postgresql", instance.PortPostgreSQL),
				servicePort("patroni", instance.PortPatroni),
				servicePort("metrics", instance.PortMetrics),
			))
}

func roleService(c cluster, p plan, name, label string) *applycorev1.ServiceApplyConfiguration {
	selector := maps.Clone(c.Selector())
	selector[naming.LabelRole] = label
	if p.Incarnation != nil {
		selector[naming.LabelIncarnation] = p.Incarnation.ID
	}
	return applycorev1.Service(name, c.Namespace).
		WithLabels(c.Labels()).
		WithSpec(applycorev1.ServiceSpec().
			WithSelector(selector).
			WithPorts(servicePort("postgresql", instance.PortPostgreSQL)))
}

func servicePort(name string, port int32) *applycorev1.ServicePortApplyConfiguration {
	return applycorev1.ServicePort().WithName(name).WithProtocol("TCP").WithPort(port).WithTargetPort(intstr.FromString(name))
}
