package platform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/crossplane/crossplane-runtime/v2/pkg/xpkg"
	"github.com/google/go-containerregistry/pkg/name"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"github.com/xdbcluster/xdbcluster/tools/program"
)

const (
	branch = "main"

	// DatabasesFolder is the folder of the repository that holds databases.
	DatabasesFolder = "databases/local"

	// OperationsFolder is the one that holds operations.
	OperationsFolder = "operations/local"
)

// A Repository is the Git repository that Flux follows. Changes are made in a clone of its own each and pushed to its
// folder.
type Repository struct {
	// Bare is the repository's folder.
	Bare string
}

// AddClaim commits a claim, or a change of it, and returns the commit.
func (r Repository) AddClaim(ctx context.Context, name string, manifest []byte) (string, error) {
	return r.Change(ctx, "Add or change database "+name, func(dir string) error {
		return addResource(filepath.Join(dir, DatabasesFolder), name+".yaml", manifest)
	})
}

// RemoveClaim commits the removal of a claim's file and returns the commit.
func (r Repository) RemoveClaim(ctx context.Context, name string) (string, error) {
	return r.Change(ctx, "Remove database "+name, func(dir string) error {
		return RemoveResource(dir, DatabasesFolder, name+".yaml")
	})
}

// AddOperation commits an operation and returns the commit.
func (r Repository) AddOperation(ctx context.Context, name string, manifest []byte) (string, error) {
	return r.Change(ctx, "Add operation "+name, func(dir string) error {
		return addResource(filepath.Join(dir, OperationsFolder), name+".yaml", manifest)
	})
}

// RemoveOperation commits the removal of an operation's file and returns the commit.
func (r Repository) RemoveOperation(ctx context.Context, name string) (string, error) {
	return r.Change(ctx, "Remove operation "+name, func(dir string) error {
		return RemoveResource(dir, OperationsFolder, name+".yaml")
	})
}

// Commit writes files, whose content may be nil to remove them, and returns the commit.
func (r Repository) Commit(ctx context.Context, message string, files map[string][]byte) (string, error) {
	return r.Change(ctx, message, func(dir string) error {
		for name, content := range files {
			if err := writeOrRemove(filepath.Join(dir, filepath.FromSlash(name)), content); err != nil {
				return err
			}
		}
		return nil
	})
}

// Head returns the last commit.
func (r Repository) Head(ctx context.Context) (string, error) {
	return r.Change(ctx, "", func(string) error { return nil })
}

// Restore brings back the files that a commit had, and returns the commit that does so. Files that came later stay.
func (r Repository) Restore(ctx context.Context, revision string) (string, error) {
	return r.Change(ctx, "Bring back "+revision, func(dir string) error {
		return git(ctx, dir, "checkout", "--quiet", revision, "--", ".")
	})
}

