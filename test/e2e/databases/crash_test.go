//go:build e2e

package databases

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Scripts for the database's container. Its processes are the agent, Patroni and PostgreSQL, all of the same user.
const (
	killPostmaster = `kill -9 $(head -1 /var/lib/xdbcluster/*/pgdata/postmaster.pid)`
	patroniPID     = `for p in /proc/[0-9]*; do if [ "$(cat $p/comm 2>/dev/null)" = patroni ]; then echo ${p#/proc/}; fi; done`
	killPatroni    = `kill -9 $(` + patroniPID + `)`
	stallPatroni   = `kill -STOP $(` + patroniPID + `)`
)

// TestCrashes breaks one database in every way that one instance can break, with an application that writes all the time,
// and counts what was acknowledged.
func TestCrashes(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"17", "15"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			d := newScene(t).create("sturdy", smallSpec(version))
			w := d.write()
			for _, crash := range []struct {
				name string
				do   func()
			}{
				{"the postmaster is killed", func() { d.mustInDatabase(killPostmaster) }},
				{"Patroni is killed", func() { d.mustInDatabase(killPatroni) }},
				{"the Pod is deleted", func() { d.deletePod(nil) }},
				{"the Pod is deleted without grace", func() { d.deletePod(client.GracePeriodSeconds(0)) }},
				{"Patroni is stalled", func() { d.mustInDatabase(stallPatroni); d.waitFenced() }},
			} {
				since := time.Now()
				crash.do()
				w.waitWriting()
				t.Logf("%s: no row was acknowledged for %s", crash.name, w.gap(since))
			}
			w.check()
			d.waitRolledOut()
		})
	}
}

// deletePod deletes the only instance's Pod and waits until it is another one.
func (d *database) deletePod(grace client.DeleteOption) {
	d.Helper()
	pod := d.runningPod()
	options := []client.DeleteOption{client.Preconditions(metav1.Preconditions{UID: &pod.UID})}
	if grace != nil {
		options = append(options, grace)
	}
	if err := d.kube.Delete(d.Context(), pod, options...); err != nil {
		d.Fatalf("cannot delete Pod %q: %v", pod.Name, err)
	}
	d.waitOtherPod(pod)
}
