// Package registry is the container registry of the local cluster. It keeps everything on disk, manifests too, so that
// what was pushed outlives the process.
package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"
)

// maxManifest is how large a manifest may be, in bytes.
const maxManifest = 4 << 20

// A Registry is a container registry that keeps what it is given in a folder.
type Registry struct {
	folder string
	inner  http.Handler
}

// A manifest as it was pushed.
type manifest struct {
	Path string `json:"path"`
	Type string `json:"type"`
	Body []byte `json:"body"`
}

// Open returns the registry of a folder, with everything that was pushed to it before.
func Open(ctx context.Context, folder string) (*Registry, error) {
	if err := os.MkdirAll(filepath.Join(folder, "manifests"), 0o750); err != nil {
		return nil, fmt.Errorf("cannot create the registry's folder: %w", err)
	}
	r := &Registry{
		folder: folder,
		inner: registry.New(
			registry.WithBlobHandler(registry.NewDiskBlobHandler(folder)),
			registry.Logger(log.New(io.Discard, "", 0)),
		),
	}
	return r, r.restore(ctx)
}

// ServeHTTP serves the registry's API and writes down each manifest that it took.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPut || !strings.Contains(req.URL.Path, "/manifests/") {
		r.inner.ServeHTTP(w, req)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxManifest))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	m := manifest{Path: req.URL.Path, Type: req.Header.Get("Content-Type"), Body: body}
	a, err := r.push(req.Context(), m)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if a.code == http.StatusCreated {
		if err := r.keep(m); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.code)
	_, _ = w.Write(a.body.Bytes()) // A client that is gone misses nothing.
}

func (r *Registry) push(ctx context.Context, m manifest) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, m.Path, bytes.NewReader(m.Body))
	if err != nil {
		return nil, fmt.Errorf("cannot push manifest %q: %w", m.Path, err)
	}
	req.Header.Set("Content-Type", m.Type)
	a := &answer{header: http.Header{}, code: http.StatusOK}
	r.inner.ServeHTTP(a, req)
	return a, nil
}

// An answer of the registry, kept until it is known what becomes of it.
type answer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header               { return a.header }
func (a *answer) WriteHeader(code int)              { a.code = code }
func (a *answer) Write(content []byte) (int, error) { return a.body.Write(content) }

// keep writes to a temporary name first: a registry that is killed must not leave half a manifest.
func (r *Registry) keep(m manifest) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("cannot write manifest %q as JSON: %w", m.Path, err)
	}
	sum := sha256.Sum256([]byte(m.Path))
	file := filepath.Join(r.folder, "manifests", hex.EncodeToString(sum[:])+".json")
	if err := os.WriteFile(file+".unfinished", raw, 0o600); err != nil {
		return fmt.Errorf("cannot keep manifest %q: %w", m.Path, err)
	}
	if err := os.Rename(file+".unfinished", file); err != nil {
		return fmt.Errorf("cannot keep manifest %q: %w", m.Path, err)
	}
	return nil
}

// restore pushes what was pushed before. An index is refused until the manifests that it lists are there, so it goes on
// for as long as one more is taken.
func (r *Registry) restore(ctx context.Context) error {
	waiting, err := r.kept()
	if err != nil {
		return err
	}
	for len(waiting) > 0 {
		refused := []manifest{}
		for _, m := range waiting {
			a, err := r.push(ctx, m)
			if err != nil {
				return err
			}
			if a.code != http.StatusCreated {
				refused = append(refused, m)
			}
		}
		if len(refused) == len(waiting) {
			return fmt.Errorf("cannot take manifest %q back into the registry", refused[0].Path)
		}
		waiting = refused
	}
	return nil
}

func (r *Registry) kept() ([]manifest, error) {
	files, err := filepath.Glob(filepath.Join(r.folder, "manifests", "*.json"))
	if err != nil {
		return nil, fmt.Errorf("cannot list manifests: %w", err)
	}
	manifests := make([]manifest, 0, len(files))
	for _, f := range files {
		raw, err := os.ReadFile(f) //nolint:gosec // A file of the registry's own.
		if err != nil {
			return nil, fmt.Errorf("cannot read manifest: %w", err)
		}
		m := manifest{}
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, fmt.Errorf("cannot parse manifest %q: %w", f, err)
		}
		manifests = append(manifests, m)
	}
	return manifests, nil
}
