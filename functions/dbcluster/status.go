package dbcluster

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
)

const (
	// callAgain is the longest that a cluster goes unlooked at. Crossplane calls the function on every change; this is for
	// certificates, and in case a change was missed.
	callAgain = 24 * time.Hour

	// callAgainUnsettled is the longest that one goes unlooked at that is not as it should be.
	callAgainUnsettled = 30 * time.Second

	// expiryWarning is how long before its end a certificate that the user renews becomes an incident.
	expiryWarning = 14 * 24 * time.Hour
)

// A shownStatus shows the spec as it was given, without encoding it again.
type shownStatus struct {
	*v1alpha1.DBClusterStatus `json:",inline"`

	Rollout shownRollout `json:"rollout"`
}

type shownRollout struct {
	*v1alpha1.RolloutStatus `json:",inline"`

	ObservedSpec *compose.Resource `json:"observedSpec"`
}

// status explains the cluster to people. It decides nothing.
func status(c cluster, seen facts, p plan, r rollout, primaries succession, now time.Time) *shownStatus {
	s := &v1alpha1.DBClusterStatus{
		Phase:             phase(c, seen, p, r),
		Endpoints:         endpoints(c),
		Instances:         instanceStatuses(c, seen),
		LastKnownPrimary:  primaries.Known,
		LastFailover:      primaries.Last,
		CertificateExpiry: certificateExpiry(c, seen, p),
		CriticalIncidents: incidents(c, seen, p, now),
	}
	if i := p.Incarnation; i != nil {
		s.Incarnation = i.ID
		for _, k := range i.Kept {
			s.KeptIncarnations = append(s.KeptIncarnations, v1alpha1.KeptIncarnation{Incarnation: k.ID, Until: metav1.Time{Time: k.Until.UTC()}})
		}
	}
	if p.Connection != nil {
		s.Binding = &v1alpha1.SecretReference{Name: c.Connection()}
	}
	if leader := primary(c, seen); leader != nil && r.Serving {
		s.Primary = leader.Name
		s.CurrentVersion = leader.ServerVersion
		s.DataDiskSize = leader.DataDiskSize
		s.Parameters = &v1alpha1.ParametersStatus{InForce: leader.Parameters, LastChange: string(leader.AppliedBy)}
		s.Durability = durability(c, leader.Report)
	}
	return &shownStatus{s, shownRollout{&v1alpha1.RolloutStatus{State: r.State, Message: r.Message}, c.Given}}
}

func endpoints(c cluster) *v1alpha1.EndpointsStatus {
	e := &v1alpha1.EndpointsStatus{RW: fmt.Sprintf("%s:%d", c.Host(), instance.PortPostgreSQL)}
	if c.Instances > 1 && c.ReadReplicas {
		e.RO = fmt.Sprintf("%s:%d", c.ReadOnlyHost(), instance.PortPostgreSQL)
	}
	return e
}

// phase says in one word what the instances are doing. What became of the newest change is in the rollout.
func phase(c cluster, seen facts, p plan, r rollout) v1alpha1.Phase {
	stopped := seen.StatefulSet != nil && seen.StatefulSet.Replicas == 0
	switch {
	case !p.Instances && r.State == v1alpha1.RolloutFailed:
		return v1alpha1.PhaseFailed
	case !p.Instances:
		return v1alpha1.PhasePending
	case c.Stopped && stopped && r.Serving:
		return v1alpha1.PhaseStopped
	case c.Stopped && seen.StatefulSet != nil && seen.StatefulSet.Replicas > 0:
		return v1alpha1.PhaseStopping
	case r.Serving && r.State != v1alpha1.RolloutProgressing:
		return v1alpha1.PhaseRunning
	case r.State == v1alpha1.RolloutFailed:
		return v1alpha1.PhaseFailed
	case !born(seen):
		return v1alpha1.PhaseCreating
	}
	return v1alpha1.PhaseUpdating
}

// born says whether any instance ever had a database.
func born(seen facts) bool {
	for _, report := range seen.Reports {
		if report.SystemIdentifier != "" {
			return true
		}
	}
	return false
}

