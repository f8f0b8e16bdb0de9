package oci

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"
)

// unusedFor is after how long the Cache forgets a layer.
const unusedFor = 24 * time.Hour

// A Cache is a folder of compressed layers with their digests: a layer that is there costs nothing, however large it is.
type Cache string

// Layer returns the layer with a name and a key, which says what the layer is made of. When it is not there, write makes
// its archive. Layers with the same name and other keys go when they have not been used for long.
func (c Cache) Layer(name, key string, write func(io.Writer) error) (v1.Layer, error) {
	if err := os.MkdirAll(string(c), 0o750); err != nil {
		return nil, fmt.Errorf("cannot create the folder of layers: %w", err)
	}
	path := filepath.Join(string(c), name+"-"+key)
	unlock, err := lock(filepath.Join(string(c), name+".lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	layer, err := readLayer(path)
	if errors.Is(err, fs.ErrNotExist) {
		layer, err = makeLayer(path, write)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot keep layer %q: %w", name, err)
	}
	return layer, errors.Join(os.Chtimes(path+".json", time.Time{}, time.Now()), c.forget(name, path))
}

// FileLayer returns a layer of one file.
func (c Cache) FileLayer(name string, f File) (v1.Layer, error) {
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%s %o\n", f.Path, f.Mode)
	source, err := os.Open(f.Source)
	if err != nil {
		return nil, fmt.Errorf("cannot open %q: %w", f.Source, err)
	}
	defer source.Close() //nolint:errcheck // It is only read.
	if _, err := io.Copy(sum, source); err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", f.Source, err)
	}
	return c.Layer(name, short(sum), func(w io.Writer) error { return writeArchive(w, []File{f}) })
}

// forget removes the layers of a name that have not been used for long, except one.
func (c Cache) forget(name, except string) error {
	others, err := filepath.Glob(filepath.Join(string(c), name+"-*.json"))
	if err != nil {
		return fmt.Errorf("cannot list the layers of %q: %w", name, err)
	}
	for _, other := range others {
		info, err := os.Stat(other)
		if err != nil {
			return fmt.Errorf("cannot tell the age of a layer: %w", err)
		}
		path := other[:len(other)-len(".json")]
		if path == except || time.Since(info.ModTime()) < unusedFor {
			continue
		}
		if err := errors.Join(os.Remove(other), os.Remove(path+".tar.gz")); err != nil {
			return fmt.Errorf("cannot remove an old layer: %w", err)
		}
	}
	return nil
}

// A cachedLayer is a layer whose digests are known.
type cachedLayer struct {
	Digests struct {
		Compressed   v1.Hash `json:"compressed"`
		Uncompressed v1.Hash `json:"uncompressed"`
	} `json:"digests"`
	Bytes int64 `json:"bytes"`

	file string
}

// Digest is what the layer is called by in a manifest.
func (l *cachedLayer) Digest() (v1.Hash, error) { return l.Digests.Compressed, nil }

// DiffID is what the layer is called by in an image's configuration.
func (l *cachedLayer) DiffID() (v1.Hash, error) { return l.Digests.Uncompressed, nil }

// Size is how many bytes the compressed layer has.
func (l *cachedLayer) Size() (int64, error) { return l.Bytes, nil }

// MediaType is that of a compressed OCI layer.
func (l *cachedLayer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }

// Compressed opens the compressed layer.
func (l *cachedLayer) Compressed() (io.ReadCloser, error) { return os.Open(l.file) }

// Uncompressed opens the layer's archive.
func (l *cachedLayer) Uncompressed() (io.ReadCloser, error) {
	file, err := os.Open(l.file)
	if err != nil {
		return nil, err
	}
	archive, err := gzip.NewReader(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{archive, file}, nil
}

func readLayer(path string) (*cachedLayer, error) {
	raw, err := os.ReadFile(path + ".json") //nolint:gosec // In the cache's folder.
	if err != nil {
		return nil, err
	}
	l := &cachedLayer{file: path + ".tar.gz"}
	if err := json.Unmarshal(raw, l); err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", path+".json", err)
	}
	return l, nil
}

// makeLayer writes the digests last: a layer that was interrupted is not found by them. It compresses fast: gzip's default
// takes several times as long and saves a tenth.
func makeLayer(path string, write func(io.Writer) error) (*cachedLayer, error) {
	l := &cachedLayer{file: path + ".tar.gz"}
	file, err := os.Create(l.file)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // Closed below; this is for the ways out before.
	compressed, uncompressed := sha256.New(), sha256.New()
	archive, err := gzip.NewWriterLevel(io.MultiWriter(file, compressed), gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if err := write(io.MultiWriter(archive, uncompressed)); err != nil {
		return nil, errors.Join(err, os.Remove(l.file))
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	l.Bytes, l.Digests.Compressed, l.Digests.Uncompressed = info.Size(), digest(compressed), digest(uncompressed)
	raw, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	return l, errors.Join(file.Close(), os.WriteFile(path+".json", raw, 0o600))
}

// lock keeps two builds from making the same at the same time. It ends with the process at the latest.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // In the cache's folder.
	if err != nil {
		return nil, fmt.Errorf("cannot open a lock: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot lock %q: %w", path, err), file.Close())
	}
	return func() { _ = file.Close() }, nil
}

func digest(sum hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
}

func short(sum hash.Hash) string { return hex.EncodeToString(sum.Sum(nil)[:8]) }
