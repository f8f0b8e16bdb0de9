package dbcluster

import (
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	applypolicyv1 "k8s.io/client-go/applyconfigurations/policy/v1"
)

// podDisruptionBudget lets one instance be evicted at a time. With a single instance that is a restart on another node,
// some seconds long; a budget of none would block every drain of its node for ever, and a platform team would delete the
// Pod by hand instead. An instance that does not serve anyway may always be evicted.
func podDisruptionBudget(c cluster) *applypolicyv1.PodDisruptionBudgetApplyConfiguration {
	return applypolicyv1.PodDisruptionBudget(c.PodDisruptionBudget(), c.Namespace).
		WithLabels(c.Labels()).
		WithSpec(applypolicyv1.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromInt32(1)).
			WithUnhealthyPodEvictionPolicy(policyv1.AlwaysAllow).
			WithSelector(selector(c)))
}
