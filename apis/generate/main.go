// Command generate writes all that follows from the Go types of claims and managed resources: deep copies, definitions and the
// reference.
//
//	go run ./apis/generate          writes them
//	go run ./apis/generate --check  fails when one is stale
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/tools/program"
)

const (
	types     = "apis/v1alpha1"
	deepCopy  = "zz_generated.deepcopy.go"
	reference = "docs/reference.md"
)

func main() {
	check := flag.Bool("check", false, "fail when a generated file is stale, and change nothing")
	flag.Parse()
	if err := run(context.Background(), *check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, check bool) error {
	files, err := generate(ctx)
	if err != nil {
		return err
	}
	if !check {
		return write(files)
	}
	stale := []string{}
	for _, f := range files {
		there, err := os.ReadFile(f.path)
		if err != nil || !bytes.Equal(there, f.content) {
			stale = append(stale, f.path)
		}
	}
	if len(stale) > 0 {
		return fmt.Errorf("stale: %s; run make generate and commit what it changes", strings.Join(stale, ", "))
	}
	return nil
}

type file struct {
	path    string
	content []byte
}

func write(files []file) error {
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil { //nolint:gosec // A folder of the project.
			return fmt.Errorf("cannot create the folder of %q: %w", f.path, err)
		}
		if err := os.WriteFile(f.path, f.content, 0o644); err != nil { //nolint:gosec // A file of the project.
			return fmt.Errorf("cannot write %q: %w", f.path, err)
		}
	}
	return nil
}

func generate(ctx context.Context) ([]file, error) {
	generator, err := controllerGen(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "generate-")
	if err != nil {
		return nil, fmt.Errorf("cannot create a folder to generate in: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // A temporary folder that stays does no harm.

	copies, err := generateFrom(ctx, generator, types, dir)
	if err != nil {
		return nil, err
	}
	files := []file{copies}
	document := &bytes.Buffer{}
	writeIntroduction(document)
	for _, k := range kinds() {
		schema, err := os.ReadFile(filepath.Join(dir, v1alpha1.Group+"_"+k.plural()+".yaml")) //nolint:gosec // Just written.
		if err != nil {
			return nil, fmt.Errorf("cannot read the generated schema: %w", err)
		}
		definition, err := k.definition(schema)
		if err != nil {
			return nil, err
		}
		rendered, err := marshal(definition)
		if err != nil {
			return nil, err
		}
		files = append(files, file{path: filepath.Join("apis", k.folder, "definition.yaml"), content: rendered})
		if err := k.writeReference(document, definition); err != nil {
			return nil, err
		}
	}
	resources, err := generateResources(ctx, generator, dir, document)
	if err != nil {
		return nil, err
	}
	return append(append(files, resources...), file{path: reference, content: document.Bytes()}), nil
}

// generateResources makes what the provider needs.
func generateResources(ctx context.Context, generator, dir string, document *bytes.Buffer) ([]file, error) {
	copies, err := generateFrom(ctx, generator, resourceTypes, dir)
	if err != nil {
		return nil, err
	}
	files := []file{copies}
	for _, r := range resources() {
		made, err := r.definition(dir, document)
		if err != nil {
			return nil, err
		}
		files = append(files, made)
	}
	return files, nil
}

// generateFrom makes the schemas of a folder's types in dir, and returns their deep copies.
func generateFrom(ctx context.Context, generator, types, dir string) (file, error) {
	cmd := exec.CommandContext(ctx, generator, "object", "crd", "paths=./"+types, "output:crd:dir="+dir, "output:object:dir="+dir) //nolint:gosec // The project's own arguments.
	if out, err := cmd.CombinedOutput(); err != nil {
		return file{}, fmt.Errorf("cannot generate from the types in %s: %w: %s", types, err, out)
	}
	copies, err := os.ReadFile(filepath.Join(dir, deepCopy)) //nolint:gosec // Just written.
	if err != nil {
		return file{}, fmt.Errorf("cannot read the generated deep copies: %w", err)
	}
	return file{path: filepath.Join(types, deepCopy), content: copies}, nil
}

func controllerGen(ctx context.Context) (string, error) {
	catalog, err := program.LoadCatalog("tools/versions.yaml")
	if err != nil {
		return "", err
	}
	cache, err := filepath.Abs(".cache")
	if err != nil {
		return "", errors.Join(errors.New("cannot find the cache folder"), err)
	}
	return program.Builder{Catalog: catalog, Cache: cache}.Build(ctx, "controller-gen")
}