// Change commits what a function does to the files and returns the commit: the last one when nothing changed.
func (r Repository) Change(ctx context.Context, message string, change func(dir string) error) (string, error) {
	dir, err := os.MkdirTemp("", "xdbcluster-git-")
	if err != nil {
		return "", fmt.Errorf("cannot create a folder for a clone: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // A temporary folder that stays does no harm.

	if err := git(ctx, dir, "clone", "--quiet", "--branch", branch, r.Bare, "."); err != nil {
		// A repository that was just made has no branch to clone.
		if err := git(ctx, dir, "clone", "--quiet", r.Bare, "."); err != nil {
			return "", err
		}
	}
	if err := change(dir); err != nil {
		return "", err
	}
	if err := git(ctx, dir, "add", "--all"); err != nil {
		return "", err
	}
	if err := git(ctx, dir, "diff", "--cached", "--quiet"); err != nil {
		if err := git(ctx, dir, "-c", "user.name=xdbcluster", "-c", "user.email=xdbcluster@example.org", "commit", "--quiet", "--message", message); err != nil {
			return "", err
		}
		if err := git(ctx, dir, "push", "--quiet", "origin", "HEAD:"+branch); err != nil {
			return "", err
		}
	}
	return head(ctx, dir)
}

// syncRepository makes the repository hold gitops/ as it is now, with Crossplane's manifests and the reference of the
// package that was published last. The databases and operations that are in the repository stay.
func (p *Platform) syncRepository(ctx context.Context, builder program.Builder) (string, error) {
	crossplane, err := p.crossplaneManifests(ctx, builder)
	if err != nil {
		return "", err
	}
	role, err := os.ReadFile(p.path("package", "clusterrole.yaml"))
	if err != nil {
		return "", fmt.Errorf("cannot read what Crossplane must be allowed: %w", err)
	}
	return p.Repository.Change(ctx, "Install the platform", func(dir string) error {
		if err := replaceTree(dir, p.path("gitops")); err != nil {
			return err
		}
		for name, content := range map[string][]byte{"crossplane.yaml": crossplane, "clusterrole.yaml": role} {
			if err := addResource(filepath.Join(dir, "platform/local"), name, content); err != nil {
				return err
			}
		}
		if err := setPackage(filepath.Join(dir, "packages/local/configuration.yaml"), p.Package); err != nil {
			return err
		}
		return nameDependencies(filepath.Join(dir, "clusters/base/packages.yaml"), p.Registry)
	})
}

// replaceTree makes dir, a clone, hold what from holds, except for the claims that dir has already.
func replaceTree(dir, from string) error {
	kept := map[string]bool{".git": true}
	for _, claims := range []string{DatabasesFolder, OperationsFolder} {
		if _, err := os.Stat(filepath.Join(dir, claims)); err == nil {
			kept[path.Dir(claims)] = true
		}
	}
	old, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("cannot read the clone: %w", err)
	}
	for _, entry := range old {
		if kept[entry.Name()] {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("cannot remove %q from the clone: %w", entry.Name(), err)
		}
	}
	tree, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("cannot read the Flux tree: %w", err)
	}
	for _, entry := range tree {
		if kept[entry.Name()] {
			continue
		}
		if err := copyPath(filepath.Join(dir, entry.Name()), filepath.Join(from, entry.Name()), entry); err != nil {
			return err
		}
	}
	return nil
}

func copyPath(to, from string, entry fs.DirEntry) error {
	if entry.IsDir() {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			return fmt.Errorf("cannot copy folder %q of the Flux tree: %w", entry.Name(), err)
		}
		return nil
	}
	content, err := os.ReadFile(from) //nolint:gosec // A file of this project.
	if err != nil {
		return fmt.Errorf("cannot read %q of the Flux tree: %w", entry.Name(), err)
	}
	return writeOrRemove(to, content)
}

func writeOrRemove(file string, content []byte) error {
	if content == nil {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot remove %q: %w", file, err)
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return fmt.Errorf("cannot create the folder of %q: %w", file, err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return fmt.Errorf("cannot write %q: %w", file, err)
	}
	return nil
}

// addResource writes a manifest into a folder and names it in the folder's kustomization.
func addResource(dir, name string, manifest []byte) error {
	if err := writeOrRemove(filepath.Join(dir, name), manifest); err != nil {
		return err
	}
	return editResources(dir, func(resources []string) []string {
		if slices.Contains(resources, name) {
			return resources
		}
		resources = append(resources, name)
		slices.Sort(resources)
		return resources
	})
}

// MoveResource moves a manifest from one folder of a clone to another.
func MoveResource(clone, from, to, name string) error {
	manifest, err := os.ReadFile(filepath.Join(clone, from, name)) //nolint:gosec // A file of the clone.
	if err != nil {
		return fmt.Errorf("cannot read %q: %w", name, err)
	}
	if err := RemoveResource(clone, from, name); err != nil {
		return err
	}
	return addResource(filepath.Join(clone, to), name, manifest)
}

// RemoveResource removes a manifest from a folder of a clone, and from that folder's kustomization.
func RemoveResource(clone, folder, name string) error {
	dir := filepath.Join(clone, folder)
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("cannot remove %q: %w", name, err)
	}
	return editResources(dir, func(resources []string) []string {
		return slices.DeleteFunc(resources, func(file string) bool { return file == name })
	})
}

