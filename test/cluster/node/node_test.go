package node

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWriteLeavesAFileAloneThatIsAsItShouldBe(t *testing.T) {
	f := file{path: filepath.Join(t.TempDir(), "folder", "config"), content: "one"}
	if err := f.write(); err != nil {
		t.Fatal(err)
	}
	long := time.Unix(1, 0)
	if err := os.Chtimes(f.path, long, long); err != nil {
		t.Fatal(err)
	}
	if err := f.write(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(f.path)
	if err != nil {
		t.Fatal(err)
	}
	if !info.ModTime().Equal(long) {
		t.Error("The file was written although it is as it should be.")
	}
	f.content = "two"
	if err := f.write(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(f.path); err != nil || string(got) != "two" {
		t.Errorf("The file holds %q (%v), not what was written.", got, err)
	}
}
