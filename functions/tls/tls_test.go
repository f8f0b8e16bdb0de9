package tls

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func now() time.Time { return time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC) }

func bytesOf(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

func authority(t *testing.T, seed byte) Pair {
	t.Helper()
	ca, err := NewAuthority("demo", now(), bytesOf(seed))
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func leaf(t *testing.T, ca Pair, names ...string) Pair {
	t.Helper()
	l, err := NewLeaf(ca, "demo", names, now(), bytesOf(9))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDeterministic(t *testing.T) {
	a, b, other := authority(t, 1), authority(t, 1), authority(t, 2)
	if !a.Equal(b) {
		t.Error("the same time and random bytes must give the same certificate")
	}
	if a.Equal(other) {
		t.Error("other random bytes must give another certificate")
	}
	if !leaf(t, a, "x").Equal(leaf(t, b, "x")) {
		t.Error("the same authority must give the same certificate")
	}
}

// TestIssuer checks what Go does not mind and OpenSSL, in PostgreSQL's clients and in Patroni, refuses.
func TestIssuer(t *testing.T) {
	certificate, err := parseCertificate(leaf(t, authority(t, 1), "demo-rw.shop.svc").Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if certificate.Issuer.String() == certificate.Subject.String() {
		t.Errorf("the certificate and its issuer are both called %s: OpenSSL calls that self-signed", certificate.Subject)
	}
}

func TestCheckLeaf(t *testing.T) {
	ca, other := authority(t, 1), authority(t, 2)
	good := leaf(t, ca, "demo-rw.shop.svc", "*.demo-pods")
	day := 24 * time.Hour
	remembered := Vouched{}
	check(t, "It is to be remembered.", CheckLeaf(good, ca.Certificate, nil, now(), &remembered), "")

	cases := map[string]struct {
		reason string
		leaf   Pair
		ca     Pair
		names  []string
		now    time.Time
		want   string
	}{
		"Good":           {reason: "A new certificate is used.", leaf: good, ca: ca, names: []string{"demo-rw.shop.svc"}, now: now()},
		"GoodForLong":    {reason: "It is used for two thirds of its life.", leaf: good, ca: ca, now: now().Add(59 * day)},
		"Due":            {reason: "Then it is renewed.", leaf: good, ca: ca, now: now().Add(60 * day), want: "was to be renewed at 2026-04-30"},
		"Over":           {reason: "One that ended is not used.", leaf: good, ca: ca, now: now().Add(91 * day), want: "was to be renewed at"},
		"LacksName":      {reason: "One from before a name came in is not used.", leaf: good, ca: ca, names: []string{"demo-ro.shop.svc"}, now: now(), want: `lacks the name "demo-ro.shop.svc"`},
		"OtherAuthority": {reason: "Clients could not verify it.", leaf: good, ca: other, now: now(), want: "does not vouch"},
		"OtherKey":       {reason: "A key that was mixed up cannot be served.", leaf: Pair{Certificate: good.Certificate, Key: ca.Key}, ca: ca, now: now(), want: "cannot be used"},
		"Nothing":        {reason: "What is missing is made.", ca: ca, now: now(), want: "cannot be used"},
		"Garbage":        {reason: "What is broken is made anew.", leaf: Pair{Certificate: []byte("x"), Key: []byte("y")}, ca: ca, now: now(), want: "cannot be used"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			check(t, tc.reason, CheckLeaf(tc.leaf, tc.ca.Certificate, tc.names, tc.now, nil), tc.want)
			check(t, tc.reason+" So it is when it was right before.", CheckLeaf(tc.leaf, tc.ca.Certificate, tc.names, tc.now, &remembered), tc.want)
		})
	}
}

func TestCheckGiven(t *testing.T) {
	ca, other := authority(t, 1), authority(t, 2)
	good := leaf(t, ca, "demo-rw.shop.svc")

	cases := map[string]struct {
		reason string
		ca     Pair
		host   string
		now    time.Time
		want   string
	}{
		"Good":           {reason: "A right certificate is served, also shortly before its end.", ca: ca, host: "demo-rw.shop.svc", now: now().Add(89 * 24 * time.Hour)},
		"OtherName":      {reason: "Clients would refuse it.", ca: ca, host: "other-rw.shop.svc", now: now(), want: "not valid for the name other-rw.shop.svc"},
		"OtherAuthority": {reason: "Clients get ca.crt to verify it with.", ca: other, host: "demo-rw.shop.svc", now: now(), want: "ca.crt does not vouch for tls.crt"},
		"Over":           {reason: "It has ended.", ca: ca, host: "demo-rw.shop.svc", now: now().Add(90 * 24 * time.Hour), want: "ended at 2026-05-30"},
		"Early":          {reason: "It has not begun.", ca: ca, host: "demo-rw.shop.svc", now: now().Add(-time.Hour), want: "not valid before"},
		"NoAuthority":    {reason: "ca.crt holds something else.", ca: Pair{Certificate: []byte("x")}, host: "demo-rw.shop.svc", now: now(), want: "ca.crt holds no certificate"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			check(t, tc.reason, CheckGiven(good, tc.ca.Certificate, tc.host, tc.now), tc.want)
		})
	}
}

func TestCheckAuthority(t *testing.T) {
	ca := authority(t, 1)
	check(t, "A new authority is used.", CheckAuthority(ca, now()), "")
	check(t, "One that ended is not.", CheckAuthority(ca, now().Add(AuthorityLifetime)), "ended at")
	check(t, "An instance's certificate is none.", CheckAuthority(leaf(t, ca, "x"), now()), "not an authority's")
}

func check(t *testing.T, reason string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s\nunexpected: %v", reason, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s\ngot %v, want an error with %q", reason, err, want)
	}
}
