//go:build e2e

package databases

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// TestControllersRestart shows that a database answers while Crossplane, the function and Flux are killed in the middle of
// its changes, and that the changes come into force all the same. It disturbs every other test, so it runs alone.
func TestControllersRestart(t *testing.T) {
	s := newScene(t)
	d := s.create("calm", smallSpec("17"))
	w := d.write()

	t.Log("Killed while another database is made, and a parameter changes that needs a restart")
	other := s.start("newcomer", smallSpec("17"))
	d.change(func(spec *v1alpha1.DBClusterSpec) {
		spec.PrimarySpec.Parameters = map[string]string{"max_connections": "47"}
	})
	s.killControllers()
	d.waitRolledOut()
	other.waitRolledOut()
	if got := d.show("max_connections"); got != "47" {
		t.Errorf("max_connections is %s; want 47", got)
	}

	t.Log("Killed while a parameter changes that is reloaded, a disk grows and another database stops")
	d.change(func(spec *v1alpha1.DBClusterSpec) {
		spec.PrimarySpec.Parameters["work_mem"] = "9MB"
		dataDisk("2Gi")(spec)
	})
	other.change(func(spec *v1alpha1.DBClusterSpec) { spec.PrimarySpec.IsStopped = true })
	s.killControllers()
	d.waitRolledOut()
	other.waitRolledOut()
	if got := d.show("work_mem"); got != "9MB" {
		t.Errorf("work_mem is %s; want 9MB", got)
	}

	w.check()
}

// killControllers deletes the Pods of Crossplane, of the function and of Flux without grace, and waits for the next ones.
func (s *scene) killControllers() {
	s.Helper()
	for _, namespace := range []string{"crossplane-system", "flux-system"} {
		if err := s.kube.DeleteAllOf(s.Context(), &corev1.Pod{}, client.InNamespace(namespace), client.GracePeriodSeconds(0)); err != nil {
			s.Fatalf("cannot delete the Pods of %s: %v", namespace, err)
		}
	}
	for _, namespace := range []string{"crossplane-system", "flux-system"} {
		s.eventually(rolloutLimit, "The Pods of "+namespace+" are ready again", func(ctx context.Context) (string, bool) {
			pods := &corev1.PodList{}
			if err := s.kube.List(ctx, pods, client.InNamespace(namespace)); err != nil {
				return err.Error(), false
			}
			ready := 0
			for i := range pods.Items {
				if isReady(&pods.Items[i]) {
					ready++
				}
			}
			return fmt.Sprintf("%d of %d", ready, len(pods.Items)), ready > 0 && ready == len(pods.Items)
		})
	}
}