// durability says what an acknowledged transaction survives.
func durability(c cluster, primary instance.Report) string {
	switch commit := primary.Parameters["synchronous_commit"]; {
	case commit == "off":
		return "asynchronous: synchronous_commit is off, so the newest transactions are lost when the primary crashes."
	case commit == "local" && c.Instances > 1:
		return "asynchronous: synchronous_commit is local, so a failover can lose the newest transactions."
	}
	if c.Instances == 1 {
		return "An acknowledged transaction is on the volume of the only instance: it survives a crash of the instance and the loss of its node, not the loss of the volume."
	}
	needed, confirming := synchrony(primary)
	switch {
	case needed > confirming:
		return fmt.Sprintf("writes wait: %d standbys must confirm them, and %d can.", needed, confirming)
	case needed > 0:
		return fmt.Sprintf("synchronous (any %d of %d): an acknowledged transaction survives the loss of the primary.", needed, confirming)
	case c.Synchronous == v1alpha1.SynchronyOff:
		return "asynchronous: availability.synchronous is Off, so a failover can lose the newest transactions."
	}
	return "asynchronous: no healthy standby. An acknowledged transaction is on the volume of the primary."
}

// synchrony returns how many standbys must confirm a commit, and how many can.
func synchrony(primary instance.Report) (needed, confirming int) {
	if primary.Replication == nil {
		return 0, 0
	}
	for _, s := range primary.Replication.Standbys {
		if s.Synchronous && s.Streaming {
			confirming++
		}
	}
	return primary.Replication.Needed, confirming
}

func instanceStatuses(c cluster, seen facts) []v1alpha1.InstanceStatus {
	var list []v1alpha1.InstanceStatus
	leader := primary(c, seen)
	for _, r := range current(c, seen) {
		s := v1alpha1.InstanceStatus{
			Name: r.Name, Role: string(r.Role), State: string(r.State), Node: r.Node,
			Timeline: r.Timeline, Version: r.ServerVersion, PendingRestart: r.PendingRestart,
		}
		switch {
		case seen.StatefulSet.ReadyReplicas == 0, leader != nil && r.Role == instance.RolePrimary && r.Name != leader.Name:
			// An instance that was lost with its node could not say so: its last report stands until another one is written.
			s.Role, s.State = string(instance.RoleUnknown), string(instance.StateUnknown)
		case leader != nil && r.Role == instance.RoleStandby && r.State == instance.StateRunning:
			addReplication(&s, leader.Report)
		}
		list = append(list, s)
	}
	return list
}

// addReplication adds what the primary sees of a standby that runs.
func addReplication(s *v1alpha1.InstanceStatus, primary instance.Report) {
	s.State = string(instance.StateDisconnected)
	for _, standby := range standbys(primary) {
		if standby.Name != s.Name {
			continue
		}
		s.Synchronous = standby.Synchronous
		if standby.Streaming {
			s.State = string(instance.StateStreaming)
		}
		if standby.LagBytes > 0 {
			s.Lag = resource.NewQuantity(standby.LagBytes, resource.BinarySI).String()
		}
	}
}

// certificateExpiry returns the end of the certificate that clients see.
func certificateExpiry(c cluster, seen facts, p plan) *metav1.Time {
	if leader := primary(c, seen); leader != nil {
		if end, err := time.Parse(time.RFC3339, leader.CertificateExpiry); err == nil {
			return &metav1.Time{Time: end.UTC()}
		}
	}
	if p.Lifetime.End.IsZero() {
		return nil
	}
	return &metav1.Time{Time: p.Lifetime.End.UTC()}
}

