package run

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
)

// awaitEquipment waits until the image and the mounted Secrets have all that the instance needs. It is not a task of an init
// container: that is one more to start, and when it has failed it cannot report why to the claim.
func (a *Agent) awaitEquipment(ctx context.Context) error {
	stop := a.alive.keep(ctx)
	defer stop()
	for {
		err := checkEquipment(a.current().Version)
		if err == nil {
			return nil
		}
		a.reportWaiting(ctx, "EquipmentMissing", fmt.Sprintf("The instance does not start: %s.", err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(refusedRetry):
		}
	}
}

func checkEquipment(version string) error {
	if _, err := os.Stat(filepath.Join(patroni.BinaryFolder(version), "postgres")); err != nil {
		return fmt.Errorf("the image has no PostgreSQL %s (%w): set databaseImage to one that has, or leave it out", version, err)
	}
	for _, pair := range [][2]string{
		{instance.KeyCertificate, instance.KeyPrivateKey},
		{instance.KeyInternalCertificate, instance.KeyInternalPrivateKey},
	} {
		if _, err := tls.LoadX509KeyPair(filepath.Join(instance.FolderTLS, pair[0]), filepath.Join(instance.FolderTLS, pair[1])); err != nil {
			return fmt.Errorf("cannot use the certificate %s: %w", pair[0], err)
		}
	}
	for _, secret := range [][2]string{
		{instance.FolderCredentials, instance.KeyReplicationPassword},
		{instance.FolderCredentials, instance.KeyRewindPassword},
		{instance.FolderAdmin, instance.KeyAdminUser},
		{instance.FolderAdmin, instance.KeyAdminPassword},
		{instance.FolderAdmin, instance.KeyAdminRevision},
	} {
		if _, err := readSecret(secret[0], secret[1]); err != nil {
			return err
		}
	}
	return nil
}
