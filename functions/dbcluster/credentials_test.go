package dbcluster

import (
	"net/url"
	"strings"
	"testing"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

func demo() cluster {
	return cluster{
		Cluster: naming.Cluster{Namespace: "shop", Name: "demo"},
		Spec: v1alpha1.DBClusterSpec{PrimarySpec: v1alpha1.PrimarySpec{
			Version:   "17",
			AdminUser: &v1alpha1.AdminUserSpec{PasswordRef: &v1alpha1.SecretReference{Name: "pw"}},
		}},
	}
}

func TestPlanPassword(t *testing.T) {
	secret := func(value string) compose.Lookup {
		return compose.Lookup{Answered: true, Data: map[string][]byte{"demo": []byte(value)}}
	}
	cases := map[string]struct {
		reason   string
		secret   compose.Lookup
		password string
		verdict  string
		stalls   bool
	}{
		"Plain":          {reason: "A password is what the Secret holds.", secret: secret("secret"), password: "secret", verdict: v1alpha1.ReasonPasswordFromSecret},
		"Newline":        {reason: "echo leaves a newline that is not meant.", secret: secret("secret\n"), password: "secret", verdict: v1alpha1.ReasonNewlineTrimmed},
		"WindowsNewline": {reason: "So do editors on Windows.", secret: secret("secret\r\n"), password: "secret", verdict: v1alpha1.ReasonNewlineTrimmed},
		"Spaces":         {reason: "A space may be meant.", secret: secret(" secret "), password: " secret ", verdict: v1alpha1.ReasonPasswordFromSecret},
		"TwoNewlines":    {reason: "Only one can be nobody's intent; a line break in it no client can send.", secret: secret("secret\n\n"), verdict: v1alpha1.ReasonPasswordRefused, stalls: true},
		"InnerNewline":   {reason: "No client can send it.", secret: secret("a\nb"), verdict: v1alpha1.ReasonPasswordRefused, stalls: true},
		"NUL":            {reason: "PostgreSQL cannot take it.", secret: secret("a\x00b"), verdict: v1alpha1.ReasonPasswordRefused, stalls: true},
		"Empty":          {reason: "PostgreSQL refuses every login with it.", secret: secret(""), verdict: v1alpha1.ReasonPasswordRefused, stalls: true},
		"OnlyNewline":    {reason: "It is empty without the newline.", secret: secret("\n"), verdict: v1alpha1.ReasonPasswordRefused, stalls: true},
		"TooLong":        {reason: "Longer ones are a mistake.", secret: secret(strings.Repeat("x", 1025)), verdict: v1alpha1.ReasonPasswordRefused, stalls: true},
		"KeyMissing":     {reason: "The key is the cluster's name.", secret: compose.Lookup{Answered: true, Data: map[string][]byte{"password": []byte("x")}}, verdict: v1alpha1.ReasonPasswordKeyMissing, stalls: true},
		"SecretMissing":  {reason: "The Secret has to be created.", secret: compose.Lookup{Answered: true}, verdict: v1alpha1.ReasonPasswordSecretMissing, stalls: true},
		"NotLookedUp":    {reason: "Before the answer nothing is wrong.", verdict: v1alpha1.ReasonWaitingForCredentials},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			password, v := planPassword(demo(), facts{Password: tc.secret})
			if password != tc.password || v.Reason != tc.verdict || v.Stalls != tc.stalls {
				t.Errorf("%s\ngot password %q, reason %s, stalls %t; want %q, %s, %t", tc.reason, password, v.Reason, v.Stalls, tc.password, tc.verdict, tc.stalls)
			}
			if (v.Status == compose.True) != (password != "") {
				t.Errorf("%s\nthe condition is %s with the password %q", tc.reason, v.Status, password)
			}
		})
	}
}

func TestPlanAdmin(t *testing.T) {
	made := &credentials{Replication: "a", Rewind: "b", Admin: "c"}
	admin := func(seen facts, password string) string {
		return string(planAdmin(seen, password)[instance.KeyAdminRevision])
	}
	first := admin(facts{Credentials: made}, "secret")
	if first == "" || strings.Contains(first, "secret") {
		t.Errorf("the revision of a known password is %q", first)
	}
	if again := admin(facts{Credentials: made}, "secret"); again != first {
		t.Error("the same password must keep its revision")
	}
	if other := admin(facts{Credentials: made}, "secret2"); other == first {
		t.Error("another password must have another revision")
	}
	if other := admin(facts{Credentials: &credentials{Rewind: "z"}}, "secret"); other == first {
		t.Error("without the key the revision must not tell that two clusters have the same password")
	}
	kept := map[string][]byte{instance.KeyAdminRevision: []byte("kept")}
	if got := admin(facts{Credentials: made, Admin: kept}, ""); got != "kept" {
		t.Errorf("while the password is not known the old one stays, got revision %q", got)
	}
}

func TestPlanConnectionURI(t *testing.T) {
	for _, password := range []string{"simple", "p@ss:w/rd?#[]%+ &=", "ümlaut\t", `"'\`} {
		p := plan{
			Admin:       map[string][]byte{instance.KeyAdminUser: []byte("postgres"), instance.KeyAdminPassword: []byte(password)},
			Certificate: map[string][]byte{instance.KeyAuthority: []byte("ca")},
		}
		uri, err := url.Parse(string(planConnection(demo(), facts{}, p)["uri"]))
		if err != nil {
			t.Fatalf("%q: %v", password, err)
		}
		if got, _ := uri.User.Password(); got != password || uri.Host != "demo-rw.shop.svc:5432" || uri.Path != "/postgres" {
			t.Errorf("%q comes back as %q from %s", password, got, uri.Redacted())
		}
	}
}

// TestStatusHoldsNoSecret checks that what everybody can read does not hold what only some may.
func TestStatusHoldsNoSecret(t *testing.T) {
	w := newWorld(t, smallSpec)
	for range 3 {
		w.call(w.plane.Observed(), nil)
		w.settle()
	}
	out, _, _ := w.call(w.plane.Observed(), nil)
	made := observeCredentials(w.object(naming.ObjectCredentials))
	readable := dump(t, out.Status) + dump(t, out.Conditions) + dump(t, out.Events) + dump(t, out.Objects[naming.ObjectConfig]) + dump(t, out.Objects[naming.ObjectStatefulSet])
	for _, secret := range []string{made.Admin, made.Replication, made.Rewind, "PRIVATE KEY"} {
		if strings.Contains(readable, secret) {
			t.Errorf("a secret can be read where it must not be")
		}
	}
}
