package archive

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestFindTrail(t *testing.T) {
	cases := map[string]struct {
		reason  string
		files   []string
		history string // Of timeline 3.
		want    string
	}{
		"OneTimeline": {
			reason: "What the instance has begins at 7, so that 6 must be in the archive.",
			files:  []string{"000000010000000000000007", "000000010000000000000008", "000000010000000000000009"},
			want:   "000000010000000000000006",
		},
		"NextLog": {
			reason: "Numbers go up to FF within a log.",
			files:  []string{"000000010000000200000000", "000000010000000200000001"},
			want:   "0000000100000001000000FF",
		},
		"TimelineBefore": {
			reason:  "The segment is of the timeline that a recovery reads there.",
			files:   []string{"000000020000000000000007", "000000030000000000000008"},
			history: "1\t0/5000000\tno recovery target specified\n\n2\t0/8000100\tno recovery target specified\n",
			want:    "000000020000000000000006",
		},
		"WhereTimelineWasLeft": {
			reason:  "The segment in which a timeline was left is read from the next.",
			files:   []string{"000000030000000000000008", "000000030000000000000009"},
			history: "1\t0/5000000\tno recovery target specified\n2\t0/7FFFF00\tno recovery target specified\n",
			want:    "000000030000000000000007",
		},
		"FirstTimeline": {
			reason:  "It may be of a timeline long before.",
			files:   []string{"000000020000000000000005", "000000020000000000000006", "000000030000000000000006"},
			history: "1\t0/5000000\tno recovery target specified\n2\t0/6000100\tno recovery target specified\n",
			want:    "000000010000000000000004",
		},
		"LeftOver": {
			reason: "What is left of long ago is no part of it.",
			files:  []string{"000000010000000000000002", "000000010000000000000007", "000000010000000000000008"},
			want:   "000000010000000000000006",
		},
		"OtherFiles": {
			reason: "Only whole segments count.",
			files:  []string{"000000010000000000000006.partial", "00000001.history", "000000010000000000000007"},
			want:   "000000010000000000000006",
		},
		"Everything": {
			reason: "The first segment of a database has the number 1. Nothing is archived of the one before, and an archive is never older than that.",
			files:  []string{"000000010000000000000001"},
			want:   "000000010000000000000000",
		},
		"Nothing": {
			reason: "Without WAL there is nothing to prove.",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			if err := os.MkdirAll(filepath.Join(directory, "pg_wal", "archive_status"), 0o700); err != nil {
				t.Fatal(err)
			}
			if tc.history != "" {
				tc.files = append(tc.files, "00000003.history")
			}
			for _, file := range tc.files {
				content := ""
				if file == "00000003.history" {
					content = tc.history
				}
				if err := os.WriteFile(filepath.Join(directory, "pg_wal", file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := findTrail(directory)
			if err != nil || got.Preceding != tc.want {
				t.Errorf("\n%s\nfindTrail(...): %q, %v; want %q", tc.reason, got.Preceding, err, tc.want)
			}
		})
	}
}

func TestFindTrailWritten(t *testing.T) {
	directory := t.TempDir()
	if err := os.Mkdir(filepath.Join(directory, "pg_wal"), 0o700); err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i, name := range []string{"000000010000000000000007", "000000010000000000000008"} {
		file := filepath.Join(directory, "pg_wal", name)
		at := noon.Add(time.Duration(i) * time.Minute)
		if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Chtimes(file, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := findTrail(directory)
	if err != nil || !got.Written.Equal(noon) {
		t.Errorf("findTrail(...): the oldest segment was written at %s, %v; want %s", got.Written, err, noon)
	}
}
