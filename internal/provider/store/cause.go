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
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/minio/minio-go/v7"
)

// Codes of S3 that more than words depend on.
const (
	codeNoSuchBucket  = "NoSuchBucket"
	codeAccessDenied  = "AccessDenied"
	codeNotEmpty      = "BucketNotEmpty"
	codeAlreadyOwned  = "BucketAlreadyOwnedByYou"
	maximumInnerCause = 200
)

// Missing says that the bucket does not exist.
func Missing(err error) bool { return Code(err) == codeNoSuchBucket }

// NotEmpty says that the store refuses to delete a bucket because something is in it.
func NotEmpty(err error) bool { return Code(err) == codeNotEmpty }

// AlreadyOwned says that a bucket that was to be made is there already, and belongs to these credentials.
func AlreadyOwned(err error) bool { return Code(err) == codeAlreadyOwned }

// Denied says that these credentials have no right to what was asked for.
func Denied(err error) bool { return Code(err) == codeAccessDenied }

// Kept says that an object cannot be deleted because its retention has not ended, or because these credentials have no right to.
func Kept(err error) bool {
	return Denied(err) || slices.Contains([]string{"InvalidRequest", "ObjectLocked", "InvalidObjectState"}, Code(err))
}

// Refused says that the store has understood what it was asked for, and does not do it.
func Refused(err error) bool {
	status := minio.ToErrorResponse(err).StatusCode
	return status >= http.StatusMultipleChoices && status < http.StatusInternalServerError
}

// Unsupported says that the store does not have what was asked for.
func Unsupported(err error) bool {
	response := minio.ToErrorResponse(err)
	return response.StatusCode == http.StatusNotImplemented || response.StatusCode == http.StatusMethodNotAllowed ||
		slices.Contains([]string{"NotImplemented", "APINotSupported", "MethodNotAllowed", "VersioningNotConfigured"}, response.Code)
}

// Unset says that the bucket does not have what was asked for, though it could.
func Unset(err error) bool {
	return slices.Contains([]string{
		"NoSuchTagSet", "NoSuchTagSetError", "NoSuchLifecycleConfiguration", "ObjectLockConfigurationNotFoundError",
		"ObjectLockConfigurationNotFound", "NoSuchObjectLockConfiguration",
	}, Code(err))
}

// Code returns S3's code of an error, or nothing when the store did not say one.
func Code(err error) string { return minio.ToErrorResponse(err).Code }

// Explain says what was being done, what is wrong and what to do next. It repeats nothing that the store says but codes: what else
// a server answers may be anything. The same cause has the same words each time, so that a status is not written without need.
func (l Location) Explain(doing string, err error) error {
	return fmt.Errorf("cannot %s at %s: %s", doing, l.Endpoint, l.cause(err))
}

func (l Location) cause(err error) string {
	named := strings.NewReplacer("SECRET", "the Secret "+l.Secret, "CONFIG", "the "+l.Config, "HOST", l.Endpoint)
	response := minio.ToErrorResponse(err)
	if say, known := codes()[response.Code]; known {
		return named.Replace(say)
	}
	if response.StatusCode != 0 {
		return named.Replace(status(response))
	}
	return named.Replace(network(err))
}

// codes are S3's error codes, and what to say about them.
func codes() map[string]string {
	const (
		expired   = "the credentials have expired. Renew them in SECRET"
		region    = "the bucket is in another region, or the store is. Correct region in CONFIG"
		unwell    = "the store reports an error of its own. It is tried again; if this lasts, ask whoever runs it"
		busy      = "the store asks to be left alone for a while. It is tried again; if this lasts, ask whoever runs it"
		tooMany   = "the account has as many buckets as it may have. Have its limit raised, or delete a bucket"
		full      = "the store is full, or the account is. Give it more room"
		unknown   = "the store does not know the access key. Correct accessKeyID in SECRET"
		malformed = "the store does not take it as it is. Correct forProvider; the store's documentation says what it takes"
		missing   = "the store does not have that. Leave it out of forProvider, or use another store"
	)
	return map[string]string{
		"InvalidAccessKeyId":                 unknown,
		"InvalidClientTokenId":               unknown,
		"SignatureDoesNotMatch":              "the store does not accept the secret key. Correct secretAccessKey in SECRET",
		"InvalidToken":                       "the store does not accept the session token. Renew the credentials in SECRET",
		"ExpiredToken":                       expired,
		"ExpiredTokenException":              expired,
		"TokenRefreshRequired":               expired,
		codeAccessDenied:                     "the store does not let these credentials in: they lack a right, or the bucket belongs to somebody else. Give the account of SECRET the rights to see and manage the bucket, or choose another name in the annotation crossplane.io/external-name",
		"AllAccessDisabled":                  "the store does not let anybody into the bucket. Look at the bucket's policy",
		"AccountProblem":                     "the store has closed the account. Ask whoever runs it",
		"BucketAlreadyExists":                "the bucket belongs to somebody else: all users of a store share the names of buckets. Choose another name in the annotation crossplane.io/external-name",
		"OperationAborted":                   "another request about the bucket is under way. It is tried again",
		"RequestTimeTooSkewed":               "the clocks of the store and of the provider's node differ by more than the store allows. Set the clock of the node right",
		"PermanentRedirect":                  region,
		"TemporaryRedirect":                  region,
		"AuthorizationHeaderMalformed":       region,
		"InvalidRegion":                      region,
		"IllegalLocationConstraintException": region,
		"InvalidLocationConstraint":          region,
		"SlowDown":                           busy,
		"ServiceUnavailable":                 "the store says that it is not available. It is tried again; if this lasts, ask whoever runs it",
		"XMinioServerNotInitialized":         "the store is starting. It is tried again",
		"InternalError":                      unwell,
		"TooManyBuckets":                     tooMany,
		"QuotaExceeded":                      full,
		"StorageFull":                        full,
		"InvalidBucketName":                  "the store does not take the name. Choose another one in the annotation crossplane.io/external-name: 3 to 63 lower-case letters, digits, hyphens and dots",
		"InvalidBucketState":                 "the bucket cannot have it as it is now. Object lock needs versioning, and most stores give it only to buckets that they create with it: create another Bucket",
		"InvalidArgument":                    malformed,
		"InvalidRequest":                     malformed,
		"MalformedXML":                       malformed,
		"InvalidTag":                         malformed,
		"NotImplemented":                     missing,
		"APINotSupported":                    missing,
		"MethodNotAllowed":                   missing,
		"VersioningNotConfigured":            missing,
	}
}

