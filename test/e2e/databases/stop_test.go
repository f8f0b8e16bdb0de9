//go:build e2e

package databases

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// TestStopAndStart shows that a stopped database keeps its data, its names and its Secrets, and nothing that computes.
func TestStopAndStart(t *testing.T) {
	t.Parallel()
	d := newScene(t).create("orders", smallSpec("17"))
	d.sql("create table kept as select generate_series(1, 1000) as id")
	before := d.connection()
	endpoints := *d.status().Endpoints

	d.roll(func(spec *v1alpha1.DBClusterSpec) { spec.PrimarySpec.IsStopped = true })

	if phase := d.status().Phase; phase != v1alpha1.PhaseStopped {
		t.Errorf("phase is %q; want %q", phase, v1alpha1.PhaseStopped)
	}
	pods := &corev1.PodList{}
	if err := d.kube.List(t.Context(), pods, client.InNamespace(d.namespace), client.MatchingLabels(d.cluster().Selector())); err != nil || len(pods.Items) > 0 {
		t.Errorf("a stopped database has %d Pods (%v); want none", len(pods.Items), err)
	}
	d.get(&corev1.PersistentVolumeClaim{}, d.volume())
	for _, service := range []string{d.cluster().ReadWrite(), d.cluster().ReadOnly(), d.cluster().Pods()} {
		d.get(&corev1.Service{}, service)
	}

	d.roll(func(spec *v1alpha1.DBClusterSpec) { spec.PrimarySpec.IsStopped = false })

	if got := d.sql("select count(*) from kept"); got != "1000" {
		t.Errorf("%s of 1000 rows are there after the stop", got)
	}
	if after := d.connection(); after["password"] != before["password"] || after["host"] != before["host"] || after["ca.crt"] != before["ca.crt"] {
		t.Error("the connection Secret changed with the stop")
	}
	if got := *d.status().Endpoints; got != endpoints {
		t.Errorf("endpoints are %v; want %v as before", got, endpoints)
	}
}

// TestBornStopped shows that a database which is stopped from its first day starts, with nothing but that changed.
func TestBornStopped(t *testing.T) {
	t.Parallel()
	spec := smallSpec("17")
	spec.PrimarySpec.IsStopped = true
	d := newScene(t).create("later", spec)
	set := &appsv1.StatefulSet{}
	d.get(set, d.cluster().StatefulSet())
	if *set.Spec.Replicas != 0 {
		t.Errorf("the StatefulSet has %d replicas; want 0", *set.Spec.Replicas)
	}

	d.roll(func(spec *v1alpha1.DBClusterSpec) { spec.PrimarySpec.IsStopped = false })
	if got := d.sql("select 1"); got != "1" {
		t.Errorf("select 1 gave %q", got)
	}
}
