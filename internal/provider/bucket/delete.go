package bucket

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/crossplane/crossplane-runtime/v2/pkg/meta"
	"github.com/crossplane/crossplane-runtime/v2/pkg/reconciler/managed"
	xpv2 "github.com/crossplane/crossplane/apis/v2/core/v2"
	"github.com/minio/minio-go/v7"

	"github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
	"github.com/xdbcluster/xdbcluster/internal/provider/store"
)

// batch is how many objects a store deletes with one request.
const batch = 1000

// errNotDone says that there is more in the bucket than could be deleted so far. It is gone on with.
var errNotDone = errors.New("the bucket is being emptied")

// Delete deletes the bucket. What is in it is deleted only when forDeletion says so: otherwise nothing is touched, by the store's
// own word that it deletes no bucket with anything in it, and after a look of our own, because what has no folders in it may be
// empty to a store that keeps objects as files.
func (e external) Delete(ctx context.Context, b *v1alpha1.Bucket) (managed.ExternalDelete, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	b.SetConditions(xpv2.Deleting())
	name := meta.GetExternalName(b)
	err := e.clear(ctx, name, b.Spec.ForDeletion.EmptyBucket)
	if errors.Is(err, errNotDone) {
		return managed.ExternalDelete{}, nil // It is called again, as long as the bucket is there.
	}
	if err != nil {
		return managed.ExternalDelete{}, err
	}
	switch err := e.store.RemoveBucket(ctx, name); {
	case err == nil, store.Missing(err):
		return managed.ExternalDelete{}, nil
	case store.NotEmpty(err) && !b.Spec.ForDeletion.EmptyBucket:
		return managed.ExternalDelete{}, e.notEmpty(name)
	case store.NotEmpty(err):
		return managed.ExternalDelete{}, fmt.Errorf("the bucket %s at %s was emptied, and something is in it again: stop whoever writes to it", name, e.location.Endpoint)
	default:
		return managed.ExternalDelete{}, e.location.Explain(fmt.Sprintf("delete the bucket %s", name), err)
	}
}

func (e external) notEmpty(name string) error {
	return fmt.Errorf("the bucket %s at %s is not empty, and nothing in it was touched: to delete all that is in it, set forDeletion.emptyBucket to true; to keep the bucket, take Delete out of managementPolicies (for example [\"Observe\"])",
		name, e.location.Endpoint)
}

// clear deletes what is in the bucket, or refuses because something is.
func (e external) clear(ctx context.Context, name string, mayEmpty bool) error {
	for {
		found, err := e.list(ctx, name)
		switch {
		case store.Missing(err):
			return nil
		case err != nil:
			return e.location.Explain(fmt.Sprintf("list what is in the bucket %s", name), err)
		case len(found) == 0 && mayEmpty:
			return e.abortUploads(ctx, name)
		case len(found) == 0:
			return nil
		case !mayEmpty:
			return e.notEmpty(name)
		}
		if err := e.remove(ctx, name, found); err != nil {
			return err
		}
	}
}

// list returns the first objects of the bucket, with all versions and with what marks objects as deleted.
func (e external) list(ctx context.Context, name string) ([]minio.ObjectInfo, error) {
	found, err := e.listAs(ctx, name, minio.ListObjectsOptions{Recursive: true, WithVersions: true, MaxKeys: batch})
	if store.Unsupported(err) {
		return e.listAs(ctx, name, minio.ListObjectsOptions{Recursive: true, MaxKeys: batch})
	}
	return found, err
}

func (e external) listAs(ctx context.Context, name string, options minio.ListObjectsOptions) ([]minio.ObjectInfo, error) {
	var found []minio.ObjectInfo
	for object := range e.store.ListObjectsIter(ctx, name, options) {
		if object.Err != nil {
			return nil, object.Err
		}
		if found = append(found, object); len(found) == batch {
			break
		}
	}
	return found, nil
}

// remove deletes objects. When the time is up in the middle, what was deleted is: the next call goes on.
func (e external) remove(ctx context.Context, name string, found []minio.ObjectInfo) error {
	results, err := e.store.RemoveObjectsWithIter(ctx, name, slices.Values(found), minio.RemoveObjectsOptions{})
	if err != nil {
		return e.location.Explain(fmt.Sprintf("empty the bucket %s", name), err)
	}
	for result := range results {
		if result.Err == nil {
			continue
		}
		if ctx.Err() != nil {
			return errNotDone
		}
		if store.Kept(result.Err) {
			return fmt.Errorf("the store at %s does not let objects of the bucket %s be deleted, for example %q: they are kept by object lock until their retention ends, or the credentials of the Secret %s lack the right to delete versions",
				e.location.Endpoint, name, result.ObjectName, e.location.Secret)
		}
		return e.location.Explain(fmt.Sprintf("empty the bucket %s", name), result.Err)
	}
	return nil
}

// abortUploads gives up uploads in parts that are not complete: some stores do not delete a bucket that has any.
func (e external) abortUploads(ctx context.Context, name string) error {
	for upload := range e.store.ListIncompleteUploads(ctx, name, "", true) {
		err := upload.Err
		if err == nil {
			err = e.store.RemoveIncompleteUpload(ctx, name, upload.Key)
		}
		if err != nil && !store.Unsupported(err) {
			return e.location.Explain(fmt.Sprintf("give up uploads to the bucket %s", name), err)
		}
	}
	return nil
}
