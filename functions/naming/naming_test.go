package naming

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNames pins names: another name is another object, and the one under the old name is deleted with what it holds.
func TestNames(t *testing.T) {
	c := Cluster{Namespace: "shop", Name: "demo"}
	want := map[string]string{
		"StatefulSet": "demo", "ReadWrite": "demo-rw", "ReadOnly": "demo-ro", "Pods": "demo-pods", "Config": "demo-config",
		"Reports": "demo-status", "Authority": "demo-ca-1", "Credentials": "demo-credentials-1", "Certificate": "demo-tls",
		"Admin": "demo-admin", "Connection": "demo-connection", "Scope": "demo-patroni", "Pod": "demo-0",
		"DataVolume": "data-demo-0", "Host": "demo-rw.shop.svc", "UsageOfNamespace": "demo-ca2976bf-ns",
	}
	got := map[string]string{
		"StatefulSet": c.StatefulSet(), "ReadWrite": c.ReadWrite(), "ReadOnly": c.ReadOnly(), "Pods": c.Pods(), "Config": c.Config(),
		"Reports": c.Reports(), "Authority": c.Authority(1), "Credentials": c.Credentials(1), "Certificate": c.Certificate(),
		"Admin": c.Admin(), "Connection": c.Connection(), "Scope": c.Scope(), "Pod": c.Pod(0),
		"DataVolume": c.DataVolume(0), "Host": c.Host(), "UsageOfNamespace": c.UsageOfNamespace(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names changed (-want +got):\n%s", diff)
	}
}

func TestClusterScopedNames(t *testing.T) {
	a, b := Cluster{Namespace: "a-b", Name: "c"}, Cluster{Namespace: "a", Name: "b-c"}
	if a.UsageOfNamespace() == b.UsageOfNamespace() {
		t.Error("two clusters must not share a cluster-scoped object")
	}
	long := Cluster{Namespace: strings.Repeat("n", 63), Name: strings.Repeat("c", 46)}
	for _, name := range []string{long.UsageOfComposite(), long.UsageOfNamespace(), long.UsageOfClaims(), long.UsageOfComposites(), long.UsageOfDefinition()} {
		if len(name) > 63 {
			t.Errorf("%s has %d characters, want 63 at most", name, len(name))
		}
	}
}

func TestComposesSecret(t *testing.T) {
	c := Cluster{Namespace: "shop", Name: "orders"}
	cases := map[string]bool{
		"orders-tls": true, "orders-admin": true, "orders-connection": true, "orders-backup": true, "orders-backup-tls": true, "orders-source": true,
		"orders-ca-1": true, "orders-credentials-12": true,
		"orders": false, "orders-password": false, "orders-credentials-prod": false, "orders-ca-": false, "other-tls": false,
	}
	for name, want := range cases {
		if got := c.ComposesSecret(name); got != want {
			t.Errorf("ComposesSecret(%q): got %t, want %t", name, got, want)
		}
	}
}
