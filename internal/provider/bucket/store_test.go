//go:build objectstore

package bucket

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossplane/crossplane-runtime/v2/pkg/controller"
	"github.com/crossplane/crossplane-runtime/v2/pkg/logging"
	"github.com/crossplane/crossplane-runtime/v2/pkg/meta"
	"github.com/crossplane/crossplane-runtime/v2/pkg/reconciler/managed"
	"github.com/crossplane/crossplane-runtime/v2/pkg/resource/fake"
	xpv2 "github.com/crossplane/crossplane/apis/v2/core/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
	"github.com/minio/minio-go/v7/pkg/tags"
	corev1 "k8s.io/api/core/v1"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	kubefake "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
)

const (
	namespace = "shop"
	name      = "orders-backups"

	// pollInterval is how often a bucket is looked at that is as it should be.
	pollInterval = time.Minute

	// rounds is how often the reconciler is called at most until there is nothing more to do.
	rounds = 6
)

// A scene is a Kubernetes of a test's own with the provider's reconciler, and a store.
type scene struct {
	*testing.T

	kube   client.Client
	server *server
	front  *front
	client *minio.Client
	run    *managed.Reconciler
}

// newScene has a ProviderConfig of the store, and a Bucket that a test may have changed.
func newScene(t *testing.T, s *server, change ...func(*v1alpha1.Bucket)) *scene {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	b := &v1alpha1.Bucket{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "1"},
		Spec: v1alpha1.BucketSpec{
			ProviderConfigReference: &xpv2.ProviderConfigReference{Kind: v1alpha1.KindProviderConfig, Name: "store"},
			ManagementPolicies:      xpv2.ManagementPolicies{xpv2.ManagementActionAll},
		},
	}
	for _, c := range change {
		c(b)
	}
	front := s.inFront("localhost")
	config := &v1alpha1.ProviderConfig{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "store"},
		Spec: v1alpha1.ProviderConfigSpec{
			Store:     v1alpha1.Store{Endpoint: front.endpoint(), CABundle: []string{string(s.authority.Certificate)}},
			SecretRef: v1alpha1.SecretReference{Name: "credentials"},
		},
	}
	credentials := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "credentials"},
		Data:       map[string][]byte{"accessKeyID": []byte(accessKey), "secretAccessKey": []byte(secretKey + "\n")},
	}
	kube := kubefake.NewClientBuilder().WithScheme(scheme).WithObjects(b, config, credentials).WithStatusSubresource(b).Build()
	c := s.client()
	t.Cleanup(c.Close)
	scene := &scene{T: t, kube: kube, server: s, front: front, client: c.Client}
	scene.setTimeout(timeout)
	return scene
}

// setTimeout changes how long the provider has to do anything.
func (s *scene) setTimeout(d time.Duration) {
	m := &fake.Manager{Client: s.kube, Scheme: s.kube.Scheme()}
	s.run = newReconciler(m, controller.Options{Logger: logging.NewNopLogger(), PollInterval: pollInterval},
		managed.WithTimeout(d), managed.WithCreationGracePeriod(0))
}

// reconcile lets the provider work until it has nothing more to do, or does not get on. It returns nil when the Bucket is gone.
func (s *scene) reconcile() *v1alpha1.Bucket {
	s.Helper()
	for range rounds {
		if s.reconcileOnce().RequeueAfter == pollInterval {
			break // There is nothing more to do.
		}
	}
	return s.read()
}

func (s *scene) reconcileOnce() reconcile.Result {
	s.Helper()
	result, err := s.run.Reconcile(s.Context(), reconcile.Request{NamespacedName: key()})
	if err != nil {
		s.Fatalf("the reconciler fails: %v", err)
	}
	return result
}

// read returns the Bucket, or nil when it is gone.
func (s *scene) read() *v1alpha1.Bucket {
	s.Helper()
	b := &v1alpha1.Bucket{}
	err := s.kube.Get(s.Context(), key(), b)
	if kerrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		s.Fatal(err)
	}
	return b
}

func key() client.ObjectKey { return client.ObjectKey{Namespace: namespace, Name: name} }

