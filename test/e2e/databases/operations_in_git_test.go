//go:build e2e

package databases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/test/platform"
)

const switchoverInGit = `apiVersion: xdbcluster.io/v1alpha1
kind: Switchover
metadata:
  name: NAME
spec:
  dbclusterRef: from-git
  requestedAt: "TIME"
`

// resyncs is how often Flux is made to look at the same operation again.
const resyncs = 50

// A history is a database and its operations in the repository that Flux follows.
type history struct {
	*tree

	// manifests of the operations, by name.
	manifests map[string]string
}

// TestOperationsInGit does to operations what happens to files in Git and to objects in a cluster, and shows that each was
// carried out once; and not at all in a cluster that is built again from the same history.
func TestOperationsInGit(t *testing.T) {
	h := &history{tree: newTree(t), manifests: map[string]string{}}
	t.Cleanup(h.clearOperations)
	h.clearOperations()
	d := h.database
	d.spec = clusterSpec("17", 2)
	h.waitGreen(h.commitCluster())

	t.Log("A Switchover")
	h.waitOperations(h.add("first"))
	h.check("first", 2)

	t.Logf("Flux looks at it %d times", resyncs)
	for range resyncs {
		if err := h.platform.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	h.check("first", 2)

	t.Log("Its file is deleted and added again")
	revision, err := h.platform.Repository.RemoveOperation(t.Context(), "first")
	if err != nil {
		t.Fatal(err)
	}
	h.waitOperations(revision)
	h.waitOperations(h.readd("first"))
	h.check("first", 2)

	t.Log("Its object is deleted by hand")
	d.removeClaim(v1alpha1.KindSwitchover, "first")
	if err := h.platform.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.check("first", 2)

	t.Log("It is moved to another Kustomization")
	revision, err = h.platform.Repository.Change(t.Context(), "Move operation first", func(dir string) error {
		return platform.MoveResource(dir, platform.OperationsFolder, platform.DatabasesFolder, "first.yaml")
	})
	if err != nil {
		t.Fatal(err)
	}
	h.waitGreen(h.afterMove("first", revision))
	h.check("first", 2)

	t.Log("Crossplane, the function and the Job are killed at every step of the next one")
	timeline := h.addWhileKilling("second")

	t.Log("The next is asked for while there is no primary")
	d.deleteInstance(d.waitPrimary(""), client.GracePeriodSeconds(0))
	h.waitOperations(h.add("third"))
	status := d.waitOperation(v1alpha1.KindSwitchover, "third", v1alpha1.OperationSucceeded)
	if status.TimelineAfter <= timeline {
		t.Errorf("the Switchover during the outage says %+v; want one that was carried out", status)
	}

	t.Log("The cluster is built again from the same history")
	h.rebuild()
	for _, name := range []string{"first", "second", "third"} {
		d.checkReason(v1alpha1.KindSwitchover, name, v1alpha1.OperationSkipped, "RequestedBeforeBirth")
	}
	if got := d.status().Instances[0].Timeline; got != 1 {
		t.Errorf("the rebuilt cluster is on timeline %d; want 1: nothing was carried out again", got)
	}
}

// commitCluster commits the database, with two standbys and without protection.
func (h *history) commitCluster() string {
	h.Helper()
	manifest := strings.NewReplacer("PROTECTED", "false", "PARAMETERS", "work_mem: 5MB").Replace(claimInGit)
	manifest = strings.Replace(manifest, "  primarySpec:", "  availability:\n    numberOfStandbys: 2\n  primarySpec:", 1)
	revision, err := h.platform.Repository.AddClaim(h.Context(), h.database.name, []byte(manifest))
	if err != nil {
		h.Fatal(err)
	}
	return revision
}

// add commits a new Switchover.
func (h *history) add(name string) string {
	h.Helper()
	h.manifests[name] = strings.NewReplacer("NAME", name, "TIME", time.Now().UTC().Format(time.RFC3339)).Replace(switchoverInGit)
	return h.readd(name)
}

// readd commits a Switchover as it was.
func (h *history) readd(name string) string {
	h.Helper()
	revision, err := h.platform.Repository.AddOperation(h.Context(), name, []byte(h.manifests[name]))
	if err != nil {
		h.Fatal(err)
	}
	return revision
}

// waitOperations waits until Flux says that the operations of a commit have come to an end that needs nobody.
func (h *history) waitOperations(revision string) {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), operationLimit)
	defer cancel()
	if err := h.platform.WaitOperations(ctx, revision); err != nil {
		h.Fatal(err)
	}
}

// afterMove returns the commit to wait for after one that moved an operation. Both Kustomizations act at once: the one that it left may
// delete it just after the other one has applied it, which then waits for what is gone until its timeout, or the next commit.
func (h *history) afterMove(name, revision string) string {
	h.Helper()
	h.waitOperations(revision)
	_, err := h.database.readOperation(h.Context(), v1alpha1.KindSwitchover, name)
	if !kerrors.IsNotFound(err) {
		return revision
	}
	h.Log("It was deleted where it was, after it had been applied where it is: Flux looks again with the next commit")
	if revision, err = h.platform.Repository.Commit(h.Context(), "Look again", map[string][]byte{"moved": []byte(name)}); err != nil {
		h.Fatal(err)
	}
	return revision
}