// incidents returns what is wrong: what stalls the cluster, what its instances say, and what will be wrong soon.
func incidents(c cluster, seen facts, p plan, now time.Time) []v1alpha1.CriticalIncident {
	var list []v1alpha1.CriticalIncident
	claim := "DBCluster/" + c.Name
	for _, v := range p.Verdicts {
		if v.Stalls {
			list = append(list, v1alpha1.CriticalIncident{
				Code: v.Reason, Message: v.Message, Resource: claim, Time: since(seen.Conditions[v.Type], v.Reason, now),
			})
		}
	}
	for _, r := range current(c, seen) {
		for _, i := range r.Incidents {
			seenAt, err := time.Parse(time.RFC3339, i.Since)
			if err != nil {
				seenAt = now
			}
			list = append(list, v1alpha1.CriticalIncident{
				Code: i.Code, Message: i.Message, Resource: "Pod/" + r.Name, Time: metav1.Time{Time: seenAt.UTC().Truncate(time.Second)},
			})
		}
	}
	list = append(list, replicationIncidents(c, seen, now)...)
	if end := p.Lifetime.End; c.Spec.TLS != nil && !end.IsZero() && end.Sub(now) < expiryWarning {
		list = append(list, v1alpha1.CriticalIncident{
			Code: "CertificateExpires", Resource: "Secret/" + c.Spec.TLS.CertSecret.Name,
			Message: fmt.Sprintf("The certificate that clients see ends at %s: renew the one in the Secret %s.", end.UTC().Format(time.RFC3339), c.Spec.TLS.CertSecret.Name),
			Time:    metav1.Time{Time: end.Add(-expiryWarning).UTC()},
		})
	}
	slices.SortStableFunc(list, func(a, b v1alpha1.CriticalIncident) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Code, b.Code))
	})
	return list
}

// replicationIncidents returns what the lack of standbys takes from a cluster that is to have some.
func replicationIncidents(c cluster, seen facts, now time.Time) []v1alpha1.CriticalIncident {
	leader := primary(c, seen)
	if c.Instances == 1 || leader == nil {
		return nil
	}
	at := since(seen.Conditions[v1alpha1.ConditionInstancesReady], v1alpha1.ReasonNotServing, now)
	var list []v1alpha1.CriticalIncident
	needed, confirming := synchrony(leader.Report)
	if c.Synchronous != v1alpha1.SynchronyOff && (needed == 0 || confirming < needed) {
		list = append(list, v1alpha1.CriticalIncident{
			Code: "NoSynchronousStandby", Resource: "Pod/" + leader.Name, Time: at,
			Message: "No standby confirms commits: " + durability(c, leader.Report) + " See status.instances for what the standbys do.",
		})
	}
	if c.ReadReplicas && !slices.ContainsFunc(standbys(leader.Report), func(s instance.Standby) bool { return s.Streaming }) {
		list = append(list, v1alpha1.CriticalIncident{
			Code: "NoReadReplica", Resource: "Service/" + c.ReadOnly(), Time: at,
			Message: "No standby follows the primary: connections to " + c.ReadOnly() + " are refused or read what is old. See status.instances for what the standbys do.",
		})
	}
	return list
}

// since returns since when a condition has a reason.
func since(c compose.ObservedCondition, reason string, now time.Time) metav1.Time {
	if changed, err := time.Parse(time.RFC3339, c.Changed); err == nil && c.Reason == reason {
		return metav1.Time{Time: changed.UTC()}
	}
	return metav1.Time{Time: now.UTC().Truncate(time.Second)}
}

// conditions returns every condition of the cluster, also those that say that all is well: one that is left out would keep
// what it said before.
func conditions(c cluster, seen facts, p plan, r rollout) []compose.Condition {
	reconciling := compose.Condition{
		Type: v1alpha1.ConditionReconciling, Status: compose.False, Reason: r.Reason, Message: r.Message,
	}
	stalled := compose.Condition{
		Type: v1alpha1.ConditionStalled, Status: compose.False, Reason: v1alpha1.ReasonNotStalled, Message: "Nothing needs a person.",
	}
	switch r.State {
	case v1alpha1.RolloutProgressing:
		reconciling.Status = compose.True
	case v1alpha1.RolloutFailed:
		stalled.Status, stalled.Reason, stalled.Message = compose.True, r.Reason, r.Message
	case v1alpha1.RolloutComplete:
	}
	list := []compose.Condition{reconciling, stalled}
	for _, v := range p.Verdicts {
		list = append(list, v.Condition)
	}
	return append(list, instancesReady(c, seen, p, r), deletionProtected(c, seen))
}

