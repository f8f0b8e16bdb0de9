package platform

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/xdbcluster/xdbcluster/tools/program"
)

// fluxNamespace is where "flux bootstrap" puts everything, and so do we.
const fluxNamespace = "flux-system"

// annotationRequested asks Flux to look now; it does whenever its value changes.
const annotationRequested = "reconcile.fluxcd.io/requestedAt"

// fieldOwner is the name under which objects are applied.
const fieldOwner = client.FieldOwner("xdbcluster-platform")

//go:embed flux
var fluxOverlay embed.FS

// controllers are the parts of Flux that are used. There is no notification-controller: its module cannot be had.
func controllers() []string {
	return []string{"source-controller", "kustomize-controller"}
}

// installFlux applies Flux's controllers and waits until they are available.
func (p *Platform) installFlux(ctx context.Context, builder program.Builder) error {
	objects, err := p.fluxManifests(ctx, builder)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for _, object := range objects {
		if err := p.apply(ctx, object); err != nil {
			return err
		}
	}
	for _, name := range controllers() {
		if err := p.waitAvailable(ctx, fluxNamespace, name); err != nil {
			return err
		}
	}
	return nil
}

// fluxManifests builds the overlay over the manifests that the controllers' modules hold.
func (p *Platform) fluxManifests(ctx context.Context, builder program.Builder) ([]*unstructured.Unstructured, error) {
	memory := filesys.MakeFsInMemory()
	overlay, err := fs.Sub(fluxOverlay, "flux")
	if err != nil {
		return nil, fmt.Errorf("cannot open Flux's overlay: %w", err)
	}
	if err := copyTree(memory, "/", overlay); err != nil {
		return nil, err
	}
	images := make([]types.Image, 0, len(controllers()))
	for _, name := range controllers() {
		dir, version, err := builder.Source(ctx, name)
		if err != nil {
			return nil, err
		}
		if err := copyTree(memory, path.Join("/", name), os.DirFS(filepath.Join(dir, "config"))); err != nil {
			return nil, err
		}
		images = append(images, types.Image{Name: "fluxcd/" + name, NewName: p.localImage(name), NewTag: version})
	}
	if err := setImages(memory, "/kustomization.yaml", images); err != nil {
		return nil, err
	}
	return build(memory, "/")
}

// copyTree copies a folder's manifests into kustomize's file system.
func copyTree(to filesys.FileSystem, dir string, from fs.FS) error {
	return fs.WalkDir(from, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(from, name)
		if err != nil {
			return fmt.Errorf("cannot read manifest %q: %w", name, err)
		}
		if err := to.WriteFile(path.Join(dir, name), content); err != nil {
			return fmt.Errorf("cannot copy manifest %q: %w", name, err)
		}
		return nil
	})
}

func setImages(memory filesys.FileSystem, file string, images []types.Image) error {
	raw, err := memory.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cannot read %q: %w", file, err)
	}
	k := types.Kustomization{}
	if err := yaml.Unmarshal(raw, &k); err != nil {
		return fmt.Errorf("cannot parse %q: %w", file, err)
	}
	k.Images = images
	raw, err = yaml.Marshal(k)
	if err != nil {
		return fmt.Errorf("cannot encode %q: %w", file, err)
	}
	if err := memory.WriteFile(file, raw); err != nil {
		return fmt.Errorf("cannot write %q: %w", file, err)
	}
	return nil
}

func build(files filesys.FileSystem, dir string) ([]*unstructured.Unstructured, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, dir)
	if err != nil {
		return nil, fmt.Errorf("cannot build the kustomization in %q: %w", dir, err)
	}
	objects := make([]*unstructured.Unstructured, 0, built.Size())
	for _, resource := range built.Resources() {
		raw, err := resource.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("cannot encode %s: %w", resource.CurId(), err)
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(raw); err != nil {
			return nil, fmt.Errorf("cannot decode %s: %w", resource.CurId(), err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// follow makes Flux follow the repository: the source and the Kustomization that "flux bootstrap" would make.
func (p *Platform) follow(ctx context.Context) error {
	source := map[string]any{
		"apiVersion": "source.toolkit.fluxcd.io/v1",
		"kind":       "GitRepository",
		"metadata":   map[string]any{"name": fluxNamespace, "namespace": fluxNamespace},
		"spec": map[string]any{
			"url":      p.Git.URL(repositoryName),
			"ref":      map[string]any{"branch": branch},
			"interval": "5s",
			"timeout":  "20s",
		},
	}
	cluster := map[string]any{
		"apiVersion": "kustomize.toolkit.fluxcd.io/v1",
		"kind":       "Kustomization",
		"metadata":   map[string]any{"name": fluxNamespace, "namespace": fluxNamespace},
		"spec": map[string]any{
			"sourceRef":     map[string]any{"kind": "GitRepository", "name": fluxNamespace},
			"path":          "./clusters/local",
			"interval":      "10m",
			"retryInterval": "5s",
			"prune":         true,
		},
	}
	for _, object := range []map[string]any{source, cluster} {
		if err := p.apply(ctx, &unstructured.Unstructured{Object: object}); err != nil {
			return err
		}
	}
	return nil
}

// apply applies an object. It tries again for a while when the API server does not know the kind: its definition may have
// been applied a moment ago.
func (p *Platform) apply(ctx context.Context, object *unstructured.Unstructured) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		last = p.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), fieldOwner, client.ForceOwnership)
		if apimeta.IsNoMatchError(last) {
			return false, nil
		}
		return true, last
	})
	if err != nil {
		return fmt.Errorf("cannot apply %s %q: %w", object.GetKind(), object.GetName(), errors.Join(err, last))
	}
	return nil
}

// waitAvailable waits until a Deployment's current template is what runs.
func (p *Platform) waitAvailable(ctx context.Context, namespace, name string) error {
	deployment := &appsv1.Deployment{}
	err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		if err := p.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, deployment); err != nil {
			return false, client.IgnoreNotFound(err)
		}
		s := deployment.Status
		return s.ObservedGeneration == deployment.Generation && s.UpdatedReplicas == 1 && s.AvailableReplicas == 1, nil
	})
	if err != nil {
		return fmt.Errorf("cannot see Deployment %q become available (see kubectl -n %s describe pods): %w", name, namespace, err)
	}
	return nil
}
