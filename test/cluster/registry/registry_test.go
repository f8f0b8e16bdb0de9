package registry

import (
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestWhatWasPushedOutlivesTheProcess(t *testing.T) {
	folder := t.TempDir()
	first := reference(t, serve(t, folder))
	index, err := random.Index(64, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(first, index); err != nil {
		t.Fatalf("cannot push: %v", err)
	}

	got, err := remote.Index(reference(t, serve(t, folder)))
	if err != nil {
		t.Fatalf("The next process does not have what was pushed to the one before: %v", err)
	}
	want, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if digest, err := got.Digest(); err != nil || digest != want {
		t.Errorf("The next process has digest %s (%v), not %s.", digest, err, want)
	}
}

func serve(t *testing.T, folder string) string {
	t.Helper()
	r, err := Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return server.URL
}

func reference(t *testing.T, address string) name.Reference {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(u.Host+"/project/thing:v1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
