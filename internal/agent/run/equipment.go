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
		err := newEquipment(a.current().Version).check()
		if err == nil {
			return nil
		}
		a.reportWaiting(ctx, instance.IncidentEquipmentMissing, fmt.Sprintf("The instance does not start: %s.", err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(refusedRetry):
		}
	}
}

// equipment is what the image and the mounted Secrets are to have.
type equipment struct {
	// Version of PostgreSQL, and Binaries where its programs are.
	Version  string
	Binaries string

	// Folders that Secrets are mounted in.
	Certificates, Credentials, Admin string
}

func newEquipment(version string) equipment {
	return equipment{
		Version: version, Binaries: patroni.BinaryFolder(version),
		Certificates: instance.FolderTLS, Credentials: instance.FolderCredentials, Admin: instance.FolderAdmin,
	}
}

// check returns the first thing that is missing or cannot be used.
func (e equipment) check() error {
	if _, err := os.Stat(filepath.Join(e.Binaries, "postgres")); err != nil {
		return fmt.Errorf("the image has no PostgreSQL %s (%w): set databaseImage to one that has, or leave it out", e.Version, err)
	}
	for _, pair := range [][2]string{
		{instance.KeyCertificate, instance.KeyPrivateKey},
		{instance.KeyInternalCertificate, instance.KeyInternalPrivateKey},
	} {
		if _, err := tls.LoadX509KeyPair(filepath.Join(e.Certificates, pair[0]), filepath.Join(e.Certificates, pair[1])); err != nil {
			return fmt.Errorf("cannot use the certificate %s: %w", pair[0], err)
		}
	}
	for _, secret := range [][2]string{
		{e.Credentials, instance.KeyReplicationPassword},
		{e.Credentials, instance.KeyRewindPassword},
		{e.Admin, instance.KeyAdminUser},
		{e.Admin, instance.KeyAdminPassword},
		{e.Admin, instance.KeyAdminRevision},
	} {
		if _, err := readSecret(secret[0], secret[1]); err != nil {
			return err
		}
	}
	return nil
}
