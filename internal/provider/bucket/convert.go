package bucket

import (
	"slices"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"

	"github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
)

// objectLockEnabled is how S3 says that a bucket has object lock.
const objectLockEnabled = "Enabled"

// modes of retention, as S3 names them.
func modes() map[v1alpha1.RetentionMode]minio.RetentionMode {
	return map[v1alpha1.RetentionMode]minio.RetentionMode{
		v1alpha1.RetentionGovernance: minio.Governance, v1alpha1.RetentionCompliance: minio.Compliance,
	}
}

// retention returns a default retention as S3 takes it: all nil when there is none.
func retention(lock *v1alpha1.ObjectLock) (*minio.RetentionMode, *uint, *minio.ValidityUnit) {
	if lock == nil || lock.DefaultRetention == nil {
		return nil, nil, nil
	}
	mode, unit := modes()[lock.DefaultRetention.Mode], minio.Days
	validity := uint(max(lock.DefaultRetention.Days, 0)) //nolint:gosec // It is not negative.
	if lock.DefaultRetention.Years > 0 {
		validity, unit = uint(lock.DefaultRetention.Years), minio.Years //nolint:gosec // It is positive.
	}
	return &mode, &validity, &unit
}

// objectLockOf is the reverse of retention.
func objectLockOf(mode *minio.RetentionMode, validity *uint, unit *minio.ValidityUnit) *v1alpha1.ObjectLock {
	lock := &v1alpha1.ObjectLock{}
	if mode == nil || validity == nil || unit == nil {
		return lock
	}
	lock.DefaultRetention = &v1alpha1.Retention{}
	for ours, theirs := range modes() {
		if theirs == *mode {
			lock.DefaultRetention.Mode = ours
		}
	}
	if *unit == minio.Years {
		lock.DefaultRetention.Years = int32(*validity) //nolint:gosec // No store keeps anything for as many years.
	} else {
		lock.DefaultRetention.Days = int32(*validity) //nolint:gosec // No store keeps anything for as many days.
	}
	return lock
}

// Whether S3 carries a rule out.
const (
	ruleEnabled  = "Enabled"
	ruleDisabled = "Disabled"
)

// configuration returns a lifecycle as S3 takes it.
func configuration(l *v1alpha1.Lifecycle) *lifecycle.Configuration {
	c := lifecycle.NewConfiguration()
	for _, rule := range l.Rules {
		c.Rules = append(c.Rules, ruleFor(rule))
	}
	return c
}

func ruleFor(r v1alpha1.LifecycleRule) lifecycle.Rule {
	rule := lifecycle.Rule{ID: r.ID, Status: ruleEnabled, RuleFilter: lifecycle.Filter{Prefix: r.Prefix}}
	if r.Disabled {
		rule.Status = ruleDisabled
	}
	rule.Expiration.Days = lifecycle.ExpirationDays(r.ExpireDays)
	rule.NoncurrentVersionExpiration.NoncurrentDays = lifecycle.ExpirationDays(r.ExpireNoncurrentDays)
	rule.AbortIncompleteMultipartUpload.DaysAfterInitiation = lifecycle.ExpirationDays(r.AbortUploadDays)
	return rule
}

// lifecycleOf is the reverse of configuration. Rules that do something else besides are foreign: only their IDs are returned.
func lifecycleOf(c *lifecycle.Configuration) (*v1alpha1.Lifecycle, []string) {
	if c.Empty() {
		return nil, nil
	}
	l := &v1alpha1.Lifecycle{}
	var foreign []string
	for _, rule := range c.Rules {
		if !plain(rule) {
			foreign = append(foreign, rule.ID)
			continue
		}
		l.Rules = append(l.Rules, ruleOf(rule))
	}
	slices.Sort(foreign)
	if len(l.Rules) == 0 {
		return nil, foreign
	}
	return l, foreign
}

func ruleOf(rule lifecycle.Rule) v1alpha1.LifecycleRule {
	prefix := rule.RuleFilter.Prefix
	if prefix == "" {
		prefix = rule.Prefix // Where it was before rules had filters.
	}
	return v1alpha1.LifecycleRule{
		ID: rule.ID, Prefix: prefix, Disabled: rule.Status == ruleDisabled,
		ExpireDays:           int32(rule.Expiration.Days),                                    //nolint:gosec // S3 has a lower limit.
		ExpireNoncurrentDays: int32(rule.NoncurrentVersionExpiration.NoncurrentDays),         //nolint:gosec // S3 has a lower limit.
		AbortUploadDays:      int32(rule.AbortIncompleteMultipartUpload.DaysAfterInitiation), //nolint:gosec // S3 has a lower limit.
	}
}

// plain says whether a rule does something that a LifecycleRule can say, and nothing else.
func plain(r lifecycle.Rule) bool {
	does := r.Expiration.Days > 0 || r.NoncurrentVersionExpiration.NoncurrentDays > 0 || r.AbortIncompleteMultipartUpload.DaysAfterInitiation > 0
	return does && r.RuleFilter.And.IsEmpty() && r.RuleFilter.Tag.IsEmpty() && r.RuleFilter.ObjectSizeGreaterThan == 0 && r.RuleFilter.ObjectSizeLessThan == 0 &&
		r.Expiration.IsDateNull() && !bool(r.Expiration.DeleteMarker) && !bool(r.Expiration.DeleteAll) &&
		r.Transition.IsNull() && r.NoncurrentVersionTransition.NoncurrentDays == 0 && r.NoncurrentVersionTransition.StorageClass == "" &&
		r.NoncurrentVersionExpiration.NewerNoncurrentVersions == 0 && r.DelMarkerExpiration.IsNull() && r.AllVersionsExpiration.IsNull()
}
