//go:build e2e

package databases

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// TestBackupOptions encrypts backups of a standby, with a compression of choice: nothing that was written can be read in the store,
// a chain of backups is restored with the passphrase, and not with another one or none.
func TestBackupOptions(t *testing.T) {
	s := newScene(t)
	d := s.create("source", clusterSpec("17", 1))
	location, passphrase, marker := s.store(), rand.Text(), rand.Text()
	s.secret("passphrase", map[string]string{"passphrase": passphrase})
	s.secret("another", map[string]string{"passphrase": rand.Text()})
	options := func(compression v1alpha1.Compression) map[string]any {
		return map[string]any{
			"backupLocation": location, "encryption": encryptedWith("passphrase"), "compression": string(compression),
			"backupSourceStrategy": string(v1alpha1.BackupFromStandby), "cronSchedule": "0 3 1 1 *",
		}
	}
	d.plan(options(v1alpha1.CompressionLZ4))
	full := d.waitScheduled()
	d.sql("CREATE TABLE kept AS SELECT n, " + quote(marker) + "::text AS t FROM generate_series(1, 1000) AS n")
	differential := d.backUp("differential", v1alpha1.BackupDifferential)
	d.sql("INSERT INTO kept SELECT n, " + quote(marker) + " FROM generate_series(1001, 2000) AS n")
	incremental := d.backUp("incremental", v1alpha1.BackupIncremental)
	if differential.Prior != full.Label || incremental.Prior != differential.Label {
		t.Errorf("%s continues %s, and %s continues %s; want each the one before", differential.Label, differential.Prior, incremental.Label, incremental.Prior)
	}
	standby := d.standby()
	for _, b := range []v1alpha1.BackupStatus{full, differential, incremental} {
		if b.Source != standby {
			t.Errorf("the backup %s is of %s; want the standby, %s", b.Label, b.Source, standby)
		}
	}
	if !isCompressed(full) {
		t.Errorf("the first backup says of its size %+v; want it compressed", full.Size)
	}
	d.sql("INSERT INTO kept SELECT n, " + quote(marker) + " FROM generate_series(2001, 3000) AS n")
	d.waitArchived()
	if found, err := filepath.Glob(filepath.Join(s.bucket(), s.namespace, d.name, "*", "archive", "db", "*", "*", "*.lz4")); err != nil || len(found) == 0 {
		t.Errorf("no WAL in the store is compressed as it was asked for (%v)", err)
	}

	t.Log("Without compression, which would hide something, too")
	d.plan(options(v1alpha1.CompressionNone))
	d.eventually(backupLimit, "The plan without compression is in force", func(context.Context) (string, bool) {
		said := d.secretData(d.cluster().Repository())[instance.KeyRepository]
		return said, strings.Contains(said, `"`+string(v1alpha1.CompressionNone)+`"`)
	})
	plain := d.backUp("plain", v1alpha1.BackupFull)
	if isCompressed(plain) {
		t.Errorf("the last backup says of its size %+v; want it not compressed", plain.Size)
	}
	s.checkHidden(marker, passphrase)

	t.Log("With the passphrase")
	chain := s.start("chain", restored("17", v1alpha1.RestoreSpec{RestoreTarget: v1alpha1.RestoreTarget{Backup: incremental.Label}}))
	end := s.start("to-end", restored("17", v1alpha1.RestoreSpec{}))
	chain.waitRolledOut()
	end.waitRolledOut()
	chain.checkRows("2000")
	end.checkRows("3000")
	chain.delete()
	end.delete()

	t.Log("With another one, and without")
	own := restored("17", v1alpha1.RestoreSpec{BackupPlanOf: v1alpha1.PlanOfSelf})
	another, none := s.start("another", own), s.start("none", own)
	another.plan(map[string]any{"backupLocation": location, "encryption": encryptedWith("another")})
	none.plan(map[string]any{"backupLocation": location})
	for _, clone := range []*database{another, none} {
		clone.waitIncident("RestoreFails", "the repository cannot be decrypted")
		if found := clone.mustInDatabase("find " + instance.FolderVolume + " -name PG_VERSION"); found != "" {
			t.Errorf("there is a database on the volume of %s: %s", clone.name, found)
		}
	}
}

// encryptedWith is the encryption of a BackupPlan with the passphrase of a Secret.
func encryptedWith(secret string) map[string]any {
	return map[string]any{"secretRef": map[string]any{"name": secret}}
}

// isCompressed says whether a backup takes less of the store than was copied.
func isCompressed(b v1alpha1.BackupStatus) bool {
	stored, copied := resource.MustParse(b.Size.Repository), resource.MustParse(b.Size.Copied)
	return stored.Cmp(copied) < 0
}

// checkHidden checks that no file of the bucket has a text in it.
func (s *scene) checkHidden(texts ...string) {
	s.Helper()
	files := 0
	err := filepath.WalkDir(s.bucket(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path) //nolint:gosec // It is in the test's own bucket.
		if errors.Is(err, fs.ErrNotExist) {
			return nil // What the store takes has another name until it is complete.
		}
		if err != nil {
			return fmt.Errorf("cannot read what is stored: %w", err)
		}
		files++
		for _, text := range texts {
			if bytes.Contains(content, []byte(text)) {
				s.Errorf("%s has %q in it", path, text)
			}
		}
		return nil
	})
	if err != nil || files == 0 {
		s.Errorf("%d files are in the store, %v", files, err)
	}
}
