package supervise

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestJournal(t *testing.T) {
	cases := map[string]struct {
		reason  string
		written string
		want    string
	}{
		"Nothing": {
			reason:  "What is written all day is no cause.",
			written: "2026-11-29 11:00:00 UTC [1] LOG:  checkpoint starting: time\n",
		},
		"Fatal": {
			reason:  "The line with which PostgreSQL ends says why.",
			written: "2026-11-29 11:00:00 UTC [1] FATAL:  could not access file \"missing\": No such file or directory\n2026-11-29 11:00:00 UTC [1] LOG:  database system is shut down\n",
			want:    `could not access file "missing": No such file or directory`,
		},
		"Last": {
			reason:  "What was said last counts.",
			written: "[1] FATAL:  one\n[2] PANIC:  two\n",
			want:    "two",
		},
		"Configuration": {
			reason:  "That the configuration contains errors says nothing; the line before says which.",
			written: "[1] LOG:  invalid value for parameter \"x\": \"y\"\n[1] FATAL:  configuration file \"/data/postgresql.conf\" contains errors\n",
			want:    `invalid value for parameter "x": "y"`,
		},
		"Client": {
			reason:  "Clients that come too early are told so with the same severity.",
			written: "[9] app@app FATAL:  the database system is starting up\n",
		},
		"Session": {
			reason:  "A client that was killed is no reason for PostgreSQL to end.",
			written: "2026-11-29 11:00:00 UTC [9] app@app FATAL:  connection to client lost\n",
		},
		"Unfinished": {
			reason:  "A line counts when it is complete.",
			written: "[1] FATAL:  could not",
		},
		"Long": {
			reason:  "People are shown the beginning of a long one.",
			written: "[1] FATAL:  " + strings.Repeat("é", longestLine) + "\n",
			want:    strings.Repeat("é", longestCause/2),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			j, passed := &Journal{}, &bytes.Buffer{}
			j.copy(passed, iotest.HalfReader(strings.NewReader(tc.written)))
			if passed.String() != tc.written {
				t.Errorf("\n%s\npassed on %q; want %q", tc.reason, passed.String(), tc.written)
			}
			got, at := j.Cause()
			if got != tc.want || at.IsZero() == (tc.want != "") {
				t.Errorf("\n%s\nCause() = %q at %s; want %q", tc.reason, got, at, tc.want)
			}
			if time.Since(at) > time.Minute && !at.IsZero() {
				t.Errorf("Cause() was said at %s; want now", at)
			}
		})
	}
}
