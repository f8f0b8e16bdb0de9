package postgres

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/text/secure/precis"
)

// scramIterations is PostgreSQL's own default.
const scramIterations = 4096

// EnsureMetricsRole makes the role that the metrics exporter logs in with over the socket. It has no password, and reads
// statistics only.
func (l *Local) EnsureMetricsRole(ctx context.Context, name string) error {
	role := pgx.Identifier{name}.Sanitize()
	return l.withConnection(ctx, func(ctx context.Context, c *pgx.Conn) error {
		there := false
		if err := c.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name).Scan(&there); err != nil {
			return fmt.Errorf("cannot look for role %q: %w", name, err)
		}
		if there {
			return nil
		}
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = 'local'"); err != nil {
				return fmt.Errorf("cannot prepare to create role %q: %w", name, err)
			}
			if _, err := tx.Exec(ctx, "CREATE ROLE "+role+" LOGIN CONNECTION LIMIT 5"); err != nil {
				return fmt.Errorf("cannot create role %q: %w", name, err)
			}
			if _, err := tx.Exec(ctx, "GRANT pg_monitor TO "+role); err != nil {
				return fmt.Errorf("cannot let role %q read statistics: %w", name, err)
			}
			return nil
		})
	})
}

// EnsurePassword sets a role's password unless it is that already. The database gets a verifier that is computed here: the
// password itself is in no statement, and so in no log.
func (l *Local) EnsurePassword(ctx context.Context, role, password string) error {
	return l.withConnection(ctx, func(ctx context.Context, c *pgx.Conn) error {
		var verifier *string
		if err := c.QueryRow(ctx, "SELECT rolpassword FROM pg_authid WHERE rolname = $1", role).Scan(&verifier); err != nil {
			return fmt.Errorf("cannot read what the password of %q is checked with: %w", role, err)
		}
		if verifier != nil && verifies(*verifier, password) {
			return nil
		}
		salt := make([]byte, 16)
		if _, err := rand.Read(salt); err != nil {
			return fmt.Errorf("cannot make a salt: %w", err)
		}
		wanted, err := newVerifier(password, salt, scramIterations)
		if err != nil {
			return err
		}
		return setVerifier(ctx, c, role, wanted)
	})
}

func setVerifier(ctx context.Context, c *pgx.Conn, role, verifier string) error {
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		for _, statement := range []string{
			// A standby may wait for this very password before it can confirm anything. After a failover the next primary's
			// agent sets it again.
			"SET LOCAL synchronous_commit = 'local'",
			"SET LOCAL log_statement = 'none'",
			"SET LOCAL log_min_duration_statement = -1",
			"SET LOCAL log_min_error_statement = 'panic'",
			// A verifier holds nothing that needs quoting.
			"ALTER ROLE " + pgx.Identifier{role}.Sanitize() + " PASSWORD '" + verifier + "'",
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("cannot set the password of %q", role) // Without the cause, which may quote the statement.
			}
		}
		return nil
	})
}

// newVerifier computes what PostgreSQL keeps of a password (RFC 5803; RFC 7677 for SHA-256).
func newVerifier(password string, salt []byte, iterations int) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, prepared(password), salt, iterations, sha256.Size)
	if err != nil {
		return "", errors.New("cannot derive a key from the password")
	}
	stored := sha256.Sum256(keyed(salted, "Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, encode(salt), encode(stored[:]), encode(keyed(salted, "Server Key"))), nil
}

func verifies(verifier, password string) bool {
	rest, ok := strings.CutPrefix(verifier, "SCRAM-SHA-256$")
	if !ok {
		return false
	}
	parameters, _, ok := strings.Cut(rest, "$")
	if !ok {
		return false
	}
	count, encoded, ok := strings.Cut(parameters, ":")
	if !ok {
		return false
	}
	iterations, err := strconv.Atoi(count)
	if err != nil {
		return false
	}
	salt, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return false
	}
	same, err := newVerifier(password, salt, iterations)
	return err == nil && hmac.Equal([]byte(same), []byte(verifier))
}

// prepared brings a password to the form that clients prove they know. One that has no such form is taken as it is, as
// PostgreSQL does.
func prepared(password string) string {
	if p, err := precis.OpaqueString.String(password); err == nil {
		return p
	}
	return password
}

func keyed(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
