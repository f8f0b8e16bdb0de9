package backupplan

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
)

// defaultStore is the name of the Secret by which whoever runs the platform gives a namespace a store. Everything about the store
// is in it, and it is the namespace's own: whoever reads Secrets in the namespace reads it, so that its credentials must reach
// nothing of other namespaces.
const defaultStore = "xdbcluster-backup-store"

// Keys of that Secret beside those of credentials.
const (
	storeEndpoint  = "endpoint"
	storeRegion    = "region"
	storeBucket    = "bucket"
	storePrefix    = "key"
	storeURIStyle  = "uriStyle"
	storeAuthority = "ca.crt"
)

// A rule is what a value of the Secret must be: what the API server asks of the same value in a claim.
type rule struct {
	key     string
	pattern *regexp.Regexp
	must    string
}

func rules() []rule {
	return []rule{
		{storeBucket, regexp.MustCompile(`^[a-z0-9]([-a-z0-9._]*[a-z0-9])?$`), "be the name of a bucket"},
		{storeEndpoint, regexp.MustCompile(`^$|^(https://)?[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]{1,5})?/?$`), "be a host that speaks TLS, with a port if it is not 443"},
		{storeRegion, regexp.MustCompile(`^$|^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$`), "be the name of a region"},
		{storePrefix, regexp.MustCompile(`^[-a-zA-Z0-9/_.]*$`), "have letters, digits, hyphens, dots, underscores and slashes only"},
		{storeURIStyle, regexp.MustCompile(`^(|host|path)$`), "be host or path"},
	}
}

// atDefault returns the request with the platform's store in it, where the claim names no other.
func (r request) atDefault(l compose.Lookup) request {
	if !r.Default {
		return r
	}
	if !l.Answered {
		r.Refused = &refusal{Reason: v1alpha1.ReasonCredentialsMissing, Message: fmt.Sprintf("Looking for the Secret %s.", defaultStore), Waits: true}
		return r
	}
	if l.Data == nil {
		r.Refused = &refusal{Reason: v1alpha1.ReasonCredentialsMissing, Message: fmt.Sprintf(
			"The platform gives the namespace %s no store: there is no Secret %s. Set backupLocation, or ask who runs the platform for that Secret.", r.Namespace, defaultStore)}
		return r
	}
	value := func(key string) string { return strings.TrimSpace(string(l.Data[key])) }
	if refused := checkStore(value); refused != nil {
		r.Refused = refused
		return r
	}
	options := v1alpha1.S3Options{
		BucketOptions: v1alpha1.BucketOptions{Bucket: value(storeBucket), Key: value(storePrefix)},
		SecretRef:     v1alpha1.SecretReference{Name: defaultStore},
		Endpoint:      value(storeEndpoint), Region: value(storeRegion), URIStyle: value(storeURIStyle),
	}
	if authority := value(storeAuthority); authority != "" {
		options.CABundle = []string{authority}
	}
	r.Repository.Type = v1alpha1.LocationS3
	r.locateS3(options)
	return r
}

// checkStore says what cannot be used of the platform's store.
func checkStore(value func(key string) string) *refusal {
	refuse := func(format string, args ...any) *refusal {
		return &refusal{Reason: v1alpha1.ReasonLocationRefused, Message: fmt.Sprintf("The Secret %s of the platform's store cannot be used: ", defaultStore) +
			fmt.Sprintf(format, args...) + ". Ask who runs the platform to correct it, or set backupLocation."}
	}
	for _, rule := range rules() {
		if !rule.pattern.MatchString(value(rule.key)) {
			return refuse("its key %s must %s", rule.key, rule.must)
		}
	}
	for part := range strings.SplitSeq(value(storePrefix), "/") {
		if part == "." || part == ".." {
			return refuse("its key %s must have no part that is . or ..", storePrefix)
		}
	}
	if value(storeEndpoint) == "" && value(storeRegion) == "" {
		return refuse("it needs the key %s (Amazon S3) or %s (any other store)", storeRegion, storeEndpoint)
	}
	return nil
}