func instancesReady(c cluster, seen facts, p plan, r rollout) compose.Condition {
	condition := compose.Condition{Type: v1alpha1.ConditionInstancesReady}
	switch serve := servingInstances(c, seen); {
	case !p.Instances:
		condition.Status, condition.Reason, condition.Message = compose.False, v1alpha1.ReasonNotCreated, "No instance was started yet."
	case r.Serving && c.Stopped:
		condition.Status, condition.Reason, condition.Message = compose.True, v1alpha1.ReasonStopped, "The cluster is stopped. Its data is kept."
	case c.Stopped:
		condition.Status, condition.Reason = compose.False, v1alpha1.ReasonStopping
		condition.Message = "The cluster is being stopped."
	case r.Serving && serve >= c.Instances:
		condition.Status, condition.Reason, condition.Message = compose.True, v1alpha1.ReasonServing, "Every instance serves."
	default:
		condition.Status, condition.Reason = compose.False, v1alpha1.ReasonNotServing
		condition.Message = fmt.Sprintf("%d of %d instances serve.", serve, c.Instances)
	}
	return condition
}

// servingInstances returns how many instances are ready and do what they are for: the primary, and the standbys that it
// sees follow.
func servingInstances(c cluster, seen facts) int {
	leader := primary(c, seen)
	if seen.StatefulSet == nil || leader == nil {
		return 0
	}
	count := 1
	for ordinal := range c.Instances {
		if follows(leader.Report, c.Pod(ordinal)) {
			count++
		}
	}
	return min(count, int(seen.StatefulSet.ReadyReplicas))
}

func deletionProtected(c cluster, seen facts) compose.Condition {
	condition := compose.Condition{Type: v1alpha1.ConditionDeletionProtected, Status: compose.False}
	pending := len(waitsForProtection(c, seen)) > 0
	switch {
	case c.Protected && pending:
		condition.Reason, condition.Message = v1alpha1.ReasonProtecting, "The protection from deletion is on its way."
	case c.Protected:
		condition.Status, condition.Reason = compose.True, v1alpha1.ReasonProtected
		condition.Message = "The deletion of the claim, its composite, its namespace and its definitions is refused."
	case pending:
		condition.Status, condition.Reason = compose.True, v1alpha1.ReasonUnprotecting
		condition.Message = "The protection from deletion is being lifted: wait before deleting."
	default:
		condition.Reason, condition.Message = v1alpha1.ReasonUnprotected, "The cluster can be deleted."
	}
	return condition
}

// events tells what changed since the composite's conditions were written.
func events(seen facts, told []compose.Condition) []compose.Event {
	var list []compose.Event
	for _, c := range told {
		before := seen.Conditions[c.Type]
		if !before.Differs(c) {
			continue
		}
		if severity, worth := worthAnEvent(c, before); worth {
			list = append(list, compose.Event{Severity: severity, Reason: c.Reason, Message: c.Message})
		}
	}
	return list
}

// worthAnEvent says whether a person would want to be told of a condition's change at the time, and how loudly.
func worthAnEvent(c compose.Condition, before compose.ObservedCondition) (compose.Severity, bool) {
	switch {
	case c.Type == v1alpha1.ConditionStalled:
		return compose.Warning, c.Status == compose.True
	case c.Type == v1alpha1.ConditionReconciling:
		return compose.Normal, c.Reason == v1alpha1.ReasonRolledOut
	case c.Type == v1alpha1.ConditionCredentialsReady:
		return compose.Normal, c.Reason == v1alpha1.ReasonNewlineTrimmed
	case c.Type == v1alpha1.ConditionInstancesReady && c.Status == compose.True:
		return compose.Normal, true
	case c.Type == v1alpha1.ConditionInstancesReady:
		return compose.Warning, c.Reason == v1alpha1.ReasonNotServing && before.Status == string(compose.True)
	}
	return "", false
}

// ttl returns when the function is to be called again though nothing changed. A cluster that is not as it should be is looked at
// often: Crossplane closes its eyes to composed objects that change too often, and would not see the last change of many.
func ttl(p plan, r rollout, now time.Time) time.Duration {
	if r.State != v1alpha1.RolloutComplete {
		return callAgainUnsettled
	}
	wait := callAgain
	for _, event := range []time.Time{p.Lifetime.RenewAt, p.Lifetime.End} {
		if !event.IsZero() {
			wait = min(wait, event.Sub(now))
		}
	}
	return max(wait, time.Minute)
}
