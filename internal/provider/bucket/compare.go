package bucket

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
)

// wanted returns the features that forProvider says something about.
func wanted(want v1alpha1.BucketParameters) []v1alpha1.Feature {
	var features []v1alpha1.Feature
	for _, f := range []struct {
		feature v1alpha1.Feature
		given   bool
	}{
		{v1alpha1.FeatureVersioning, want.Versioning != ""},
		{v1alpha1.FeatureObjectLock, want.ObjectLock != nil},
		{v1alpha1.FeatureLifecycle, want.Lifecycle != nil},
		{v1alpha1.FeatureTags, want.Tags != nil},
	} {
		if f.given {
			features = append(features, f.feature)
		}
	}
	return features
}

// known refuses features that are wanted and cannot be seen: whether they are in force could never be told.
func (e external) known(name string, want v1alpha1.BucketParameters, is v1alpha1.BucketObservation) error {
	for _, feature := range wanted(want) {
		if slices.Contains(is.Unknown, feature) {
			return fmt.Errorf("the store at %s has no %s for the bucket %s, or does not let the credentials of the Secret %s see it: leave it out of forProvider, or give the credentials the right to it",
				e.location.Endpoint, feature, name, e.location.Secret)
		}
	}
	return nil
}

// differing returns the features that are other in the store than forProvider says, in the order in which they can be set: object
// lock needs versioning.
func differing(want v1alpha1.BucketParameters, is v1alpha1.BucketObservation) []v1alpha1.Feature {
	return slices.DeleteFunc(wanted(want), func(feature v1alpha1.Feature) bool {
		switch feature {
		case v1alpha1.FeatureVersioning:
			return want.Versioning == is.Versioning
		case v1alpha1.FeatureObjectLock:
			return reflect.DeepEqual(want.ObjectLock, is.ObjectLock)
		case v1alpha1.FeatureLifecycle:
			return len(is.ForeignLifecycleRules) == 0 && slices.Equal(sorted(want.Lifecycle), sorted(is.Lifecycle))
		case v1alpha1.FeatureTags:
			return maps.Equal(want.Tags, is.Tags)
		}
		return false
	})
}

// sorted returns the rules of a lifecycle in an order that does not depend on the store.
func sorted(l *v1alpha1.Lifecycle) []v1alpha1.LifecycleRule {
	if l == nil {
		return nil
	}
	return slices.SortedFunc(slices.Values(l.Rules), func(a, b v1alpha1.LifecycleRule) int { return cmp.Compare(a.ID, b.ID) })
}

// fillIn sets what forProvider leaves out to what is in the store, and says whether there was anything. A lifecycle with rules that
// cannot be said here is left out: it would lose them.
func fillIn(want *v1alpha1.BucketParameters, is v1alpha1.BucketObservation) bool {
	filled := false
	if want.Versioning == "" && is.Versioning != "" && (want.ObjectLock == nil || is.Versioning == v1alpha1.VersioningEnabled) {
		want.Versioning, filled = is.Versioning, true
	}
	if want.ObjectLock == nil && is.ObjectLock != nil && want.Versioning != v1alpha1.VersioningSuspended {
		want.ObjectLock, filled = is.ObjectLock.DeepCopy(), true
	}
	if want.Lifecycle == nil && is.Lifecycle != nil && len(is.ForeignLifecycleRules) == 0 {
		want.Lifecycle, filled = is.Lifecycle.DeepCopy(), true
	}
	if want.Tags == nil && len(is.Tags) > 0 {
		want.Tags, filled = maps.Clone(is.Tags), true
	}
	return filled
}
