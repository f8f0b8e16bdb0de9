// Package pgbackrest writes pgBackRest's configuration: where a repository is, how to get in, and which instances it is of.
package pgbackrest

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// Stanza is pgBackRest's name for a database in a repository. There is one in each: its path is the database's own.
const Stanza = "db"

const (
	// ioSeconds bounds each wait for the store. pgBackRest tries an unreachable one eight times as long.
	ioSeconds = 10

	// archiveSeconds is how long a backup waits for its last WAL to be archived: others may be in the queue before it.
	archiveSeconds = 600
)

// A Setting is a line of pgBackRest's configuration.
type setting struct {
	name  string
	value string
}

// Settings are what the configuration follows from.
type Settings struct {
	Repository instance.Repository

	// Path of the repository in the store, see Path.
	Path string

	// Secrets is what the Secret of the repository holds, and Folder where it is mounted.
	Secrets map[string][]byte
	Folder  string

	// Run is a folder for locks.
	Run string

	// Processes is how many copy at a time.
	Processes int

	// Instances that the repository is of. One that runs on this host comes first and has no name.
	Instances []Instance
}

// An Instance is one whose files are read.
type Instance struct {
	// Host that its pgBackRest server listens on. Empty on the instance itself.
	Host string

	// DataDirectory of its PostgreSQL.
	DataDirectory string
}

// Path returns where a database's backups are in a store: nobody can choose a path that is another namespace's, another
// cluster's, or another database's of the same cluster.
func Path(prefix string, c naming.Cluster, incarnation string) string {
	return path.Join("/", prefix, c.Namespace, c.Name, incarnation)
}

// URL returns a repository's path as people write it.
func URL(r instance.Repository, path string) string {
	schemes := map[v1alpha1.LocationType]string{v1alpha1.LocationS3: "s3", v1alpha1.LocationGCS: "gs", v1alpha1.LocationAzure: "azure"}
	return schemes[r.Type] + "://" + r.Bucket + path
}

// Render returns the configuration. It holds credentials.
func (s Settings) Render() ([]byte, error) {
	if s.Path == "" || s.Path == "/" {
		return nil, errors.New("the repository has no path")
	}
	global := []setting{
		{"repo1-path", s.Path},
		{"repo1-bundle", "y"}, // Small files together: a request for each would take most of a backup's time.
		{"repo1-retention-full-type", "time"},
		{"repo1-retention-full", strconv.Itoa(s.Repository.RetainDays)},
		{"repo1-retention-history", strconv.Itoa(s.Repository.RetainDays)},
		{"compress-type", compression(s.Repository.Compression)},
		{"archive-timeout", strconv.Itoa(archiveSeconds)},
		{"io-timeout", strconv.Itoa(ioSeconds)},
		{"start-fast", "y"},
		{"process-max", strconv.Itoa(max(s.Processes, 1))},
		{"lock-path", s.Run},
	}
	store, err := s.store()
	if err != nil {
		return nil, err
	}
	encryption, err := s.encryption()
	if err != nil {
		return nil, err
	}
	out := &bytes.Buffer{}
	write(out, "global", append(append(append(store, encryption...), global...), logging()...))
	write(out, Stanza, s.instances())
	return out.Bytes(), nil
}

// store says where the repository is and how to get in.
func (s Settings) store() ([]setting, error) {
	r := s.Repository
	switch r.Type {
	case v1alpha1.LocationS3:
		credentials, err := s.secrets(setting{"repo1-s3-key", instance.KeyAccessKey}, setting{"repo1-s3-key-secret", instance.KeySecretKey})
		if err != nil {
			return nil, err
		}
		if len(s.Secrets[instance.KeySessionToken]) > 0 {
			token, err := s.secrets(setting{"repo1-s3-token", instance.KeySessionToken})
			if err != nil {
				return nil, err
			}
			credentials = append(credentials, token...)
		}
		return append(append([]setting{
			{"repo1-type", "s3"},
			{"repo1-s3-bucket", r.Bucket},
			{"repo1-s3-endpoint", r.Endpoint},
			{"repo1-s3-region", r.Region},
			{"repo1-s3-uri-style", r.URIStyle},
		}, credentials...), s.trust()...), nil
	case v1alpha1.LocationGCS:
		store := []setting{{"repo1-type", "gcs"}, {"repo1-gcs-bucket", r.Bucket}}
		if len(s.Secrets[instance.KeyServiceAccount]) > 0 {
			return append(store, setting{"repo1-gcs-key", filepath.Join(s.Folder, instance.KeyServiceAccount)}), nil
		}
		return append(store, setting{"repo1-gcs-key-type", "auto"}), nil
	case v1alpha1.LocationAzure:
		credentials, err := s.secrets(setting{"repo1-azure-account", instance.KeyAccessKey}, setting{"repo1-azure-key", instance.KeySecretKey})
		if err != nil {
			return nil, err
		}
		return append([]setting{{"repo1-type", "azure"}, {"repo1-azure-container", r.Bucket}}, credentials...), nil
	default:
		return nil, fmt.Errorf("the repository has the type %q, which is not known", r.Type)
	}
}

