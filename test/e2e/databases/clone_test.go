//go:build e2e

package databases

import (
	"strings"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// checkCopies lets Restores make copies of the database, which goes on: one as it was at a time, once, which stays when its Restore
// goes and does not come back when it was deleted; and none under a name that is taken, of what is not there, or that the platform
// does not want.
func (d *database) checkCopies(at, want, taken string) {
	d.Helper()
	d.Log("A Restore makes a copy")
	as := func(name string) map[string]any { return map[string]any{"dbclusterName": name} }
	now := time.Now().UTC().Format(time.RFC3339)
	d.restore("copy", map[string]any{"clonedDBClusterConfig": as("copied"), "pointInTime": at, "requestedAt": now})
	if done := d.waitRestored("copy", v1alpha1.OperationSucceeded); done.NewPrimary != "copied-0" || done.Backup == "" || done.TimelineAfter < 2 {
		d.Errorf("the Restore that made a copy says %+v", done)
	}
	d.removeClaim(v1alpha1.KindRestore, "copy")
	copied := &database{scene: d.scene, name: "copied"}
	copied.checkRows(want)

	d.restore("taken", map[string]any{"clonedDBClusterConfig": as(taken)})
	d.restore("early", map[string]any{"clonedDBClusterConfig": as("early"), "pointInTime": "2026-01-01T00:00:00Z"})
	for name, reason := range map[string]string{"taken": "CloneExists", "early": "TargetMissing"} {
		if got := d.waitRestored(name, v1alpha1.OperationRejected); got.Reason != reason || !strings.Contains(got.Message, "othing was done") {
			d.Errorf("the Restore %s says %s: %s; want %s", name, got.Reason, got.Message, reason)
		}
	}

	const policy = "this platform wants no copies of that name"
	d.forbid("dbclusters", d.newClaim("unwanted"), policy)
	d.restore("unwanted", map[string]any{"clonedDBClusterConfig": as("unwanted"), "pointInTime": at})
	if got := d.waitRestored("unwanted", v1alpha1.OperationFailed); got.Reason != "CloneRefused" || !strings.Contains(got.Message, policy) {
		d.Errorf("the Restore of an unwanted name says %s: %s; want CloneRefused, and the platform's reason", got.Reason, got.Message)
	}

	if err := copied.removeNow(d.Context()); err != nil {
		d.Fatal(err)
	}
	copied.waitDeleted()
	d.restore("copy", map[string]any{"clonedDBClusterConfig": as("copied"), "pointInTime": at, "requestedAt": now})
	d.waitRestored("copy", v1alpha1.OperationSucceeded)
	if claim, err := copied.claim(d.Context()); err == nil {
		d.Errorf("a copy that was deleted was made again: %s", claim.GetName())
	}
}
