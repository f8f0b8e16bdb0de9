package postgres

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestShutdownCheckpoint(t *testing.T) {
	type want struct {
		Position uint64
		Timeline int
		Err      error
	}
	cases := map[string]struct {
		reason string
		output string
		want   want
	}{
		"ShutDown": {
			reason: "A primary that ended in order has its last record where the checkpoint is.",
			output: "Database cluster state:               shut down\npg_control last modified:             Sun Nov 22 03:00:00 2026\nLatest checkpoint location:           16/B374D848\nLatest checkpoint's TimeLineID:       3\n",
			want:   want{Position: 0x16B374D848, Timeline: 3},
		},
		"Crashed": {
			reason: "What a crash left says nothing of where the WAL ends.",
			output: "Database cluster state:               in production\nLatest checkpoint location:           0/3000028\n",
			want:   want{Err: ErrNotShutDown},
		},
		"Standby": {
			reason: "A standby's end is not that of the WAL.",
			output: "Database cluster state:               shut down in recovery\nLatest checkpoint location:           0/3000028\n",
			want:   want{Err: ErrNotShutDown},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			position, timeline, err := shutdownCheckpoint([]byte(tc.output))
			if diff := cmp.Diff(tc.want, want{Position: position, Timeline: timeline, Err: err}, cmpopts.EquateErrors()); diff != "" {
				t.Errorf("\n%s\nshutdownCheckpoint(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
	if _, err := ParsePosition("nonsense"); err == nil || errors.Is(err, ErrNotShutDown) {
		t.Error("What is no position was taken for one.")
	}
}

func TestPositions(t *testing.T) {
	cases := map[string]struct {
		reason  string
		segment string
		want    string
	}{
		"First":     {reason: "The first segment of a database begins after nothing.", segment: "000000010000000000000001", want: "0/1000000"},
		"LastOfLog": {reason: "The last one of 4 GiB.", segment: "0000000200000016000000FF", want: "16/FF000000"},
		"Backup":    {reason: "A backup's own file is no segment.", segment: "000000010000000000000002.00000028.backup"},
		"Nothing":   {reason: "Nothing may be archived yet."},
		"Letters":   {reason: "What is no number is no segment.", segment: "00000001000000000000000X"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			start, err := SegmentStart(tc.segment)
			if (err != nil) != (tc.want == "") {
				t.Fatalf("\n%s\nSegmentStart(...): %v", tc.reason, err)
			}
			if got := FormatPosition(start); err == nil && got != tc.want {
				t.Errorf("\n%s\ngot %s, want %s", tc.reason, got, tc.want)
			}
			if again, err := ParsePosition(FormatPosition(start)); err != nil || again != start {
				t.Errorf("\n%s\nParsePosition(...): got %d, %v, want %d", tc.reason, again, err, start)
			}
		})
	}
}
