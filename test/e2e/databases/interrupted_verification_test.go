//go:build e2e

package databases

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// TestInterruptedVerification kills the Pod that tries a backup while its files are copied, while PostgreSQL replays WAL, and while
// tables are looked through: it is tried again until it is known to be sound, nothing is left of it, and the cluster has not noticed.
func TestInterruptedVerification(t *testing.T) {
	s := newScene(t)
	source := s.bulkySource()
	bulk := source.backUp("bulk", v1alpha1.BackupFull)
	before := source.containers()
	w := source.write()

	began := time.Now()
	at := began.UTC().Add(time.Minute)
	once := tries(fmt.Sprintf("%d %d * * *", at.Minute(), at.Hour()))
	source.plan(map[string]any{"backupLocation": s.location(), "verification": once})
	for _, step := range []struct{ what, mark string }{
		{"files are copied", "restore:loca[l]"},
		{"PostgreSQL replays WAL", "restor[e]/postgresql.conf"},
		{"tables are looked through", "pg_amchec[k]"},
	} {
		source.holdVerification(step.what, step.mark)
		if killed := source.killPods(t.Context(), source.cluster().Verification().Objects()); killed == 0 {
			t.Fatalf("there was no Pod to kill while %s", step.what)
		}
	}
	source.waitVerification("The backup is tried all the same", func(v v1alpha1.VerificationStatus) bool {
		return v.Result == v1alpha1.VerificationSucceeded && v.Label == bulk.Label && len(v.Checks) == 5
	})
	source.waitBackupVerified("bulk", v1alpha1.VerificationSucceeded)
	status, err := source.readPlan(t.Context(), source.name)
	if err != nil || status.LastVerifiedTime == nil || status.LastVerifiedTime.Time.Before(began.Truncate(time.Second)) {
		t.Errorf("the plan says %+v (%v); want that a backup was found to be sound", status, err)
	}
	source.waitNothingTried()

	t.Log("The cluster goes on, and so do its backups")
	w.check()
	if after := source.containers(); !maps.Equal(before, after) {
		t.Errorf("the instances are %v; want those from before, %v", after, before)
	}
	source.checkWhole(2)
	source.backUp("afterwards", v1alpha1.BackupIncremental)
}

// hold stops a process by something in its arguments, as soon as there is one, and says so. It ends with the Pod otherwise: one that
// began to look again could miss a process that is over soon.
const hold = `while true; do
  for f in $(grep -als -e %s /proc/[0-9]*/cmdline || true); do
    p=${f#/proc/}
    ! kill -STOP "${p%%/cmdline}" || held=yes
  done
  [ -z "$held" ] || { echo held; exit; }
  sleep 0.02
done`

// holdVerification waits until the Pod that tries a backup has come to a step, and keeps it there. Steps of a small database are over
// before a Pod is deleted. The mark must not match itself.
func (d *database) holdVerification(step, mark string) {
	d.Helper()
	d.eventually(verificationLimit, "A backup is tried, and "+step, func(ctx context.Context) (string, bool) {
		pods := &corev1.PodList{}
		if err := d.kube.List(ctx, pods, client.InNamespace(d.namespace)); err != nil {
			return err.Error(), false
		}
		for i := range pods.Items {
			pod := &pods.Items[i]
			if !strings.HasPrefix(pod.Name, d.cluster().Verification().Objects()) || pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil {
				continue
			}
			said, err := d.exec(ctx, pod.Name, "verify", "", "sh", "-ec", fmt.Sprintf(hold, quote(mark)))
			return fmt.Sprintf("%s: %q %v", pod.Name, said, err), err == nil && strings.Contains(said, "held")
		}
		return "no Pod", false
	})
}

// containers says which Pods the instances have, and how often their containers were started again.
func (d *database) containers() map[string]string {
	d.Helper()
	said := map[string]string{}
	for _, i := range d.status().Instances {
		pod := &corev1.Pod{}
		d.get(pod, i.Name)
		for _, c := range pod.Status.ContainerStatuses {
			said[i.Name+"/"+c.Name] = fmt.Sprintf("%s restarted %d times", pod.UID, c.RestartCount)
		}
	}
	return said
}
