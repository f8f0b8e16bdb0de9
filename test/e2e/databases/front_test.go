//go:build e2e

package databases

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"time"

	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
)

// A fault is what a front does to requests.
type fault struct {
	// one is how many requests there are to one that is hit, of those whose path holds a text, after some of them.
	one   int64
	path  string
	after int64

	// status and code are answered in place of the store, in S3's words.
	status int
	code   string

	// delay is how long a request waits before it is passed on, and pause how long each part of a body does, either way.
	delay time.Duration
	pause time.Duration

	// cut ends the connection in the middle of a body, either way: the store gets half of an upload.
	cut bool
}

// bodyPart is how much of a body is passed on at a time when it is slow. One of an unknown length is cut after half of it.
const bodyPart = 64 << 10

// errCut ends a body. Whoever waits for it sees no more than that the connection is gone.
var errCut = errors.New("the connection is cut")

// A front stands between databases and the object store, and does to requests what it is told.
type front struct {
	store    http.Handler
	fault    atomic.Pointer[fault] // Nil is none.
	requests atomic.Int64
	hit      atomic.Int64
}

// inFront puts a front before the object store at a location, with a name and a certificate of its own, and makes the location that of
// the front. It stays until the databases are gone: one that ends archives what it has.
func (s *scene) inFront(location map[string]any) *front {
	s.Helper()
	options := location["s3Options"].(map[string]any)
	host, port, err := net.SplitHostPort(options["endpoint"].(string))
	if err != nil {
		s.Fatalf("cannot find the object store: %v", err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM([]byte(options["caBundle"].([]any)[0].(string)))
	f := &front{store: pass(net.JoinHostPort(layout.BridgeAddress, port), &tls.Config{RootCAs: trusted, ServerName: host, MinVersion: tls.VersionTLS12})}

	own := newCertificate(s.T, "front."+s.namespace+".svc")
	certificate, err := tls.X509KeyPair([]byte(own["tls.crt"]), []byte(own["tls.key"]))
	if err != nil {
		s.Fatalf("cannot use a certificate: %v", err)
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort(layout.BridgeAddress, "0"), &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		s.Fatalf("cannot listen where Pods reach this machine: %v", err)
	}
	h := &http.Server{Handler: f, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = h.Serve(listener) }() // Until it is closed.
	s.afterwards = append(s.afterwards, h.Close)

	number := listener.Addr().(*net.TCPAddr).Port
	s.publish("front", number)
	options["endpoint"] = fmt.Sprintf("front.%s.svc:%d", s.namespace, number)
	options["caBundle"] = []any{own["ca.crt"]}
	return f
}

// publish makes a Service of a port of this machine. NetworkPolicies see the port behind it, so it has no other.
func (s *scene) publish(name string, port int) {
	s.Helper()
	ports := []any{map[string]any{"name": "https", "port": int64(port), "protocol": "TCP"}}
	s.apply(map[string]any{
		"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": name}, "spec": map[string]any{"ports": ports},
	})
	s.apply(map[string]any{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
		"metadata":    map[string]any{"name": name, "labels": map[string]any{"kubernetes.io/service-name": name}},
		"addressType": "IPv4", "ports": ports,
		"endpoints": []any{map[string]any{"addresses": []any{layout.BridgeAddress}, "conditions": map[string]any{"ready": true}}},
	})
}

// pass passes requests on to a store, under the name that they came for: it is signed.
func pass(store string, config *tls.Config) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.RawQuery, r.Out.Host = "https", store, r.In.URL.RawQuery, r.In.Host
			r.Out.Body = harm(r.In, r.Out.Body, r.In.ContentLength)
		},
		ModifyResponse: func(r *http.Response) error {
			r.Body = harm(r.Request, r.Body, r.ContentLength)
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		Transport:    &http.Transport{TLSClientConfig: config, DisableCompression: true},
		ErrorLog:     log.New(io.Discard, "", 0),
	}
}

// set does something to requests from now on. Nil lets them pass.
func (f *front) set(what *fault) {
	f.requests.Store(0)
	f.hit.Store(0)
	f.fault.Store(what)
}

// faultKey is where a request that is hit has its fault.
type faultKey struct{}

// isHit counts the requests that a fault is for, and says whether this one is hit.
func (f *front) isHit(what fault, r *http.Request) bool {
	if !strings.Contains(r.URL.Path, what.path) {
		return false
	}
	n := f.requests.Add(1)
	return n > what.after && n%what.one == 0
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := f.fault.Load()
	if what == nil || !f.isHit(*what, r) {
		f.store.ServeHTTP(w, r)
		return
	}
	f.hit.Add(1)
	select {
	case <-time.After(what.delay):
	case <-r.Context().Done():
		return
	}
	if what.status == 0 {
		f.store.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), faultKey{}, what)))
		return
	}
	_, _ = io.Copy(io.Discard, r.Body) // Or who still sends does not read the answer.
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(what.status)
	_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s.</Message></Error>`, what.code, what.code)
}

// harm returns the body of a request that is hit, or of its answer.
func harm(r *http.Request, body io.ReadCloser, length int64) io.ReadCloser {
	what, hit := r.Context().Value(faultKey{}).(*fault)
	if !hit || length == 0 || body == nil || body == http.NoBody {
		return body
	}
	if length < 0 {
		length = bodyPart
	}
	return &harmed{ReadCloser: body, fault: what, left: length / 2}
}

// harmed is a body that is slow, or ends too early.
type harmed struct {
	io.ReadCloser

	fault *fault
	left  int64 // Until it is cut.
}

func (h *harmed) Read(p []byte) (int, error) {
	if !h.fault.cut {
		time.Sleep(h.fault.pause)
		return h.ReadCloser.Read(p[:min(len(p), bodyPart)])
	}
	if h.left == 0 {
		return 0, errCut
	}
	n, err := h.ReadCloser.Read(p[:min(int64(len(p)), h.left)])
	h.left -= int64(n)
	return n, err
}
