package store

import (
	"strings"
	"testing"

	xpv2 "github.com/crossplane/crossplane/apis/v2/core/v2"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
)

// bucketOf is a Bucket of the namespace shop that uses a configuration.
func bucketOf(kind, name string) *v1alpha1.Bucket {
	return &v1alpha1.Bucket{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "reports"},
		Spec:       v1alpha1.BucketSpec{ProviderConfigReference: &xpv2.ProviderConfigReference{Kind: kind, Name: name}},
	}
}

func secretOf(namespace, name string, data map[string]string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string][]byte{}}
	for key, value := range data {
		s.Data[key] = []byte(value)
	}
	return s
}

func configOf(s v1alpha1.Store, certificates string) *v1alpha1.ProviderConfig {
	c := &v1alpha1.ProviderConfig{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "store"},
		Spec:       v1alpha1.ProviderConfigSpec{Store: s, SecretRef: v1alpha1.SecretReference{Name: "keys"}},
	}
	if certificates != "" {
		c.Spec.CertRef = &v1alpha1.SecretReference{Name: certificates}
	}
	return c
}

func clusterConfigOf(allowed ...string) *v1alpha1.ClusterProviderConfig {
	return &v1alpha1.ClusterProviderConfig{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Spec: v1alpha1.ClusterProviderConfigSpec{
			Store: v1alpha1.Store{Region: "eu-central-1"}, AllowedNamespaces: allowed,
			SecretRef: v1alpha1.NamespacedSecretReference{Namespace: "platform", Name: "keys"},
		},
	}
}