// synced lets the provider work, and expects that all is well then.
func (s *scene) synced() *v1alpha1.Bucket {
	s.Helper()
	b := s.reconcile()
	if b == nil {
		s.Fatal("the Bucket is gone")
	}
	if c := b.GetCondition(xpv2.TypeSynced); c.Status != corev1.ConditionTrue {
		s.Fatalf("Synced is %s: %s: %s", c.Status, c.Reason, c.Message)
	}
	if c := b.GetCondition(xpv2.TypeReady); c.Status != corev1.ConditionTrue {
		s.Fatalf("Ready is %s: %s: %s", c.Status, c.Reason, c.Message)
	}
	return b
}

// refused lets the provider work until it says what is wrong, the same each time and without a secret.
func (s *scene) refused(want string) {
	s.Helper()
	said := func() string {
		s.reconcileOnce()
		b := s.read()
		if b == nil {
			s.Fatalf("the Bucket is gone; want it refused with %q", want)
		}
		c := b.GetCondition(xpv2.TypeSynced)
		return string(c.Status) + ": " + c.Message
	}
	first := said()
	for range rounds {
		if !strings.Contains(first, want) {
			first = said()
		}
	}
	if !strings.HasPrefix(first, "False") || !strings.Contains(first, want) {
		s.Fatalf("Synced is %s\nwant a message with %q", first, want)
	}
	if strings.Contains(first, secretKey) {
		s.Errorf("there is a secret in the message: %s", first)
	}
	if again := said(); again != first {
		s.Errorf("the message is another one each time:\n%s\n%s", first, again)
	}
}

// change changes the Bucket.
func (s *scene) change(change func(*v1alpha1.Bucket)) {
	s.Helper()
	b := s.read()
	change(b)
	if err := s.kube.Update(s.Context(), b); err != nil {
		s.Fatal(err)
	}
}

// configure changes the ProviderConfig.
func (s *scene) configure(change func(*v1alpha1.ProviderConfigSpec)) {
	s.Helper()
	c := &v1alpha1.ProviderConfig{}
	if err := s.kube.Get(s.Context(), client.ObjectKey{Namespace: namespace, Name: "store"}, c); err != nil {
		s.Fatal(err)
	}
	change(&c.Spec)
	if err := s.kube.Update(s.Context(), c); err != nil {
		s.Fatal(err)
	}
}

// setCredentials changes the Secret. An empty value takes a key out.
func (s *scene) setCredentials(data map[string]string) {
	s.Helper()
	secret := &corev1.Secret{}
	if err := s.kube.Get(s.Context(), client.ObjectKey{Namespace: namespace, Name: "credentials"}, secret); err != nil {
		s.Fatal(err)
	}
	for key, value := range data {
		secret.Data[key] = []byte(value)
	}
	if err := s.kube.Update(s.Context(), secret); err != nil {
		s.Fatal(err)
	}
}

// delete deletes the Bucket, and lets the provider work.
func (s *scene) delete() *v1alpha1.Bucket {
	s.Helper()
	if err := s.kube.Delete(s.Context(), &v1alpha1.Bucket{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}); err != nil {
		s.Fatal(err)
	}
	return s.reconcile()
}

// exists says whether the bucket is in the store.
func (s *scene) exists() bool {
	s.Helper()
	there, err := s.client.BucketExists(s.Context(), name)
	if err != nil {
		s.Fatal(err)
	}
	return there
}

func (s *scene) put(object, content string) {
	s.Helper()
	if _, err := s.client.PutObject(s.Context(), name, object, strings.NewReader(content), int64(len(content)), minio.PutObjectOptions{}); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) tags() map[string]string {
	s.Helper()
	all, err := s.client.GetBucketTagging(s.Context(), name)
	if err != nil {
		s.Fatal(err)
	}
	return all.ToMap()
}

func (s *scene) setTags(all map[string]string) {
	s.Helper()
	made, err := tags.MapToBucketTags(all)
	if err != nil {
		s.Fatal(err)
	}
	if err := s.client.SetBucketTagging(s.Context(), name, made); err != nil {
		s.Fatal(err)
	}
}

func policies(p ...xpv2.ManagementAction) func(*v1alpha1.Bucket) {
	return func(b *v1alpha1.Bucket) { b.Spec.ManagementPolicies = p }
}

func mayEmpty(b *v1alpha1.Bucket) { b.Spec.ForDeletion.EmptyBucket = true }

