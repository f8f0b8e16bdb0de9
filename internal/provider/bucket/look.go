package bucket

import (
	"context"
	"fmt"

	"github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
	"github.com/xdbcluster/xdbcluster/internal/provider/store"
)

// look reads what the bucket is. Features that the store does not have, or does not let these credentials see, are named instead:
// they matter only to who wants them.
func (e external) look(ctx context.Context, name string) (v1alpha1.BucketObservation, error) {
	is := v1alpha1.BucketObservation{Endpoint: e.location.Endpoint, Region: e.location.Region}
	for _, f := range []struct {
		feature v1alpha1.Feature
		read    func() error
	}{
		{v1alpha1.FeatureVersioning, func() error { return e.lookAtVersioning(ctx, name, &is) }},
		{v1alpha1.FeatureObjectLock, func() error { return e.lookAtObjectLock(ctx, name, &is) }},
		{v1alpha1.FeatureLifecycle, func() error { return e.lookAtLifecycle(ctx, name, &is) }},
		{v1alpha1.FeatureTags, func() error { return e.lookAtTags(ctx, name, &is) }},
	} {
		err := f.read()
		switch {
		case err == nil, store.Unset(err):
		case store.Unsupported(err), store.Denied(err):
			is.Unknown = append(is.Unknown, f.feature)
		default:
			return is, e.location.Explain(fmt.Sprintf("read %s of the bucket %s", f.feature, name), err)
		}
	}
	return is, nil
}

func (e external) lookAtVersioning(ctx context.Context, name string, is *v1alpha1.BucketObservation) error {
	versioning, err := e.store.GetBucketVersioning(ctx, name)
	is.Versioning = v1alpha1.Versioning(versioning.Status)
	return err
}

func (e external) lookAtObjectLock(ctx context.Context, name string, is *v1alpha1.BucketObservation) error {
	enabled, mode, validity, unit, err := e.store.GetObjectLockConfig(ctx, name)
	if err == nil && enabled == objectLockEnabled {
		is.ObjectLock = objectLockOf(mode, validity, unit)
	}
	return err
}

func (e external) lookAtLifecycle(ctx context.Context, name string, is *v1alpha1.BucketObservation) error {
	configuration, err := e.store.GetBucketLifecycle(ctx, name)
	if err == nil {
		is.Lifecycle, is.ForeignLifecycleRules = lifecycleOf(configuration)
	}
	return err
}

func (e external) lookAtTags(ctx context.Context, name string, is *v1alpha1.BucketObservation) error {
	tags, err := e.store.GetBucketTagging(ctx, name)
	if err != nil {
		return err
	}
	for key, value := range tags.ToMap() {
		if is.Tags == nil {
			is.Tags = map[string]v1alpha1.TagValue{}
		}
		is.Tags[key] = v1alpha1.TagValue(value)
	}
	return nil
}
