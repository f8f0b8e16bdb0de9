//go:build e2e

package databases

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/functions/patroni"
	"github.com/xdbcluster/xdbcluster/test/cluster/network"
)

// clusterSpec is that of a database with standbys.
func clusterSpec(version string, standbys int32) v1alpha1.DBClusterSpec {
	spec := smallSpec(version)
	spec.Availability = &v1alpha1.AvailabilitySpec{NumberOfStandbys: standbys}
	return spec
}

// TestFailover takes the primary away in every way that one instance can be lost, with an application that writes all the
// time, and counts what was acknowledged.
func TestFailover(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"17", "15"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			d := newScene(t).create("available", clusterSpec(version, 2))
			d.checkWhole(3)
			w := d.write()
			for _, fault := range []struct {
				name string
				do   func(primary string)
				over bool
			}{
				{"the postmaster is killed", func(p string) { d.mustInInstance(p, killPostmaster) }, true},
				{"Patroni is killed", func(p string) { d.mustInInstance(p, killPatroni) }, false},
				{"the Pod is deleted", func(p string) { d.deleteInstance(p, nil) }, true},
				{"the Pod is deleted without grace", func(p string) { d.deleteInstance(p, client.GracePeriodSeconds(0)) }, true},
				{"Patroni is stalled", func(p string) { d.mustInInstance(p, stallPatroni) }, true},
			} {
				before := d.waitPrimary("")
				since := time.Now()
				fault.do(before)
				if fault.over {
					d.waitPrimary(before)
				}
				w.waitWriting()
				t.Logf("%s: no row was acknowledged for %s", fault.name, w.gap(since))
				d.waitRollout(v1alpha1.RolloutComplete)
				d.checkWhole(3)
			}
			d.checkReloadOnly(w)
			w.check()
		})
	}
}

// settling is longer than an agent waits before it restarts an instance for settings that need it.
const settling = 8 * time.Second

// checkReloadOnly changes a setting that needs no restart on a primary that was promoted: it stays the primary. Patroni then takes
// out of its configuration what it had as a standby, which PostgreSQL takes for settings that wait for a restart.
func (d *database) checkReloadOnly(w *writer) {
	d.Helper()
	before, since := d.waitPrimary(""), time.Now()
	d.roll(func(spec *v1alpha1.DBClusterSpec) {
		spec.PrimarySpec.Parameters = map[string]string{"work_mem": "5MB"}
	})
	time.Sleep(settling)
	w.checkUndisturbed(before, since)
	d.checkEverywhere("show work_mem", "5MB")
}

