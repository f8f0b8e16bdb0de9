package postgres

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestSkipTimelines(t *testing.T) {
	folder := t.TempDir()
	const received = "9\t0/501E6B8\tno recovery target specified\n"
	if err := os.WriteFile(filepath.Join(folder, "0000000A.history"), []byte(received), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := skipTimelines(folder, 9, 11); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[e.Name()] = string(raw)
	}
	want := map[string]string{"0000000A.history": received, "0000000B.history": "9\t0/1\tbegun by another instance\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("skipTimelines(9, 11) keeps a history that there is, and writes one of each other number: -want, +got:\n%s", diff)
	}
}

func TestParseTimeline(t *testing.T) {
	row := func(values ...string) []*pgconn.Result {
		raw := make([][]byte, 0, len(values))
		for _, v := range values {
			raw = append(raw, []byte(v))
		}
		return []*pgconn.Result{{Rows: [][][]byte{raw}}}
	}
	cases := map[string]struct {
		reason  string
		results []*pgconn.Result
		want    int
		err     bool
	}{
		"Answer": {
			reason:  "The second column is the timeline.",
			results: row("7713263337925144606", "16", "0/501E6B8", ""),
			want:    16,
		},
		"NoRow": {
			reason:  "An answer without a row says nothing.",
			results: []*pgconn.Result{{}},
			err:     true,
		},
		"NoNumber": {
			reason:  "What is no number is no timeline.",
			results: row("7713263337925144606", "latest"),
			err:     true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parseTimeline(tc.results)
			if got != tc.want || (err != nil) != tc.err {
				t.Errorf("\n%s\nparseTimeline(...): got %d, %v", tc.reason, got, err)
			}
		})
	}
}
