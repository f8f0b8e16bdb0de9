// Package gitops checks the Flux tree offline: that everything in it builds, that every claim in it would be admitted, and
// that Flux would judge claims right.
package gitops

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fluxcd/pkg/apis/kustomize"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/xdbcluster/xdbcluster/test/schema/admission"
)

// A Stage is a Kustomization of Flux, with what it applies.
type Stage struct {
	Name    string
	Spec    StageSpec
	Objects []*unstructured.Unstructured
}

// StageSpec are the fields of a Kustomization that the tree uses. One that is not here is an error: what Flux would do with
// it is not checked.
type StageSpec struct {
	DeletionPolicy     string                        `json:"deletionPolicy"`
	DependsOn          []Dependency                  `json:"dependsOn"`
	Force              bool                          `json:"force"`
	HealthCheckExprs   []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
	HealthChecks       []map[string]string           `json:"healthChecks"`
	Interval           string                        `json:"interval"`
	Path               string                        `json:"path"`
	Prune              bool                          `json:"prune"`
	RetryInterval      string                        `json:"retryInterval"`
	ServiceAccountName string                        `json:"serviceAccountName"`
	SourceRef          map[string]string             `json:"sourceRef"`
	Timeout            string                        `json:"timeout"`
	Wait               bool                          `json:"wait"`
}

// A Dependency is a stage that has to be ready first.
type Dependency struct {
	Name      string `json:"name"`
	ReadyExpr string `json:"readyExpr"`
}

// Clusters returns the names of the clusters in a tree. The folder base is what they have in common.
func Clusters(tree string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(tree, "clusters"))
	if err != nil {
		return nil, fmt.Errorf("cannot read the clusters: %w", err)
	}
	names := []string{}
	for _, entry := range entries {
		if entry.IsDir() && entry.Name() != "base" {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// Stages returns the stages of a cluster, with all that Flux would apply in each.
func Stages(tree, cluster string) ([]Stage, error) {
	objects, err := Build(filepath.Join(tree, "clusters", cluster))
	if err != nil {
		return nil, err
	}
	stages := []Stage{}
	for _, object := range objects {
		if object.GroupVersionKind().Group != "kustomize.toolkit.fluxcd.io" {
			return nil, fmt.Errorf("cluster %q has an object %s %q, and should have stages only", cluster, object.GetKind(), object.GetName())
		}
		stage, err := newStage(tree, object)
		if err != nil {
			return nil, fmt.Errorf("cannot read stage %q of cluster %q: %w", object.GetName(), cluster, err)
		}
		stages = append(stages, stage)
	}
	return stages, nil
}

func newStage(tree string, object *unstructured.Unstructured) (Stage, error) {
	raw, err := json.Marshal(object.Object["spec"])
	if err != nil {
		return Stage{}, fmt.Errorf("cannot encode its spec: %w", err)
	}
	stage := Stage{Name: object.GetName()}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&stage.Spec); err != nil {
		return Stage{}, fmt.Errorf("its spec has something that is not checked here: %w", err)
	}
	stage.Objects, err = Build(filepath.Join(tree, stage.Spec.Path))
	return stage, err
}

// Build returns the objects that Flux makes of a folder, with the settings that Flux has.
func Build(folder string) ([]*unstructured.Unstructured, error) {
	options := &krusty.Options{LoadRestrictions: types.LoadRestrictionsNone, PluginConfig: types.DisabledPluginConfig()}
	resources, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, fmt.Errorf("cannot build %q: %w", folder, err)
	}
	manifests, err := resources.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("cannot encode what %q makes: %w", folder, err)
	}
	return admission.Parse(manifests)
}
