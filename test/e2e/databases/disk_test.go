//go:build e2e

package databases

import (
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// dataDisk returns an edit that gives the data disk another size.
func dataDisk(size string) func(*v1alpha1.DBClusterSpec) {
	return func(spec *v1alpha1.DBClusterSpec) {
		spec.PrimarySpec.Resources.Disks[0].Size = resource.MustParse(size)
	}
}

// TestDiskGrows shows that a disk grows under a database that serves, and cannot shrink.
func TestDiskGrows(t *testing.T) {
	t.Parallel()
	d := newScene(t).create("growing", smallSpec("17"))
	d.sql("create table kept as select generate_series(1, 1000) as id")
	started := d.local("select pg_postmaster_start_time()")
	if before := d.freeBytes(); before > 1<<30 {
		t.Errorf("the file system has %d bytes before; want less than 1 GiB", before)
	}

	d.roll(dataDisk("2Gi"))

	if after := d.freeBytes(); after < 3<<29 {
		t.Errorf("the file system has %d bytes after; want about 2 GiB", after)
	}
	volume := &corev1.PersistentVolumeClaim{}
	d.get(volume, d.volume())
	if got := volume.Status.Capacity.Storage().String(); !sameSize(got, "2Gi") {
		t.Errorf("the volume has %s; want 2Gi", got)
	}
	if got := d.status().DataDiskSize; !sameSize(got, "2Gi") {
		t.Errorf("status.dataDiskSize is %q; want 2Gi", got)
	}
	if rows, now := d.sql("select count(*) from kept"), d.local("select pg_postmaster_start_time()"); rows != "1000" || now != started {
		t.Errorf("%s of 1000 rows are there; PostgreSQL was started at %s, before the change at %s", rows, now, started)
	}

	if said := d.refused(dataDisk("1Gi")); !strings.Contains(said, "cannot shrink") {
		t.Errorf("the refusal does not say that a disk cannot shrink: %s", said)
	}

	t.Log("A disk that has grown stays so when the database stops and starts")
	d.roll(func(spec *v1alpha1.DBClusterSpec) { spec.PrimarySpec.IsStopped = true })
	d.roll(func(spec *v1alpha1.DBClusterSpec) { spec.PrimarySpec.IsStopped = false })
	if got := d.status().DataDiskSize; !sameSize(got, "2Gi") {
		t.Errorf("status.dataDiskSize is %q after a stop and start; want 2Gi", got)
	}
}

// freeBytes is what the file system of the data has, used and free.
func (d *database) freeBytes() int64 {
	d.Helper()
	fields := strings.Fields(d.mustInDatabase("df -B1 --output=size " + instance.FolderVolume))
	size, err := strconv.ParseInt(fields[len(fields)-1], 10, 64)
	if err != nil {
		d.Fatalf("cannot read the size of the file system: %v", err)
	}
	return size
}

// TestDiskCannotGrow shows what becomes of a change that the storage class refuses, and that it can be taken back by going
// over to what is possible: a claim cannot shrink, so the incident says what to do.
func TestDiskCannotGrow(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.needStorageClass("local-loop-fixed")
	spec := smallSpec("17")
	spec.PrimarySpec.Resources.Disks[0].StorageClass = "local-loop-fixed"
	d := s.create("fixed", spec)

	d.change(dataDisk("2Gi"))
	d.waitRollout(v1alpha1.RolloutFailed)

	if stalled := d.condition(v1alpha1.ConditionStalled); stalled.Status != "True" || stalled.Reason != instance.IncidentDataDiskCannotGrow {
		t.Errorf("Stalled is %s, %s (%s); want True, %s", stalled.Status, stalled.Reason, stalled.Message, instance.IncidentDataDiskCannotGrow)
	}
	incidents := d.status().CriticalIncidents
	if len(incidents) != 1 || incidents[0].Code != instance.IncidentDataDiskCannotGrow || incidents[0].Resource != "Pod/"+d.pod() {
		t.Errorf("critical incidents are %v; want one %s of Pod/%s", incidents, instance.IncidentDataDiskCannotGrow, d.pod())
	}
	if got := d.sql("select 1"); got != "1" {
		t.Errorf("the database does not serve any more: select 1 gave %q", got)
	}
}
