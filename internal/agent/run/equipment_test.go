package run

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/tls"
)

func TestEquipment(t *testing.T) {
	other := newPair(t, 9)
	cases := map[string]struct {
		reason string
		spoil  func(e equipment) error
		want   string
	}{
		"Whole": {
			reason: "Where everything is there the instance starts.",
			spoil:  func(equipment) error { return nil },
		},
		"OtherImage": {
			reason: "An image with another PostgreSQL is named, with what to do.",
			spoil:  func(e equipment) error { return os.Remove(filepath.Join(e.Binaries, "postgres")) },
			want:   "the image has no PostgreSQL 17",
		},
		"NoCertificate": {
			reason: "A Secret that is not mounted yet is waited for.",
			spoil:  func(e equipment) error { return os.Remove(filepath.Join(e.Certificates, instance.KeyCertificate)) },
			want:   "cannot use the certificate " + instance.KeyCertificate,
		},
		"OtherKey": {
			reason: "A key that is not the certificate's would only show when the first client connects.",
			spoil: func(e equipment) error {
				return place(e.Certificates, instance.KeyInternalPrivateKey, other.Key)
			},
			want: "cannot use the certificate " + instance.KeyInternalCertificate,
		},
		"EmptyPassword": {
			reason: "An empty password would let Patroni ask for one for ever.",
			spoil:  func(e equipment) error { return place(e.Credentials, instance.KeyReplicationPassword, nil) },
			want:   "the key \"" + instance.KeyReplicationPassword + "\" of the Secret mounted at",
		},
		"NoAdministrator": {
			reason: "Without the administrator's name there is nobody to make.",
			spoil:  func(e equipment) error { return os.Remove(filepath.Join(e.Admin, instance.KeyAdminUser)) },
			want:   "cannot read a mounted Secret",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			e := equip(t)
			if err := tc.spoil(e); err != nil {
				t.Fatal(err)
			}
			err := e.check()
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("\n%s\ncheck(): got %v, want %q", tc.reason, err, tc.want)
			}
		})
	}
}

// equip returns equipment that is whole.
func equip(t *testing.T) equipment {
	t.Helper()
	e := equipment{Version: "17", Binaries: t.TempDir(), Certificates: t.TempDir(), Credentials: t.TempDir(), Admin: t.TempDir()}
	served, internal := newPair(t, 1), newPair(t, 2)
	if err := errors.Join(
		place(e.Binaries, "postgres", nil),
		place(e.Certificates, instance.KeyCertificate, served.Certificate),
		place(e.Certificates, instance.KeyPrivateKey, served.Key),
		place(e.Certificates, instance.KeyInternalCertificate, internal.Certificate),
		place(e.Certificates, instance.KeyInternalPrivateKey, internal.Key),
		place(e.Credentials, instance.KeyReplicationPassword, []byte("replication")),
		place(e.Credentials, instance.KeyRewindPassword, []byte("rewind")),
		place(e.Admin, instance.KeyAdminUser, []byte("admin")),
		place(e.Admin, instance.KeyAdminPassword, []byte("admin")),
		place(e.Admin, instance.KeyAdminRevision, []byte("1")),
	); err != nil {
		t.Fatal(err)
	}
	return e
}

func newPair(t *testing.T, seed byte) tls.Pair {
	t.Helper()
	pair, err := tls.NewAuthority("test", time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC), rand.NewChaCha8([32]byte{seed}))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func place(folder, name string, content []byte) error {
	return os.WriteFile(filepath.Join(folder, name), content, 0o600)
}
