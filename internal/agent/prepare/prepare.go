// Package prepare checks, before the database's container starts, that an instance has all it needs. A mistake is then a
// failed init container with a message, and not a database that does not come up.
package prepare

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/run"
)

// Run checks the mounted configuration, Secrets and programs.
func Run() error {
	config, err := run.LoadConfig(instance.FolderConfig)
	if err != nil {
		return err
	}
	if err := checkPrograms(config.Version); err != nil {
		return err
	}
	for _, pair := range [][2]string{
		{instance.KeyCertificate, instance.KeyPrivateKey},
		{instance.KeyInternalCertificate, instance.KeyInternalPrivateKey},
	} {
		if _, err := tls.LoadX509KeyPair(filepath.Join(instance.FolderTLS, pair[0]), filepath.Join(instance.FolderTLS, pair[1])); err != nil {
			return fmt.Errorf("cannot use the certificate %s: %w", pair[0], err)
		}
	}
	return checkFiles(
		filepath.Join(instance.FolderCredentials, instance.KeyReplicationPassword),
		filepath.Join(instance.FolderCredentials, instance.KeyRewindPassword),
		filepath.Join(instance.FolderAdmin, instance.KeyAdminUser),
		filepath.Join(instance.FolderAdmin, instance.KeyAdminPassword),
		filepath.Join(instance.FolderAdmin, instance.KeyAdminRevision),
	)
}

func checkPrograms(version string) error {
	postgres := filepath.Join(patroni.BinaryFolder(version), "postgres")
	if _, err := os.Stat(postgres); err != nil {
		return fmt.Errorf("the image has no PostgreSQL %s (%w): set databaseImage to one that has, or leave it out", version, err)
	}
	return nil
}

func checkFiles(names ...string) error {
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("cannot find a mounted Secret's key: %w", err)
		}
		if info.Size() == 0 {
			return fmt.Errorf("the mounted Secret's key %q is empty", name)
		}
	}
	return nil
}
