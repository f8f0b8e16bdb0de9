//go:build e2e

package databases

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/test/platform"
	"github.com/xdbcluster/xdbcluster/test/progress"
)

const claimInGit = `apiVersion: xdbcluster.io/v1alpha1
kind: DBCluster
metadata:
  name: from-git
spec:
  deletionProtection: PROTECTED
  volumeRetentionPolicy: Delete
  primarySpec:
    version: "17"
    resources:
      cpu: 100m
      memory: 256Mi
      disks:
      - name: DataDisk
        size: 1Gi
    parameters:
      PARAMETERS
`

// A tree is what Flux follows.
type tree struct {
	*testing.T

	platform *platform.Platform
	database *database
}

// TestFlux follows a database in Git: made, changed, changed for the worse, corrected, and its file removed. Flux must say
// of every commit what is true of the database.
func TestFlux(t *testing.T) {
	t.Parallel()
	g := newTree(t)
	d := g.database

	t.Log("A new claim")
	revision := g.commit("true", "work_mem: 5MB")
	g.waitGreen(revision)
	if got := d.show("work_mem"); got != "5MB" {
		t.Errorf("Flux says that commit %s is rolled out; work_mem is %s, want 5MB", revision, got)
	}

	t.Log("A change by reload, and one with a restart: not green before they are in force")
	since := time.Now()
	g.waitGreen(g.commit("true", "work_mem: 6MB"))
	t.Logf("green after %s", ago(since))
	if got := d.show("work_mem"); got != "6MB" {
		t.Errorf("Flux was green with work_mem %s; want 6MB", got)
	}
	g.waitGreen(g.commit("true", "max_connections: \"47\""))
	if got := d.show("max_connections"); got != "47" {
		t.Errorf("Flux was green with max_connections %s; want 47", got)
	}

	t.Log("A change that the database cannot take")
	since = time.Now()
	err := g.wait(g.commit("true", "wrok_mem: 6MB"))
	t.Logf("reported after %s", ago(since))
	if !errors.Is(err, platform.ErrRolloutFailed) {
		t.Errorf("Flux says of a refused parameter: %v; want a failure", err)
	}
	if got := d.show("max_connections"); got != "47" {
		t.Errorf("max_connections is %s after the refused commit; want the last accepted, 47", got)
	}
	g.waitGreen(g.commit("true", "work_mem: 5MB"))

	t.Log("The file is removed: the database is protected")
	revision, err = g.platform.Repository.RemoveClaim(t.Context(), d.name)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.wait(revision); !errors.Is(err, platform.ErrRolloutFailed) || !strings.Contains(err.Error(), "deletionProtection") {
		t.Errorf("Flux says of the removal of a protected database: %v; want a failure that says why", err)
	}
	if got := d.show("work_mem"); got != "5MB" || d.status().Phase != v1alpha1.PhaseRunning {
		t.Errorf("after its file was removed the database is %s, with work_mem %s", d.status().Phase, got)
	}

	t.Log("The file is back, without protection, and then removed: now it goes")
	g.waitGreen(g.commit("false", "work_mem: 5MB"))
	revision, err = g.platform.Repository.RemoveClaim(t.Context(), d.name)
	if err != nil {
		t.Fatal(err)
	}
	g.waitGreen(revision)
	d.waitDeleted()
}

func newTree(t *testing.T) *tree {
	t.Helper()
	repository := os.Getenv("E2E_REPOSITORY")
	if repository == "" {
		t.Skip("E2E_REPOSITORY does not name the Git repository that Flux follows")
	}
	s := connect(t)
	s.namespace = platform.Namespace
	g := &tree{T: t, database: &database{scene: s, name: "from-git"}, platform: &platform.Platform{
		Options: platform.Options{Progress: progress.To(io.Discard)}, Client: s.kube, Logs: s.core, Repository: platform.Repository{Bare: repository},
	}}
	g.clear()
	t.Cleanup(g.clear)
	return g
}

// clear takes the claim out of Git and out of the cluster. It is there for tests that ended early.
func (g *tree) clear() {
	ctx, cancel := context.WithTimeout(context.Background(), removalLimit)
	defer cancel()
	g.database.keepEvidence(ctx)
	if _, err := g.platform.Repository.RemoveClaim(ctx, g.database.name); err != nil && !errors.Is(err, os.ErrNotExist) {
		g.Errorf("cannot clear the repository: %v", err)
	}
	if err := g.database.removeNow(ctx); err != nil {
		g.Errorf("cannot remove DBCluster %q: %v", g.database.name, err)
	}
}

// commit commits the claim.
func (g *tree) commit(protected, parameters string) string {
	g.Helper()
	manifest := strings.NewReplacer("PROTECTED", protected, "PARAMETERS", parameters).Replace(claimInGit)
	revision, err := g.platform.Repository.AddClaim(g.Context(), g.database.name, []byte(manifest))
	if err != nil {
		g.Fatal(err)
	}
	return revision
}

// wait waits until Flux says what became of a commit.
func (g *tree) wait(revision string) error {
	ctx, cancel := context.WithTimeout(g.Context(), rolloutLimit)
	defer cancel()
	return g.platform.WaitRolledOut(ctx, revision)
}

// waitGreen waits until Flux says that a commit is rolled out. From then on the database must show it: no looking twice.
func (g *tree) waitGreen(revision string) {
	g.Helper()
	if err := g.wait(revision); err != nil {
		g.Fatal(err)
	}
}
