package run

import (
	"context"
	"testing"
	"time"

	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
)

func TestLacks(t *testing.T) {
	cases := map[string]struct {
		reason   string
		member   patroni.Member
		timeline int
		want     bool
	}{
		"Followed": {
			reason:   "It has what the last primary wrote, as far as it was confirmed.",
			member:   patroni.Member{Role: "replica", Timeline: 16},
			timeline: 16,
		},
		"CrashedBefore": {
			reason:   "Another one was promoted after it had crashed.",
			member:   patroni.Member{Role: "replica", Timeline: 15},
			timeline: 16,
			want:     true,
		},
		"Primary": {
			reason:   "A primary is not taken out of an election that it has won.",
			member:   patroni.Member{Role: "primary", Timeline: 15},
			timeline: 16,
		},
		"NoHistory": {
			reason: "A cluster that has just been born has none.",
			member: patroni.Member{Role: "replica", Timeline: 1},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := lacks(tc.member, tc.timeline); got != tc.want {
				t.Errorf("\n%s\nlacks(%+v, %d) = %t, want %t", tc.reason, tc.member, tc.timeline, got, tc.want)
			}
		})
	}
}

func TestVotes(t *testing.T) {
	sync := kube.Sync{Leader: "a-0", Standbys: []string{"a-1", "a-2"}, Quorum: 1}
	cases := map[string]struct {
		reason string
		sync   kube.Sync
		pod    string
		want   int
	}{
		"Standby": {
			reason: "With what one more of those that could confirm has, a standby is known to have every commit.",
			sync:   sync, pod: "a-1", want: 1,
		},
		"OnlyStandby": {
			reason: "A standby that every commit waited for has all of them.",
			sync:   kube.Sync{Leader: "a-0", Standbys: []string{"a-1"}}, pod: "a-1", want: 0,
		},
		"Outsider": {
			reason: "One that no commit waited for needs one answer more.",
			sync:   kube.Sync{Leader: "a-0", Standbys: []string{"a-2"}}, pod: "a-1", want: 1,
		},
		"LastPrimary": {
			reason: "Patroni promotes the last primary without any vote, so that all are asked.",
			sync:   sync, pod: "a-0", want: 2,
		},
		"Asynchronous": {
			reason: "Patroni counts no votes, so that all are asked.",
			pod:    "a-1", want: 2,
		},
		"MoreThanThereAre": {
			reason: "Nobody is waited for that does not exist.",
			sync:   kube.Sync{Leader: "a-0", Standbys: []string{"a-1", "a-2", "a-3", "a-4"}, Quorum: 3}, pod: "a-1", want: 2,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := votes(tc.sync, tc.pod, 2); got != tc.want {
				t.Errorf("\n%s\nvotes(%+v, %q, 2) = %d, want %d", tc.reason, tc.sync, tc.pod, got, tc.want)
			}
		})
	}
}

func TestLatestTimeline(t *testing.T) {
	const silent = -1
	cases := map[string]struct {
		reason    string
		timelines map[string]int
		needed    int
		want      int
	}{
		"All": {
			reason:    "The latest counts.",
			timelines: map[string]int{"a-1": 15, "a-2": 16}, needed: 2, want: 16,
		},
		"OneIsGone": {
			reason:    "Who says nothing is not counted.",
			timelines: map[string]int{"a-1": 0, "a-2": 16}, needed: 1, want: 16,
		},
		"OneIsSilent": {
			reason:    "When enough have answered nobody else is waited for.",
			timelines: map[string]int{"a-1": silent, "a-2": 16}, needed: 1, want: 16,
		},
		"NoneNeeded": {
			reason:    "Where no answer is needed none is waited for.",
			timelines: map[string]int{"a-1": silent, "a-2": silent}, needed: 0, want: 0,
		},
		"Nobody": {
			reason:    "Nobody may answer.",
			timelines: map[string]int{"a-1": 0, "a-2": 0}, needed: 2, want: 0,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			instances := []string{"a-1", "a-2"}
			ask := func(ctx context.Context, instance string) int {
				if tc.timelines[instance] == silent {
					<-ctx.Done()
					return 0
				}
				return tc.timelines[instance]
			}
			began := time.Now()
			got := latestTimeline(t.Context(), instances, tc.needed, ask)
			if got != tc.want || time.Since(began) >= timelineWait {
				t.Errorf("\n%s\nlatestTimeline(%v, %d) = %d after %s, want %d at once", tc.reason, instances, tc.needed, got, time.Since(began), tc.want)
			}
		})
	}
}