func TestFind(t *testing.T) {
	keys := map[string]string{"accessKeyID": "id", "secretAccessKey": "key\n"}
	both := Credentials{AccessKey: "id", SecretKey: "key"}
	cases := map[string]struct {
		reason string
		bucket *v1alpha1.Bucket
		there  []client.Object
		want   Location
		refuse string
	}{
		"Endpoint": {
			reason: "A store of one's own is spoken to in paths, and what echo leaves behind is not part of a key.",
			bucket: bucketOf(v1alpha1.KindProviderConfig, "store"),
			there:  []client.Object{configOf(v1alpha1.Store{Endpoint: "https://s3.example.org:9000/"}, ""), secretOf("shop", "keys", keys)},
			want: Location{
				Config: "ProviderConfig store", Secret: "shop/keys", Endpoint: "s3.example.org:9000", Region: "us-east-1", URIStyle: v1alpha1.URIStylePath, Credentials: both,
			},
		},
		"Amazon": {
			reason: "With a region alone it is Amazon's, whose buckets are hosts.",
			bucket: bucketOf(v1alpha1.KindClusterProviderConfig, "default"),
			there:  []client.Object{clusterConfigOf("shop"), secretOf("platform", "keys", keys)},
			want: Location{
				Config: "ClusterProviderConfig default", Secret: "platform/keys", Endpoint: "s3.eu-central-1.amazonaws.com", Region: "eu-central-1",
				URIStyle: v1alpha1.URIStyleHost, Credentials: both,
			},
		},
		"AllNamespaces": {
			reason: "Who says that all may, means all.",
			bucket: bucketOf(v1alpha1.KindClusterProviderConfig, "default"),
			there:  []client.Object{clusterConfigOf("*"), secretOf("platform", "keys", map[string]string{"accessKeyID": "id", "secretAccessKey": "key", "sessionToken": "token"})},
			want: Location{
				Config: "ClusterProviderConfig default", Secret: "platform/keys", Endpoint: "s3.eu-central-1.amazonaws.com", Region: "eu-central-1",
				URIStyle: v1alpha1.URIStyleHost, Credentials: Credentials{AccessKey: "id", SecretKey: "key", SessionToken: "token"},
			},
		},
		"AnotherNamespace": {
			reason: "Credentials are for those that they were given to.",
			bucket: bucketOf(v1alpha1.KindClusterProviderConfig, "default"),
			there:  []client.Object{clusterConfigOf("warehouse"), secretOf("platform", "keys", keys)},
			refuse: "the ClusterProviderConfig default is not for Buckets of the namespace shop: name it in allowedNamespaces",
		},
		"Trust": {
			reason: "Certificates of both places are trusted.",
			bucket: bucketOf(v1alpha1.KindProviderConfig, "store"),
			there: []client.Object{
				configOf(v1alpha1.Store{Endpoint: "s3.example.org", CABundle: []string{"one"}, InsecureSkipVerify: true}, "authority"),
				secretOf("shop", "keys", keys), secretOf("shop", "authority", map[string]string{"ca.crt": "two"}),
			},
			want: Location{
				Config: "ProviderConfig store", Secret: "shop/keys", Endpoint: "s3.example.org", Region: "us-east-1", URIStyle: v1alpha1.URIStylePath,
				Credentials: both, Trust: "one\ntwo", InsecureSkipVerify: true,
			},
		},
		"TrustMissing": {
			reason: "Nothing is trusted instead of what is not there.",
			bucket: bucketOf(v1alpha1.KindProviderConfig, "store"),
			there: []client.Object{
				configOf(v1alpha1.Store{Endpoint: "s3.example.org"}, "authority"), secretOf("shop", "keys", keys), secretOf("shop", "authority", nil),
			},
			refuse: "the Secret shop/authority of the ProviderConfig store lacks the key ca.crt",
		},
		"NoReference": {
			reason: "A Bucket that says nothing of its store has none.",
			bucket: &v1alpha1.Bucket{},
			refuse: "set providerConfigRef",
		},
		"NoConfig": {
			reason: "A configuration is looked for in the Bucket's namespace.",
			bucket: bucketOf(v1alpha1.KindProviderConfig, "store"),
			refuse: "the ProviderConfig store does not exist in the namespace shop: create it, or correct providerConfigRef",
		},
		"NoClusterConfig": {
			reason: "One of the cluster is in no namespace.",
			bucket: bucketOf(v1alpha1.KindClusterProviderConfig, "default"),
			refuse: "the ClusterProviderConfig default does not exist: create it",
		},
		"AnotherKind": {
			reason: "Other kinds are nobody's.",
			bucket: bucketOf("Secret", "store"),
			refuse: "it must be ProviderConfig or ClusterProviderConfig",
		},
		"NoSecret": {
			reason: "Somebody has to bring credentials, or let the bucket go.",
			bucket: bucketOf(v1alpha1.KindProviderConfig, "store"),
			there:  []client.Object{configOf(v1alpha1.Store{Endpoint: "s3.example.org"}, "")},
			refuse: "the Secret shop/keys of the ProviderConfig store does not exist: create it",
		},
		"NoKey": {
			reason: "Half of the credentials are none.",
			bucket: bucketOf(v1alpha1.KindProviderConfig, "store"),
			there:  []client.Object{configOf(v1alpha1.Store{Endpoint: "s3.example.org"}, ""), secretOf("shop", "keys", map[string]string{"accessKeyID": "id"})},
			refuse: "lacks the key secretAccessKey: it must have the keys accessKeyID and secretAccessKey",
		},
		"LineBreak": {
			reason: "What cannot be a key is said to be none, without being repeated.",
			bucket: bucketOf(v1alpha1.KindProviderConfig, "store"),
			there: []client.Object{
				configOf(v1alpha1.Store{Endpoint: "s3.example.org"}, ""), secretOf("shop", "keys", map[string]string{"accessKeyID": "id", "secretAccessKey": "hush\nhush"}),
			},
			refuse: "the key secretAccessKey of the Secret shop/keys of the ProviderConfig store holds a line break",
		},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			scheme := runtime.NewScheme()
			for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
				if err := add(scheme); err != nil {
					t.Fatal(err)
				}
			}
			got, err := Find(t.Context(), fake.NewClientBuilder().WithScheme(scheme).WithObjects(tc.there...).Build(), tc.bucket)
			if tc.refuse != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refuse) || strings.Contains(err.Error(), "hush") {
					t.Errorf("\n%s\nFind(...): got %v, want a refusal that says %q", tc.reason, err, tc.refuse)
				}
				return
			}
			if err != nil {
				t.Fatalf("\n%s\nFind(...): %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nFind(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
