//go:build e2e

package databases

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// unmarked is how long a namespace may be unprotected after one of the databases in it is: Crossplane may lose its mark then, and
// sets it when it looks again (docs/architecture.md).
const unmarked = 10*time.Minute + 30*time.Second

func protected(is bool) func(*v1alpha1.DBClusterSpec) {
	return func(spec *v1alpha1.DBClusterSpec) { spec.DeletionProtection = &is }
}

// TestDeletionProtection shows that the deletion of everything whose end would be a protected database's is refused, that
// one database's protection does not depend on another's, and that protection can be taken off.
func TestDeletionProtection(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	first, second := s.start("first", smallSpec("17")), s.start("second", smallSpec("17"))
	first.waitRolledOut()
	second.waitRolledOut()
	if got := first.condition(v1alpha1.ConditionDeletionProtected); got.Status != "True" {
		t.Errorf("DeletionProtected is %s, %s (%s); want True from the start", got.Status, got.Reason, got.Message)
	}

	t.Log("Both are protected")
	for _, d := range []*database{first, second} {
		s.checkUndeletable(d.object(), d.name)
		s.checkUndeletable(d.composite(), d.name)
	}
	s.checkSharedUndeletable()

	t.Log("One is not any more, and goes; what both stand on stays protected")
	second.roll(protected(false))
	s.checkSharedUndeletable()
	s.checkUndeletable(first.object(), first.name)
	second.delete()
	s.checkSharedUndeletable()
	s.checkUndeletable(first.composite(), first.name)
	if got := first.sql("select 1"); got != "1" {
		t.Errorf("select 1 gave %q", got)
	}

	t.Log("Protection comes back with the claim")
	first.roll(protected(false))
	if got := first.condition(v1alpha1.ConditionDeletionProtected); got.Status != "False" {
		t.Errorf("DeletionProtected is %s, %s (%s) after it was switched off; want False", got.Status, got.Reason, got.Message)
	}
	if err := s.dryRunDelete(first.object()); err != nil {
		t.Errorf("the deletion of an unprotected claim is refused: %v", err)
	}
	if err := s.dryRunDelete(s.namespaceObject()); err != nil {
		t.Errorf("the deletion of a namespace without a protected database is refused: %v", err)
	}
	first.roll(protected(true))
	s.checkUndeletable(first.object(), first.name)
	s.checkSharedUndeletable()
}

// checkSharedUndeletable checks the namespace and the definitions. They are deleted as a dry run, which passes the same
// admission: a mistake must not take the databases of other tests along.
func (s *scene) checkSharedUndeletable() {
	s.Helper()
	named := func(group, version, kind, name string) client.Object {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: version, Kind: kind})
		u.SetName(name)
		return u
	}
	s.eventually(unmarked, "The deletion of the namespace is refused", func(context.Context) (string, bool) {
		err := s.dryRunDelete(s.namespaceObject())
		return fmt.Sprint(err), err != nil
	})
	for _, object := range []client.Object{
		s.namespaceObject(),
		named("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "dbclusters."+v1alpha1.Group),
		named("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "xdbclusters."+v1alpha1.Group),
		named("apiextensions.crossplane.io", "v1", "CompositeResourceDefinition", "xdbclusters."+v1alpha1.Group),
	} {
		s.checkUndeletable(object, "")
	}
}

func (s *scene) namespaceObject() client.Object {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}
}

func (s *scene) dryRunDelete(object client.Object) error {
	return s.kube.Delete(s.Context(), object, client.DryRunAll)
}

// checkUndeletable checks that deletion is refused with a message that names the database and says what to do.
func (s *scene) checkUndeletable(object client.Object, name string) {
	s.Helper()
	err := s.dryRunDelete(object)
	if err == nil {
		s.Errorf("the deletion of %T %q was allowed", object, object.GetName())
		return
	}
	for _, part := range []string{name, "deletionProtection"} {
		if !strings.Contains(err.Error(), part) {
			s.Errorf("the refusal to delete %q does not say %q: %v", object.GetName(), part, err)
		}
	}
}

// object is the claim, to delete it.
func (d *database) object() client.Object {
	claim := &unstructured.Unstructured{}
	claim.SetGroupVersionKind(claimKind())
	claim.SetNamespace(d.namespace)
	claim.SetName(d.name)
	return claim
}

// TestDeletionIsRefusedForReal deletes a protected claim, its composite and its namespace, not as a dry run.
func TestDeletionIsRefusedForReal(t *testing.T) {
	t.Parallel()
	d := newScene(t).create("protected", smallSpec("17"))
	for _, object := range []client.Object{d.object(), d.composite(), d.namespaceObject()} {
		if err := d.kube.Delete(t.Context(), object); err == nil {
			t.Errorf("%T %q was deleted", object, object.GetName())
		}
	}
	// Whatever was begun in spite of a refusal would show by now.
	time.Sleep(2 * time.Second)
	claim, err := d.claim(t.Context())
	if err != nil || claim.GetDeletionTimestamp() != nil || d.composite().GetDeletionTimestamp() != nil {
		t.Errorf("the claim or its composite is being deleted (%v)", err)
	}
	namespace := &corev1.Namespace{}
	if err := d.kube.Get(t.Context(), client.ObjectKey{Name: d.namespace}, namespace); err != nil || namespace.DeletionTimestamp != nil {
		t.Errorf("the namespace is being deleted (%v)", err)
	}
	if got := d.sql("select 1"); got != "1" {
		t.Errorf("select 1 gave %q", got)
	}
}

// waitVolume waits until the data volume is there, or is not.
func (d *database) waitVolume(want bool) {
	d.Helper()
	d.eventually(removalLimit, fmt.Sprintf("The volume %s is there: %t", d.volume(), want), func(ctx context.Context) (string, bool) {
		err := d.kube.Get(ctx, client.ObjectKey{Namespace: d.namespace, Name: d.volume()}, &corev1.PersistentVolumeClaim{})
		if client.IgnoreNotFound(err) != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("there: %t", err == nil), (err == nil) == want
	})
}
