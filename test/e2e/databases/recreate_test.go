//go:build e2e

package databases

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// TestRecreate shows that data outlives its claim, that a claim of the same name finds it and gets its own password set in
// it, that two recreations on each other's heels do no harm, and that data goes when the claim says so.
func TestRecreate(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.secret("password", map[string]string{"lasting": "the first password"})
	spec := smallSpec("17")
	spec.DeletionProtection = new(bool)
	spec.PrimarySpec.AdminUser = &v1alpha1.AdminUserSpec{PasswordRef: &v1alpha1.SecretReference{Name: "password"}}
	d := s.create("lasting", spec)
	d.sql("create table kept as select generate_series(1, 1000) as id")
	identifier := d.local("select system_identifier from pg_control_system()")
	old := d.connection()
	volume := &corev1.PersistentVolumeClaim{}
	d.get(volume, d.volume())

	t.Log("Deleted: the volume stays")
	d.delete()
	d.waitVolume(true)

	t.Log("Created again, with another password")
	s.secret("password", map[string]string{"lasting": "the second password"})
	d = s.create("lasting", spec)
	d.checkKept(identifier)
	if got := d.connection()["password"]; got != "the second password" {
		t.Errorf("the connection Secret has password %q; want the second", got)
	}
	stale := d.connection()
	stale["password"] = old["password"]
	if _, err := d.psql(stale, "select 1"); err == nil {
		t.Error("the password of the claim before still works")
	}

	t.Log("Deleted and created twice, without waiting in between")
	for range 2 {
		if err := d.kube.Delete(t.Context(), d.object()); err != nil {
			t.Fatalf("cannot delete the claim: %v", err)
		}
		d.waitClaimGone()
		d = s.start("lasting", spec)
	}
	d.waitRolledOut()
	d.checkKept(identifier)
	again := &corev1.PersistentVolumeClaim{}
	d.get(again, d.volume())
	if again.UID != volume.UID {
		t.Error("the volume is another one than at first")
	}

	t.Log("Deleted with its volumes")
	d.roll(func(spec *v1alpha1.DBClusterSpec) { spec.VolumeRetentionPolicy = v1alpha1.VolumesDeleted })
	d.delete()
	d.waitVolume(false)

	t.Log("Created again: another database, whatever the one before left")
	spec.VolumeRetentionPolicy = v1alpha1.VolumesDeleted
	d = s.create("lasting", spec)
	if got := d.local("select system_identifier from pg_control_system()"); got == identifier {
		t.Error("the database is the one that was deleted")
	}
}

// TestLostVolume shows that a database whose volume is lost is not replaced by an empty one.
func TestLostVolume(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	d := s.create("lost", smallSpec("15"))
	d.sql("create table kept as select 1 as id")
	identifier := d.local("select system_identifier from pg_control_system()")

	volume := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: d.namespace, Name: d.volume()}}
	if err := d.kube.Delete(t.Context(), volume); err != nil {
		t.Fatalf("cannot delete the volume: %v", err)
	}
	if err := d.kube.Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: d.namespace, Name: d.pod()}}); err != nil {
		t.Fatalf("cannot delete the Pod: %v", err)
	}
	d.waitIncident("DataVolumeEmpty", identifier)
}

// waitIncident waits until the claim names an incident with a text in its message.
func (d *database) waitIncident(code, text string) {
	d.Helper()
	d.eventually(rolloutLimit, "The claim names the incident "+code, func(context.Context) (string, bool) {
		incidents := d.status().CriticalIncidents
		return fmt.Sprint(incidents), slices.ContainsFunc(incidents, func(i v1alpha1.CriticalIncident) bool {
			return i.Code == code && strings.Contains(i.Message, text)
		})
	})
}

// waitNoIncident waits until the claim names no incident of a kind any more.
func (d *database) waitNoIncident(code string) {
	d.Helper()
	d.eventually(backupLimit, "The claim does not name the incident "+code+" any more", func(context.Context) (string, bool) {
		incidents := d.status().CriticalIncidents
		return fmt.Sprint(incidents), !slices.ContainsFunc(incidents, func(i v1alpha1.CriticalIncident) bool { return i.Code == code })
	})
}

// checkKept checks that the rows are those of the first database, not of one made anew.
func (d *database) checkKept(identifier string) {
	d.Helper()
	if got := d.sql("select count(*) from kept"); got != "1000" {
		d.Errorf("%s of 1000 rows are there", got)
	}
	if got := d.local("select system_identifier from pg_control_system()"); got != identifier {
		d.Errorf("the system identifier is %s; want %s: this is another database", got, identifier)
	}
}