// status says what is wrong when only the status of the answer is known.
func status(response minio.ErrorResponse) string {
	said := fmt.Sprintf("%d %s", response.StatusCode, http.StatusText(response.StatusCode))
	if regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`).MatchString(response.Code) {
		said = response.Code + ", " + said
	}
	switch {
	case response.StatusCode == http.StatusServiceUnavailable, response.StatusCode == http.StatusTooManyRequests:
		return "the store says that it is not available (" + said + "). It is tried again; if this lasts, ask whoever runs it"
	case response.StatusCode >= http.StatusInternalServerError:
		return "the store, or what is in front of it, fails (" + said + "). It is tried again; if this lasts, ask whoever runs it"
	case response.StatusCode >= http.StatusMultipleChoices && response.StatusCode < http.StatusBadRequest:
		return "the store sends requests elsewhere (" + said + "). Correct endpoint or region in CONFIG"
	}
	return "the store refuses the request (" + said + "). Look at the store's own log for the reason, and whether endpoint in CONFIG is an S3-compatible store"
}

// network says what is wrong when there was no answer, or none that can be understood.
func network(err error) string {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		plain    tls.RecordHeaderError
		name     *net.DNSError
		syntax   *xml.SyntaxError
		other    xml.UnmarshalError
		timeout  net.Error
	)
	switch {
	case errors.As(err, &unknown):
		return "the store's certificate is not trusted. Put the certificate of the authority that signed it into caBundle in CONFIG"
	case errors.As(err, &hostname):
		return "the store's certificate is not for this name. Correct endpoint in CONFIG to a name that is in the certificate, have the certificate made for it, or set uriStyle to path if the name of the bucket is what it lacks"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the store's certificate has expired or is not valid yet. Renew it, and look whether the clock of the provider's node is right"
	case errors.As(err, &invalid):
		return "the store's certificate cannot be used. Have another one made, and look whether caBundle in CONFIG has the right authority"
	case errors.As(err, &plain), errors.Is(err, http.ErrSchemeMismatch):
		return "the store does not speak TLS there. Correct endpoint in CONFIG: it must be the port of https"
	case errors.As(err, &name):
		return "the name cannot be resolved. Correct endpoint in CONFIG"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "the store does not answer in time. Look whether it runs, how fast it is, and whether NetworkPolicies let the provider reach it"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "nothing answers there. Look whether the store runs, whether endpoint in CONFIG is right, and whether NetworkPolicies let the provider reach it"
	case broken(err):
		return "the store breaks off its answers. It is tried again; if this lasts, look at the store, and at what is between it and the provider"
	case errors.As(err, &syntax), errors.As(err, &other):
		return "the answer is not what an S3-compatible store says. Correct endpoint in CONFIG"
	}
	return "the store cannot be spoken to (" + innermost(err) + "). Look whether endpoint in CONFIG is right"
}

// broken says whether a connection ended in the middle. The client puts words of its own in the place of an error about that.
func broken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		strings.Contains(err.Error(), "Connection closed by foreign host")
}

// innermost returns the cause below all that say what they did: those have addresses in them that are others each time.
func innermost(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > maximumInnerCause {
		text = text[:maximumInnerCause] + "..."
	}
	return text
}
