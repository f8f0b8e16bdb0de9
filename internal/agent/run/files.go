package run

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
)

// LoadConfig reads the Config that is mounted in a folder.
func LoadConfig(folder string) (instance.Config, error) {
	name := filepath.Join(folder, instance.ConfigKey)
	raw, err := os.ReadFile(name) //nolint:gosec // A file of the instance's own mount.
	if err != nil {
		return instance.Config{}, fmt.Errorf("cannot read the cluster's configuration: %w", err)
	}
	config := instance.Config{}
	if err := json.Unmarshal(raw, &config); err != nil {
		return instance.Config{}, fmt.Errorf("cannot parse the cluster's configuration %q: %w", name, err)
	}
	return config, nil
}

func readSecret(folder, key string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(folder, key)) //nolint:gosec // A file of the instance's own mount.
	if err != nil {
		return "", fmt.Errorf("cannot read a mounted Secret: %w", err)
	}
	if len(raw) == 0 {
		return "", fmt.Errorf("the key %q of the Secret mounted at %q is empty", key, folder)
	}
	return string(raw), nil
}

// writeAuthorities writes down whom to trust when connecting to another instance: that serves its clients' certificate.
func writeAuthorities() error {
	own, err := readSecret(instance.FolderTLS, instance.KeyInternalAuthority)
	if err != nil {
		return err
	}
	served, err := readSecret(instance.FolderTLS, instance.KeyAuthority)
	if err != nil {
		return err
	}
	if err := os.WriteFile(patroni.AuthoritiesFile(), []byte(own+"\n"+served), 0o600); err != nil {
		return fmt.Errorf("cannot write the certificate authorities: %w", err)
	}
	return nil
}

// A certificate is what is mounted for clients to see.
type certificate struct {
	Revision string
	Expiry   time.Time

	// Loaded identifies all that PostgreSQL and Patroni load with it: with a user's certificate the instances show each other one that is
	// renewed while that stays.
	Loaded string
}

func mountedCertificate() (certificate, error) {
	return readCertificate(instance.FolderTLS)
}

func readCertificate(folder string) (certificate, error) {
	raw, err := os.ReadFile(filepath.Join(folder, instance.KeyCertificate)) //nolint:gosec // A file of the instance's own mount.
	if err != nil {
		return certificate{}, fmt.Errorf("cannot read the certificate: %w", err)
	}
	var all []byte
	for _, key := range []string{instance.KeyCertificate, instance.KeyAuthority, instance.KeyInternalCertificate, instance.KeyInternalAuthority} {
		part, err := readSecret(folder, key)
		if err != nil {
			return certificate{}, err
		}
		sum := sha256.Sum256([]byte(part))
		all = append(all, sum[:]...)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return certificate{}, errors.New("the certificate is not in PEM")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return certificate{}, fmt.Errorf("cannot parse the certificate: %w", err)
	}
	sum := sha256.Sum256(raw)
	return certificate{Revision: hex.EncodeToString(sum[:16]), Expiry: parsed.NotAfter, Loaded: hex.EncodeToString(all)}, nil
}
