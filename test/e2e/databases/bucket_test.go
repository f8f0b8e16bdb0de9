//go:build e2e

package databases

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	objectstore "github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// bucketLimit is how long the provider may take to do something about a bucket.
const bucketLimit = 2 * time.Minute

// TestCreateBucket lets a BackupPlan make its bucket, and shows that nothing of it goes with the plan.
func TestCreateBucket(t *testing.T) {
	s := newScene(t)
	location := s.storeWithoutBucket()
	d := s.create("made", smallSpec("17"))
	since := time.Now()
	d.plan(map[string]any{"backupLocation": location, "createBucket": true, "cronSchedule": "0 3 * * *"})
	first := d.waitScheduled()
	t.Logf("from the BackupPlan to its first backup, the bucket in between: %s", ago(since))
	d.eventually(bucketLimit, "The BackupPlan says that its bucket is there", func(ctx context.Context) (string, bool) {
		said := d.planCondition(ctx, d.name, v1alpha1.ConditionBucketReady)
		return said, said == "True "+v1alpha1.ReasonBucketReady
	})

	t.Log("A Bucket that may only look sees it, and changes nothing")
	s.configureStore(location)
	s.applyBucket("seen", map[string]any{"managementPolicies": []any{"Observe"}})
	s.waitBucket("seen", "Ready", "True", "")
	s.deleteBucket("seen")
	s.waitBucketGone("seen")

	t.Log("A Bucket that could delete it does not as long as anything is in it")
	s.applyBucket("owner", nil)
	s.waitBucket("owner", "Ready", "True", "")
	s.deleteBucket("owner")
	s.waitBucket("owner", "Synced", "False", "is not empty, and nothing in it was touched")
	s.applyBucket("owner", map[string]any{"managementPolicies": []any{"Observe"}})
	s.waitBucketGone("owner")

	t.Log("The bucket stays when the BackupPlan goes")
	d.removeClaim(v1alpha1.KindBackupPlan, d.name)
	kept, err := filepath.Glob(filepath.Join(s.bucket(), s.namespace, d.name, "*", "backup", "db", first.Label))
	if err != nil || len(kept) != 1 {
		t.Errorf("the backup is in %q of the bucket (%v); want one", kept, err)
	}
}

// TestBucket makes a bucket and deletes it, and says what is wrong when it cannot.
func TestBucket(t *testing.T) {
	s := newScene(t)
	location := s.storeWithoutBucket()
	s.configureStore(location)
	s.applyBucket("made", map[string]any{"forProvider": map[string]any{"tags": map[string]any{"team": "shop"}}})
	s.waitBucket("made", "Ready", "True", "")
	if _, err := os.Stat(s.bucket()); err != nil {
		t.Fatalf("there is no bucket: %v", err)
	}
	s.deleteBucket("made")
	s.waitBucketGone("made")
	if _, err := os.Stat(s.bucket()); !os.IsNotExist(err) {
		t.Errorf("the bucket is still there: %v", err)
	}

	t.Log("Credentials that the store does not take are said to be those")
	good := s.secretData(storeSecret)
	s.secret(storeSecret, map[string]string{"accessKeyID": good["accessKeyID"], "secretAccessKey": "another-one"})
	s.applyBucket("refused", nil)
	s.waitBucket("refused", "Synced", "False", fmt.Sprintf("Correct secretAccessKey in the Secret %s/%s", s.namespace, storeSecret))
	s.secret(storeSecret, good)
	s.waitBucket("refused", "Ready", "True", "")
	s.deleteBucket("refused")
	s.waitBucketGone("refused")
}

// configureStore says where the store of a location is to the Buckets of the namespace.
func (s *scene) configureStore(location map[string]any) {
	s.Helper()
	options, _, err := unstructured.NestedMap(location, "s3Options")
	if err != nil {
		s.Fatal(err)
	}
	delete(options, "bucket")
	s.apply(map[string]any{
		"apiVersion": objectstore.GroupVersion().String(), "kind": objectstore.KindProviderConfig, "metadata": map[string]any{"name": "store"}, "spec": options,
	})
}

// applyBucket applies a Bucket about the bucket of the namespace's name.
func (s *scene) applyBucket(name string, spec map[string]any) {
	s.Helper()
	spec = runtime.DeepCopyJSON(spec)
	if spec == nil {
		spec = map[string]any{}
	}
	spec["providerConfigRef"] = map[string]any{"kind": objectstore.KindProviderConfig, "name": "store"}
	s.apply(map[string]any{
		"apiVersion": objectstore.GroupVersion().String(), "kind": objectstore.KindBucket,
		"metadata": map[string]any{"name": name, "annotations": map[string]any{"crossplane.io/external-name": s.namespace}}, "spec": spec,
	})
}

// waitBucket waits until a condition of a Bucket has a status, and a text in its message.
func (s *scene) waitBucket(name, condition, status, text string) {
	s.Helper()
	s.eventually(bucketLimit, fmt.Sprintf("Bucket %s has %s=%s", name, condition, status), func(ctx context.Context) (string, bool) {
		bucket := objectstore.BucketStatus{}
		if err := s.readStatusOf(ctx, objectstore.GroupVersion().WithKind(objectstore.KindBucket), name, &bucket); err != nil {
			return err.Error(), false
		}
		for _, c := range bucket.Conditions {
			if string(c.Type) == condition && string(c.Status) == status && strings.Contains(c.Message, text) {
				return "", true
			}
		}
		return fmt.Sprintf("%+v", bucket.Conditions), false
	})
}

// deleteBucket asks for the deletion of a Bucket, and does not wait for it.
func (s *scene) deleteBucket(name string) {
	s.Helper()
	if err := s.kube.Delete(s.Context(), s.bucketObject(name)); err != nil {
		s.Fatalf("cannot delete Bucket %q: %v", name, err)
	}
}

func (s *scene) waitBucketGone(name string) {
	s.Helper()
	s.eventually(bucketLimit, fmt.Sprintf("Bucket %s is gone", name), func(ctx context.Context) (string, bool) {
		bucket := s.bucketObject(name)
		err := s.kube.Get(ctx, client.ObjectKeyFromObject(bucket), bucket)
		conditions, _, _ := unstructured.NestedSlice(bucket.Object, "status", "conditions")
		return fmt.Sprintf("%v %v", conditions, err), apierrors.IsNotFound(err)
	})
}

func (s *scene) bucketObject(name string) *unstructured.Unstructured {
	bucket := &unstructured.Unstructured{}
	bucket.SetGroupVersionKind(objectstore.GroupVersion().WithKind(objectstore.KindBucket))
	bucket.SetNamespace(s.namespace)
	bucket.SetName(name)
	return bucket
}
