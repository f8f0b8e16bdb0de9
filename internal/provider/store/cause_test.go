package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/minio/minio-go/v7"
)

func location() Location {
	return Location{
		Config: "ProviderConfig store", Secret: "shop/keys", Endpoint: "s3.example.org",
		Credentials: Credentials{AccessKey: "id", SecretKey: "hush", SessionToken: "hush"},
	}
}

// asked is how the client returns what happened to a request.
func asked(err error) error {
	return &url.Error{Op: "Get", URL: "https://s3.example.org/reports?X-Amz-Signature=hush", Err: err}
}

// dialled is how the network returns what happened to a connection: with addresses that are others each time.
func dialled(err error) error {
	return asked(&net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 34567}, Err: err})
}

func said(status int, code string) error {
	return minio.ErrorResponse{StatusCode: status, Code: code, Message: "The key hush is bad", BucketName: "reports"}
}

func TestExplain(t *testing.T) {
	cases := map[string]struct {
		reason string
		err    error
		want   string
	}{
		"AccessKey":    {"A key that nobody has.", said(403, "InvalidAccessKeyId"), "the store does not know the access key. Correct accessKeyID in the Secret shop/keys"},
		"SecretKey":    {"A key that is another one.", said(403, "SignatureDoesNotMatch"), "the store does not accept the secret key. Correct secretAccessKey in the Secret shop/keys"},
		"Token":        {"A token that is no good.", said(400, "InvalidToken"), "Renew the credentials in the Secret shop/keys"},
		"Expired":      {"Temporary credentials end.", said(400, "ExpiredToken"), "the credentials have expired. Renew them in the Secret shop/keys"},
		"Denied":       {"The store does not say which of both it is.", said(403, "AccessDenied"), "they lack a right, or the bucket belongs to somebody else"},
		"Another":      {"Names of buckets are shared.", said(409, "BucketAlreadyExists"), "Choose another name in the annotation crossplane.io/external-name"},
		"Clock":        {"Requests are dated.", said(403, "RequestTimeTooSkewed"), "Set the clock of the node right"},
		"Region":       {"Requests are signed for a region.", said(400, "AuthorizationHeaderMalformed"), "Correct region in the ProviderConfig store"},
		"Busy":         {"Less is more.", said(503, "SlowDown"), "asks to be left alone for a while"},
		"Unavailable":  {"A load balancer has words of its own.", said(503, "503 Service Unavailable"), "not available (503 Service Unavailable). It is tried again"},
		"Failing":      {"Somebody else has to look at it.", said(502, "502 Bad Gateway"), "the store, or what is in front of it, fails (502 Bad Gateway)"},
		"UnknownCode":  {"A code says more than a status.", said(409, "SomethingNew"), "the store refuses the request (SomethingNew, 409 Conflict)"},
		"NoCode":       {"What is no code is not repeated.", said(400, "<b>hush</b>"), "the store refuses the request (400 Bad Request)"},
		"Elsewhere":    {"A redirect is not followed: it would be signed for another host.", said(301, "301 Moved Permanently"), "Correct endpoint or region in the ProviderConfig store"},
		"Untrusted":    {"Whoever signs it must be trusted.", asked(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), "Put the certificate of the authority that signed it into caBundle in the ProviderConfig store"},
		"OtherName":    {"A certificate is for a name.", asked(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "s3.example.org"}), "the store's certificate is not for this name"},
		"OldCert":      {"A certificate ends.", asked(x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}), "has expired or is not valid yet. Renew it, and look whether the clock"},
		"BadCert":      {"There are other things that can be wrong with one.", asked(x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.NotAuthorizedToSign}), "the store's certificate cannot be used"},
		"Plain":        {"A port that does not speak TLS.", asked(tls.RecordHeaderError{Msg: "no"}), "it must be the port of https"},
		"PlainHTTP":    {"Go has another word for it.", asked(http.ErrSchemeMismatch), "it must be the port of https"},
		"NoName":       {"A name that does not exist.", dialled(&net.DNSError{Name: "s3.example.org", IsNotFound: true}), "the name cannot be resolved. Correct endpoint"},
		"NameTimeout":  {"A name that nobody answers for is no slow store.", dialled(&net.DNSError{Name: "s3.example.org", IsTimeout: true}), "the name cannot be resolved"},
		"Refused":      {"Nobody listens.", dialled(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "nothing answers there"},
		"Slow":         {"Somebody listens and says nothing.", asked(context.DeadlineExceeded), "the store does not answer in time"},
		"Reset":        {"A connection ends.", dialled(os.NewSyscallError("read", syscall.ECONNRESET)), "the store breaks off its answers"},
		"Half":         {"An answer ends in the middle.", fmt.Errorf("cannot read: %w", io.ErrUnexpectedEOF), "the store breaks off its answers"},
		"ClientsWords": {"The client puts its own words in the place of that.", asked(errors.New("Connection closed by foreign host https://s3.example.org. Retry again.")), "the store breaks off its answers"},
		"Page":         {"A web page is no answer.", xml.UnmarshalError("expected element type <Tagging> but have <html>"), "is not what an S3-compatible store says"},
		"HalfAPage":    {"Nor is something that is no XML.", &xml.SyntaxError{Msg: "no"}, "is not what an S3-compatible store says"},
		"Unheard":      {"What nobody thought of is repeated, without what is around it.", dialled(errors.New("no buffer space available")), "the store cannot be spoken to (no buffer space available)"},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			got := location().Explain("look for the bucket reports", tc.err).Error()
			if !strings.HasPrefix(got, "cannot look for the bucket reports at s3.example.org: ") || !strings.Contains(got, tc.want) {
				t.Errorf("\n%s\nExplain(...): got %q, want it to say %q", tc.reason, got, tc.want)
			}
			if regexp.MustCompile(`hush|34567|SECRET|CONFIG`).MatchString(got) {
				t.Errorf("\n%s\nExplain(...): %q has in it what nobody should see", tc.reason, got)
			}
		})
	}
}

// TestCodesSayWhatToDo checks that no code is told of without a next step.
func TestCodesSayWhatToDo(t *testing.T) {
	for code, say := range codes() {
		if !strings.Contains(say, ". ") {
			t.Errorf("%s says what is wrong and not what to do: %q", code, say)
		}
	}
}
