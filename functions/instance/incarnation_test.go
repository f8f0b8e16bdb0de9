package instance

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIncarnationRestored(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	week := 7 * 24 * time.Hour
	restore := Restore{Namespace: "shop", Cluster: "orders"}

	cases := map[string]struct {
		reason string
		from   *Incarnation
		want   *Incarnation
	}{
		"First": {
			reason: "The first restore keeps what the cluster was born with.",
			want: &Incarnation{
				Number: 1, ID: "new", Since: now, Restore: &restore,
				Kept: []KeptIncarnation{{ID: "born", Original: true, Until: now.Add(week)}},
				Past: []PastIncarnation{{ID: "born", Left: now}},
			},
		},
		"Second": {
			reason: "What has run out is kept no longer, and what has not goes on being kept until the time that was said then.",
			from: &Incarnation{Number: 4, ID: "one", Kept: []KeptIncarnation{
				{ID: "born", Original: true, Until: now.Add(-time.Second)}, {ID: "half", Until: now.Add(time.Hour)},
			}, Past: []PastIncarnation{{ID: "born", Left: now.Add(-2 * week)}, {ID: "half", Left: now.Add(-week)}}},
			want: &Incarnation{
				Number: 5, ID: "new", Since: now, Restore: &restore,
				Kept: []KeptIncarnation{{ID: "half", Until: now.Add(time.Hour)}, {ID: "one", Until: now.Add(week)}},
				Past: []PastIncarnation{{ID: "born", Left: now.Add(-2 * week)}, {ID: "half", Left: now.Add(-week)}, {ID: "one", Left: now}},
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := tc.from.Restored("born", "new", restore, now, week)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestIncarnationReturned(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	restored := &Incarnation{
		Number: 1, ID: "0123456789abcdef", Restore: &Restore{},
		Kept: []KeptIncarnation{{ID: "born", Original: true, Until: now.Add(time.Hour)}},
		Past: []PastIncarnation{{ID: "born", Left: now.Add(-time.Hour)}},
	}

	cases := map[string]struct {
		reason string
		from   *Incarnation
		id     string
		want   *Incarnation
		scope  string
	}{
		"Kept": {
			reason: "What is brought back has the name that Patroni knew it by, and the other one is kept in its place.",
			from:   restored, id: "born",
			want: &Incarnation{
				Number: 2, ID: "born", Original: true, Since: now,
				Kept: []KeptIncarnation{{ID: "0123456789abcdef", Until: now.Add(time.Minute)}},
				Past: []PastIncarnation{{ID: "0123456789abcdef", Left: now}},
			},
		},
		"Removed": {
			reason: "What may have been removed cannot be brought back.",
			from:   &Incarnation{Number: 1, ID: "one", Kept: []KeptIncarnation{{ID: "born", Original: true, Until: now}}}, id: "born",
		},
		"NeverRestored": {
			reason: "A cluster that was never restored in place has nothing to go back to.",
			id:     "born",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := tc.from.Returned(tc.id, now, time.Minute)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
	if got := restored.Scope(); got != "01234567" {
		t.Errorf("Patroni's name ends with %q; want the beginning of the incarnation's ID", got)
	}
	if got := restored.Returned("born", now, 0).Scope(); got != "" {
		t.Errorf("Patroni's name ends with %q; the incarnation that the cluster was born with has no ending", got)
	}
}
