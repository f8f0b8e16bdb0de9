package image

import (
	"os"
	"path/filepath"
	"testing"
)

func TestBuild(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "binary")
	files := []File{{Path: "/program", Source: binary, Mode: 0o755}}
	digest := func(content string) string {
		t.Helper()
		if err := os.WriteFile(binary, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		img, err := build("/program", files)
		if err != nil {
			t.Fatal(err)
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if len(config.RootFS.DiffIDs) != 1 || config.Config.User != "65532:65532" {
			t.Errorf("The image has layers %v and runs as %q.", config.RootFS.DiffIDs, config.Config.User)
		}
		d, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d.String()
	}
	first := digest("one")
	if again := digest("one"); again != first {
		t.Errorf("The same files make different images: %s, then %s.", first, again)
	}
	if other := digest("two"); other == first {
		t.Error("Different files make the same image.")
	}
}