// editResources changes the list of resources of the kustomization in a folder.
func editResources(dir string, edit func([]string) []string) error {
	file := filepath.Join(dir, "kustomization.yaml")
	raw, err := os.ReadFile(file) //nolint:gosec // A file of a clone of ours.
	if err != nil {
		return fmt.Errorf("cannot read the kustomization: %w", err)
	}
	k := types.Kustomization{}
	if err := yaml.UnmarshalStrict(raw, &k); err != nil {
		return fmt.Errorf("cannot parse the kustomization in %q: %w", dir, err)
	}
	k.Resources = edit(k.Resources)
	raw, err = yaml.Marshal(k)
	if err != nil {
		return fmt.Errorf("cannot encode the kustomization in %q: %w", dir, err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return fmt.Errorf("cannot write the kustomization in %q: %w", dir, err)
	}
	return nil
}

// setPackage writes the reference of a package into the manifest that installs it.
func setPackage(file, reference string) error {
	raw, err := os.ReadFile(file) //nolint:gosec // A file of a clone of ours.
	if err != nil {
		return fmt.Errorf("cannot read the Configuration: %w", err)
	}
	object := map[string]any{}
	if err := yaml.Unmarshal(raw, &object); err != nil {
		return fmt.Errorf("cannot parse the Configuration: %w", err)
	}
	object["spec"] = map[string]any{"package": reference}
	raw, err = yaml.Marshal(object)
	if err != nil {
		return fmt.Errorf("cannot encode the Configuration: %w", err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return fmt.Errorf("cannot write the Configuration: %w", err)
	}
	return nil
}

// nameDependencies writes the names that Crossplane gives Function and Provider into the stage that waits for them. They follow from
// the path that the packages were published under.
func nameDependencies(file, registry string) error {
	stage, err := os.ReadFile(file) //nolint:gosec // A file of a clone of ours.
	if err != nil {
		return fmt.Errorf("cannot read the stage of the packages: %w", err)
	}
	for _, dependency := range []string{"function-xdbcluster", "provider-xdbcluster"} {
		repository, err := name.NewRepository(registry + "/" + dependency)
		if err != nil {
			return fmt.Errorf("cannot parse the registry's path %q: %w", registry, err)
		}
		written := []byte("name: xdbcluster-" + dependency)
		if !bytes.Contains(stage, written) {
			return fmt.Errorf("cannot find %q in the stage of the packages", written)
		}
		stage = bytes.ReplaceAll(stage, written, []byte("name: "+xpkg.ToDNSLabel(repository.RepositoryStr())))
	}
	if err := os.WriteFile(file, stage, 0o600); err != nil {
		return fmt.Errorf("cannot write the stage of the packages: %w", err)
	}
	return nil
}

func git(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...) //nolint:gosec // Arguments are ours.
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot run git %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}

func head(ctx context.Context, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", "rev-parse", "HEAD")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("cannot read the last commit: %w%s", err, stderr(err))
	}
	return strings.TrimSpace(string(out)), nil
}

// stderr returns what a command that failed had to say.
func stderr(err error) string {
	exit := &exec.ExitError{}
	if !errors.As(err, &exit) || len(exit.Stderr) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(string(exit.Stderr))
}

// path returns the path of a file of this project.
func (p *Platform) path(elements ...string) string {
	return filepath.Join(append([]string{p.Project}, elements...)...)
}

// localImage returns the repository of an image that only the local cluster uses.
func (p *Platform) localImage(name string) string {
	return path.Join(p.Registry, "local", name)
}
