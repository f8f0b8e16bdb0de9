package dbcluster

import (
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applyrbacv1 "k8s.io/client-go/applyconfigurations/rbac/v1"
)

// instances is how many Pods and volumes the Role names: as many as a cluster can have, so that it is the same while
// standbys come and go.
const instances = 1 + maximumStandbys

// serviceAccount is what the instances call themselves to the API server. Its token is mounted only where it is used.
func serviceAccount(c cluster) *applycorev1.ServiceAccountApplyConfiguration {
	return applycorev1.ServiceAccount(c.ServiceAccount(), c.Namespace).
		WithLabels(c.Labels()).
		WithAutomountServiceAccountToken(false)
}

// role is what the instances may do. Names can limit neither list, watch nor create: these are namespace-wide, for what
// Patroni keeps its state in and finds its members by. No instance can read a Secret or touch another cluster's objects.
func role(c cluster, p plan) *applyrbacv1.RoleApplyConfiguration {
	pods, volumes := make([]string, 0, instances), make([]string, 0, instances)
	for ordinal := range instances {
		pods, volumes = append(pods, c.Pod(ordinal)), append(volumes, c.DataVolume(ordinal))
	}
	state := make([]string, 0, 5)
	for _, scope := range scopes(c, p.Incarnation) {
		state = append(state, scope.PatroniConfigMaps()...)
	}
	return applyrbacv1.Role(c.ServiceAccount(), c.Namespace).WithLabels(c.Labels()).WithRules(
		// Patroni makes its ConfigMaps and watches them; the agent watches the cluster's configuration.
		rule([]string{"configmaps"}, []string{"list", "watch", "create"}),
		// Patroni's state, and the agent's report. Patroni deletes what it keeps when a cluster is removed from it.
		rule([]string{"configmaps"}, []string{"get", "update", "patch", "delete"}, append(state, c.Reports())...),
		rule([]string{"configmaps"}, []string{"get"}, c.Config()),
		// The record of operations outlives the cluster: no instance deletes it.
		rule([]string{"configmaps"}, []string{"get", "update"}, c.Ledger()),
		// Patroni finds its members by their Pods, and labels its own with the role that Services select. The primary's
		// agent takes that label from others, and deletes Pods of an older revision.
		rule([]string{"pods"}, []string{"list", "watch"}),
		rule([]string{"pods"}, []string{"get", "patch", "delete"}, pods...),
		// The agent grows its own volume: a StatefulSet cannot.
		rule([]string{"persistentvolumeclaims"}, []string{"get", "patch"}, volumes...),
	)
}

func roleBinding(c cluster) *applyrbacv1.RoleBindingApplyConfiguration {
	return applyrbacv1.RoleBinding(c.ServiceAccount(), c.Namespace).
		WithLabels(c.Labels()).
		WithRoleRef(applyrbacv1.RoleRef().WithAPIGroup("rbac.authorization.k8s.io").WithKind("Role").WithName(c.ServiceAccount())).
		WithSubjects(applyrbacv1.Subject().WithKind("ServiceAccount").WithName(c.ServiceAccount()).WithNamespace(c.Namespace))
}

func rule(resources, verbs []string, names ...string) *applyrbacv1.PolicyRuleApplyConfiguration {
	return applyrbacv1.PolicyRule().WithAPIGroups("").WithResources(resources...).WithVerbs(verbs...).WithResourceNames(names...)
}
