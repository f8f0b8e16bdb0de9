package dbcluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
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

func TestSource(t *testing.T) {
	type want struct {
		Mounted  string
		Required compose.Selector // Empty when nothing is looked up.
		Copied   string           // The revision of what the cluster's own copy holds.
	}
	revised := func(revision string) map[string][]byte {
		return map[string][]byte{instance.KeyRepositoryRevision: []byte(revision)}
	}
	secret := func(namespace, name string) compose.Selector {
		return compose.Selector{APIVersion: "v1", Kind: "Secret", Namespace: namespace, Name: name}
	}
	cases := map[string]struct {
		reason string
		spec   v1alpha1.RestoreSpec
		seen   facts
		want   want
	}{
		"SameNamespace": {
			reason: "The plan of the source has a Secret in the namespace already.",
			spec:   v1alpha1.RestoreSpec{SourceDBCluster: "orders"},
			seen:   facts{Source: compose.Lookup{Answered: true, Data: revised("1")}},
			want:   want{Mounted: "orders-backup", Required: secret("shop", "orders-backup")},
		},
		"OwnPlan": {
			reason: "With a plan of its own a cluster needs nobody's grant.",
			spec:   v1alpha1.RestoreSpec{SourceDBCluster: "orders", SourceNamespace: "billing", BackupPlanOf: v1alpha1.PlanOfSelf},
			seen:   facts{Source: compose.Lookup{Answered: true, Data: revised("1")}},
			want:   want{Mounted: "copy-backup", Required: secret("shop", "copy-backup")},
		},
		"Granted": {
			reason: "Of another namespace's plan only what it grants to this one is looked up, and copied.",
			spec:   v1alpha1.RestoreSpec{SourceDBCluster: "orders", SourceNamespace: "billing"},
			seen:   facts{Source: compose.Lookup{Answered: true, Data: revised("1")}},
			want:   want{Mounted: "copy-source", Required: secret("billing", "orders.granted.shop"), Copied: "1"},
		},
		"NotGranted": {
			reason: "A grant that was taken back is taken from the cluster that is not restored yet.",
			spec:   v1alpha1.RestoreSpec{SourceDBCluster: "orders", SourceNamespace: "billing"},
			seen:   facts{Source: compose.Lookup{Answered: true}, SourceCopy: revised("1")},
			want:   want{Mounted: "copy-source", Required: secret("billing", "orders.granted.shop")},
		},
		"NotLookedUp": {
			reason: "While nothing is known of the grant the copy stays.",
			spec:   v1alpha1.RestoreSpec{SourceDBCluster: "orders", SourceNamespace: "billing"},
			seen:   facts{SourceCopy: revised("1")},
			want:   want{Mounted: "copy-source", Required: secret("billing", "orders.granted.shop"), Copied: "1"},
		},
		"Restored": {
			reason: "A cluster that has its database keeps no credentials of another namespace.",
			spec:   v1alpha1.RestoreSpec{SourceDBCluster: "orders", SourceNamespace: "billing"},
			seen: facts{
				Source: compose.Lookup{Answered: true, Data: revised("1")}, SourceCopy: revised("1"),
				Reports: map[string]instance.Report{"copy-0": {SystemIdentifier: "7300000000000000000"}},
			},
			want: want{Mounted: "copy-source"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := cluster{Cluster: naming.Cluster{Namespace: "shop", Name: "copy"}}
			c.Spec.Bootstrap = &v1alpha1.BootstrapSpec{Restore: tc.spec}
			restore, err := restoreOf(c.Cluster, c.Spec.Bootstrap)
			if err != nil {
				t.Fatal(err)
			}
			c.Restore = restore
			required, _ := c.lookUpSource(tc.seen)
			got := want{Mounted: c.sourceSecret(), Required: required, Copied: string(planSource(c, tc.seen)[instance.KeyRepositoryRevision])}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nSource: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
