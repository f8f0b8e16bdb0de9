package bucket

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"

	"github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
	"github.com/xdbcluster/xdbcluster/internal/provider/store"
)

func rulesOf(rules ...v1alpha1.LifecycleRule) *v1alpha1.Lifecycle {
	return &v1alpha1.Lifecycle{Rules: rules}
}

func lockFor(days int32) *v1alpha1.ObjectLock {
	return &v1alpha1.ObjectLock{DefaultRetention: &v1alpha1.Retention{Mode: v1alpha1.RetentionCompliance, Days: days}}
}

func TestDiffering(t *testing.T) {
	logs, old := v1alpha1.LifecycleRule{ID: "logs", ExpireDays: 3}, v1alpha1.LifecycleRule{ID: "old", ExpireNoncurrentDays: 3}
	tags := map[string]v1alpha1.TagValue{"team": "shop"}
	full := v1alpha1.BucketObservation{Versioning: v1alpha1.VersioningEnabled, ObjectLock: lockFor(1), Lifecycle: rulesOf(logs, old), Tags: tags}
	cases := map[string]struct {
		reason string
		want   v1alpha1.BucketParameters
		is     v1alpha1.BucketObservation
		differ []v1alpha1.Feature
	}{
		"NothingSaid": {reason: "What is not said is left as it is.", is: full},
		"Same": {
			reason: "In whatever order the store says its rules.",
			want:   v1alpha1.BucketParameters{Versioning: v1alpha1.VersioningEnabled, ObjectLock: lockFor(1), Lifecycle: rulesOf(old, logs), Tags: tags},
			is:     full,
		},
		"NothingThere": {
			reason: "A new bucket gets everything, versioning before the lock that needs it.",
			want:   v1alpha1.BucketParameters{Versioning: v1alpha1.VersioningEnabled, ObjectLock: lockFor(1), Lifecycle: rulesOf(logs), Tags: tags},
			differ: []v1alpha1.Feature{v1alpha1.FeatureVersioning, v1alpha1.FeatureObjectLock, v1alpha1.FeatureLifecycle, v1alpha1.FeatureTags},
		},
		"TakenAway": {
			reason: "Empty is not the same as not said.",
			want:   v1alpha1.BucketParameters{Lifecycle: rulesOf(), Tags: map[string]v1alpha1.TagValue{}}, is: full,
			differ: []v1alpha1.Feature{v1alpha1.FeatureLifecycle, v1alpha1.FeatureTags},
		},
		"EmptyAlready": {
			reason: "There is nothing to take away.",
			want:   v1alpha1.BucketParameters{Lifecycle: rulesOf(), Tags: map[string]v1alpha1.TagValue{}},
		},
		"LockWithoutRetention": {
			reason: "A lock with nothing kept by default is another one.",
			want:   v1alpha1.BucketParameters{ObjectLock: &v1alpha1.ObjectLock{}}, is: full,
			differ: []v1alpha1.Feature{v1alpha1.FeatureObjectLock},
		},
		"ForeignRule": {
			reason: "A rule that cannot be said here is not wanted where there is a lifecycle.",
			want:   v1alpha1.BucketParameters{Lifecycle: rulesOf(logs)},
			is:     v1alpha1.BucketObservation{Lifecycle: rulesOf(logs), ForeignLifecycleRules: []string{"move"}},
			differ: []v1alpha1.Feature{v1alpha1.FeatureLifecycle},
		},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			got := differing(tc.want, tc.is)
			if len(got)+len(tc.differ) == 0 {
				return
			}
			if diff := cmp.Diff(tc.differ, got); diff != "" {
				t.Errorf("\n%s\ndiffering(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestFillIn(t *testing.T) {
	tags := map[string]v1alpha1.TagValue{"team": "shop"}
	cases := map[string]struct {
		reason string
		given  v1alpha1.BucketParameters
		is     v1alpha1.BucketObservation
		want   v1alpha1.BucketParameters
		filled bool
	}{
		"All": {
			reason: "An import takes over all that there is.",
			is:     v1alpha1.BucketObservation{Versioning: v1alpha1.VersioningEnabled, ObjectLock: lockFor(1), Lifecycle: rulesOf(), Tags: tags},
			want:   v1alpha1.BucketParameters{Versioning: v1alpha1.VersioningEnabled, ObjectLock: lockFor(1), Lifecycle: rulesOf(), Tags: tags},
			filled: true,
		},
		"Given": {
			reason: "What is given stays.",
			given:  v1alpha1.BucketParameters{Versioning: v1alpha1.VersioningSuspended, Tags: map[string]v1alpha1.TagValue{}},
			is:     v1alpha1.BucketObservation{Versioning: v1alpha1.VersioningEnabled, ObjectLock: lockFor(1), Tags: tags},
			want:   v1alpha1.BucketParameters{Versioning: v1alpha1.VersioningSuspended, Tags: map[string]v1alpha1.TagValue{}},
		},
		"Nothing": {reason: "A bucket without anything leaves nothing to fill in."},
		"ForeignRule": {
			reason: "A lifecycle that would lose a rule is not taken over.",
			is:     v1alpha1.BucketObservation{Lifecycle: rulesOf(), ForeignLifecycleRules: []string{"move"}},
		},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			got := tc.given
			if filled := fillIn(&got, tc.is); filled != tc.filled {
				t.Errorf("\n%s\nfillIn(...): got %t, want %t", tc.reason, filled, tc.filled)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nfillIn(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestKnown(t *testing.T) {
	e := external{location: store.Location{Endpoint: "s3.example.org", Secret: "shop/keys"}}
	is := v1alpha1.BucketObservation{Unknown: []v1alpha1.Feature{v1alpha1.FeatureLifecycle}}
	if err := e.known("reports", v1alpha1.BucketParameters{Versioning: v1alpha1.VersioningEnabled}, is); err != nil {
		t.Errorf("What nobody asks for is missed: %v", err)
	}
	err := e.known("reports", v1alpha1.BucketParameters{Lifecycle: rulesOf()}, is)
	if want := "the store at s3.example.org has no lifecycle for the bucket reports"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("known(...): got %v, want a refusal that says %q", err, want)
	}
}

// TestLifecycleConversion turns rules into S3's and back.
func TestLifecycleConversion(t *testing.T) {
	cases := map[string]struct {
		reason  string
		rules   []lifecycle.Rule
		want    *v1alpha1.Lifecycle
		foreign []string
	}{
		"None": {reason: "A bucket without rules has no lifecycle."},
		"Ours": {
			reason: "What was written here is read again as it was.",
			rules: configuration(rulesOf(
				v1alpha1.LifecycleRule{ID: "a", Prefix: "logs/", Disabled: true, ExpireDays: 1}, v1alpha1.LifecycleRule{ID: "b", ExpireNoncurrentDays: 2, AbortUploadDays: 3},
			)).Rules,
			want: rulesOf(
				v1alpha1.LifecycleRule{ID: "a", Prefix: "logs/", Disabled: true, ExpireDays: 1}, v1alpha1.LifecycleRule{ID: "b", ExpireNoncurrentDays: 2, AbortUploadDays: 3},
			),
		},
		"OldPrefix": {
			reason: "Rules from before there were filters have their prefix elsewhere.",
			rules:  []lifecycle.Rule{{ID: "a", Status: ruleEnabled, Prefix: "logs/", Expiration: lifecycle.Expiration{Days: 1}}},
			want:   rulesOf(v1alpha1.LifecycleRule{ID: "a", Prefix: "logs/", ExpireDays: 1}),
		},
		"Foreign": {
			reason: "A rule that does more than can be said is named, and not half understood.",
			rules: []lifecycle.Rule{
				{ID: "z", Status: ruleEnabled, Expiration: lifecycle.Expiration{Days: 1}, Transition: lifecycle.Transition{StorageClass: "GLACIER", Days: 1}},
				{ID: "tagged", Status: ruleEnabled, Expiration: lifecycle.Expiration{Days: 1}, RuleFilter: lifecycle.Filter{Tag: lifecycle.Tag{Key: "a", Value: "b"}}},
				{ID: "markers", Status: ruleEnabled, Expiration: lifecycle.Expiration{DeleteMarker: true}},
				{ID: "ours", Status: ruleEnabled, Expiration: lifecycle.Expiration{Days: 1}},
			},
			want:    rulesOf(v1alpha1.LifecycleRule{ID: "ours", ExpireDays: 1}),
			foreign: []string{"markers", "tagged", "z"},
		},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			got, foreign := lifecycleOf(&lifecycle.Configuration{Rules: tc.rules})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nlifecycleOf(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.foreign, foreign); diff != "" {
				t.Errorf("\n%s\nforeign rules: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestRetention turns a retention into S3's and back.
func TestRetention(t *testing.T) {
	for _, want := range []*v1alpha1.ObjectLock{
		{},
		lockFor(30),
		{DefaultRetention: &v1alpha1.Retention{Mode: v1alpha1.RetentionGovernance, Years: 2}},
	} {
		if diff := cmp.Diff(want, objectLockOf(retention(want))); diff != "" {
			t.Errorf("a retention does not come back as it was: -want, +got:\n%s", diff)
		}
	}
	mode, validity, unit := retention(lockFor(30))
	if *mode != minio.Compliance || *validity != 30 || *unit != minio.Days {
		t.Errorf("retention(...): got %s, %d %s", *mode, *validity, *unit)
	}
}
