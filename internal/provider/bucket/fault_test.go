//go:build objectstore

package bucket

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// proxy passes requests on to the server as they are: they are signed for the name that the client knows.
func (s *server) proxy() http.Handler {
	s.t.Helper()
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(s.authority.Certificate)
	target, err := url.Parse("https://" + s.location().Endpoint)
	if err != nil {
		s.t.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			r.Out.URL.RawQuery = r.In.URL.RawQuery
		},
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
}

// A fault is what a front does to a request.
type fault = func(w http.ResponseWriter, r *http.Request, next http.Handler)

// refuse answers with one of S3's errors, which has more in it than anybody should see.
func refuse(status int, code string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>The key %s is bad.</Message></Error>`, code, secretKey)
	}
}

// page answers as something does that is no S3 server.
func page(status int) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<html><body>upstream of "+secretKey+" is down</body></html>")
	}
}

// reading does something to requests that have an answer with a body alone.
func reading(f fault) fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		f(w, r, next)
	}
}

// stall does not answer for some time.
func stall(d time.Duration) fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-time.After(d):
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// cut ends the connection in the middle of the answer.
func cut(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Length", "1000")
	w.Header().Set("Content-Type", "application/xml")
	_, _ = io.WriteString(w, `<?xml version="1.0"?><Tagg`)
	panic(http.ErrAbortHandler)
}
