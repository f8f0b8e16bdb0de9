package program

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// writeBuildModule writes the module in which m's programs are built to dir: m's own requirements, replacements and
// checksums, with m itself as one more requirement.
func writeBuildModule(ctx context.Context, m Module, dir string) error {
	source, err := download(ctx, m)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(source, "go.mod")) //nolint:gosec // A file of the module cache.
	if err != nil {
		return fmt.Errorf("cannot read go.mod of module %q: %w", m.Path, err)
	}
	upstream, err := modfile.Parse("go.mod", raw, nil)
	if err != nil {
		return fmt.Errorf("cannot parse go.mod of module %q: %w", m.Path, err)
	}
	generated, err := buildModule(m, upstream)
	if err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(source, "go.sum")) //nolint:gosec // A file of the module cache.
	if err != nil {
		return fmt.Errorf("cannot read go.sum of module %q: %w", m.Path, err)
	}
	if len(m.Sums) > 0 {
		sums = append(sums, []byte(strings.Join(m.Sums, "\n")+"\n")...)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("cannot create the folder of a build module: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), generated, 0o600); err != nil {
		return fmt.Errorf("cannot write go.mod: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o600); err != nil {
		return fmt.Errorf("cannot write go.sum: %w", err)
	}
	if m.Main == "" {
		return nil
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(m.Main), 0o600); err != nil {
		return fmt.Errorf("cannot write the main package of module %q: %w", m.Path, err)
	}
	return nil
}

// buildModule returns the go.mod in which m's programs are built.
func buildModule(m Module, upstream *modfile.File) ([]byte, error) {
	f := &modfile.File{}
	if err := f.AddModuleStmt("build.invalid/" + strings.ReplaceAll(m.Path, "/", "-")); err != nil {
		return nil, fmt.Errorf("cannot name the build module of %q: %w", m.Path, err)
	}
	if err := f.AddGoStmt(upstream.Go.Version); err != nil {
		return nil, fmt.Errorf("cannot set the Go version of the build module of %q: %w", m.Path, err)
	}
	f.AddNewRequire(m.Path, m.Version, false)
	for _, r := range upstream.Require {
		if _, raised := m.Require[r.Mod.Path]; !raised {
			f.AddNewRequire(r.Mod.Path, localVersion(m, r.Mod, upstream), r.Indirect)
		}
	}
	for _, path := range sortedKeys(m.Require) {
		f.AddNewRequire(path, m.Require[path], false)
	}
	for _, r := range upstream.Replace {
		to := r.New
		if isFolder(to) {
			to = module.Version{Path: r.Old.Path, Version: m.folderVersion()}
			if !exists(to) {
				continue
			}
		}
		if err := f.AddReplace(r.Old.Path, r.Old.Version, to.Path, to.Version); err != nil {
			return nil, fmt.Errorf("cannot replace %q in the build module of %q: %w", r.Old.Path, m.Path, err)
		}
	}
	f.Cleanup()
	out, err := f.Format()
	if err != nil {
		return nil, fmt.Errorf("cannot format go.mod of the build module of %q: %w", m.Path, err)
	}
	return out, nil
}

// localVersion returns the version to require of a module. Modules that their parent replaces by a folder are required
// at versions that were never released (v0.0.0), which replacement makes right only when it is by path alone.
func localVersion(m Module, mod module.Version, upstream *modfile.File) string {
	for _, r := range upstream.Replace {
		if r.Old.Path == mod.Path && isFolder(r.New) {
			return m.folderVersion()
		}
	}
	return mod.Version
}

func (m Module) folderVersion() string {
	if m.LocalReplace != "" {
		return m.LocalReplace
	}
	return m.Version
}

// exists says whether a module could have a version at all: etcd's root module, which only its tests use, is replaced by
// a folder in go.etcd.io/etcd/server/v3 and has no v3.
func exists(v module.Version) bool {
	_, major, ok := module.SplitPathVersion(v.Path)
	return ok && module.CheckPathMajor(v.Version, major) == nil
}

func isFolder(v module.Version) bool {
	return v.Version == ""
}

// download puts a module into Go's module cache and returns its folder there.
func download(ctx context.Context, m Module) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", m.Path+"@"+m.Version) //nolint:gosec // Arguments come from the catalog.
	cmd.Dir = os.TempDir()
	cmd.Env = m.environment()
	stderr := &bytes.Buffer{}
	cmd.Stderr = stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("cannot download module %s@%s: %w: %s%s", m.Path, m.Version, err, out, stderr)
	}
	got := struct{ Dir string }{}
	if err := json.Unmarshal(out, &got); err != nil {
		return "", fmt.Errorf("cannot read where module %q was downloaded to: %w", m.Path, err)
	}
	return got.Dir, nil
}

// environment keeps Go from asking the checksum database for what it does not have; the catalog's own sums stand in.
func (m Module) environment() []string {
	env := append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod -buildvcs=false", "GOWORK=off")
	if len(m.Sums) == 0 {
		return env
	}
	unlisted := make([]string, 0, len(m.Sums))
	for _, line := range m.Sums {
		unlisted = append(unlisted, strings.Fields(line)[0])
	}
	return append(env, "GONOSUMDB="+strings.Join(slices.Compact(unlisted), ","))
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
