package run

import (
	"testing"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

func TestBehind(t *testing.T) {
	both := instance.Standby{Name: "a", Streaming: true, Synchronous: true}
	late := instance.Standby{Name: "b", Streaming: true}
	cases := map[string]struct {
		reason string
		r      instance.Replication
		quorum bool
		want   bool
	}{
		"Alone": {
			reason: "There is nobody to wait for.",
		},
		"Asynchronous": {
			reason: "A standby has come, and commits do not wait for it yet.",
			r:      instance.Replication{Standbys: []instance.Standby{late}},
			want:   true,
		},
		"Blocked": {
			reason: "The standby that commits wait for is gone.",
			r:      instance.Replication{Needed: 1, Standbys: []instance.Standby{late}},
			want:   true,
		},
		"OneOfQuorumMissing": {
			reason: "Every standby that streams is to be one that can confirm.",
			r:      instance.Replication{Needed: 1, Standbys: []instance.Standby{both, late}},
			quorum: true,
			want:   true,
		},
		"OnePicked": {
			reason: "Patroni 3 wants no more than one.",
			r:      instance.Replication{Needed: 1, Standbys: []instance.Standby{both, late}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := behind(tc.r, tc.quorum); got != tc.want {
				t.Errorf("\n%s\nbehind(...) = %t, want %t", tc.reason, got, tc.want)
			}
		})
	}
}
