package process

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseRecord(t *testing.T) {
	cases := map[string]struct {
		reason string
		line   string
		want   record
		fails  bool
	}{
		"Whole":           {reason: "What is written is read.", line: record{pid: 7, started: "99", identity: "ab"}.String(), want: record{pid: 7, started: "99", identity: "ab"}},
		"WithoutIdentity": {reason: "An identity may be missing.", line: "7 99\n", want: record{pid: 7, started: "99"}},
		"Empty":           {reason: "A file that was cut short says nothing.", line: "", fails: true},
		"NoNumber":        {reason: "A process id is a number.", line: "x 99", fails: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parseRecord(tc.line)
			if (err != nil) != tc.fails {
				t.Fatalf("%s\nparseRecord(%q): %v", tc.reason, tc.line, err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(record{})); diff != "" {
				t.Errorf("%s\nparseRecord(%q): -want, +got:\n%s", tc.reason, tc.line, diff)
			}
		})
	}
}

func TestStart(t *testing.T) {
	folder := t.TempDir()
	config := filepath.Join(folder, "config")
	write(t, config, "one")
	s := Supervisor{Folder: filepath.Join(folder, "processes")}
	p := Process{Name: "sleeper", Command: []string{"sleep", "60"}, Config: []string{config}}
	t.Cleanup(func() {
		if err := s.Stop(p.Name, time.Second); err != nil {
			t.Error(err)
		}
	})
	pid := func() int {
		t.Helper()
		if err := s.Start(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		r, ok := s.find(p.Name)
		if !ok {
			t.Fatal("It does not run after it was started.")
		}
		return r.pid
	}

	first := pid()
	if again := pid(); again != first {
		t.Errorf("A process that runs as it should was replaced: %d, then %d.", first, again)
	}
	write(t, config, "two")
	changed := pid()
	if changed == first {
		t.Error("A process whose configuration changed goes on with the old one.")
	}
	if err := s.Kill(p.Name); err != nil {
		t.Fatal(err)
	}
	if s.Running(p.Name) {
		t.Error("A process runs after it was killed.")
	}
	if revived := pid(); revived == changed {
		t.Error("A process that died was not started again.")
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
