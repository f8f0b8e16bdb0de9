package run

import (
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
	cases := map[string]struct {
		reason string
		spoil  func(t *testing.T, e equipment)
		want   string
	}{
		"Whole": {
			reason: "Where everything is there the instance starts.",
			spoil:  func(*testing.T, equipment) {},
		},
		"OtherImage": {
			reason: "An image with another PostgreSQL is named, with what to do.",
			spoil:  func(t *testing.T, e equipment) { remove(t, e.Binaries, "postgres") },
			want:   "the image has no PostgreSQL 17",
		},
		"NoCertificate": {
			reason: "A Secret that is not mounted yet is waited for.",
			spoil:  func(t *testing.T, e equipment) { remove(t, e.Certificates, instance.KeyCertificate) },
			want:   "cannot use the certificate " + instance.KeyCertificate,
		},
		"OtherKey": {
			reason: "A key that is not the certificate's would only show when the first client connects.",
			spoil: func(t *testing.T, e equipment) {
				place(t, e.Certificates, instance.KeyInternalPrivateKey, string(newPair(t, 9).Key))
			},
			want: "cannot use the certificate " + instance.KeyInternalCertificate,
		},
		"EmptyPassword": {
			reason: "An empty password would let Patroni ask for one for ever.",
			spoil:  func(t *testing.T, e equipment) { place(t, e.Credentials, instance.KeyReplicationPassword, "") },
			want:   "the key \"" + instance.KeyReplicationPassword + "\" of the Secret mounted at",
		},
		"NoAdministrator": {
			reason: "Without the administrator's name there is nobody to make.",
			spoil:  func(t *testing.T, e equipment) { remove(t, e.Admin, instance.KeyAdminUser) },
			want:   "cannot read a mounted Secret",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			e := equip(t)
			tc.spoil(t, e)
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
	place(t, e.Binaries, "postgres", "")
	served, internal := newPair(t, 1), newPair(t, 2)
	place(t, e.Certificates, instance.KeyCertificate, string(served.Certificate))
	place(t, e.Certificates, instance.KeyPrivateKey, string(served.Key))
	place(t, e.Certificates, instance.KeyInternalCertificate, string(internal.Certificate))
	place(t, e.Certificates, instance.KeyInternalPrivateKey, string(internal.Key))
	place(t, e.Credentials, instance.KeyReplicationPassword, "replication")
	place(t, e.Credentials, instance.KeyRewindPassword, "rewind")
	place(t, e.Admin, instance.KeyAdminUser, "admin")
	place(t, e.Admin, instance.KeyAdminPassword, "admin")
	place(t, e.Admin, instance.KeyAdminRevision, "1")
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

func place(t *testing.T, folder, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, folder, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(folder, name)); err != nil {
		t.Fatal(err)
	}
}
