package dbcluster

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// A rollout is how far the spec has been carried out.
type rollout struct {
	State   v1alpha1.RolloutState
	Reason  string
	Message string

	// Serving says that clients can write, or that the cluster is stopped.
	Serving bool
}

// makeRollout judges how far the spec has been carried out: failed when a person has to do something, progressing while
// anything is waited for, complete otherwise. It believes only what is observed, and nothing of what this call changes.
func makeRollout(c cluster, seen facts, p plan, mark string) rollout {
	waits := waitsForStatefulSet(c, seen, p, mark)
	r := rollout{Serving: serving(c, seen, waits)}

	if reason, message := stalls(c, seen, p); message != "" {
		r.State, r.Reason, r.Message = v1alpha1.RolloutFailed, reason, message
		return r
	}
	waits = slices.Concat(waitsForMaterial(p), waits, waitsForInstances(c, seen, p), waitsForProtection(c, seen))
	if len(waits) > 0 {
		r.State, r.Reason, r.Message = v1alpha1.RolloutProgressing, v1alpha1.ReasonProgressing, waits[0]
		return r
	}
	r.State, r.Reason, r.Message = v1alpha1.RolloutComplete, v1alpha1.ReasonRolledOut, "The whole spec is in force."
	if c.Stopped {
		r.Message = "The cluster is stopped; the rest of the spec is in force when it starts."
	}
	return r
}

// serving says whether clients can write, whatever is left to be rolled out; of a stopped cluster whether it has stopped.
func serving(c cluster, seen facts, waits []string) bool {
	if c.Stopped {
		return len(waits) == 0
	}
	return seen.StatefulSet != nil && seen.StatefulSet.ReadyReplicas > 0 && adminIsSet(c, seen)
}

// stalls returns what a person has to do before the spec can be carried out, with the reason of the first such thing.
func stalls(c cluster, seen facts, p plan) (reason, message string) {
	var messages []string
	add := func(r, m string) {
		if reason == "" {
			reason = r
		}
		messages = append(messages, m)
	}
	for _, v := range p.Verdicts {
		if v.Stalls {
			add(v.Reason, v.Message)
		}
	}
	if isInvalid(seen, naming.ObjectStatefulSet) {
		add(v1alpha1.ReasonRefusedByKubernetes, fmt.Sprintf("Kubernetes refuses the StatefulSet %s. The events of the composite say why: kubectl describe %s %s. It is most likely schedulingConfig, or a policy of the platform.",
			c.StatefulSet(), strings.ToLower(c.Owner.Kind), c.Owner.Name))
	}
	for _, i := range current(c, seen) {
		for _, incident := range i.Incidents {
			if needsPerson(c, p, i.Report, incident.Code) {
				add(incident.Code, incident.Message)
			}
		}
	}
	return reason, strings.Join(messages, " ")
}

// isInvalid says whether the API server did not take a composed object as it is. Crossplane names it in the composite's condition Synced, and
// gives the reason in an event only (Reconcile in internal/controller/apiextensions/composite/reconciler.go).
func isInvalid(seen facts, object string) bool {
	synced := seen.Conditions["Synced"]
	names, ok := strings.CutPrefix(synced.Message, "Unsynced resources: ")
	separates := func(r rune) bool { return r == ',' || r == ' ' }
	return ok && synced.Status == string(compose.False) && slices.Contains(strings.FieldsFunc(names, separates), object)
}

// needsPerson says whether an incident is in the way of the spec until somebody does something about it. One of what the spec has
// left behind is not. Nor is missing equipment: until the agent of the next Pod runs, what is known is what the last one said of
// another image.
func needsPerson(c cluster, p plan, report instance.Report, code string) bool {
	switch code {
	case instance.IncidentDataVolumeRefused, instance.IncidentDataVolumeEmpty:
		return true
	case instance.IncidentDataDiskCannotGrow:
		return diskTooSmall(c, report)
	case instance.IncidentParametersFailed:
		return p.Config != nil && report.SettingsHash != p.Config.SettingsHash
	case instance.IncidentBackupsExist:
		return c.IfBackupsExist == v1alpha1.BackupsFail
	case instance.IncidentRestoreRefused:
		return c.Spec.Bootstrap != nil || c.IfBackupsExist == v1alpha1.BackupsRestored // A Restore puts itself back.
	}
	return false
}