// TestCreate makes a bucket, and then leaves it alone.
func TestCreate(t *testing.T) {
	eachStore(t, func(t *testing.T, server *server) {
		s := newScene(t, server)
		b := s.synced()
		if !s.exists() {
			t.Fatal("there is no bucket")
		}
		if got := meta.GetExternalName(b); got != name {
			t.Errorf("the external name is %q; want %q", got, name)
		}
		if b.Status.AtProvider.Endpoint != s.front.endpoint() {
			t.Errorf("the status says that the store is %q; want %q", b.Status.AtProvider.Endpoint, s.front.endpoint())
		}
		usages := &v1alpha1.ProviderConfigUsageList{}
		if err := s.kube.List(t.Context(), usages); err != nil || len(usages.Items) != 1 {
			t.Errorf("the ProviderConfig has %d usages (%v); want one", len(usages.Items), err)
		}
		s.front.written()
		s.synced()
		if written := s.front.written(); len(written) > 0 {
			t.Errorf("the bucket is as it should be, and these are sent: %v", written)
		}
	})
}

// TestUpdate changes what the Bucket says of each feature, and then what the store has: it is set back.
func TestUpdate(t *testing.T) {
	eachStore(t, func(t *testing.T, server *server) {
		s := newScene(t, server, func(b *v1alpha1.Bucket) {
			b.Spec.ForProvider = v1alpha1.BucketParameters{Versioning: v1alpha1.VersioningEnabled, Tags: map[string]v1alpha1.TagValue{"team": "shop"}}
		})
		b := s.synced()
		if b.Status.AtProvider.Versioning != v1alpha1.VersioningEnabled {
			t.Errorf("versioning is %q; want %s", b.Status.AtProvider.Versioning, v1alpha1.VersioningEnabled)
		}
		if diff := cmp.Diff(map[string]string{"team": "shop"}, s.tags()); diff != "" {
			t.Errorf("tags: -want, +got:\n%s", diff)
		}

		t.Log("Another spec")
		want := map[string]v1alpha1.TagValue{"team": "orders", "cost": "42"}
		s.change(func(b *v1alpha1.Bucket) {
			b.Spec.ForProvider.Versioning, b.Spec.ForProvider.Tags = v1alpha1.VersioningSuspended, want
		})
		b = s.synced()
		if diff := cmp.Diff(v1alpha1.BucketObservation{Versioning: v1alpha1.VersioningSuspended, Tags: want}, b.Status.AtProvider,
			cmpopts.IgnoreFields(v1alpha1.BucketObservation{}, "Endpoint", "Region", "Unknown")); diff != "" {
			t.Errorf("status: -want, +got:\n%s", diff)
		}

		t.Log("Somebody else changes the store")
		s.setTags(map[string]string{"team": "nobody"})
		if err := s.client.EnableVersioning(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		s.synced()
		if diff := cmp.Diff(map[string]string{"team": "orders", "cost": "42"}, s.tags()); diff != "" {
			t.Errorf("tags are not set back: -want, +got:\n%s", diff)
		}
		if versioning, err := s.client.GetBucketVersioning(t.Context(), name); err != nil || !versioning.Suspended() {
			t.Errorf("versioning is not set back: %v, %v", versioning, err)
		}

		t.Log("Without Update it is left as it is")
		s.change(policies(xpv2.ManagementActionObserve, xpv2.ManagementActionCreate, xpv2.ManagementActionDelete))
		s.setTags(map[string]string{"team": "nobody"})
		b = s.synced()
		if diff := cmp.Diff(map[string]v1alpha1.TagValue{"team": "nobody"}, b.Status.AtProvider.Tags); diff != "" {
			t.Errorf("tags: -want, +got:\n%s", diff)
		}
	})
}

// TestTagsTakenAway takes all tags away when the Bucket says that there are none.
func TestTagsTakenAway(t *testing.T) {
	eachStore(t, func(t *testing.T, server *server) {
		s := newScene(t, server, func(b *v1alpha1.Bucket) { b.Spec.ForProvider.Tags = map[string]v1alpha1.TagValue{"team": "shop"} })
		s.synced()
		s.change(func(b *v1alpha1.Bucket) { b.Spec.ForProvider.Tags = map[string]v1alpha1.TagValue{} })
		if b := s.synced(); len(b.Status.AtProvider.Tags) > 0 {
			t.Errorf("there are still tags: %v", b.Status.AtProvider.Tags)
		}
	})
}

// TestObjectLock makes a bucket whose objects are kept, and changes for how long.
func TestObjectLock(t *testing.T) {
	eachStore(t, func(t *testing.T, server *server) {
		lock := func(days int32) *v1alpha1.ObjectLock {
			return &v1alpha1.ObjectLock{DefaultRetention: &v1alpha1.Retention{Mode: v1alpha1.RetentionGovernance, Days: days}}
		}
		s := newScene(t, server, mayEmpty, func(b *v1alpha1.Bucket) { b.Spec.ForProvider.ObjectLock = lock(1) })
		b := s.synced()
		if diff := cmp.Diff(lock(1), b.Status.AtProvider.ObjectLock); diff != "" {
			t.Errorf("object lock: -want, +got:\n%s", diff)
		}
		s.change(func(b *v1alpha1.Bucket) { b.Spec.ForProvider.ObjectLock = lock(3) })
		b = s.synced()
		if diff := cmp.Diff(lock(3), b.Status.AtProvider.ObjectLock); diff != "" {
			t.Errorf("object lock: -want, +got:\n%s", diff)
		}

		t.Log("What is locked is not deleted, whatever the Bucket says")
		s.put("kept", "content")
		s.delete()
		s.refused("they are kept by object lock until their retention ends")
		if !s.exists() {
			t.Error("the bucket is gone")
		}
	})
}

// TestLifecycle sets rules, where the store has any. Where it has none it is said.
func TestLifecycle(t *testing.T) {
	eachStore(t, func(t *testing.T, server *server) {
		rules := []v1alpha1.LifecycleRule{
			{ID: "old-versions", ExpireNoncurrentDays: 30},
			{ID: "logs", Prefix: "logs/", ExpireDays: 7, Disabled: true},
		}
		s := newScene(t, server, func(b *v1alpha1.Bucket) { b.Spec.ForProvider.Lifecycle = &v1alpha1.Lifecycle{Rules: rules} })
		if !server.has(v1alpha1.FeatureLifecycle) {
			s.refused("has no lifecycle for the bucket orders-backups")
			s.change(func(b *v1alpha1.Bucket) { b.Spec.ForProvider.Lifecycle = nil })
			s.synced()
			return
		}
		b := s.synced()
		if diff := cmp.Diff(&v1alpha1.Lifecycle{Rules: rules}, b.Status.AtProvider.Lifecycle, cmpopts.SortSlices(func(a, b v1alpha1.LifecycleRule) bool { return a.ID < b.ID })); diff != "" {
			t.Errorf("lifecycle: -want, +got:\n%s", diff)
		}
		s.front.written()
		s.synced()
		if written := s.front.written(); len(written) > 0 {
			t.Errorf("the rules are as they should be, and these are sent: %v", written)
		}

		t.Log("A rule that cannot be said here is somebody else's, and does not stay")
		foreign := lifecycle.NewConfiguration()
		foreign.Rules = []lifecycle.Rule{{
			ID: "foreign", Status: "Enabled", RuleFilter: lifecycle.Filter{Tag: lifecycle.Tag{Key: "a", Value: "b"}},
			Expiration: lifecycle.Expiration{Days: 3},
		}}
		if err := s.client.SetBucketLifecycle(t.Context(), name, foreign); err != nil {
			t.Fatal(err)
		}
		if b = s.synced(); len(b.Status.AtProvider.ForeignLifecycleRules) > 0 {
			t.Errorf("there are still foreign rules: %v", b.Status.AtProvider.ForeignLifecycleRules)
		}
		s.change(func(b *v1alpha1.Bucket) {
			b.Spec.ForProvider.Lifecycle = &v1alpha1.Lifecycle{Rules: []v1alpha1.LifecycleRule{}}
		})
		if b = s.synced(); b.Status.AtProvider.Lifecycle != nil {
			t.Errorf("there are still rules: %v", b.Status.AtProvider.Lifecycle)
		}
	})
}

// TestDelete deletes a bucket, and one with anything in it only when the Bucket says so.
func TestDelete(t *testing.T) {
	eachStore(t, func(t *testing.T, server *server) {
		t.Log("An empty one")
		s := newScene(t, server)
		s.synced()
		if s.delete() != nil || s.exists() {
			t.Fatal("the empty bucket is not deleted")
		}

		t.Log("One with an object")
		s = newScene(t, server)
		s.synced()
		s.put("a/b", "content")
		s.front.written()
		s.delete()
		s.refused("is not empty, and nothing in it was touched: to delete all that is in it, set forDeletion.emptyBucket to true")
		if written := s.front.written(); len(written) > 0 {
			t.Errorf("these are sent about a bucket that is not empty: %v", written)
		}
		if _, err := s.client.StatObject(t.Context(), name, "a/b", minio.StatObjectOptions{}); err != nil {
			t.Errorf("the object is gone: %v", err)
		}

		t.Log("It may be emptied")
		s.change(mayEmpty)
		if s.reconcile() != nil || s.exists() {
			t.Error("the bucket is not deleted")
		}
	})
}

// TestDeleteVersions takes a bucket with nothing in it but versions for one that is not empty.
func TestDeleteVersions(t *testing.T) {
	eachStore(t, func(t *testing.T, server *server) {
		s := newScene(t, server, func(b *v1alpha1.Bucket) { b.Spec.ForProvider.Versioning = v1alpha1.VersioningEnabled })
		s.synced()
		s.put("a", "one")
		s.put("a", "two")
		if err := s.client.RemoveObject(t.Context(), name, "a", minio.RemoveObjectOptions{}); err != nil {
			t.Fatal(err)
		}
		core := minio.Core{Client: s.client}
		if _, err := core.NewMultipartUpload(t.Context(), name, "b", minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
		s.delete()
		s.refused("is not empty")
		s.change(mayEmpty)
		if s.reconcile() != nil || s.exists() {
			t.Error("the bucket is not deleted")
		}
	})
}

// TestDeleteMany empties a bucket with more in it than a request takes.
func TestDeleteMany(t *testing.T) {
	eachStore(t, func(t *testing.T, server *server) {
		s := newScene(t, server, mayEmpty)
		s.synced()
		content := bytes.NewReader([]byte("x"))
		for i := range batch + 5 {
			_, _ = content.Seek(0, 0)
			object := fmt.Sprintf("%d/%d", i%3, i)
			if _, err := s.client.PutObject(t.Context(), name, object, content, 1, minio.PutObjectOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if s.delete() != nil || s.exists() {
			t.Error("the bucket is not deleted")
		}
	})
}

// TestKeep leaves a bucket where it is when the Bucket may not delete it, also when the store is away.
func TestKeep(t *testing.T) {
	eachStore(t, func(t *testing.T, server *server) {
		s := newScene(t, server, policies(xpv2.ManagementActionObserve, xpv2.ManagementActionCreate, xpv2.ManagementActionUpdate))
		s.synced()
		s.put("a", "content")
		server.stop()
		if s.delete() != nil {
			t.Error("the Bucket waits for a store that it has nothing to ask of")
		}
		server.run()
		if !s.exists() {
			t.Error("the bucket is gone")
		}
	})
}

// TestImport looks at a bucket that was there before, and fills the spec in where that is wanted.
func TestImport(t *testing.T) {
	eachStore(t, func(t *testing.T, server *server) {
		s := newScene(t, server, policies(xpv2.ManagementActionObserve))
		s.refused("external resource does not exist")
		if s.exists() {
			t.Fatal("a bucket was made by a Bucket that may only look")
		}
		if err := s.client.MakeBucket(t.Context(), name, minio.MakeBucketOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := s.client.EnableVersioning(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		s.setTags(map[string]string{"team": "shop"})
		s.front.written()
		b := s.synced()
		if diff := cmp.Diff(v1alpha1.BucketParameters{}, b.Spec.ForProvider); diff != "" {
			t.Errorf("forProvider is filled in: -want, +got:\n%s", diff)
		}
		want := map[string]v1alpha1.TagValue{"team": "shop"}
		if b.Status.AtProvider.Versioning != v1alpha1.VersioningEnabled || !maps.Equal(want, b.Status.AtProvider.Tags) {
			t.Errorf("the status says %+v", b.Status.AtProvider)
		}

		s.change(policies(xpv2.ManagementActionObserve, xpv2.ManagementActionLateInitialize))
		b = s.synced()
		if diff := cmp.Diff(v1alpha1.BucketParameters{Versioning: v1alpha1.VersioningEnabled, Tags: want}, b.Spec.ForProvider); diff != "" {
			t.Errorf("forProvider is not filled in: -want, +got:\n%s", diff)
		}
		if written := s.front.written(); len(written) > 0 {
			t.Errorf("these are sent by a Bucket that may only look: %v", written)
		}
		if s.delete() != nil || !s.exists() {
			t.Error("the bucket is gone, or the Bucket is not")
		}
	})
}

// TestExternalName makes the bucket of the annotation's name.
func TestExternalName(t *testing.T) {
	eachStore(t, func(t *testing.T, server *server) {
		s := newScene(t, server, func(b *v1alpha1.Bucket) { meta.SetExternalName(b, "another") })
		s.synced()
		if there, err := s.client.BucketExists(t.Context(), "another"); err != nil || !there || s.exists() {
			t.Errorf("the bucket another is there: %t (%v), %s: %t", there, err, name, s.exists())
		}
		s.change(func(b *v1alpha1.Bucket) { meta.SetExternalName(b, "Another One") })
		s.refused(`"Another One" cannot be a bucket`)
	})
}

// TestAdopt takes a bucket over that is there already.
func TestAdopt(t *testing.T) {
	eachStore(t, func(t *testing.T, server *server) {
		s := newScene(t, server)
		if err := s.client.MakeBucket(t.Context(), name, minio.MakeBucketOptions{}); err != nil {
			t.Fatal(err)
		}
		s.front.written()
		s.synced()
		if written := s.front.written(); len(written) > 0 {
			t.Errorf("these are sent about a bucket that is as it should be: %v", written)
		}
	})
}

// TestCredentials says what is wrong with credentials, and uses new ones as soon as they are there.
func TestCredentials(t *testing.T) {
	eachStore(t, func(t *testing.T, server *server) {
		s := newScene(t, server)
		s.synced()
		s.setCredentials(map[string]string{"secretAccessKey": "another-secret-key"})
		s.refused("the store does not accept the secret key. Correct secretAccessKey in the Secret shop/credentials")
		s.setCredentials(map[string]string{"accessKeyID": "nobody"})
		s.refused("the store does not know the access key. Correct accessKeyID in the Secret shop/credentials")
		s.setCredentials(map[string]string{"secretAccessKey": ""})
		s.refused("the Secret shop/credentials of the ProviderConfig store lacks the key secretAccessKey")

		t.Log("The store gets others")
		s.setCredentials(map[string]string{"accessKeyID": accessKey, "secretAccessKey": secretKey})
		s.synced()
		server.stop()
		server.secretKey = "rotated-secret-key"
		server.run()
		s.refused("the store does not accept the secret key")
		s.setCredentials(map[string]string{"secretAccessKey": server.secretKey})
		s.synced()
	})
}

// TestOwnedByAnother says so, and touches nothing. Only versitygw can make another user without more programs.
func TestOwnedByAnother(t *testing.T) {
	for _, p := range products(t) {
		if p.name != "versitygw" {
			continue
		}
		server := start(t, p)
		admin := exec.CommandContext(t.Context(), filepath.Join(programs, p.name), "admin", "--allow-insecure", "--access", accessKey, "--secret", secretKey,
			"--endpoint-url", "https://"+server.address, "create-user", "--access", "other", "--secret", "other-secret-key", "--role", "user")
		if out, err := admin.CombinedOutput(); err != nil {
			t.Fatalf("cannot make another user: %v: %s", err, out)
		}
		s := newScene(t, server)
		if err := s.client.MakeBucket(t.Context(), name, minio.MakeBucketOptions{}); err != nil {
			t.Fatal(err)
		}
		s.setCredentials(map[string]string{"accessKeyID": "other", "secretAccessKey": "other-secret-key"})
		s.refused("they lack a right, or the bucket belongs to somebody else")
		if written := s.front.written(); len(written) > 0 {
			t.Errorf("these are sent about somebody else's bucket: %v", written)
		}
	}
}

// TestDown says that the store is away, and goes on when it is back.
func TestDown(t *testing.T) {
	eachStore(t, func(t *testing.T, server *server) {
		s := newScene(t, server)
		s.configure(func(c *v1alpha1.ProviderConfigSpec) { c.Endpoint = server.location().Endpoint })
		s.synced()
		server.stop()
		s.refused("nothing answers there. Look whether the store runs")
		server.run()
		s.synced()
	})
}

// TestTrust reaches a store over TLS only when its certificate is trusted, or the user says that it does not matter.
func TestTrust(t *testing.T) {
	eachStore(t, func(t *testing.T, server *server) {
		s := newScene(t, server)
		good := server.authority.Certificate
		s.configure(func(c *v1alpha1.ProviderConfigSpec) { c.CABundle = nil })
		s.refused("the store's certificate is not trusted. Put the certificate of the authority that signed it into caBundle in the ProviderConfig store")
		s.configure(func(c *v1alpha1.ProviderConfigSpec) { c.CABundle = []string{"no certificate"} })
		s.refused("there is no certificate in PEM in caBundle")
		s.configure(func(c *v1alpha1.ProviderConfigSpec) { c.CABundle, c.InsecureSkipVerify = nil, true })
		s.synced()
		s.configure(func(c *v1alpha1.ProviderConfigSpec) {
			c.InsecureSkipVerify, c.CertRef = false, &v1alpha1.SecretReference{Name: "credentials"}
		})
		s.refused("the Secret shop/credentials of the ProviderConfig store lacks the key ca.crt")
		s.setCredentials(map[string]string{"ca.crt": string(good)})
		s.synced()
		s.configure(func(c *v1alpha1.ProviderConfigSpec) { c.Endpoint = server.inFront("store.example.org").endpoint() })
		s.refused("the store's certificate is not for this name")
	})
}

// TestFaults says what a store does wrong, and goes on when it does not any more.
func TestFaults(t *testing.T) {
	cases := map[string]struct {
		reason string
		fault  fault
		want   string
	}{
		"Busy":          {"A store may ask to be left alone.", reading(refuse(http.StatusServiceUnavailable, "SlowDown")), "the store asks to be left alone for a while. It is tried again"},
		"Unavailable":   {"What is in front of a store may answer for it.", page(http.StatusServiceUnavailable), "the store says that it is not available (503 Service Unavailable)"},
		"BadGateway":    {"The store behind a load balancer is away.", page(http.StatusBadGateway), "fails (502 Bad Gateway)"},
		"Expired":       {"Temporary credentials end.", refuse(http.StatusBadRequest, "ExpiredToken"), "the credentials have expired. Renew them in the Secret shop/credentials"},
		"ClockSkew":     {"A node's clock is wrong.", refuse(http.StatusForbidden, "RequestTimeTooSkewed"), "Set the clock of the node right"},
		"OtherRegion":   {"The bucket is elsewhere.", refuse(http.StatusMovedPermanently, "PermanentRedirect"), "Correct region in the ProviderConfig store"},
		"HalfAnAnswer":  {"A connection ends in the middle of an answer.", reading(cut), "the store breaks off its answers. It is tried again"},
		"NotAStore":     {"Something else listens there.", page(http.StatusOK), "is not what an S3-compatible store says"},
		"Slow":          {"An answer does not come.", stall(time.Minute), "the store does not answer in time"},
		"NotFoundAtAll": {"What is in front of a store has no such page.", page(http.StatusBadRequest), "the store refuses the request (400 Bad Request)"},
	}
	eachStore(t, func(t *testing.T, server *server) {
		for title, tc := range cases {
			t.Run(title, func(t *testing.T) {
				s := newScene(t, server)
				s.synced()
				s.setTimeout(time.Second)
				s.front.set(tc.fault)
				s.refused(tc.want)
				s.setTimeout(timeout)
				s.front.set(nil)
				s.synced()
			})
		}
	})
}

// TestCreationCutShort finds a bucket again whose creation was done and never answered.
func TestCreationCutShort(t *testing.T) {
	eachStore(t, func(t *testing.T, server *server) {
		s := newScene(t, server)
		s.front.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method != http.MethodPut {
				next.ServeHTTP(w, r)
				return
			}
			s.front.set(nil)
			next.ServeHTTP(discard{http.Header{}}, r.WithContext(context.WithoutCancel(r.Context())))
			panic(http.ErrAbortHandler)
		})
		s.synced()
	})
}

// discard takes an answer that nobody gets.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
