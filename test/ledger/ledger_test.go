package ledger

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func at(milliseconds int) time.Time {
	return time.Unix(1000, 0).Add(time.Duration(milliseconds) * time.Millisecond)
}

func records() []Record {
	return []Record{
		{Client: 0, Row: 1, Timeline: 1, Begun: at(-5), At: at(0)},
		{Client: 1, Row: 1, Timeline: 1, Begun: at(5), At: at(10)},
		{Client: 0, Row: 2, Timeline: 1, Begun: at(15), At: at(20)},
		{Client: 1, Row: 4, Timeline: 2, Begun: at(715), At: at(720)},
		{Client: 0, Row: 3, Timeline: 2, Begun: at(725), At: at(730)},
	}
}

func TestReadsWhatWasWritten(t *testing.T) {
	file := &bytes.Buffer{}
	want := records()
	for _, i := range []int{1, 0, 2, 4, 3} {
		if err := Write(file, want[i]); err != nil {
			t.Fatal(err)
		}
	}
	file.WriteString("1 5")
	got, err := Read(file)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Read(...): %v, -want, +got:\n%s", err, diff)
	}
}

func TestLongest(t *testing.T) {
	cases := map[string]struct {
		reason string
		since  time.Time
		want   time.Duration
	}{
		"All": {
			reason: "It is between two rows of any clients.",
			since:  at(0),
			want:   700 * time.Millisecond,
		},
		"SinceWithin": {
			reason: "A gap that began before the moment is one.",
			since:  at(300),
			want:   700 * time.Millisecond,
		},
		"Since": {
			reason: "What was before is left out.",
			since:  at(725),
			want:   10 * time.Millisecond,
		},
		"Nothing": {
			reason: "No row, no gap.",
			since:  at(5000),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Longest(records(), tc.since).Length(); got != tc.want {
				t.Errorf("\n%s\nLongest(...) = %s, want %s", tc.reason, got, tc.want)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	all := records()
	there := map[Key]bool{{0, 1}: true, {1, 1}: true, {1, 4}: true, {0, 3}: true, {7, 7}: true}
	if diff := cmp.Diff([]Record{all[2]}, Missing(all, there)); diff != "" {
		t.Errorf("Missing(...): -want, +got:\n%s", diff)
	}
}

func TestTwoPrimaries(t *testing.T) {
	cases := map[string]struct {
		reason string
		late   Record
		want   bool
	}{
		"OneAtATime": {
			reason: "One after the other is as it should be.",
			late:   Record{Client: 0, Row: 9, Timeline: 2, Begun: at(880), At: at(900)},
		},
		"OldAcknowledgementArrivesLate": {
			reason: "A row that was sent before may have been acknowledged before, too, and the packet taken long.",
			late:   Record{Client: 0, Row: 9, Timeline: 1, Begun: at(700), At: at(900)},
		},
		"OldPrimaryAcknowledges": {
			reason: "A row that was sent when the new primary served can be no older one's.",
			late:   Record{Client: 0, Row: 9, Timeline: 1, Begun: at(725), At: at(900)},
			want:   true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			older, _, found := TwoPrimaries(append(records(), tc.late))
			if found != tc.want || found && older.Row != tc.late.Row {
				t.Errorf("\n%s\nTwoPrimaries(...) = %v, %t; want %t", tc.reason, older, found, tc.want)
			}
		})
	}
}
