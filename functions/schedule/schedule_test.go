package schedule

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestDue(t *testing.T) {
	weekly := map[v1alpha1.BackupType]string{v1alpha1.BackupFull: "0 2 * * 0", v1alpha1.BackupDifferential: "0 2 * * 3", v1alpha1.BackupIncremental: "0 * * * *"}
	type want struct {
		Due  bool
		Type v1alpha1.BackupType
		At   string
	}
	cases := map[string]struct {
		reason     string
		schedules  map[v1alpha1.BackupType]string
		since, now string
		want       want
	}{
		"NotYet": {
			reason: "Nothing is due before its time.", schedules: map[v1alpha1.BackupType]string{v1alpha1.BackupFull: "0 2 * * *"},
			since: "2026-03-01T02:00:00Z", now: "2026-03-02T01:59:59Z",
		},
		"OnTime": {
			reason: "A backup is due at its time, not after it.", schedules: map[v1alpha1.BackupType]string{v1alpha1.BackupFull: "0 2 * * *"},
			since: "2026-03-01T02:00:00Z", now: "2026-03-02T02:00:00Z",
			want: want{true, v1alpha1.BackupFull, "2026-03-02T02:00:00Z"},
		},
		"MissedOften": {
			reason: "What was missed many times is made up for once.", schedules: map[v1alpha1.BackupType]string{v1alpha1.BackupFull: "0 2 * * *"},
			since: "2026-02-01T02:00:00Z", now: "2026-03-02T12:00:00Z",
			want: want{true, v1alpha1.BackupFull, "2026-03-02T02:00:00Z"},
		},
		"MissedEveryMinute": {
			reason: "It is found quickly, too, when that was very often.", schedules: map[v1alpha1.BackupType]string{v1alpha1.BackupIncremental: "* * * * *"},
			since: "2021-02-01T02:00:00Z", now: "2026-03-02T12:00:30Z",
			want: want{true, v1alpha1.BackupIncremental, "2026-03-02T12:00:00Z"},
		},
		"Yearly": {
			reason: "A schedule that comes seldom is found, too.", schedules: map[v1alpha1.BackupType]string{v1alpha1.BackupFull: "0 0 29 2 *"},
			since: "2023-01-01T00:00:00Z", now: "2026-03-02T12:00:00Z",
			want: want{true, v1alpha1.BackupFull, "2024-02-29T00:00:00Z"},
		},
		"SeveralAtOnce": {
			reason: "Of several that are due at a time, the one that copies most is taken.", schedules: weekly,
			since: "2026-03-01T01:30:00Z", now: "2026-03-01T02:00:00Z",
			want: want{true, v1alpha1.BackupFull, "2026-03-01T02:00:00Z"},
		},
		"SeveralMissed": {
			reason: "A full backup that was missed is made up for though incremental ones came due later.", schedules: weekly,
			since: "2026-02-28T01:30:00Z", now: "2026-03-02T12:10:00Z",
			want: want{true, v1alpha1.BackupFull, "2026-03-02T12:00:00Z"},
		},
		"Incremental": {
			reason: "In between the smaller ones are taken.", schedules: weekly,
			since: "2026-03-01T02:00:00Z", now: "2026-03-01T03:00:10Z",
			want: want{true, v1alpha1.BackupIncremental, "2026-03-01T03:00:00Z"},
		},
		"None": {reason: "Without schedules nothing is due.", since: "2026-03-01T02:00:00Z", now: "2027-03-01T03:00:10Z"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := Parse(tc.schedules)
			if err != nil {
				t.Fatal(err)
			}
			kind, last, due := s.Due(at(t, tc.since), at(t, tc.now))
			got := want{Due: due, Type: kind}
			if due {
				got.At = last.Format(time.RFC3339)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nDue(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestNext(t *testing.T) {
	s, err := Parse(map[v1alpha1.BackupType]string{v1alpha1.BackupFull: "0 2 * * 0", v1alpha1.BackupIncremental: "30 2 * * 1-6"})
	if err != nil {
		t.Fatal(err)
	}
	for after, want := range map[string]string{
		"2026-03-01T02:00:00Z":      "2026-03-02T02:30:00Z",
		"2026-03-07T23:00:00Z":      "2026-03-08T02:00:00Z",
		"2026-03-02T03:30:00+02:00": "2026-03-02T02:30:00Z",
	} {
		if got := s.Next(at(t, after)).Format(time.RFC3339); got != want {
			t.Errorf("after %s comes %s, want %s", after, got, want)
		}
	}
	if next := (Schedules{}).Next(at(t, "2026-03-01T02:00:00Z")); !next.IsZero() {
		t.Errorf("without schedules comes %s", next)
	}
}

func TestParse(t *testing.T) {
	for _, text := range []string{"0 25 * * *", "0 2 * *", "@reboot", "0 0 30 2 *", "TZ=Europe/Rome 0 2 * * *"} {
		if _, err := Parse(map[v1alpha1.BackupType]string{v1alpha1.BackupFull: text}); err == nil {
			t.Errorf("%q is taken for a schedule", text)
		}
	}
}

func TestVerification(t *testing.T) {
	weekly, err := ParseVerification("0 4 * * 1")
	if err != nil {
		t.Fatal(err)
	}
	if next := weekly.Next(at(t, "2026-03-02T05:00:00+01:00")).Format(time.RFC3339); next != "2026-03-09T04:00:00Z" {
		t.Errorf("the next one is due at %s", next)
	}
	cases := map[string]struct {
		reason       string
		since, now   string
		due, overdue string
	}{
		"NotYet":   {reason: "Nothing is due before its time.", since: "2026-03-02T04:00:00Z", now: "2026-03-09T03:59:59Z"},
		"OnTime":   {reason: "It is due at its time.", since: "2026-03-02T04:00:00Z", now: "2026-03-09T04:00:00Z", due: "2026-03-09T04:00:00Z"},
		"OnItsWay": {reason: "A large database takes hours.", since: "2026-03-02T04:00:00Z", now: "2026-03-10T03:00:00Z", due: "2026-03-09T04:00:00Z"},
		"Overdue":  {reason: "A day later it should be over.", since: "2026-03-02T04:00:00Z", now: "2026-03-10T04:00:00Z", due: "2026-03-09T04:00:00Z", overdue: "2026-03-09T04:00:00Z"},
		"Missed":   {reason: "What was missed often is made up for once.", since: "2026-02-02T04:00:00Z", now: "2026-03-10T00:00:00Z", due: "2026-03-09T04:00:00Z", overdue: "2026-03-02T04:00:00Z"},
	}
	text := func(at time.Time, is bool) string {
		if !is {
			return ""
		}
		return at.Format(time.RFC3339)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := text(weekly.Due(at(t, tc.since), at(t, tc.now))); got != tc.due {
				t.Errorf("\n%s\nDue(...): got %q, want %q", tc.reason, got, tc.due)
			}
			if got := text(weekly.Overdue(at(t, tc.since), at(t, tc.now))); got != tc.overdue {
				t.Errorf("\n%s\nOverdue(...): got %q, want %q", tc.reason, got, tc.overdue)
			}
		})
	}
	if _, err := ParseVerification("0 25 * * *"); err == nil || !strings.Contains(err.Error(), "of verification cannot be read") {
		t.Errorf("a schedule that never comes: %v", err)
	}
}
