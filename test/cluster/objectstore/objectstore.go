// Package objectstore runs an S3 server beside the local cluster, over TLS, with what it stores on the machine's disk. Pods
// reach it as https://s3.object-store.svc:9443; who may use it is in the Secret s3 of the namespace object-store.
//
// It also is the platform's store for the namespace of the local cluster's claims: that has a bucket of its own, and an account that
// can use no other. Where to find it and how to get in is in the Secret databases of the namespace object-store.
package objectstore

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdbcluster/xdbcluster/functions/tls"
	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
	"github.com/xdbcluster/xdbcluster/test/cluster/process"
)

const (
	// Program is the server, as tools/versions.yaml names it.
	Program = "versitygw"

	// Region that the server says it is in. Clients sign with it.
	Region = "us-east-1"

	port       = "9443"
	accessKey  = "local"
	secretSize = 24

	// tenant is the name of the account and of the bucket that the claims' namespace has.
	tenant = "databases"
)

// hosts are the names that Pods know the server by.
func hosts() []string {
	return []string{"s3.object-store.svc", "s3.object-store.svc." + layout.ClusterDomain, "s3.object-store"}
}

//go:embed objectstore.yaml
var manifests string //nolint:gochecknoglobals // Embedding needs a variable.

// A Store is the server and what it keeps.
type Store struct {
	// Binaries is the folder with the server's program.
	Binaries string

	Supervisor process.Supervisor
}

// identity is made once, with the cluster: its certificates and who may use it.
type identity struct {
	Authority   []byte `json:"authority"`
	Certificate []byte `json:"certificate"`
	Key         []byte `json:"key"`
	SecretKey   string `json:"secretKey"`
	TenantKey   string `json:"tenantKey"` // The tenant's secret key.
}

// Folder is what the server keeps: buckets, accounts, and its certificate.
func Folder() string { return filepath.Join(layout.State, "object-store") }

// Buckets is the folder that holds a folder for every bucket.
func Buckets() string { return filepath.Join(Folder(), "buckets") }

// Up starts the server when it does not run, and returns the manifests that let Pods find it.
func (s Store) Up(ctx context.Context) (string, error) {
	if err := os.MkdirAll(Buckets(), 0o700); err != nil {
		return "", fmt.Errorf("cannot create the object store's folder: %w", err)
	}
	own, err := load()
	if err != nil {
		return "", err
	}
	certificate, key := filepath.Join(Folder(), "tls.crt"), filepath.Join(Folder(), "tls.key")
	if err := errors.Join(os.WriteFile(certificate, own.Certificate, 0o600), os.WriteFile(key, own.Key, 0o600)); err != nil {
		return "", fmt.Errorf("cannot write the object store's certificate: %w", err)
	}
	accounts := filepath.Join(Folder(), "accounts")
	users, err := admit(accounts, Buckets(), own.TenantKey)
	if err != nil {
		return "", err
	}
	err = s.Supervisor.Start(ctx, process.Process{
		Name: Program,
		Command: []string{
			filepath.Join(s.Binaries, Program), "--port", layout.BridgeAddress + ":" + port, "--region", Region,
			"--cert", certificate, "--key", key, "--iam-dir", accounts, "--quiet", "posix", Buckets(),
		},
		Env:    []string{"ROOT_ACCESS_KEY=" + accessKey, "ROOT_SECRET_KEY=" + own.SecretKey},
		Config: []string{certificate, users},
	})
	if err != nil {
		return "", err
	}
	encode := func(value string) string { return base64.StdEncoding.EncodeToString([]byte(value)) }
	return strings.NewReplacer(
		"ADDRESS", layout.BridgeAddress, "PORT", port, "ENDPOINT", encode(hosts()[0]+":"+port), "REGION", encode(Region),
		"ACCESS_KEY", encode(accessKey), "SECRET_KEY", encode(own.SecretKey), "AUTHORITY", encode(string(own.Authority)),
		"TENANT_NAME", tenant, "TENANT_ID", encode(tenant), "TENANT_KEY", encode(own.TenantKey),
	).Replace(manifests), nil
}

// admit gives the tenant an account and a bucket, and returns the file with the accounts. The server's own administrators need
// neither: a folder in the folder of buckets is a bucket, and an account can do what is said at the bucket.
func admit(accounts, buckets, key string) (string, error) {
	type account struct {
		Access string `json:"access"`
		Secret string `json:"secret"`
		Role   string `json:"role"`
	}
	users, err := json.Marshal(map[string]any{"accessAccounts": map[string]account{tenant: {Access: tenant, Secret: key, Role: "user"}}})
	if err != nil {
		return "", fmt.Errorf("cannot encode the object store's accounts: %w", err)
	}
	file, bucket := filepath.Join(accounts, "users.json"), filepath.Join(buckets, tenant)
	if err := errors.Join(os.MkdirAll(accounts, 0o700), os.MkdirAll(bucket, 0o700)); err != nil {
		return "", fmt.Errorf("cannot create the folders of the account %q: %w", tenant, err)
	}
	if err := os.WriteFile(file, users, 0o600); err != nil {
		return "", fmt.Errorf("cannot write the object store's accounts: %w", err)
	}
	const list = `{"Owner":"` + tenant + `","Grantees":[{"Permission":"FULL_CONTROL","Access":"` + tenant + `","Type":"CanonicalUser"}]}`
	if err := unix.Setxattr(bucket, "user.acl", []byte(list), 0); err != nil {
		return "", fmt.Errorf("cannot give the bucket %q to its account: %w", bucket, err)
	}
	return file, nil
}

// load returns the server's identity, which is made with the first start.
func load() (identity, error) {
	file, own := filepath.Join(Folder(), "identity.json"), identity{}
	raw, err := os.ReadFile(file) //nolint:gosec // The cluster's own file.
	switch {
	case err == nil:
		if err := json.Unmarshal(raw, &own); err != nil {
			return own, fmt.Errorf("cannot parse %q: %w", file, err)
		}
	case errors.Is(err, fs.ErrNotExist):
		if own, err = newIdentity(); err != nil {
			return own, err
		}
	default:
		return own, fmt.Errorf("cannot read the object store's identity: %w", err)
	}
	if own.TenantKey != "" {
		return own, nil
	}
	if own.TenantKey, err = newKey(); err != nil {
		return own, err
	}
	if raw, err = json.Marshal(own); err != nil {
		return own, fmt.Errorf("cannot encode the object store's identity: %w", err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return own, fmt.Errorf("cannot write the object store's identity: %w", err)
	}
	return own, nil
}

func newIdentity() (identity, error) {
	now := time.Now()
	authority, err := tls.NewAuthority("Object store of the local cluster", now, rand.Reader)
	if err != nil {
		return identity{}, err
	}
	leaf, err := tls.NewLeaf(authority, hosts()[0], hosts(), now, rand.Reader)
	if err != nil {
		return identity{}, err
	}
	secret, err := newKey()
	if err != nil {
		return identity{}, err
	}
	return identity{Authority: authority.Certificate, Certificate: leaf.Certificate, Key: leaf.Key, SecretKey: secret}, nil
}

func newKey() (string, error) {
	secret := make([]byte, secretSize)
	if _, err := rand.Read(secret); err != nil {
		return "", fmt.Errorf("cannot make a secret key: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(secret), nil
}
