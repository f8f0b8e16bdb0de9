package store

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
)

// Limits of a single request. Whoever makes several bounds them together.
const (
	connectTimeout  = 5 * time.Second
	responseTimeout = 15 * time.Second
)

// A Client speaks to a store. It never tries again by itself: whoever uses it does, later, and says meanwhile what is wrong.
type Client struct {
	*minio.Client

	transport *http.Transport
}

// Connect makes a client of the store. It sends nothing yet.
func (l Location) Connect() (Client, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: l.InsecureSkipVerify} //nolint:gosec // As the user says in so many words.
	if l.Trust != "" {
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM([]byte(l.Trust)) {
			return Client{}, fmt.Errorf("there is no certificate in PEM in caBundle or in the Secret of certRef of the %s: they must hold the certificates of the authorities that signed the store's", l.Config)
		}
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSClientConfig:       trust,
		TLSHandshakeTimeout:   connectTimeout,
		ResponseHeaderTimeout: responseTimeout,
	}
	lookup := minio.BucketLookupPath
	if l.URIStyle == v1alpha1.URIStyleHost {
		lookup = minio.BucketLookupDNS
	}
	client, err := minio.New(l.Endpoint, &minio.Options{
		Creds:  credentials.NewStaticV4(l.Credentials.AccessKey, l.Credentials.SecretKey, l.Credentials.SessionToken),
		Secure: true, Transport: transport, Region: l.Region, BucketLookup: lookup, MaxRetries: 1,
	})
	if err != nil {
		return Client{}, fmt.Errorf("the endpoint %q of the %s cannot be used: it must be a host, with a port if it is not 443", l.Endpoint, l.Config)
	}
	return Client{Client: client, transport: transport}, nil
}

// Close ends the client's connections.
func (c Client) Close() { c.transport.CloseIdleConnections() }
