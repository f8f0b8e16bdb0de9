package pgbackrest

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/functiontest"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

func TestRender(t *testing.T) {
	keys := map[string][]byte{instance.KeyAccessKey: []byte("id"), instance.KeySecretKey: []byte("key")}
	with := func(more map[string]string) map[string][]byte {
		all := map[string][]byte{}
		for k, v := range keys {
			all[k] = v
		}
		for k, v := range more {
			all[k] = []byte(v)
		}
		return all
	}
	s3 := instance.Repository{
		Type: v1alpha1.LocationS3, Bucket: "backups", Endpoint: "s3.example.org:9443", Region: "us-east-1", URIStyle: "path", RetainDays: 14,
	}
	settings := func(r instance.Repository, secrets map[string][]byte, hosts ...Instance) Settings {
		if hosts == nil {
			hosts = []Instance{{DataDirectory: "/data/1/pgdata"}}
		}
		return Settings{
			Repository: r, Secrets: secrets, Folder: "/repository", Run: "/run/pgbackrest", Instances: hosts,
			Path: Path("prefix", naming.Cluster{Namespace: "shop", Name: "orders"}, "0a1b"),
		}
	}
	encrypted := s3
	encrypted.Encrypted, encrypted.Compression, encrypted.InsecureSkipVerify = true, v1alpha1.CompressionLZ4, true

	cases := map[string]struct {
		reason string
		in     Settings
		fails  string
	}{
		"s3": {
			reason: "An instance archives its own WAL.",
			in:     settings(s3, keys),
		},
		"s3-encrypted": {
			reason: "All that can be asked for of S3.",
			in: settings(encrypted, with(map[string]string{
				instance.KeySessionToken: "token", instance.KeyPassphrase: "words", instance.KeyTrust: "PEM",
			})),
		},
		"s3-from-standby": {
			reason: "A Job reads a standby's files through its server.",
			in:     settings(s3, keys, Instance{Host: "orders-0.orders", DataDirectory: "/data/1/pgdata"}, Instance{Host: "orders-1.orders", DataDirectory: "/data/1/pgdata"}),
		},
		"gcs": {
			reason: "A service account's key is a file.",
			in:     settings(instance.Repository{Type: v1alpha1.LocationGCS, Bucket: "backups", RetainDays: 7}, map[string][]byte{instance.KeyServiceAccount: []byte("{}")}),
		},
		"gcs-identity": {
			reason: "Without one the node's identity counts.",
			in:     settings(instance.Repository{Type: v1alpha1.LocationGCS, Bucket: "backups", RetainDays: 7}, nil),
		},
		"azure": {
			reason: "Azure has an account and a key.",
			in:     settings(instance.Repository{Type: v1alpha1.LocationAzure, Bucket: "backups", RetainDays: 7}, keys),
		},
		"NoKey": {
			reason: "Half of the credentials are none.",
			in:     settings(s3, map[string][]byte{instance.KeyAccessKey: []byte("id")}),
			fails:  "lacks the key secret-key",
		},
		"LineBreak": {
			reason: "No value begins another line.",
			in:     settings(s3, with(map[string]string{instance.KeySecretKey: "key\nrepo1-path=/"})),
			fails:  "holds a line break",
		},
		"NoPath": {
			reason: "The store's root is nobody's.",
			in:     Settings{Repository: s3, Secrets: keys, Path: "/"},
			fails:  "has no path",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := tc.in.Render()
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("\n%s\nRender(): got error %v, want one that says %q", tc.reason, err, tc.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			functiontest.GoldenText(t, filepath.Join("testdata", name+".conf"), got)
		})
	}
}

// TestPath shows that what others can choose does not lead into another cluster's folder.
func TestPath(t *testing.T) {
	cases := map[string]struct {
		reason, prefix, namespace, name string
		want                            string
	}{
		"Plain":  {reason: "Below the prefix come namespace, cluster and incarnation.", prefix: "a/b", namespace: "shop", name: "orders", want: "/a/b/shop/orders/0a1b"},
		"None":   {reason: "Without a prefix they are at the top.", namespace: "shop", name: "orders", want: "/shop/orders/0a1b"},
		"Dots":   {reason: "A prefix cannot lead out of the bucket.", prefix: "../..", namespace: "shop", name: "orders", want: "/shop/orders/0a1b"},
		"Hyphen": {reason: "Names that look alike when they are put together are apart.", namespace: "shop-orders", name: "a", want: "/shop-orders/a/0a1b"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Path(tc.prefix, naming.Cluster{Namespace: tc.namespace, Name: tc.name}, "0a1b"); got != tc.want {
				t.Errorf("\n%s\nPath(...): got %s, want %s", tc.reason, got, tc.want)
			}
		})
	}
}