// waitsForMaterial returns what is waited for before there can be instances.
func waitsForMaterial(p plan) []string {
	var waits []string
	for _, v := range p.Verdicts {
		if v.Status == compose.Unknown {
			waits = append(waits, v.Message)
		}
	}
	return waits
}

// waitsForStatefulSet returns what is waited for until Kubernetes runs the Pods that it should.
func waitsForStatefulSet(c cluster, seen facts, p plan, mark string) []string {
	set, name := seen.StatefulSet, c.StatefulSet()
	switch {
	case set == nil:
		return []string{fmt.Sprintf("Waiting for the StatefulSet %s to be created.", name)}
	case p.Leaving:
		return []string{fmt.Sprintf("Waiting for %d instances to stop, for a Restore.", set.Replicas)}
	case !c.Stopped && int(p.Replicas) > c.Instances:
		return []string{fmt.Sprintf("Waiting for the primary to be one of the %d instances that stay.", c.Instances)}
	case set.Template != mark, set.SpecReplicas != int64(p.Replicas), set.ObservedGeneration < set.Generation:
		return []string{fmt.Sprintf("Waiting for the StatefulSet %s to take the change over.", name)}
	case c.Stopped && set.Replicas > 0:
		return []string{fmt.Sprintf("Waiting for %d instances to stop.", set.Replicas)}
	case c.Stopped:
		return nil
	case set.Replicas > int64(p.Replicas):
		return []string{fmt.Sprintf("Waiting for %d standbys to stop.", set.Replicas-int64(p.Replicas))}
	case set.UpdatedReplicas < int64(p.Replicas):
		return []string{fmt.Sprintf("Waiting for the Pods to be replaced: %d of %d have the new template.", set.UpdatedReplicas, p.Replicas)}
	case set.ReadyReplicas < int64(p.Replicas):
		return []string{fmt.Sprintf("Waiting for the instances to serve: %d of %d are ready.", set.ReadyReplicas, p.Replicas)}
	}
	return nil
}

// waitsForInstances returns what is waited for until the instances say that they are what they should be.
func waitsForInstances(c cluster, seen facts, p plan) []string {
	if c.Stopped || p.Config == nil {
		return nil
	}
	var waits []string
	reports := current(c, seen)
	for ordinal := range c.Instances {
		i := slices.IndexFunc(reports, func(r reported) bool { return r.Name == c.Pod(ordinal) })
		if i < 0 {
			waits = append(waits, fmt.Sprintf("Waiting for the first report of the instance %s.", c.Pod(ordinal)))
			continue
		}
		waits = append(waits, waitsForInstance(c, *p.Config, ordinal, reports[i].Report)...)
	}
	leader := primary(c, seen)
	if leader == nil {
		return append(waits, "Waiting for an instance to become the primary.")
	}
	waits = append(waits, waitsForFollowers(c, reports, *leader)...)
	needed, confirming := synchrony(leader.Report)
	if c.Instances > 1 && c.Synchronous != v1alpha1.SynchronyOff && (needed == 0 || confirming < needed) {
		waits = append(waits, "Waiting for commits to wait for a standby.")
	}
	return waits
}

// waitsForFollowers returns what is waited for until every other instance follows the primary, and says so.
func waitsForFollowers(c cluster, reports []reported, leader reported) []string {
	var waits []string
	for ordinal := range c.Instances {
		if name := c.Pod(ordinal); name != leader.Name && !follows(leader.Report, name) {
			waits = append(waits, fmt.Sprintf("Waiting for the standby %s to follow the primary.", name))
		}
	}
	for _, r := range reports {
		if r.Role == instance.RolePrimary && r.Name != leader.Name {
			waits = append(waits, fmt.Sprintf("Waiting for the instance %s, which was the primary, to report what it is now.", r.Name))
		}
	}
	return waits
}

// follows says whether the primary sees a standby stream.
func follows(primary instance.Report, standby string) bool {
	return slices.ContainsFunc(standbys(primary), func(s instance.Standby) bool { return s.Name == standby && s.Streaming })
}

