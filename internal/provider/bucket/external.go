package bucket

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/crossplane/crossplane-runtime/v2/pkg/meta"
	"github.com/crossplane/crossplane-runtime/v2/pkg/reconciler/managed"
	xpv2 "github.com/crossplane/crossplane/apis/v2/core/v2"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
	"github.com/xdbcluster/xdbcluster/internal/provider/store"
)

// callTimeout bounds what is done of one kind: looking, creating, changing or deleting. Each takes several requests.
const callTimeout = 25 * time.Second

// An external is a Bucket's store. It lives for one reconcile.
type external struct {
	location store.Location
	store    store.Client
}

// Observe says whether the bucket is there and as it should be. It changes nothing in the store.
func (e external) Observe(ctx context.Context, b *v1alpha1.Bucket) (managed.ExternalObservation, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	name := meta.GetExternalName(b)
	if err := s3utils.CheckValidBucketNameStrict(name); err != nil {
		return managed.ExternalObservation{}, fmt.Errorf("%q cannot be a bucket: its name, in the annotation %s, must be of 3 to 63 lower-case letters, digits, hyphens and dots", name, meta.AnnotationKeyExternalName)
	}
	there, err := e.exists(ctx, name)
	if err != nil || !there {
		return managed.ExternalObservation{}, err
	}
	if meta.WasDeleted(b) {
		return managed.ExternalObservation{ResourceExists: true, ResourceUpToDate: true}, nil
	}
	is, err := e.look(ctx, name)
	if err != nil {
		return managed.ExternalObservation{}, err
	}
	b.Status.AtProvider = is
	if err := e.known(name, b.Spec.ForProvider, is); err != nil {
		return managed.ExternalObservation{}, err
	}
	filled := mayFillIn(b) && fillIn(&b.Spec.ForProvider, is)
	different := differing(b.Spec.ForProvider, is)
	b.SetConditions(xpv2.Available())
	return managed.ExternalObservation{
		ResourceExists: true, ResourceUpToDate: len(different) == 0, ResourceLateInitialized: filled,
		ConnectionDetails: e.details(name), Diff: fmt.Sprint(different),
	}, nil
}

// exists says whether the bucket is there. The store cannot say why it refuses a HEAD request, so it is asked once more.
func (e external) exists(ctx context.Context, name string) (bool, error) {
	there, err := e.store.BucketExists(ctx, name)
	if err == nil {
		return there, nil
	}
	if store.Refused(err) {
		if _, reason := e.store.GetBucketVersioning(ctx, name); reason != nil && !store.Unsupported(reason) {
			err = reason
		}
	}
	if store.Missing(err) {
		return false, nil
	}
	return false, e.location.Explain(fmt.Sprintf("look for the bucket %s", name), err)
}

// Create makes the bucket. The rest follows as a change.
func (e external) Create(ctx context.Context, b *v1alpha1.Bucket) (managed.ExternalCreation, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	b.SetConditions(xpv2.Creating())
	name := meta.GetExternalName(b)
	err := e.store.MakeBucket(ctx, name, minio.MakeBucketOptions{Region: e.location.Region, ObjectLocking: b.Spec.ForProvider.ObjectLock != nil})
	if err != nil && !store.AlreadyOwned(err) {
		return managed.ExternalCreation{}, e.location.Explain(fmt.Sprintf("create the bucket %s", name), err)
	}
	return managed.ExternalCreation{ConnectionDetails: e.details(name)}, nil
}

// Update makes the bucket as it should be: what is as it should be already is left alone.
func (e external) Update(ctx context.Context, b *v1alpha1.Bucket) (managed.ExternalUpdate, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	name := meta.GetExternalName(b)
	is, err := e.look(ctx, name)
	if err != nil {
		return managed.ExternalUpdate{}, err
	}
	for _, feature := range differing(b.Spec.ForProvider, is) {
		if err := e.change(ctx, name, feature, b.Spec.ForProvider); err != nil {
			return managed.ExternalUpdate{}, e.location.Explain(fmt.Sprintf("set %s of the bucket %s", feature, name), err)
		}
	}
	b.Status.AtProvider, err = e.look(ctx, name)
	return managed.ExternalUpdate{}, err
}

// Disconnect ends the connections to the store.
func (e external) Disconnect(context.Context) error {
	e.store.Close()
	return nil
}

// details are what somebody needs to find the bucket, besides credentials.
func (e external) details(name string) managed.ConnectionDetails {
	return managed.ConnectionDetails{
		xpv2.CredentialsSecretEndpointKey: []byte(e.location.Endpoint), "region": []byte(e.location.Region), "bucket": []byte(name),
	}
}

// mayFillIn says whether the Bucket's own spec may be filled in from what is there.
func mayFillIn(b *v1alpha1.Bucket) bool {
	return slices.Contains(b.GetManagementPolicies(), xpv2.ManagementActionLateInitialize) ||
		slices.Contains(b.GetManagementPolicies(), xpv2.ManagementActionAll)
}
