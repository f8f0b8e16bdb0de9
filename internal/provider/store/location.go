// Package store finds the object store that a Bucket is in, reaches it over TLS, and says in words what is wrong when it cannot.
package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
)

// Keys of the Secrets of a ProviderConfig.
const (
	keyAccessKey    = "accessKeyID"
	keySecretKey    = "secretAccessKey"
	keySessionToken = "sessionToken"
	keyTrust        = "ca.crt"
)

// allNamespaces among the allowed ones stands for all.
const allNamespaces = "*"

// A Location is where a store is and how to get in.
type Location struct {
	// Config says which object it was read from, for example "ProviderConfig orders".
	Config string

	// Secret says which Secret the credentials are from, for example "shop/store".
	Secret string

	// Endpoint is the host of the store, with a port if it is not 443.
	Endpoint string
	Region   string
	URIStyle v1alpha1.URIStyle

	Credentials Credentials

	// Trust are the authorities, in PEM, that may have signed the store's certificate. Empty means the system's.
	Trust              string
	InsecureSkipVerify bool
}

// Credentials are what a store lets somebody in with.
type Credentials struct {
	AccessKey    string
	SecretKey    string
	SessionToken string
}

// Find reads where the store of a Bucket is. Secrets are read anew each time: credentials that are changed are used at once.
func Find(ctx context.Context, kube client.Reader, b *v1alpha1.Bucket) (Location, error) {
	ref := b.GetProviderConfigReference()
	if ref == nil {
		return Location{}, errors.New("the Bucket does not say where its store is: set providerConfigRef")
	}
	key := client.ObjectKey{Namespace: b.GetNamespace(), Name: ref.Name}
	switch ref.Kind {
	case v1alpha1.KindProviderConfig:
		config := &v1alpha1.ProviderConfig{}
		if err := get(ctx, kube, key, config, ref.Kind); err != nil {
			return Location{}, err
		}
		return read(ctx, kube, ref.Kind+" "+ref.Name, config.Spec.Store,
			client.ObjectKey{Namespace: key.Namespace, Name: config.Spec.SecretRef.Name}, local(key.Namespace, config.Spec.CertRef))
	case v1alpha1.KindClusterProviderConfig:
		config := &v1alpha1.ClusterProviderConfig{}
		if err := get(ctx, kube, client.ObjectKey{Name: ref.Name}, config, ref.Kind); err != nil {
			return Location{}, err
		}
		if !slices.Contains(config.Spec.AllowedNamespaces, allNamespaces) && !slices.Contains(config.Spec.AllowedNamespaces, b.GetNamespace()) {
			return Location{}, fmt.Errorf("the ClusterProviderConfig %s is not for Buckets of the namespace %s: name it in allowedNamespaces, or use a ProviderConfig of the namespace",
				ref.Name, b.GetNamespace())
		}
		return read(ctx, kube, ref.Kind+" "+ref.Name, config.Spec.Store,
			client.ObjectKey{Namespace: config.Spec.SecretRef.Namespace, Name: config.Spec.SecretRef.Name}, namespaced(config.Spec.CertRef))
	}
	return Location{}, fmt.Errorf("providerConfigRef has the kind %q: it must be ProviderConfig or ClusterProviderConfig", ref.Kind)
}

func local(namespace string, ref *v1alpha1.SecretReference) client.ObjectKey {
	if ref == nil {
		return client.ObjectKey{}
	}
	return client.ObjectKey{Namespace: namespace, Name: ref.Name}
}

func namespaced(ref *v1alpha1.NamespacedSecretReference) client.ObjectKey {
	if ref == nil {
		return client.ObjectKey{}
	}
	return client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}
}

func get(ctx context.Context, kube client.Reader, key client.ObjectKey, config client.Object, kind string) error {
	err := kube.Get(ctx, key, config)
	if kerrors.IsNotFound(err) {
		where := ""
		if key.Namespace != "" {
			where = " in the namespace " + key.Namespace
		}
		return fmt.Errorf("the %s %s does not exist%s: create it, or correct providerConfigRef", kind, key.Name, where)
	}
	if err != nil {
		return fmt.Errorf("cannot read the %s %s: %w", kind, key.Name, err)
	}
	return nil
}

// read fills in the defaults and reads the Secrets. Trust is empty when no Secret with certificates is named.
func read(ctx context.Context, kube client.Reader, config string, s v1alpha1.Store, credentials, trust client.ObjectKey) (Location, error) {
	l := Location{
		Config: config, Secret: credentials.String(), Region: s.Region, URIStyle: s.URIStyle, InsecureSkipVerify: s.InsecureSkipVerify,
		Endpoint: strings.TrimSuffix(strings.TrimPrefix(s.Endpoint, "https://"), "/"), Trust: strings.Join(s.CABundle, "\n"),
	}
	l.setDefaults()
	data, err := secret(ctx, kube, config, credentials)
	if err != nil {
		return Location{}, err
	}
	if l.Credentials, err = l.credentials(data); err != nil {
		return Location{}, err
	}
	if trust.Name == "" {
		return l, nil
	}
	if data, err = secret(ctx, kube, config, trust); err != nil {
		return Location{}, err
	}
	if len(data[keyTrust]) == 0 {
		return Location{}, fmt.Errorf("the Secret %s of the %s lacks the key %s: it must have certificates in PEM", trust, config, keyTrust)
	}
	l.Trust = strings.TrimSpace(l.Trust + "\n" + string(data[keyTrust]))
	return l, nil
}

func (l *Location) setDefaults() {
	if l.Region == "" {
		l.Region = "us-east-1"
	}
	switch {
	case l.URIStyle != "":
	case l.Endpoint == "":
		l.URIStyle = v1alpha1.URIStyleHost
	default:
		l.URIStyle = v1alpha1.URIStylePath
	}
	if l.Endpoint == "" {
		l.Endpoint = "s3." + l.Region + ".amazonaws.com"
	}
}

func secret(ctx context.Context, kube client.Reader, config string, key client.ObjectKey) (map[string][]byte, error) {
	s := &corev1.Secret{}
	err := kube.Get(ctx, key, s)
	if kerrors.IsNotFound(err) {
		return nil, fmt.Errorf("the Secret %s of the %s does not exist: create it; a Bucket that is being deleted also goes, and leaves its bucket, when managementPolicies lose Delete", key, config)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the Secret %s of the %s: %w", key, config, err)
	}
	return s.Data, nil
}

// credentials takes the newline away that editors and echo leave at the end of a value.
func (l *Location) credentials(data map[string][]byte) (Credentials, error) {
	c := Credentials{}
	for _, k := range []struct {
		name     string
		into     *string
		optional bool
	}{
		{name: keyAccessKey, into: &c.AccessKey},
		{name: keySecretKey, into: &c.SecretKey},
		{name: keySessionToken, into: &c.SessionToken, optional: true},
	} {
		value := bytes.TrimRight(data[k.name], "\r\n")
		if len(value) == 0 && !k.optional {
			return Credentials{}, fmt.Errorf("the Secret %s of the %s lacks the key %s: it must have the keys %s and %s", l.Secret, l.Config, k.name, keyAccessKey, keySecretKey)
		}
		if bytes.ContainsAny(value, "\r\n\x00") || !bytes.Equal(bytes.TrimSpace(value), value) {
			return Credentials{}, fmt.Errorf("the key %s of the Secret %s of the %s holds a line break, or begins or ends with a space: set it again", k.name, l.Secret, l.Config)
		}
		*k.into = string(value)
	}
	return c, nil
}