// standbys returns what the primary sees of its standbys.
func standbys(primary instance.Report) []instance.Standby {
	if primary.Replication == nil {
		return nil
	}
	return primary.Replication.Standbys
}

func waitsForInstance(c cluster, want instance.Config, ordinal int, r instance.Report) []string {
	pod := c.Pod(ordinal)
	var waits []string
	add := func(format string, args ...any) { waits = append(waits, fmt.Sprintf(format, args...)) }

	if !r.Serves() {
		add("Waiting for PostgreSQL on the instance %s, which is %s.", pod, r.State)
	}
	if len(r.PendingRestart) > 0 {
		add("Waiting for the instance %s to restart, for %s.", pod, strings.Join(r.PendingRestart, ", "))
	}
	if r.SettingsHash != want.SettingsHash {
		add("Waiting for the instance %s to put the settings in force.", pod)
	}
	if r.Role == instance.RolePrimary && r.AdminRevision != want.AdminRevision {
		add("Waiting for the instance %s to set the administrator's password.", pod)
	}
	if r.CertificateRevision != want.CertificateRevision {
		add("Waiting for the instance %s to serve the certificate.", pod)
	}
	if diskTooSmall(c, r) {
		add("Waiting for the volume %s to grow from %s to %s.", c.DataVolume(ordinal), orUnknown(r.DataDiskSize), c.Disk.Size.String())
	}
	return waits
}

// waitsForProtection returns what is waited for until deletion is refused, or allowed, as the claim wants it.
func waitsForProtection(c cluster, seen facts) []string {
	if !c.Protected && len(seen.Usages) > 0 {
		return []string{"Waiting for the protection from deletion to be lifted."}
	}
	if !c.Protected {
		return nil
	}
	for _, name := range usages(!seen.DefinitionsProtected) {
		if !seen.Usages[name] {
			return []string{"Waiting for the protection from deletion to be in force."}
		}
	}
	return nil
}

// A reported instance is one of those that are to be, with its newest report.
type reported struct {
	Name string
	instance.Report
}

// current returns the reports of the instances that run, by ordinal. What one that is gone said last is left out, and what was
// said of another incarnation.
func current(c cluster, seen facts) []reported {
	if c.Stopped || seen.StatefulSet == nil {
		return nil
	}
	var list []reported
	for ordinal := range min(seen.StatefulSet.SpecReplicas, 1+maximumStandbys) {
		name := c.Pod(int(ordinal))
		if report, ok := seen.Reports[name]; ok && report.Incarnation == seen.StatefulSet.Incarnation.At() {
			list = append(list, reported{Name: name, Report: report})
		}
	}
	return list
}

// primary returns the primary's report, if an instance says that it is the primary and runs. One that was lost could not
// say that it is not the primary any more: the newest timeline tells.
func primary(c cluster, seen facts) *reported {
	var found *reported
	for _, r := range current(c, seen) {
		isPrimary := r.Role == instance.RolePrimary && r.State == instance.StateRunning
		if isPrimary && (found == nil || r.Timeline > found.Timeline) {
			found = &r
		}
	}
	return found
}

// adminIsSet says whether somebody can log in: the readiness of a Pod does not know.
func adminIsSet(c cluster, seen facts) bool {
	p := primary(c, seen)
	return p != nil && p.AdminRevision != ""
}

func diskTooSmall(c cluster, r instance.Report) bool {
	size, err := resource.ParseQuantity(r.DataDiskSize)
	return err != nil || size.Cmp(c.Disk.Size) < 0
}

func orUnknown(s string) string {
	if s == "" {
		return "an unknown size"
	}
	return s
}

// ready returns the objects with whether each is seen to be what it should be. One that has nothing to become is so once it is applied;
// Crossplane says in the condition Synced when it could not be, and writes an event for every object that is not ready yet.
func ready(contents map[string]any, seen facts, r rollout) map[string]compose.Object {
	objects := make(map[string]compose.Object, len(contents))
	for name, content := range contents {
		isReady := true
		switch {
		case name == naming.ObjectStatefulSet:
			isReady = r.Serving
		case strings.HasPrefix(name, naming.PrefixUsage):
			isReady = seen.Usages[name]
		}
		objects[name] = compose.Object{Content: content, Ready: isReady}
	}
	return objects
}
