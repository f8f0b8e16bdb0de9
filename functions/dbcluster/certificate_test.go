package dbcluster

import (
	"testing"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/functiontest"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/tls"
)

func TestPlanCertificate(t *testing.T) {
	now, day := functiontest.Now(), 24*time.Hour
	authority, err := tls.NewAuthority("demo", now, functiontest.Rand(1))
	if err != nil {
		t.Fatal(err)
	}
	users, err := tls.NewAuthority("users", now, functiontest.Rand(2))
	if err != nil {
		t.Fatal(err)
	}
	given, err := tls.NewLeaf(users, "users", []string{"demo-rw.shop.svc"}, now, functiontest.Rand(3))
	if err != nil {
		t.Fatal(err)
	}
	own, err := tls.NewLeaf(authority, "demo", demo().DNSNames(), now, functiontest.Rand(4))
	if err != nil {
		t.Fatal(err)
	}
	ownData := certificateData(own, own, authority.Certificate, authority.Certificate)
	givenData := certificateData(given, own, users.Certificate, authority.Certificate)
	secret := compose.Lookup{Answered: true, Data: map[string][]byte{
		instance.KeyCertificate: given.Certificate, instance.KeyPrivateKey: given.Key, instance.KeyAuthority: users.Certificate,
	}}
	without := compose.Lookup{Answered: true, Data: map[string][]byte{
		instance.KeyCertificate: given.Certificate, instance.KeyPrivateKey: given.Key,
	}}

	cases := map[string]struct {
		reason  string
		tls     bool
		seen    facts
		after   time.Duration
		verdict string
		stalls  bool
		serves  string
	}{
		"NoAuthority":        {reason: "Nothing is issued before the authority is seen.", verdict: v1alpha1.ReasonWaitingForAuthority, serves: "nothing"},
		"NoAuthorityButLeaf": {reason: "What is there stays as it is.", seen: facts{Certificate: ownData}, verdict: v1alpha1.ReasonWaitingForAuthority, serves: "own"},
		"New":                {reason: "With the authority there is a certificate.", seen: facts{Authority: &authority}, verdict: v1alpha1.ReasonIssued, serves: "new"},
		"Kept":               {reason: "A good one is kept byte for byte.", seen: facts{Authority: &authority, Certificate: ownData}, verdict: v1alpha1.ReasonIssued, serves: "own"},
		"Due":                {reason: "One that is due is replaced.", seen: facts{Authority: &authority, Certificate: ownData}, after: 60 * day, verdict: v1alpha1.ReasonIssued, serves: "new"},
		"Given":              {reason: "The user's is served.", tls: true, seen: facts{Authority: &authority, Certificate: ownData, GivenCertificate: secret}, verdict: v1alpha1.ReasonGiven, serves: "given"},
		"GivenToNew":         {reason: "Also by a new cluster.", tls: true, seen: facts{Authority: &authority, GivenCertificate: secret}, verdict: v1alpha1.ReasonGiven, serves: "given"},
		"GivenMissing":       {reason: "A running cluster goes on with what it has.", tls: true, seen: facts{Authority: &authority, Certificate: givenData, GivenCertificate: compose.Lookup{Answered: true}}, verdict: v1alpha1.ReasonCertificateSecretMissing, stalls: true, serves: "given"},
		"GivenMissingOwn":    {reason: "Its own certificate is renewed meanwhile.", tls: true, seen: facts{Authority: &authority, Certificate: ownData, GivenCertificate: compose.Lookup{Answered: true}}, after: 60 * day, verdict: v1alpha1.ReasonCertificateSecretMissing, stalls: true, serves: "new"},
		"GivenMissingNew":    {reason: "A new cluster waits.", tls: true, seen: facts{Authority: &authority, GivenCertificate: compose.Lookup{Answered: true}}, verdict: v1alpha1.ReasonCertificateSecretMissing, stalls: true, serves: "nothing"},
		"GivenIncomplete":    {reason: "Clients need ca.crt.", tls: true, seen: facts{Authority: &authority, Certificate: ownData, GivenCertificate: without}, verdict: v1alpha1.ReasonCertificateRefused, stalls: true, serves: "own"},
		"GivenOver":          {reason: "One that has ended is not taken over.", tls: true, seen: facts{Authority: &authority, Certificate: givenData, GivenCertificate: secret}, after: 91 * day, verdict: v1alpha1.ReasonCertificateRefused, stalls: true, serves: "given"},
		"GivenNotLookedUp":   {reason: "Before the answer nothing changes.", tls: true, seen: facts{Authority: &authority, Certificate: givenData}, verdict: v1alpha1.ReasonCertificateSecretMissing, serves: "given"},
		"BackToOwn":          {reason: "Without tls the own one is served again.", seen: facts{Authority: &authority, Certificate: givenData}, verdict: v1alpha1.ReasonIssued, serves: "own"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := demo()
			if tc.tls {
				c.Spec.TLS = &v1alpha1.TLSSpec{CertSecret: v1alpha1.SecretReference{Name: "cert"}}
			}
			data, v, err := planCertificate(c, tc.seen, now.Add(tc.after), functiontest.Rand(5))
			if err != nil {
				t.Fatalf("%s\n%v", tc.reason, err)
			}
			if v.Reason != tc.verdict || v.Stalls != tc.stalls || (tc.stalls && v.Status != compose.False) {
				t.Errorf("%s\ngot %s (%s: %s), want %s", tc.reason, v.Reason, v.Status, v.Message, tc.verdict)
			}
			serves := "new"
			switch served := string(data[instance.KeyCertificate]); {
			case data == nil:
				serves = "nothing"
			case served == string(own.Certificate):
				serves = "own"
			case served == string(given.Certificate):
				serves = "given"
			}
			if serves != tc.serves {
				t.Errorf("%s\nit serves %s, want %s", tc.reason, serves, tc.serves)
			}
		})
	}
}
