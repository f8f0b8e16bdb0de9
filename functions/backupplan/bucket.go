package backupplan

import (
	objectstore "github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
)

// externalName is the annotation with a managed resource's name in what it is in.
const externalName = "crossplane.io/external-name"

// A managed is a managed resource of the provider, or what configures it. Their own types have zero values, which Crossplane would
// own.
type managed struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   metadata `json:"metadata"`
	Spec       any      `json:"spec"`
}

type metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type bucketSpec struct {
	ProviderConfigRef  reference `json:"providerConfigRef"`
	ManagementPolicies []string  `json:"managementPolicies"`
}

type reference struct {
	Kind string `json:"kind,omitempty"`
	Name string `json:"name"`
}

type storeSpec struct {
	Endpoint           string     `json:"endpoint"`
	Region             string     `json:"region"`
	URIStyle           string     `json:"uriStyle"`
	SecretRef          reference  `json:"secretRef"`
	CABundle           []string   `json:"caBundle,omitempty"`
	CertRef            *reference `json:"certRef,omitempty"`
	InsecureSkipVerify bool       `json:"insecureSkipVerify,omitempty"`
}

// bucket is the bucket of the location. It is never deleted with the plan: what is in it is what the plan is for, and a claim whose
// end waited for a bucket to become empty would never end. What somebody else set on it is not taken over, and so left to him.
func bucket(r request) *managed {
	b := r.managed(objectstore.KindBucket)
	b.Metadata.Annotations = map[string]string{externalName: r.Repository.Bucket}
	b.Spec = bucketSpec{
		ProviderConfigRef:  reference{Kind: objectstore.KindProviderConfig, Name: b.Metadata.Name},
		ManagementPolicies: []string{"Observe", "Create", "Update"},
	}
	return b
}

// store says where the bucket is and how to get in: with the user's own Secrets.
func store(r request) *managed {
	s := r.managed(objectstore.KindProviderConfig)
	spec := storeSpec{
		Endpoint: r.Repository.Endpoint, Region: r.Repository.Region, URIStyle: r.Repository.URIStyle,
		SecretRef: reference{Name: r.Secrets.Credentials}, InsecureSkipVerify: r.Repository.InsecureSkipVerify,
	}
	if r.Bundle != "" {
		spec.CABundle = []string{r.Bundle}
	}
	if r.Secrets.Trust != "" {
		spec.CertRef = &reference{Name: r.Secrets.Trust}
	}
	s.Spec = spec
	return s
}

func (r request) managed(kind string) *managed {
	return &managed{
		APIVersion: objectstore.GroupVersion().String(), Kind: kind,
		Metadata: metadata{Name: r.Bucket(r.Repository.ID()), Namespace: r.Namespace, Labels: r.labels()},
	}
}
