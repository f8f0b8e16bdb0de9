package dbcluster

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/tls"
)

// planCertificate returns what the certificate's Secret is to hold: the certificate that instances show each other, always
// of the cluster's own authority, and the one that clients see, which may be the user's. Nil when it cannot be made yet.
func planCertificate(c cluster, seen facts, now time.Time, rand io.Reader) (map[string][]byte, verdict, error) {
	if seen.Authority == nil {
		return seen.Certificate, certificateVerdict(compose.Unknown, v1alpha1.ReasonWaitingForAuthority,
			fmt.Sprintf("Waiting for the Secret %s with the cluster's certificate authority.", c.Authority(generation))), nil
	}
	internal, err := internalPair(c, seen, now, rand)
	if err != nil {
		return nil, verdict{}, err
	}
	own := certificateData(internal, internal, seen.Authority.Certificate, seen.Authority.Certificate)
	if c.Spec.TLS == nil {
		return own, certificateVerdict(compose.True, v1alpha1.ReasonIssued, "The cluster's own certificate authority vouches for the certificate."), nil
	}

	given, v := givenPair(c, seen, now)
	switch {
	case v.Status == compose.True:
		return certificateData(given, internal, seen.GivenCertificate.Data[instance.KeyAuthority], seen.Authority.Certificate), v, nil
	case seen.Certificate == nil:
		return nil, v, nil
	case servesOwn(seen.Certificate):
		return own, v, nil // Renewed, while the user's is not there.
	}
	served := tls.Pair{Certificate: seen.Certificate[instance.KeyCertificate], Key: seen.Certificate[instance.KeyPrivateKey]}
	return certificateData(served, internal, seen.Certificate[instance.KeyAuthority], seen.Authority.Certificate), v, nil
}

// internalPair returns the observed certificate of the instances, or a new one when that cannot be used any longer.
func internalPair(c cluster, seen facts, now time.Time, rand io.Reader) (tls.Pair, error) {
	observed := tls.Pair{
		Certificate: seen.Certificate[instance.KeyInternalCertificate],
		Key:         seen.Certificate[instance.KeyInternalPrivateKey],
	}
	if err := tls.CheckLeaf(observed, seen.Authority.Certificate, c.DNSNames(), now, seen.Vouched); err == nil {
		return observed, nil
	}
	pair, err := tls.NewLeaf(*seen.Authority, c.Name, c.DNSNames(), now, rand)
	if err != nil {
		return tls.Pair{}, fmt.Errorf("cannot issue a certificate with the authority in the Secret %s: %w", c.Authority(generation), err)
	}
	return pair, nil
}

// givenPair returns the user's certificate, and what is wrong with it.
func givenPair(c cluster, seen facts, now time.Time) (tls.Pair, verdict) {
	name, data := c.Spec.TLS.CertSecret.Name, seen.GivenCertificate.Data
	refused := func(reason, format string, args ...any) (tls.Pair, verdict) {
		v := certificateVerdict(compose.False, reason, fmt.Sprintf(format, args...))
		v.Stalls = true
		return tls.Pair{}, v
	}
	if c.ComposesSecret(name) {
		return refused(v1alpha1.ReasonCertificateRefused, "The Secret %s is one that the DBCluster makes itself: give tls.certSecret another name.", name)
	}
	if !seen.GivenCertificate.Answered {
		return tls.Pair{}, certificateVerdict(compose.Unknown, v1alpha1.ReasonCertificateSecretMissing,
			fmt.Sprintf("Looking for the Secret %s of tls.certSecret.", name))
	}
	if data == nil {
		return refused(v1alpha1.ReasonCertificateSecretMissing,
			"The Secret %s of tls.certSecret does not exist in the namespace %s: create it with the keys tls.crt, tls.key and ca.crt.", name, c.Namespace)
	}
	for _, key := range []string{instance.KeyCertificate, instance.KeyPrivateKey, instance.KeyAuthority} {
		if len(data[key]) == 0 {
			return refused(v1alpha1.ReasonCertificateRefused, "The Secret %s of tls.certSecret lacks the key %s: add it, in PEM.", name, key)
		}
	}
	pair := tls.Pair{Certificate: data[instance.KeyCertificate], Key: data[instance.KeyPrivateKey]}
	if err := tls.CheckGiven(pair, data[instance.KeyAuthority], c.Host(), now); err != nil {
		return refused(v1alpha1.ReasonCertificateRefused, "The certificate in the Secret %s of tls.certSecret cannot be served: %s.", name, err)
	}
	return pair, certificateVerdict(compose.True, v1alpha1.ReasonGiven, fmt.Sprintf("The certificate is the one in the Secret %s.", name))
}

// servesOwn says whether clients see the certificate that instances show each other.
func servesOwn(data map[string][]byte) bool {
	return bytes.Equal(data[instance.KeyCertificate], data[instance.KeyInternalCertificate])
}

func certificateData(served, internal tls.Pair, servedAuthority, internalAuthority []byte) map[string][]byte {
	return map[string][]byte{
		instance.KeyCertificate:         served.Certificate,
		instance.KeyPrivateKey:          served.Key,
		instance.KeyAuthority:           servedAuthority,
		instance.KeyInternalCertificate: internal.Certificate,
		instance.KeyInternalPrivateKey:  internal.Key,
		instance.KeyInternalAuthority:   internalAuthority,
	}
}

func certificateVerdict(status compose.Truth, reason, message string) verdict {
	return verdict{Condition: compose.Condition{
		Type: v1alpha1.ConditionCertificateReady, Status: status, Reason: reason, Message: message,
	}}
}

// revision identifies a certificate.
func revision(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return hex.EncodeToString(sum[:16])
}

// A lifetime is when something happens to a certificate. It is the only thing in a cluster that happens by itself.
type lifetime struct {
	// RenewAt is when the instances' certificate is replaced.
	RenewAt time.Time

	// End of the certificate that clients see.
	End time.Time
}

// lifetimeOf returns the lifetime of what a certificate's Secret is to hold. What cannot be read has none.
func lifetimeOf(data map[string][]byte, vouched *tls.Vouched) lifetime {
	var l lifetime
	notBefore, notAfter, err := vouched.Validity(data[instance.KeyInternalCertificate])
	if err != nil {
		return l
	}
	l.RenewAt, l.End = tls.RenewAt(notBefore, notAfter), notAfter
	if servesOwn(data) {
		return l
	}
	if _, l.End, err = vouched.Validity(data[instance.KeyCertificate]); err != nil {
		l.End = time.Time{}
	}
	return l
}