// check waits until an operation says that it succeeded, and compares the timeline with that of the database.
func (h *history) check(name string, timeline int) {
	h.Helper()
	status := h.database.waitOperation(v1alpha1.KindSwitchover, name, v1alpha1.OperationSucceeded)
	if got := h.database.timeline(); got != timeline || status.TimelineAfter != timeline {
		h.Errorf("the database is on timeline %d, and the operation says %d; want %d: it was carried out once", got, status.TimelineAfter, timeline)
	}
}

// addWhileKilling commits a Switchover and kills all that works on it whenever its status or its record changes. It returns
// the database's timeline, which must be what the Switchover says.
func (h *history) addWhileKilling(name string) int {
	h.Helper()
	d := h.database
	before := d.waitPrimary("")
	h.add(name)
	last, kills := "", 0
	d.eventually(2*operationLimit, "Switchover "+name+" has come to its end", func(ctx context.Context) (string, bool) {
		status, err := d.readOperation(ctx, v1alpha1.KindSwitchover, name)
		step := string(status.Phase) + status.Reason + h.recorded(ctx, name)
		if err == nil && step != last {
			last = step
			kills += h.killWorkers(ctx, name)
		}
		return step, err == nil && status.Phase.Final()
	})
	h.Logf("%d Pods were killed", kills)
	return d.checkInterrupted(v1alpha1.KindSwitchover, name, before)
}

// recorded is how the cluster's ledger knows an operation.
func (h *history) recorded(ctx context.Context, name string) string {
	record := &corev1.ConfigMap{}
	if err := h.database.kube.Get(ctx, client.ObjectKey{Namespace: h.database.namespace, Name: h.database.name + "-ledger"}, record); err != nil {
		return ""
	}
	_, phase, _ := strings.Cut(record.Data[v1alpha1.KindSwitchover+"."+name], `"phase":`)
	phase, _, _ = strings.Cut(phase, ",")
	return phase
}

// killWorkers deletes the Pods of Crossplane, of the function and of an operation's Job, by force.
func (h *history) killWorkers(ctx context.Context, name string) int {
	h.Helper()
	pods := &corev1.PodList{}
	if err := h.database.kube.List(ctx, pods); err != nil {
		h.Fatal(err)
	}
	killed := 0
	for i := range pods.Items {
		p := &pods.Items[i]
		isJob := p.Namespace == h.database.namespace && strings.HasPrefix(p.Name, name+".switchover-") && p.Status.Phase != corev1.PodSucceeded
		if !isJob && p.Namespace != "crossplane-system" {
			continue
		}
		if err := h.database.kube.Delete(ctx, p, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
			h.Fatal(err)
		}
		killed++
	}
	return killed
}

// rebuild takes everything out of the cluster, the record of operations too, and lets Flux bring back what Git has.
func (h *history) rebuild() {
	h.Helper()
	d := h.database
	before, err := h.platform.Repository.Head(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	for _, name := range []string{"second", "third"} {
		if _, err := h.platform.Repository.RemoveOperation(h.Context(), name); err != nil {
			h.Fatal(err)
		}
	}
	revision, err := h.platform.Repository.Change(h.Context(), "Remove everything", func(dir string) error {
		return errors.Join(
			platform.RemoveResource(dir, platform.DatabasesFolder, "first.yaml"),
			platform.RemoveResource(dir, platform.DatabasesFolder, d.name+".yaml"),
		)
	})
	if err != nil {
		h.Fatal(err)
	}
	h.waitGreen(revision)
	h.waitOperations(revision)
	d.waitDeleted()
	ledger := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: d.namespace, Name: d.name + "-ledger"}}
	if err := d.kube.Delete(h.Context(), ledger); err != nil {
		h.Fatalf("cannot delete the ledger: %v", err)
	}
	if revision, err = h.platform.Repository.Restore(h.Context(), before); err != nil {
		h.Fatal(err)
	}
	h.waitGreen(revision)
}

// clearOperations takes the operations out of Git and out of the cluster.
func (h *history) clearOperations() {
	ctx, cancel := context.WithTimeout(context.Background(), removalLimit)
	defer cancel()
	for _, name := range []string{"first", "second", "third"} {
		_, err := h.platform.Repository.RemoveOperation(ctx, name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			h.Errorf("cannot clear the repository: %v", err)
		}
		if _, err := h.platform.Repository.RemoveClaim(ctx, name); err != nil && !errors.Is(err, os.ErrNotExist) {
			h.Errorf("cannot clear the repository: %v", err)
		}
	}
	ledger := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: h.database.namespace, Name: h.database.name + "-ledger"}}
	if err := h.database.kube.Delete(ctx, ledger); client.IgnoreNotFound(err) != nil {
		h.Errorf("cannot delete the ledger: %v", err)
	}
	if err := h.platform.Reconcile(ctx); err != nil {
		h.Error(fmt.Errorf("cannot make Flux look: %w", err))
	}
}
