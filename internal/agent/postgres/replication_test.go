package postgres

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

func TestReplication(t *testing.T) {
	cases := map[string]struct {
		reason  string
		names   string
		senders []sender
		want    *instance.Replication
	}{
		"Asynchronous": {
			reason:  "No name, no waiting.",
			senders: []sender{{Name: "db-1", State: "streaming", Sync: "async"}},
			want:    &instance.Replication{Standbys: []instance.Standby{{Name: "db-1", Streaming: true}}},
		},
		"Quorum": {
			reason: "Patroni 4 asks for any of them.",
			names:  `ANY 1 ("db-1","db-2")`,
			senders: []sender{
				{Name: "db-1", State: "streaming", Sync: "quorum"},
				{Name: "db-2", State: "catchup", Sync: "quorum", Lag: 17 << 20},
			},
			want: &instance.Replication{Needed: 1, Standbys: []instance.Standby{
				{Name: "db-1", Streaming: true, Synchronous: true},
				{Name: "db-2", Synchronous: true, LagBytes: 32 << 20},
			}},
		},
		"Priority": {
			reason: "Patroni 3 names one, without a number.",
			names:  `"db-1"`,
			senders: []sender{
				{Name: "db-1", State: "streaming", Sync: "sync"},
				{Name: "db-2", State: "streaming", Sync: "async"},
			},
			want: &instance.Replication{Needed: 1, Standbys: []instance.Standby{
				{Name: "db-1", Streaming: true, Synchronous: true},
				{Name: "db-2", Streaming: true},
			}},
		},
		"Several": {
			reason: "The number is read in both spellings.",
			names:  `2 ("db-1","db-2")`,
			want:   &instance.Replication{Needed: 2},
		},
		"Nobody": {
			reason: "Strict mode without a standby waits for anybody.",
			names:  "*",
			want:   &instance.Replication{Needed: 1},
		},
		"ConnectedAgain": {
			reason: "The newest connection of a standby counts.",
			senders: []sender{
				{Name: "db-1", State: "streaming", Sync: "async", Lag: 100 << 20},
				{Name: "db-1", State: "streaming", Sync: "async"},
			},
			want: &instance.Replication{Standbys: []instance.Standby{{Name: "db-1", Streaming: true}}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, replication(tc.names, tc.senders)); diff != "" {
				t.Errorf("\n%s\nreplication(): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
