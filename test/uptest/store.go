package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/test/cluster/objectstore"
)

// A store is the local cluster's object store, which takes the place of the one that the examples name.
type store struct {
	Endpoint  string
	Authority string
	AccessKey string
	SecretKey string
}

// findStore reads where the store is and who may use it, and makes the bucket that the examples name. What a run before left in
// it goes: new clusters would not start beside backups of theirs.
func findStore(ctx context.Context, kubectl, kubeconfig, bucket string) (store, error) {
	folder := filepath.Join(objectstore.Buckets(), bucket)
	if err := os.RemoveAll(folder); err != nil {
		return store{}, fmt.Errorf("cannot empty the bucket %q: %w", bucket, err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return store{}, fmt.Errorf("cannot make the bucket %q: %w", bucket, err)
	}
	raw, err := exec.CommandContext(ctx, kubectl, "--kubeconfig", kubeconfig, "get", "secret", "s3", "--namespace", "object-store", "--output", "json").Output() //nolint:gosec // Programs and arguments are ours.
	if err != nil {
		return store{}, fmt.Errorf("cannot read who may use the object store: %w", err)
	}
	secret := struct {
		Data map[string]string `json:"data"`
	}{}
	if err := json.Unmarshal(bytes.TrimSpace(raw), &secret); err != nil {
		return store{}, fmt.Errorf("cannot parse who may use the object store: %w", err)
	}
	s := store{}
	for key, into := range map[string]*string{
		"endpoint": &s.Endpoint, "ca.crt": &s.Authority, "accessKeyID": &s.AccessKey, "secretAccessKey": &s.SecretKey,
	} {
		value, err := base64.StdEncoding.DecodeString(secret.Data[key])
		if err != nil || len(value) == 0 {
			return store{}, fmt.Errorf("cannot read %s of the object store's Secret: %w", key, errors.Join(err, errors.New("it must have a value")))
		}
		*into = string(value)
	}
	return s, nil
}

// secretName is the name of the Secret with the credentials of the local store.
const secretName = "object-store"

// secret returns the credentials of the local store as a plan wants them.
func (s store) secret() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1",
		"kind":       "Secret",
		"metadata":   map[string]any{"name": secretName, "namespace": namespace},
		"stringData": map[string]any{"accessKeyID": s.AccessKey, "secretAccessKey": s.SecretKey},
	}}
}

// locate puts the store into a BackupPlan, in place of whatever store it names. What is kept is where in it the backups are.
func (s store) locate(plan *unstructured.Unstructured) error {
	key := ""
	for _, options := range []string{"s3Options", "gcsOptions", "azureOptions"} {
		if given, _, _ := unstructured.NestedString(plan.Object, "spec", "backupLocation", options, "key"); given != "" {
			key = given
		}
	}
	return unstructured.SetNestedMap(plan.Object, map[string]any{
		"type": string(v1alpha1.LocationS3),
		"s3Options": map[string]any{
			"endpoint": s.Endpoint, "bucket": bucket, "key": key, "caBundle": []any{s.Authority}, "secretRef": map[string]any{"name": secretName},
		},
	}, "spec", "backupLocation")
}
