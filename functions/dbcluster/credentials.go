package dbcluster

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
)

const (
	adminUser     = "postgres"
	adminDatabase = "postgres"
)

// generatePassword returns a password of 32 characters that needs no quoting anywhere.
func generatePassword(rand io.Reader) (string, error) {
	b := make([]byte, 24)
	if _, err := io.ReadFull(rand, b); err != nil {
		return "", fmt.Errorf("cannot read random bytes: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// planPassword returns the administrator's password. It is empty when it is not known: then whatever was set stays.
func planPassword(c cluster, seen facts) (string, verdict) {
	user := c.Spec.PrimarySpec.AdminUser
	if user == nil || user.PasswordRef == nil {
		if seen.Credentials == nil {
			return "", credentialsVerdict(compose.Unknown, v1alpha1.ReasonWaitingForCredentials,
				fmt.Sprintf("Waiting for the Secret %s with the generated passwords.", c.Credentials(generation)))
		}
		return seen.Credentials.Admin, credentialsVerdict(compose.True, v1alpha1.ReasonPasswordGenerated,
			fmt.Sprintf("The administrator's password was generated; it is in the Secret %s.", c.Connection()))
	}

	secret := user.PasswordRef.Name
	refused := func(reason, format string, args ...any) (string, verdict) {
		v := credentialsVerdict(compose.False, reason, fmt.Sprintf(format, args...))
		v.Stalls = true
		return "", v
	}
	if c.ComposesSecret(secret) {
		return refused(v1alpha1.ReasonPasswordRefused, "The Secret %s is one that the DBCluster makes itself: give passwordRef another name.", secret)
	}
	if !seen.Password.Answered {
		return "", credentialsVerdict(compose.Unknown, v1alpha1.ReasonWaitingForCredentials,
			fmt.Sprintf("Looking for the Secret %s of passwordRef.", secret))
	}
	if seen.Password.Data == nil {
		return refused(v1alpha1.ReasonPasswordSecretMissing,
			"The Secret %s of passwordRef does not exist in the namespace %s: create it with the password under the key %s.", secret, c.Namespace, c.Name)
	}
	raw, ok := seen.Password.Data[c.Name]
	if !ok {
		return refused(v1alpha1.ReasonPasswordKeyMissing,
			"The Secret %s of passwordRef lacks the key %s, the cluster's name: add it with the password.", secret, c.Name)
	}
	password, trimmed := trimNewline(string(raw))
	if fault := passwordFault(password); fault != "" {
		return refused(v1alpha1.ReasonPasswordRefused, "The password under the key %s of the Secret %s %s: set another.", c.Name, secret, fault)
	}
	if trimmed {
		return password, credentialsVerdict(compose.True, v1alpha1.ReasonNewlineTrimmed,
			fmt.Sprintf("The password in the Secret %s ends in a newline, as echo and editors leave it. The newline is not part of the password: log in without it.", secret))
	}
	return password, credentialsVerdict(compose.True, v1alpha1.ReasonPasswordFromSecret,
		fmt.Sprintf("The administrator's password is the one in the Secret %s.", secret))
}

// trimNewline takes one newline off the end of a password, where `echo secret | base64` and most editors leave one that
// nobody types at a prompt.
func trimNewline(raw string) (password string, trimmed bool) {
	if password, ok := strings.CutSuffix(raw, "\r\n"); ok {
		return password, true
	}
	return strings.CutSuffix(raw, "\n")
}

// passwordFault returns what is wrong with a password, if anything.
func passwordFault(password string) string {
	switch {
	case password == "":
		return "is empty"
	case strings.ContainsRune(password, 0):
		return "holds a NUL, which PostgreSQL cannot take"
	case strings.ContainsAny(password, "\r\n"):
		return "holds a line break, which clients cannot send"
	case len(password) > 1024:
		return "has more than 1024 bytes"
	}
	return ""
}

func credentialsVerdict(status compose.Truth, reason, message string) verdict {
	return verdict{Condition: compose.Condition{
		Type: v1alpha1.ConditionCredentialsReady, Status: status, Reason: reason, Message: message,
	}}
}

// planAdmin returns what the administrator's Secret is to hold: as observed, unless the password is known and with it the
// key of its revision.
func planAdmin(seen facts, password string) map[string][]byte {
	if password == "" || seen.Credentials == nil {
		return seen.Admin
	}
	// The revision is in a ConfigMap, so it must say nothing about the password to who cannot read Secrets.
	mac := hmac.New(sha256.New, []byte(seen.Credentials.Rewind))
	mac.Write([]byte(adminUser + "\x00" + password))
	return map[string][]byte{
		instance.KeyAdminUser:     []byte(adminUser),
		instance.KeyAdminPassword: []byte(password),
		instance.KeyAdminRevision: []byte(hex.EncodeToString(mac.Sum(nil)[:16])),
	}
}

// planConnection returns what the connection Secret is to hold, by the Service Binding specification and what PostgreSQL's
// own clients want. It follows from the administrator's credentials and the certificate.
func planConnection(c cluster, seen facts, p plan) map[string][]byte {
	if p.Admin == nil || p.Certificate == nil {
		return seen.Connection
	}
	host, port := c.Host(), strconv.Itoa(instance.PortPostgreSQL)
	user, password := p.Admin[instance.KeyAdminUser], p.Admin[instance.KeyAdminPassword]
	uri := url.URL{
		Scheme: "postgresql", User: url.UserPassword(string(user), string(password)),
		Host: host + ":" + port, Path: adminDatabase, RawQuery: "sslmode=verify-full",
	}
	authority := p.Certificate[instance.KeyAuthority]
	return map[string][]byte{
		"type":         []byte("postgresql"),
		"provider":     []byte("xdbcluster"),
		"host":         []byte(host),
		"port":         []byte(port),
		"username":     user,
		"password":     password,
		"database":     []byte(adminDatabase),
		"uri":          []byte(uri.String()),
		"sslmode":      []byte("verify-full"),
		"certificates": authority,
		"ca.crt":       authority,
	}
}