// trust says whom to believe to be the store.
func (s Settings) trust() []setting {
	var trust []setting
	if s.Repository.InsecureSkipVerify {
		trust = append(trust, setting{"repo1-storage-verify-tls", "n"})
	}
	if len(s.Secrets[instance.KeyTrust]) > 0 {
		trust = append(trust, setting{"repo1-storage-ca-file", filepath.Join(s.Folder, instance.KeyTrust)})
	}
	return trust
}

func (s Settings) encryption() ([]setting, error) {
	if !s.Repository.Encrypted {
		return nil, nil
	}
	passphrase, err := s.secrets(setting{"repo1-cipher-pass", instance.KeyPassphrase})
	return append([]setting{{"repo1-cipher-type", "aes-256-cbc"}}, passphrase...), err
}

// secrets returns settings whose values are those of keys of the Secret.
func (s Settings) secrets(keys ...setting) ([]setting, error) {
	list := make([]setting, 0, len(keys))
	for _, k := range keys {
		value := string(s.Secrets[k.value])
		if value == "" {
			return nil, fmt.Errorf("the repository's Secret lacks the key %s", k.value)
		}
		if strings.ContainsAny(value, "\r\n\x00") || strings.TrimSpace(value) != value {
			return nil, fmt.Errorf("the key %s of the repository's Secret holds a line break, or begins or ends with a space", k.value)
		}
		list = append(list, setting{k.name, value})
	}
	return list, nil
}

// instances says where the database's files are.
func (s Settings) instances() []setting {
	list := make([]setting, 0, 8*len(s.Instances))
	for i, in := range s.Instances {
		pg := "pg" + strconv.Itoa(i+1) + "-"
		list = append(list,
			setting{pg + "path", in.DataDirectory},
			setting{pg + "port", strconv.Itoa(instance.PortPostgreSQL)},
			setting{pg + "socket-path", instance.FolderSocket},
			setting{pg + "user", "postgres"})
		if in.Host == "" {
			continue
		}
		list = append(list,
			setting{pg + "host", in.Host},
			setting{pg + "host-type", "tls"},
			setting{pg + "host-port", strconv.Itoa(instance.PortBackup)},
			setting{pg + "host-ca-file", filepath.Join(instance.FolderBackupTLS, instance.KeyAuthority)},
			setting{pg + "host-cert-file", filepath.Join(instance.FolderBackupTLS, instance.KeyCertificate)},
			setting{pg + "host-key-file", filepath.Join(instance.FolderBackupTLS, instance.KeyPrivateKey)})
	}
	return list
}

// RenderServer returns the configuration of the server that lets Jobs of backups, and nobody else, read an instance's files.
// It has no credentials of a store.
func RenderServer(run string) []byte {
	out := &bytes.Buffer{}
	write(out, "global", append([]setting{
		{"tls-server-address", "*"},
		{"tls-server-port", strconv.Itoa(instance.PortBackup)},
		{"tls-server-cert-file", filepath.Join(instance.FolderTLS, instance.KeyInternalCertificate)},
		{"tls-server-key-file", filepath.Join(instance.FolderTLS, instance.KeyInternalPrivateKey)},
		{"tls-server-ca-file", filepath.Join(instance.FolderTLS, instance.KeyInternalAuthority)},
		{"tls-server-auth", instance.BackupClient + "=" + Stanza},
		{"lock-path", run},
	}, logging()...))
	return out.Bytes()
}

// logging leaves what is wrong on standard error, and nothing anywhere else.
func logging() []setting {
	return []setting{{"log-level-file", "off"}, {"log-level-console", "off"}, {"log-level-stderr", "warn"}, {"log-timestamp", "n"}}
}

func compression(c v1alpha1.Compression) string {
	switch c {
	case v1alpha1.CompressionLZ4:
		return "lz4"
	case v1alpha1.CompressionGzip:
		return "gz"
	case v1alpha1.CompressionNone:
		return "none"
	default:
		return "zst"
	}
}

func write(out *bytes.Buffer, section string, settings []setting) {
	fmt.Fprintf(out, "[%s]\n", section)
	for _, s := range settings {
		fmt.Fprintf(out, "%s=%s\n", s.name, s.value)
	}
	fmt.Fprintln(out)
}
