package bucket

import (
	"context"
	"fmt"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/tags"

	"github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
)

// change sets one feature of the bucket.
func (e external) change(ctx context.Context, name string, feature v1alpha1.Feature, want v1alpha1.BucketParameters) error {
	switch feature {
	case v1alpha1.FeatureVersioning:
		return e.store.SetBucketVersioning(ctx, name, minio.BucketVersioningConfiguration{Status: string(want.Versioning)})
	case v1alpha1.FeatureObjectLock:
		mode, validity, unit := retention(want.ObjectLock)
		return e.store.SetObjectLockConfig(ctx, name, mode, validity, unit)
	case v1alpha1.FeatureLifecycle:
		return e.store.SetBucketLifecycle(ctx, name, configuration(want.Lifecycle))
	case v1alpha1.FeatureTags:
		return e.setTags(ctx, name, want.Tags)
	}
	return fmt.Errorf("there is no feature %q", feature)
}

func (e external) setTags(ctx context.Context, name string, want map[string]v1alpha1.TagValue) error {
	if len(want) == 0 {
		return e.store.RemoveBucketTagging(ctx, name)
	}
	plain := make(map[string]string, len(want))
	for key, value := range want {
		plain[key] = string(value)
	}
	all, err := tags.MapToBucketTags(plain)
	if err != nil {
		return err
	}
	return e.store.SetBucketTagging(ctx, name, all)
}
