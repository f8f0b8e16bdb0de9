package run

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/tls"
)

// TestReadCertificate shows that instances load the certificate that they show each other when that is renewed, though clients see the
// user's, which stays.
func TestReadCertificate(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	authority, err := tls.NewAuthority("orders", now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	write := func(key string, content []byte) {
		if err := os.WriteFile(filepath.Join(folder, key), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	renew := func(key string) {
		pair, err := tls.NewLeaf(authority, "orders", []string{"orders-rw"}, now, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		write(key, pair.Certificate)
	}
	read := func() certificate {
		c, err := readCertificate(folder)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	write(instance.KeyAuthority, authority.Certificate)
	write(instance.KeyInternalAuthority, authority.Certificate)
	renew(instance.KeyCertificate)
	renew(instance.KeyInternalCertificate)

	before, again := read(), read()
	if before != again {
		t.Errorf("the same certificates are %+v, and then %+v", before, again)
	}
	renew(instance.KeyInternalCertificate)
	if after := read(); after.Loaded == before.Loaded || after.Revision != before.Revision {
		t.Errorf("with another internal certificate: %+v; want another one to load, and the same for clients as before: %+v", after, before)
	}
}
