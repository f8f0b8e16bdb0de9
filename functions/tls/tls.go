// Package tls makes and checks certificates. It is pure: the time and the random bytes are arguments, and the same
// arguments give the same bytes.
package tls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"time"
)

const (
	// AuthorityLifetime is how long a certificate authority is valid. Its end needs a new generation.
	AuthorityLifetime = 10 * 365 * 24 * time.Hour

	// LeafLifetime is how long a certificate of an instance is valid.
	LeafLifetime = 90 * 24 * time.Hour

	// skew is how far a clock may be behind the function's.
	skew = 5 * time.Minute

	blockCertificate = "CERTIFICATE"
	blockKey         = "EC PRIVATE KEY"
)

// A Pair is a certificate and its private key in PEM.
type Pair struct {
	Certificate []byte
	Key         []byte
}

// Equal says whether two pairs hold the same bytes.
func (p Pair) Equal(o Pair) bool {
	return bytes.Equal(p.Certificate, o.Certificate) && bytes.Equal(p.Key, o.Key)
}

// NewAuthority makes a certificate authority for what is called name. Its own name differs from that of what it vouches
// for: OpenSSL takes a certificate whose issuer is called as its subject for one that vouches for itself.
func NewAuthority(name string, now time.Time, rand io.Reader) (Pair, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name + " authority", Organization: []string{"xdbcluster"}},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(AuthorityLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	return issue(template, nil, nil, rand)
}

// NewLeaf makes a certificate for the given DNS names that an authority vouches for. Instances are servers to clients, and
// clients of each other.
func NewLeaf(authority Pair, name string, dnsNames []string, now time.Time, rand io.Reader) (Pair, error) {
	parent, err := parseCertificate(authority.Certificate)
	if err != nil {
		return Pair{}, fmt.Errorf("cannot read the authority's certificate: %w", err)
	}
	key, err := parseKey(authority.Key)
	if err != nil {
		return Pair{}, fmt.Errorf("cannot read the authority's key: %w", err)
	}

	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: name, Organization: []string{"xdbcluster"}},
		DNSNames:    dnsNames,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback},
		NotBefore:   now.Add(-skew),
		NotAfter:    now.Add(LeafLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	return issue(template, parent, key, rand)
}

// RenewAt returns when a certificate that NewLeaf made is to be replaced: after two thirds of its life.
func RenewAt(notBefore, notAfter time.Time) time.Time {
	return notBefore.Add(notAfter.Sub(notBefore) * 2 / 3)
}

// CheckAuthority says why a pair cannot be used as an authority any more, if so.
func CheckAuthority(authority Pair, now time.Time) error {
	certificate, err := parseOwn(authority)
	if err != nil {
		return err
	}
	if !certificate.IsCA {
		return errors.New("the certificate is not an authority's")
	}
	return checkTime(certificate, now)
}

// CheckLeaf says why an instance must not go on with a certificate, if so: the authority does not vouch for it, it lacks a
// name, its key is another's, or it is due for renewal.
func CheckLeaf(leaf Pair, authority []byte, dnsNames []string, now time.Time, vouched *Vouched) error {
	certificate, err := vouched.verify(leaf, authority)
	if err != nil {
		return err
	}
	for _, name := range dnsNames {
		if !slices.Contains(certificate.DNSNames, name) {
			return fmt.Errorf("the certificate lacks the name %q", name)
		}
	}
	if renew := RenewAt(certificate.NotBefore, certificate.NotAfter); !now.Before(renew) {
		return fmt.Errorf("the certificate was to be renewed at %s", renew.UTC().Format(time.RFC3339))
	}
	return nil
}

// CheckGiven says why a certificate that a user gave cannot be served under a host name, if so.
func CheckGiven(leaf Pair, authority []byte, host string, now time.Time) error {
	certificate, err := parsePair(leaf)
	if err != nil {
		return err
	}
	if err := checkTime(certificate, now); err != nil {
		return err
	}
	if err := certificate.VerifyHostname(host); err != nil {
		return fmt.Errorf("the certificate is not valid for the name %s that clients connect to; it is valid for %q", host, certificate.DNSNames)
	}
	return verifyChain(leaf.Certificate, certificate, authority, now)
}

