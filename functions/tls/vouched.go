package tls

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"
)

// maximumVouched is how many certificates a Vouched remembers: those of a thousand clusters take about 5 MB.
const maximumVouched = 1024

// A Vouched remembers certificates that an authority was found to vouch for. Every call looks at one, they hardly ever change,
// and to verify one takes as long as a fifth of all else in a call. What is remembered changes no answer: it is known by the
// bytes of certificate, key and authority, and names and time are looked at anew. Nil remembers nothing.
type Vouched struct {
	mutex sync.Mutex
	known map[question]*x509.Certificate
}

// A question is what is verified: the hashes of a certificate, its private key and the authority. Keys are not kept.
type question [3][sha256.Size]byte

// verify returns the certificate of a pair that an authority vouches for.
func (v *Vouched) verify(leaf Pair, authority []byte) (*x509.Certificate, error) {
	if v == nil {
		return verify(leaf, authority)
	}
	q := question{sha256.Sum256(leaf.Certificate), sha256.Sum256(leaf.Key), sha256.Sum256(authority)}
	if certificate := v.recall(q); certificate != nil {
		return certificate, nil
	}
	certificate, err := verify(leaf, authority)
	if err != nil {
		return nil, err
	}
	v.remember(q, certificate)
	return certificate, nil
}

// Validity returns when the first certificate of a PEM bundle begins and ends. Nobody need vouch for it.
func (v *Vouched) Validity(bundle []byte) (notBefore, notAfter time.Time, err error) {
	certificate, err := v.parse(bundle)
	if err != nil {
		return time.Time{}, time.Time{}, err
	}
	return certificate.NotBefore, certificate.NotAfter, nil
}

func (v *Vouched) parse(bundle []byte) (*x509.Certificate, error) {
	if v == nil {
		return parseCertificate(bundle)
	}
	q := question{sha256.Sum256(bundle)} // Without key and authority: it is only read.
	if certificate := v.recall(q); certificate != nil {
		return certificate, nil
	}
	certificate, err := parseCertificate(bundle)
	if err != nil {
		return nil, err
	}
	v.remember(q, certificate)
	return certificate, nil
}

func (v *Vouched) recall(q question) *x509.Certificate {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	return v.known[q]
}

// remember forgets all when there is too much to remember: what is still in use comes back soon.
func (v *Vouched) remember(q question, certificate *x509.Certificate) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if v.known == nil || len(v.known) >= maximumVouched {
		v.known = map[question]*x509.Certificate{}
	}
	v.known[q] = certificate
}