// TestNodeCutOff takes the primary's node off the network, where the old primary lives on, and shows that another instance
// takes over, that nobody is sent to the old one, that nothing is lost, and that the node's instance comes back as a standby.
// It disturbs every other test, so it runs alone.
func TestNodeCutOff(t *testing.T) {
	d := newScene(t).create("apart", clusterSpec("17", 2))
	w := d.write()
	primary, since := d.primaryAwayFromFirstNode(), time.Now()
	node := d.cutOff(primary)
	d.waitLabelled(primary)
	w.waitWriting()
	t.Logf("the primary's node is cut off: no row was acknowledged for %s", w.gap(since))

	d.checkConnects(time.Minute - time.Since(since))

	if err := network.Restore(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	d.waitRollout(v1alpha1.RolloutComplete)
	d.checkWhole(3)
	w.check()
}

// node returns the name of the node that an instance runs on.
func (d *database) node(name string) string {
	d.Helper()
	pod := &corev1.Pod{}
	d.get(pod, name)
	return pod.Spec.NodeName
}

// checkConnects makes new connections for a while, one after the other, none of which may fail.
func (d *database) checkConnects(duration time.Duration) {
	d.Helper()
	script := connectScript(d.connection()) + fmt.Sprintf(`count=0
end=$(($(date +%%s) + %d))
while [ "$(date +%%s)" -lt "$end" ]; do
  count=$((count + 1))
  said=$(psql -XqAt "$DSN" -c 'select 1' 2>&1) || echo "$(date -u +%%T): $said"
done
echo "$count connections"
`, int(duration.Seconds()))
	out, err := d.exec(d.Context(), clientPod, "psql", script, "sh", "-es")
	if err != nil || strings.Count(out, "\n") > 1 {
		d.Errorf("not every new connection succeeds: %s %v\nlabelled as the primary: %v", out, err, d.labelled())
		return
	}
	d.Logf("%s, none of them failed, in %s", strings.TrimSpace(out), duration.Round(time.Second))
}

// TestRollingUpdate changes what needs a restart of every instance, and what needs other Pods, and shows that the primary is
// the last, that clients can write all the time but for a moment, and that nothing is lost.
func TestRollingUpdate(t *testing.T) {
	t.Parallel()
	d := newScene(t).create("rolling", clusterSpec("17", 2))
	w := d.write()

	t.Log("A setting that is raised")
	since := time.Now()
	d.roll(func(spec *v1alpha1.DBClusterSpec) {
		spec.PrimarySpec.Parameters = map[string]string{"max_connections": "80"}
	})
	d.checkWhole(3)
	d.checkEverywhere("show max_connections", "80")
	t.Logf("no row was acknowledged for %s", w.gap(since))

	t.Log("The same, lowered")
	since = time.Now()
	d.roll(func(spec *v1alpha1.DBClusterSpec) {
		spec.PrimarySpec.Parameters = map[string]string{"max_connections": "40"}
	})
	d.checkWhole(3)
	d.checkEverywhere("show max_connections", "40")
	t.Logf("no row was acknowledged for %s", w.gap(since))

	t.Log("Another Pod")
	since = time.Now()
	before := d.uids()
	d.roll(func(spec *v1alpha1.DBClusterSpec) { spec.PrimarySpec.Resources.CPU = resource.MustParse("110m") })
	d.checkWhole(3)
	for pod, uid := range d.uids() {
		if before[pod] == uid {
			t.Errorf("Pod %s was not replaced", pod)
		}
	}
	t.Logf("no row was acknowledged for %s", w.gap(since))
	w.check()
}

// TestScale adds standbys to a database that serves, and takes them away, the primary's among them.
func TestScale(t *testing.T) {
	t.Parallel()
	d := newScene(t).create("scaled", smallSpec("17"))
	w := d.write()

	t.Log("One instance gets two standbys")
	d.roll(func(spec *v1alpha1.DBClusterSpec) {
		spec.Availability = &v1alpha1.AvailabilitySpec{NumberOfStandbys: 2}
	})
	d.checkWhole(3)

	t.Log("The primary moves to the instance that goes first")
	last := d.cluster().Pod(2)
	for d.waitPrimary("") != last {
		before := d.waitPrimary("")
		d.deleteInstance(before, nil)
		d.waitPrimary(before)
		d.waitRollout(v1alpha1.RolloutComplete)
	}

	t.Log("The standbys go")
	d.roll(func(spec *v1alpha1.DBClusterSpec) { spec.Availability = nil })
	if primary := d.waitPrimary(""); primary != d.cluster().Pod(0) {
		t.Errorf("the primary is %s; want %s, the only one that stays", primary, d.cluster().Pod(0))
	}

	t.Log("They come back, on volumes that are behind")
	d.roll(func(spec *v1alpha1.DBClusterSpec) {
		spec.Availability = &v1alpha1.AvailabilitySpec{NumberOfStandbys: 2}
	})
	d.checkWhole(3)
	w.check()
}

// TestRecreateCluster shows that a claim that is created again finds the data of all instances, and that the one with every
// commit becomes the primary, whichever volume it is on.
func TestRecreateCluster(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	spec := clusterSpec("17", 1)
	spec.DeletionProtection = new(bool)
	d := s.create("kept", spec)
	first := d.waitPrimary("")
	d.deleteInstance(first, nil)
	d.waitPrimary(first)
	d.waitRollout(v1alpha1.RolloutComplete)
	d.sql("create table kept as select generate_series(1, 1000) as id")
	d.delete()

	d = s.create("kept", spec)
	d.checkWhole(2)
	if got := d.sql("select count(*) from kept"); got != "1000" {
		t.Errorf("%s of 1000 rows are there", got)
	}

	t.Log("A standby whose volume is lost is copied anew")
	standby := d.cluster().Pod(0)
	if d.waitPrimary("") == standby {
		standby = d.cluster().Pod(1)
	}
	d.mustInInstance(standby, "rm -rf /var/lib/xdbcluster/*/pgdata")
	d.deleteInstance(standby, client.GracePeriodSeconds(0))
	d.waitRollout(v1alpha1.RolloutComplete)
	d.checkWhole(2)
}

// waitPrimary waits until the claim names a primary, and another one than a Pod that is no longer to be it.
func (d *database) waitPrimary(before string) string {
	d.Helper()
	primary := ""
	d.eventually(rolloutLimit, fmt.Sprintf("Another instance than %q is the primary", before), func(context.Context) (string, bool) {
		status := d.status()
		primary = status.Primary
		return fmt.Sprintf("%q: %v", primary, status.Instances), primary != "" && primary != before
	})
	return primary
}

// waitLabelled waits until no other than another instance is labelled as the primary. Unlike the claim's status it does not
// need Crossplane, which may be on the node that was lost.
func (d *database) waitLabelled(before string) {
	d.Helper()
	d.eventually(rolloutLimit, fmt.Sprintf("Another instance than %q is labelled as the primary", before), func(context.Context) (string, bool) {
		labelled := d.labelled()
		return strings.Join(labelled, " "), len(labelled) == 1 && labelled[0] != before
	})
}

// labelled are the instances whose Pods have the primary's label.
func (d *database) labelled() []string {
	d.Helper()
	pods := &corev1.PodList{}
	if err := d.kube.List(d.Context(), pods, client.InNamespace(d.namespace), client.MatchingLabels{
		naming.LabelCluster: d.name, naming.LabelRole: patroni.PrimaryLabel(d.spec.PrimarySpec.Version),
	}); err != nil {
		d.Fatalf("cannot list Pods: %v", err)
	}
	names := make([]string, 0, len(pods.Items))
	for i := range pods.Items {
		names = append(names, pods.Items[i].Name)
	}
	return names
}

// deleteInstance deletes an instance's Pod, and waits until it is another one.
func (d *database) deleteInstance(name string, grace client.DeleteOption) {
	d.Helper()
	pod := &corev1.Pod{}
	d.get(pod, name)
	options := []client.DeleteOption{client.Preconditions(metav1.Preconditions{UID: &pod.UID})}
	if grace != nil {
		options = append(options, grace)
	}
	if err := d.kube.Delete(d.Context(), pod, options...); err != nil {
		d.Fatalf("cannot delete Pod %q: %v", name, err)
	}
	d.waitOtherPod(pod)
}

func (d *database) mustInInstance(pod, script string) string {
	d.Helper()
	out, err := d.inInstance(pod, script)
	if err != nil {
		d.Fatal(err)
	}
	return out
}

// checkWhole checks what the claim says of a database with standbys that is well, and that it is so.
func (d *database) checkWhole(instances int) {
	d.Helper()
	status := d.status()
	count := map[string]int{}
	for _, i := range status.Instances {
		count[i.Role+" "+i.State]++
	}
	primary, standby := string(instance.RolePrimary)+" "+string(instance.StateRunning), string(instance.RoleStandby)+" "+string(instance.StateStreaming)
	if len(status.Instances) != instances || count[primary] != 1 || count[standby] != instances-1 {
		d.Errorf("instances are %+v; want a primary and %d standbys", status.Instances, instances-1)
	}
	if !strings.HasPrefix(status.Durability, "synchronous") {
		d.Errorf("durability is %q; want synchronous", status.Durability)
	}
	if len(status.CriticalIncidents) > 0 {
		d.Errorf("there are incidents: %v", status.CriticalIncidents)
	}
	connection := d.connection()
	connection["host"] = d.cluster().ReadOnlyHost()
	if out, err := d.psql(connection, "select pg_is_in_recovery()"); out != "t" {
		d.Errorf("a client of the Service -ro does not get to a standby: %s %v", out, err)
	}
}

// waitConfirming waits until commits wait for any of so many standbys of a PostgreSQL with quorum commit, as that says itself. The status
// may still be that of before.
func (d *database) waitConfirming(standbys int) {
	d.Helper()
	d.eventually(rolloutLimit, fmt.Sprintf("%d standbys can confirm", standbys), func(context.Context) (string, bool) {
		out, err := d.psql(d.connection(), "select count(*) from pg_stat_replication where state = 'streaming' and sync_state = 'quorum'")
		return fmt.Sprintf("%s %v", out, err), err == nil && out == strconv.Itoa(standbys)
	})
}

// checkEverywhere checks what a statement returns on every instance.
func (d *database) checkEverywhere(statement, want string) {
	d.Helper()
	for _, i := range d.status().Instances {
		if got := d.mustInInstance(i.Name, "psql -XqAt -c "+quote(statement)); got != want {
			d.Errorf("%s on %s: got %q, want %q", statement, i.Name, got, want)
		}
	}
}

// uids returns those of the instances' Pods.
func (d *database) uids() map[string]string {
	d.Helper()
	uids := map[string]string{}
	for _, i := range d.status().Instances {
		pod := &corev1.Pod{}
		d.get(pod, i.Name)
		uids[i.Name] = string(pod.UID)
	}
	return uids
}