// issue signs template with the parent's key, or with its own when there is no parent.
func issue(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey, rand io.Reader) (Pair, error) {
	key, err := newKey(rand)
	if err != nil {
		return Pair{}, fmt.Errorf("cannot make a private key: %w", err)
	}
	serial, err := newSerial(rand)
	if err != nil {
		return Pair{}, fmt.Errorf("cannot make a serial number: %w", err)
	}
	template.SerialNumber = serial
	if parent == nil {
		parent, parentKey = template, key
	}

	// Without a random source the signature is the deterministic one of RFC 6979.
	der, err := x509.CreateCertificate(nil, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return Pair{}, fmt.Errorf("cannot sign a certificate: %w", err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("cannot encode a private key: %w", err)
	}
	return Pair{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: blockCertificate, Bytes: der}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: blockKey, Bytes: keyDER}),
	}, nil
}

// newKey reads a private key from rand. ecdsa.GenerateKey takes its random bytes from the system whatever it is given.
func newKey(rand io.Reader) (*ecdsa.PrivateKey, error) {
	scalar := make([]byte, 32)
	for {
		if _, err := io.ReadFull(rand, scalar); err != nil {
			return nil, fmt.Errorf("cannot read random bytes: %w", err)
		}
		// One in four billion is not a key of the curve: take the next.
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
		if err == nil {
			return key, nil
		}
	}
}

func newSerial(rand io.Reader) (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(rand, b); err != nil {
		return nil, fmt.Errorf("cannot read random bytes: %w", err)
	}
	b[0] &= 0x7f // A serial number is positive.
	return new(big.Int).SetBytes(b), nil
}

// verify returns the certificate of a pair that an authority vouches for.
func verify(leaf Pair, authority []byte) (*x509.Certificate, error) {
	certificate, err := parseOwn(leaf)
	if err != nil {
		return nil, err
	}
	parent, err := parseCertificate(authority)
	if err != nil {
		return nil, fmt.Errorf("cannot read the authority's certificate: %w", err)
	}
	// Only the signature is checked, not a chain: there is exactly one authority.
	if err := certificate.CheckSignatureFrom(parent); err != nil {
		return nil, fmt.Errorf("the authority does not vouch for the certificate: %w", err)
	}
	return certificate, nil
}

// parseOwn returns the certificate of a pair that was made here and whose key belongs to it. It knows the kind of the key, which
// crypto/tls finds out by trying: that takes longer than all else about a certificate, and this runs on every call.
func parseOwn(p Pair) (*x509.Certificate, error) {
	certificate, err := parseCertificate(p.Certificate)
	if err != nil {
		return nil, fmt.Errorf("the certificate cannot be used: %w", err)
	}
	key, err := parseKey(p.Key)
	if err != nil {
		return nil, fmt.Errorf("the private key cannot be used: %w", err)
	}
	if !key.PublicKey.Equal(certificate.PublicKey) {
		return nil, errors.New("the certificate cannot be used: its private key is another one")
	}
	return certificate, nil
}

// parsePair returns the certificate of a pair whose key belongs to it.
func parsePair(p Pair) (*x509.Certificate, error) {
	pair, err := tls.X509KeyPair(p.Certificate, p.Key)
	if err != nil {
		return nil, fmt.Errorf("the certificate and its private key cannot be used: %w", err)
	}
	return pair.Leaf, nil
}

func parseCertificate(b []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != blockCertificate {
		return nil, errors.New("there is no certificate in PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

func parseKey(b []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != blockKey {
		return nil, errors.New("there is no EC private key in PEM")
	}
	return x509.ParseECPrivateKey(block.Bytes)
}

// verifyChain says why a certificate that came with intermediate ones cannot be followed to the authority, if so.
func verifyChain(bundle []byte, certificate *x509.Certificate, authority []byte, now time.Time) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return errors.New("ca.crt holds no certificate in PEM")
	}
	intermediates.AppendCertsFromPEM(bundle)
	_, err := certificate.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: now})
	if err != nil {
		return fmt.Errorf("ca.crt does not vouch for tls.crt: %w", err)
	}
	return nil
}

func checkTime(certificate *x509.Certificate, now time.Time) error {
	if now.Before(certificate.NotBefore) {
		return fmt.Errorf("the certificate is not valid before %s", certificate.NotBefore.UTC().Format(time.RFC3339))
	}
	if !now.Before(certificate.NotAfter) {
		return fmt.Errorf("the certificate ended at %s", certificate.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}
