//go:build e2e

package databases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/test/cluster/objectstore"
	"github.com/xdbcluster/xdbcluster/test/platform"
)

const planInGit = `apiVersion: xdbcluster.io/v1alpha1
kind: BackupPlan
metadata:
  name: from-git
spec:
  dbclusterRef: from-git
  cronSchedule: "0 3 * * *"
`

const restoreInGit = `apiVersion: xdbcluster.io/v1alpha1
kind: Restore
metadata:
  name: from-git-mistake
spec:
  sourceDBCluster: from-git
  confirm: from-git
  pointInTime: "TARGET"
  requestedAt: "TIME"
`

// TestRebuild loses the Kubernetes cluster with all that was in it, and makes another one from what is in Git and in the object
// store: nothing starts empty by itself, once the claim says so every row is back, and no restore that Git still has is repeated. It
// runs alone.
func TestRebuild(t *testing.T) {
	stored := filepath.Join(objectstore.Buckets(), platform.Namespace, platform.Namespace, "from-git")
	t.Cleanup(func() {
		if err := os.RemoveAll(stored); err != nil {
			t.Errorf("cannot remove what was stored: %v", err)
		}
	})
	r := &rebuilding{tree: newTree(t)}
	t.Cleanup(r.clearFiles)
	d := r.database
	r.refuseOthers()

	t.Log("A database from Git, backed up to the platform's store")
	r.commitFile(d.name, r.manifest(""))
	r.waitGreen(r.commitFile("from-git-plan", planInGit))
	d.waitScheduled()
	d.sql("CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 1000)")
	at := d.mark(`SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`)
	d.sql("INSERT INTO kept SELECT generate_series(5001, 6000)")
	asked := strings.NewReplacer("TARGET", at, "TIME", time.Now().UTC().Format(time.RFC3339))
	r.commitFile("from-git-mistake", asked.Replace(restoreInGit))
	d.waitRestored("from-git-mistake", v1alpha1.OperationSucceeded)
	d.waitRolledOut()
	d.eventually(backupLimit, "The restored database has a backup of its own", func(ctx context.Context) (string, bool) {
		status, err := d.readPlan(ctx, d.name)
		return fmt.Sprintf("%+v %v", status.Repository, err), err == nil && status.Repository != nil && status.Repository.Backups == 1 &&
			strings.HasSuffix(status.Repository.Path, d.status().Incarnation)
	})
	d.sql("INSERT INTO kept SELECT generate_series(1001, 2000)")
	d.waitArchived()
	identifier := d.local("SELECT system_identifier FROM pg_control_system()")

	t.Log("The cluster is lost, and made again")
	since := time.Now()
	r.lose()
	d.eventually(rolloutLimit, "Flux has applied the claim", func(ctx context.Context) (string, bool) {
		_, err := d.claim(ctx)
		return fmt.Sprint(err), err == nil
	})
	d.waitIncident("BackupsExist", "ifBackupsExist")
	t.Logf("another cluster knows after %s that there are backups", ago(since))

	t.Log("The claim is told to restore, as the incident says")
	r.waitGreen(r.commitFile(d.name, r.manifest("ifBackupsExist: Restore")))
	t.Logf("the database is back %s after its cluster was lost", ago(since))
	if got := d.sql("SELECT count(*), min(n), max(n) FROM kept"); got != "2000|1|2000" {
		t.Errorf("the rows are %s; want 2000|1|2000", got)
	}
	if got := d.local("SELECT system_identifier FROM pg_control_system()"); got != identifier {
		t.Errorf("the database is %s; want %s: it was made anew", got, identifier)
	}
	if got := d.waitRestored("from-git-mistake", v1alpha1.OperationSkipped); got.Reason != "RequestedBeforeBirth" {
		t.Errorf("the Restore that is still in Git is skipped for the reason %s; want RequestedBeforeBirth", got.Reason)
	}
}

// A rebuilding is a tree whose cluster is lost.
type rebuilding struct {
	*tree
}

// refuseOthers ends the test when there are databases that it would lose.
func (r *rebuilding) refuseOthers() {
	r.Helper()
	claims, err := r.database.claims(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	for _, claim := range claims {
		r.Fatalf("DBCluster %q would be lost with the cluster: make down first", claim.GetName())
	}
}

func (r *rebuilding) manifest(more string) string {
	manifest := strings.NewReplacer("PROTECTED", "false", "PARAMETERS", "work_mem: 5MB").Replace(claimInGit)
	return strings.Replace(manifest, "spec:\n", "spec:\n  "+more+"\n", 1)
}

func (r *rebuilding) commitFile(name, manifest string) string {
	r.Helper()
	revision, err := r.platform.Repository.AddClaim(r.Context(), name, []byte(manifest))
	if err != nil {
		r.Fatal(err)
	}
	return revision
}

// lose loses the cluster, makes another one, and goes on with that.
func (r *rebuilding) lose() {
	r.Helper()
	cluster := localCluster()
	if err := cluster.Lose(r.Context()); err != nil {
		r.Fatal(err)
	}
	again, err := platform.Local{
		Project: cluster.Project, Nodes: cluster.Nodes, Registry: platform.DefaultRegistry, GitAddress: platform.GitAddress, Out: os.Stdout,
	}.Up(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	scene := connect(r.T)
	scene.namespace = platform.Namespace
	r.database.scene = scene
	r.platform.Client, r.platform.Logs = again.Client, again.Logs
}

// clearFiles takes what was committed beside the claim out of Git.
func (r *rebuilding) clearFiles() {
	ctx, cancel := context.WithTimeout(context.Background(), removalLimit)
	defer cancel()
	for _, name := range []string{"from-git-plan", "from-git-mistake"} {
		if _, err := r.platform.Repository.RemoveClaim(ctx, name); err != nil && !errors.Is(err, os.ErrNotExist) {
			r.Errorf("cannot clear the repository: %v", err)
		}
	}
}
