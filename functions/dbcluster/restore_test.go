package dbcluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

func TestAwaitedPlan(t *testing.T) {
	plans := map[string]string{"another": "invoices", "nightly": "orders", "weekly": "orders"}
	there := compose.Lookup{Answered: true, Data: map[string][]byte{instance.KeyRepositoryRevision: []byte("1")}}
	cases := map[string]struct {
		reason string
		seen   facts
		want   string
	}{
		"NoPlan": {
			reason: "The plan of another cluster is not waited for.",
			seen:   facts{Plans: map[string]string{"another": "invoices"}, Repository: compose.Lookup{Answered: true}},
		},
		"Plan": {
			reason: "Of two plans, of which one will be refused, it is always the same.",
			seen:   facts{Plans: plans, Repository: compose.Lookup{Answered: true}},
			want:   "nightly",
		},
		"PlanInForce": {
			reason: "It has said where backups are kept.",
			seen:   facts{Plans: plans, Repository: there},
		},
		"Born": {
			reason: "A cluster that has a database has begun.",
			seen: facts{
				Plans: plans, Repository: compose.Lookup{Answered: true},
				Reports: map[string]instance.Report{"orders-0": {SystemIdentifier: "7300000000000000000"}},
			},
		},
		"NotLookedUp": {
			reason: "What was waited for stays so until it is known to be otherwise.",
			seen:   facts{Config: &instance.Config{PlanAwaited: "nightly"}},
			want:   "nightly",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := awaitedPlan(cluster{Cluster: naming.Cluster{Namespace: "shop", Name: "orders"}}, tc.seen)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nawaitedPlan(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
