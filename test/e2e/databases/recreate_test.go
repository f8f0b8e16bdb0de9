//go:build e2e

package databases

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

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
