package backupplan

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/functiontest"
	"github.com/xdbcluster/xdbcluster/functions/instance"
)

func TestPlanGrants(t *testing.T) {
	type want struct {
		Status compose.Truth
		Reason string
		Stalls bool
		Keys   map[string]string // The access key that each namespace is given.
	}
	granting := func(namespaces ...string) request {
		return nightly(func(r *request) {
			r.Grants = map[string]string{}
			for _, namespace := range namespaces {
				r.Grants[namespace] = "reader"
			}
		})
	}
	reader := found(map[string]string{"accessKeyID": "reader", "secretAccessKey": "key"})
	before := map[string][]byte{instance.KeyAccessKey: []byte("before")}
	accepted := located(compose.True, v1alpha1.ReasonAccepted, false, "")
	seeing := func(grants map[string]grantFacts) facts {
		f := working()
		f.Grants = grants
		return f
	}
	cases := map[string]struct {
		reason   string
		r        request
		seen     facts
		location verdict
		want     want
	}{
		"None": {
			reason:   "A plan without grants gives nobody anything.",
			r:        nightly(),
			seen:     working(),
			location: accepted,
			want:     want{Status: compose.True, Reason: v1alpha1.ReasonAccepted},
		},
		"Granted": {
			reason:   "A namespace gets the credentials of its grant, and not those of the plan.",
			r:        granting("reports"),
			seen:     seeing(map[string]grantFacts{"reports": {Credentials: reader}}),
			location: accepted,
			want:     want{Status: compose.True, Reason: v1alpha1.ReasonAccepted, Keys: map[string]string{"reports": "reader"}},
		},
		"NotLookedUp": {
			reason:   "What was given stays until it is known what is to be given.",
			r:        granting("reports"),
			seen:     seeing(map[string]grantFacts{"reports": {Secret: before}}),
			location: accepted,
			want:     want{Status: compose.Unknown, Reason: v1alpha1.ReasonCredentialsMissing, Keys: map[string]string{"reports": "before"}},
		},
		"CredentialsMissing": {
			reason:   "A Secret that is not there holds up no other grant, and is told of.",
			r:        granting("reports", "audit"),
			seen:     seeing(map[string]grantFacts{"reports": {Credentials: reader}, "audit": {Credentials: compose.Lookup{Answered: true}}}),
			location: accepted,
			want:     want{Status: compose.False, Reason: v1alpha1.ReasonCredentialsMissing, Stalls: true, Keys: map[string]string{"reports": "reader"}},
		},
		"CredentialsIncomplete": {
			reason:   "Credentials that became unusable leave those before in force, as the plan's own do.",
			r:        granting("reports"),
			seen:     seeing(map[string]grantFacts{"reports": {Secret: before, Credentials: found(map[string]string{"accessKeyID": "id"})}}),
			location: accepted,
			want:     want{Status: compose.False, Reason: v1alpha1.ReasonCredentialsRefused, Stalls: true, Keys: map[string]string{"reports": "before"}},
		},
		"OwnNamespace": {
			reason:   "The plan's own namespace needs no grant.",
			r:        granting("shop"),
			seen:     seeing(map[string]grantFacts{"shop": {Credentials: reader}}),
			location: accepted,
			want:     want{Status: compose.False, Reason: v1alpha1.ReasonRefused, Stalls: true},
		},
		"SecondPlan": {
			reason:   "A second plan of a DBCluster grants nothing of the first one's.",
			r:        granting("reports"),
			seen:     seeing(map[string]grantFacts{"reports": {Credentials: reader}}),
			location: located(compose.False, v1alpha1.ReasonOtherPlan, true, "The DBCluster has another one."),
			want:     want{Status: compose.Unknown, Reason: v1alpha1.ReasonOtherPlan},
		},
		"LocationNotInForce": {
			reason:   "Nobody is sent to a location that the instances are not told of yet.",
			r:        granting("reports"),
			seen:     seeing(map[string]grantFacts{"reports": {Secret: before, Credentials: reader}}),
			location: located(compose.Unknown, v1alpha1.ReasonWaitingForBucket, false, "Waiting for the bucket."),
			want:     want{Status: compose.Unknown, Reason: v1alpha1.ReasonWaitingForBucket, Keys: map[string]string{"reports": "before"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			told, grants, err := planGrants(tc.r, tc.seen, tc.location, functiontest.Rand(1))
			if err != nil {
				t.Fatalf("\n%s\nplanGrants(...): %v", tc.reason, err)
			}
			got := want{Status: told.Status, Reason: told.Reason, Stalls: told.Stalls}
			for namespace, data := range grants {
				if got.Keys == nil {
					got.Keys = map[string]string{}
				}
				got.Keys[namespace] = string(data[instance.KeyAccessKey])
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nplanGrants(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
