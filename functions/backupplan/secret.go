package backupplan

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// A need is a key of a user's Secret that goes into the repository's.
type need struct {
	from, into string
	optional   bool
}

// needs returns what is needed to get into a store.
func needs(t v1alpha1.LocationType) []need {
	switch t {
	case v1alpha1.LocationS3:
		return []need{
			{from: "accessKeyID", into: instance.KeyAccessKey},
			{from: "secretAccessKey", into: instance.KeySecretKey},
			{from: "sessionToken", into: instance.KeySessionToken, optional: true},
		}
	case v1alpha1.LocationGCS:
		return []need{{from: "key.json", into: instance.KeyServiceAccount}}
	case v1alpha1.LocationAzure:
		return []need{{from: "account", into: instance.KeyAccessKey}, {from: "key", into: instance.KeySecretKey}}
	}
	return nil
}

// A refusal is why the repository's Secret cannot be made.
type refusal struct {
	Reason  string
	Message string

	// Waits says that it is not known yet.
	Waits bool
}

// A userSecret is one that a claim names.
type userSecret struct {
	compose.Lookup

	Name  string // Empty means none.
	Field string // What of the claim names it.
}

// ownCredentials are those that the cluster's own instances get in with.
func ownCredentials(r request, seen facts) userSecret {
	field := "backupLocation's secretRef"
	if r.Default {
		field = "the platform's store"
	}
	return userSecret{Lookup: seen.Credentials, Name: r.Secrets.Credentials, Field: field}
}

// content returns what is in a Secret besides its revision that says where the backups are, and how to get in with credentials.
func content(r request, seen facts, credentials userSecret) (map[string][]byte, *refusal) {
	if r.Refused != nil {
		return nil, r.Refused
	}
	data := map[string][]byte{}
	if credentials.Name != "" {
		if refused := copyKeys(data, r, credentials.Name, credentials.Field, credentials.Lookup, needs(r.Repository.Type)); refused != nil {
			return nil, refused
		}
	}
	if r.Secrets.Passphrase != "" {
		wanted := []need{{from: "passphrase", into: instance.KeyPassphrase}}
		if refused := copyKeys(data, r, r.Secrets.Passphrase, "encryption's secretRef", seen.Passphrase, wanted); refused != nil {
			return nil, refused
		}
	}
	trust, refused := trusted(r, seen)
	if refused != nil {
		return nil, refused
	}
	if trust != "" {
		data[instance.KeyTrust] = []byte(trust)
	}
	raw, err := json.Marshal(r.Repository)
	if err != nil {
		return nil, &refusal{Reason: v1alpha1.ReasonLocationRefused, Message: fmt.Sprintf("The location cannot be written down: %s.", err)}
	}
	data[instance.KeyRepository] = raw
	return data, nil
}

// copyKeys copies the keys of a user's Secret. A value of one line loses the newline that editors and echo leave at its end.
func copyKeys(into map[string][]byte, r request, name, field string, l compose.Lookup, wanted []need) *refusal {
	if r.ComposesSecret(name) {
		return &refusal{Reason: v1alpha1.ReasonCredentialsRefused, Message: fmt.Sprintf(
			"The Secret %s of %s is one that the DBCluster or its BackupPlan makes itself: use one of another name.", name, field)}
	}
	if !l.Answered {
		return &refusal{Reason: v1alpha1.ReasonCredentialsMissing, Message: fmt.Sprintf("Looking for the Secret %s of %s.", name, field), Waits: true}
	}
	if l.Data == nil {
		return &refusal{Reason: v1alpha1.ReasonCredentialsMissing, Message: fmt.Sprintf(
			"The Secret %s of %s does not exist in the namespace %s: create it with %s.", name, field, r.Namespace, keyNames(wanted))}
	}
	for _, n := range wanted {
		value := l.Data[n.from]
		if n.into != instance.KeyServiceAccount {
			value = bytes.TrimRight(value, "\r\n")
		}
		switch {
		case len(value) == 0 && n.optional:
		case len(value) == 0:
			return &refusal{Reason: v1alpha1.ReasonCredentialsRefused, Message: fmt.Sprintf(
				"The Secret %s of %s lacks the key %s: it must have %s.", name, field, n.from, keyNames(wanted))}
		case n.into == instance.KeyServiceAccount && !json.Valid(value):
			return &refusal{Reason: v1alpha1.ReasonCredentialsRefused, Message: fmt.Sprintf(
				"The key %s of the Secret %s of %s is not in JSON: it must be a service account's key as Google Cloud gives it.", n.from, name, field)}
		case n.into != instance.KeyServiceAccount && (bytes.ContainsAny(value, "\r\n\x00") || !bytes.Equal(bytes.TrimSpace(value), value)):
			return &refusal{Reason: v1alpha1.ReasonCredentialsRefused, Message: fmt.Sprintf(
				"The key %s of the Secret %s of %s holds a line break, or begins or ends with a space: set it again.", n.from, name, field)}
		default:
			into[n.into] = value
		}
	}
	return nil
}

func keyNames(wanted []need) string {
	var names []string
	for _, n := range wanted {
		if !n.optional {
			names = append(names, n.from)
		}
	}
	if len(names) == 1 {
		return "the key " + names[0]
	}
	return "the keys " + strings.Join(names, " and ")
}

// trusted returns the authorities that may have signed the store's certificate. Empty means those that the image trusts.
func trusted(r request, seen facts) (string, *refusal) {
	parts := []string{strings.TrimSpace(r.Bundle)}
	if r.Secrets.Trust != "" {
		found := map[string][]byte{}
		wanted := []need{{from: "ca.crt", into: instance.KeyServiceAccount}}
		if !seen.Trust.Answered || len(seen.Trust.Data["ca.crt"]) == 0 {
			return "", copyKeys(found, r, r.Secrets.Trust, "s3Options.certRef", seen.Trust, wanted)
		}
		parts = append(parts, strings.TrimSpace(string(seen.Trust.Data["ca.crt"])))
	}
	bundle := strings.TrimSpace(strings.Join(parts, "\n"))
	if bundle == "" {
		return "", nil
	}
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(bundle)) {
		if r.Default {
			return "", &refusal{Reason: v1alpha1.ReasonCredentialsRefused, Message: fmt.Sprintf(
				"There is no certificate in PEM in the key %s of the Secret %s: it must hold the certificates of the authorities that signed the platform's store's, or be left out.",
				storeAuthority, defaultStore)}
		}
		return "", &refusal{
			Reason:  v1alpha1.ReasonCredentialsRefused,
			Message: "There is no certificate in PEM in caBundle or in the Secret of certRef: they must hold the certificates of the authorities that signed the store's.",
		}
	}
	return bundle + "\n", nil
}

// revised returns the content with a revision that is the one before as long as nothing else is another. It is random, because
// a ConfigMap says it to whoever cannot read Secrets.
func revised(content, before map[string][]byte, rand io.Reader) (map[string][]byte, error) {
	with := maps.Clone(content)
	with[instance.KeyRepositoryRevision] = before[instance.KeyRepositoryRevision]
	if len(before[instance.KeyRepositoryRevision]) > 0 && maps.EqualFunc(with, before, bytes.Equal) {
		return with, nil
	}
	id := make([]byte, 8)
	if _, err := io.ReadFull(rand, id); err != nil {
		return nil, fmt.Errorf("cannot read random bytes: %w", err)
	}
	with[instance.KeyRepositoryRevision] = []byte(hex.EncodeToString(id))
	return with, nil
}
