//go:build e2e

package databases

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// TestPassword follows the administrator's password: missing, given, changed, and bad.
func TestPassword(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	spec := smallSpec("15")
	spec.PrimarySpec.AdminUser = &v1alpha1.AdminUserSpec{PasswordRef: &v1alpha1.SecretReference{Name: "chosen"}}

	t.Log("The Secret is not there yet")
	d := s.start("accounts", spec)
	d.waitRollout(v1alpha1.RolloutFailed)
	if said := d.condition(v1alpha1.ConditionCredentialsReady); said.Reason != v1alpha1.ReasonPasswordSecretMissing || !strings.Contains(said.Message, "chosen") {
		t.Errorf("CredentialsReady is %s (%s); want %s and the Secret's name", said.Reason, said.Message, v1alpha1.ReasonPasswordSecretMissing)
	}

	t.Log("Now it is")
	s.secret("chosen", map[string]string{"accounts": "first: it's \"quoted\" & 100% ünïcode"})
	d.waitRollout(v1alpha1.RolloutComplete)
	first := d.connection()
	if got, err := d.psql(first, "select 1"); got != "1" {
		t.Errorf("the first password does not work: %q, %v", got, err)
	}

	t.Log("It changes, while a session is open")
	pid := d.local("select pg_postmaster_start_time()")
	since := time.Now()
	s.secret("chosen", map[string]string{"accounts": "second"})
	d.waitPassword("second")
	d.waitLogin()
	t.Logf("set after %s", ago(since))
	d.waitRolledOut()
	if _, err := d.psql(first, "select 1"); err == nil {
		t.Error("the first password still works")
	}
	if d.local("select pg_postmaster_start_time()") != pid {
		t.Error("PostgreSQL was restarted for a password")
	}

	t.Log("An empty one is refused; the one before stays")
	s.secret("chosen", map[string]string{"accounts": ""})
	d.waitRollout(v1alpha1.RolloutFailed)
	if said := d.condition(v1alpha1.ConditionCredentialsReady); said.Reason != v1alpha1.ReasonPasswordRefused {
		t.Errorf("CredentialsReady is %s (%s); want %s", said.Reason, said.Message, v1alpha1.ReasonPasswordRefused)
	}
	if got, err := d.psql(d.connection(), "select 1"); got != "1" {
		t.Errorf("the password before does not work any more: %q, %v", got, err)
	}
	s.secret("chosen", map[string]string{"accounts": "third"})
	d.waitPassword("third")
	d.waitRollout(v1alpha1.RolloutComplete)
}

// TestUserCertificate shows that PostgreSQL serves the certificate of the user's Secret, and the next one when that is
// renewed.
func TestUserCertificate(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	host := (&database{scene: s, name: "private"}).cluster().Host()
	s.secret("own-tls", newCertificate(t, host))
	spec := clusterSpec("17", 1)
	spec.TLS = &v1alpha1.TLSSpec{CertSecret: v1alpha1.SecretReference{Name: "own-tls"}}

	d := s.create("private", spec)
	d.checkServes(s.secretData("own-tls"))

	t.Log("Renewed, by another authority")
	s.secret("own-tls", newCertificate(t, host))
	d.checkServes(s.secretData("own-tls"))

	t.Log("The standby trusts it, too")
	d.waitRollout(v1alpha1.RolloutComplete)
	d.deleteInstance(d.standby(), nil)
	d.waitRollout(v1alpha1.RolloutComplete)

	t.Log("One that is for another host is refused; the one before is served on")
	before := s.secretData("own-tls")
	s.secret("own-tls", newCertificate(t, "example.org"))
	d.waitRollout(v1alpha1.RolloutFailed)
	if said := d.condition(v1alpha1.ConditionCertificateReady); said.Reason != v1alpha1.ReasonCertificateRefused || !strings.Contains(said.Message, host) {
		t.Errorf("CertificateReady is %s (%s); want %s and the name that lacks", said.Reason, said.Message, v1alpha1.ReasonCertificateRefused)
	}
	d.checkServes(before)

	t.Log("Back to the cluster's own authority")
	d.roll(func(spec *v1alpha1.DBClusterSpec) { spec.TLS = nil })
	if d.connection()["ca.crt"] == before["ca.crt"] {
		t.Error("the connection Secret still names the user's authority")
	}
	if got := d.sql("select 1"); got != "1" {
		t.Errorf("select 1 gave %q", got)
	}
}

// standby names an instance that is not the primary.
func (d *database) standby() string {
	d.Helper()
	return d.standbys()[0]
}

// standbys names the instances that are not the primary: at least one.
func (d *database) standbys() []string {
	d.Helper()
	status := d.status()
	var names []string
	for _, i := range status.Instances {
		if i.Name != status.Primary {
			names = append(names, i.Name)
		}
	}
	if len(names) == 0 {
		d.Fatalf("there is no standby: %v", status.Instances)
	}
	return names
}

// newCertificate makes an authority and a certificate of it, as cert-manager writes them.
func newCertificate(t *testing.T, host string) map[string]string {
	t.Helper()
	authorityKey, authority, authorityDER := issue(t, "Test authority", nil, nil, nil)
	key, _, der := issue(t, host, []string{host}, authority, authorityKey)
	return map[string]string{
		"ca.crt":  string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authorityDER})),
		"tls.crt": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		"tls.key": encodeKey(t, key),
	}
}

// issue makes a certificate, by itself when there is no issuer.
func issue(t *testing.T, name string, hosts []string, issuer *x509.Certificate, issuerKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if issuer == nil {
		template.IsCA, template.KeyUsage, template.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
		issuer, issuerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, certificate, der
}

func encodeKey(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
