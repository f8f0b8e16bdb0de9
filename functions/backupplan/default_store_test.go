package backupplan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/functiontest"
	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// byDefault is a plan that names no location.
func byDefault() request {
	return nightly(func(r *request) {
		r.Default, r.Secrets.Credentials = true, defaultStore
		r.Repository = instance.Repository{Plan: "nightly", RetainDays: 14}
	})
}

func TestAtDefault(t *testing.T) {
	store := func(change map[string]string) compose.Lookup {
		data := map[string]string{"endpoint": "s3.example.org:9000", "bucket": "shop", "accessKeyID": "id", "secretAccessKey": "key"}
		for k, v := range change {
			data[k] = v
		}
		return found(data)
	}
	cases := map[string]struct {
		reason string
		given  compose.Lookup
		want   instance.Repository
		bundle string
		refuse string
	}{
		"Store": {
			reason: "All that is needed is in the Secret.",
			given:  store(nil),
			want:   instance.Repository{Type: v1alpha1.LocationS3, Bucket: "shop", Endpoint: "s3.example.org:9000", Region: "us-east-1", URIStyle: "path"},
		},
		"Amazon": {
			reason: "Amazon's endpoint follows from the region. Editors leave a newline at the end.",
			given:  store(map[string]string{"endpoint": "", "region": "eu-central-1\n", "key": "/databases/"}),
			want: instance.Repository{
				Type: v1alpha1.LocationS3, Bucket: "shop", Prefix: "databases", Endpoint: "s3.eu-central-1.amazonaws.com", Region: "eu-central-1", URIStyle: "host",
			},
		},
		"OwnAuthority": {
			reason: "A store of the platform's own often has a certificate of its own authority.",
			given:  store(map[string]string{"ca.crt": "PEM\n"}),
			want:   instance.Repository{Type: v1alpha1.LocationS3, Bucket: "shop", Endpoint: "s3.example.org:9000", Region: "us-east-1", URIStyle: "path"},
			bundle: "PEM",
		},
		"NotLookedUp": {
			reason: "Nothing is made of what is not known yet.",
			refuse: "Looking for the Secret xdbcluster-backup-store.",
		},
		"NoStore": {
			reason: "Whose plan it is and who runs the platform both read what to do.",
			given:  compose.Lookup{Answered: true},
			refuse: "The platform gives the namespace shop no store: there is no Secret xdbcluster-backup-store. Set backupLocation, or ask who runs the platform for that Secret.",
		},
		"NoBucket": {
			reason: "The API server does not look into a Secret.",
			given:  store(map[string]string{"bucket": ""}),
			refuse: "its key bucket must be the name of a bucket",
		},
		"PlainHTTP": {
			reason: "Backups are never sent in the clear.",
			given:  store(map[string]string{"endpoint": "http://s3.example.org"}),
			refuse: "its key endpoint must be a host that speaks TLS",
		},
		"KeyLeadsOut": {
			reason: "A path stays below the bucket.",
			given:  store(map[string]string{"key": "a/../b"}),
			refuse: "its key key must have no part that is . or ..",
		},
		"LineBreakInBucket": {
			reason: "A line break would begin another line of pgBackRest's configuration.",
			given:  store(map[string]string{"bucket": "shop\nrepo1-path=/"}),
			refuse: "its key bucket must be the name of a bucket",
		},
		"NeitherEndpointNorRegion": {
			reason: "A bucket alone is nowhere.",
			given:  store(map[string]string{"endpoint": ""}),
			refuse: "it needs the key region (Amazon S3) or endpoint (any other store)",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := byDefault().atDefault(tc.given)
			if tc.refuse != "" {
				if got.Refused == nil || !strings.Contains(got.Refused.Message, tc.refuse) {
					t.Errorf("\n%s\natDefault(...): got %v, want a refusal that says %q", tc.reason, got.Refused, tc.refuse)
				}
				if _, refused := content(got, facts{}, userSecret{Lookup: tc.given, Name: defaultStore}); refused == nil {
					t.Errorf("\n%s\ncontent(...): there is a Secret for a store that is refused", tc.reason)
				}
				return
			}
			if got.Refused != nil {
				t.Fatalf("\n%s\natDefault(...): refused: %s", tc.reason, got.Refused.Message)
			}
			tc.want.Plan, tc.want.RetainDays = "nightly", 14
			if diff := cmp.Diff(tc.want, got.Repository); diff != "" {
				t.Errorf("\n%s\natDefault(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.bundle, got.Bundle); diff != "" {
				t.Errorf("\n%s\natDefault(...): authority: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestDefaultStoreGone shows that a store that was given stays in force when its Secret goes.
func TestDefaultStoreGone(t *testing.T) {
	gone := compose.Lookup{Answered: true}
	p, err := makePlan(byDefault().atDefault(gone), working(func(f *facts) { f.Credentials = gone }), functiontest.Now(), functiontest.Rand(1))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("1", string(p.Secret[instance.KeyRepositoryRevision])); diff != "" {
		t.Errorf("the revision of the Secret: -want, +got:\n%s", diff)
	}
	if location := p.Verdicts[0]; !location.Stalls || location.Reason != v1alpha1.ReasonCredentialsMissing {
		t.Errorf("the location is %s, and stalls: %t; want %s", location.Reason, location.Stalls, v1alpha1.ReasonCredentialsMissing)
	}
}
