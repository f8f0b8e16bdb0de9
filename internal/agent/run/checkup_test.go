package run

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
)

func TestMoved(t *testing.T) {
	const recovering, waiting = "postgres: c: startup recovering 000000010000000000000007", "postgres: c: startup waiting for 000000010000000000000008"
	type look struct {
		reached  patroni.XLog
		recovery string
	}
	cases := map[string]struct {
		reason string
		args   []look
		want   []bool
	}{
		"Follows": {
			reason: "A standby that receives WAL gets further.",
			args:   []look{{reached: patroni.XLog{Received: 1}}, {reached: patroni.XLog{Received: 2}}},
			want:   []bool{true, true},
		},
		"Recovers": {
			reason: "One that replays WAL before it answers does, too.",
			args:   []look{{recovery: recovering}, {recovery: waiting}},
			want:   []bool{true, true},
		},
		"Stuck": {
			reason: "One that runs and receives nothing does not.",
			args:   []look{{reached: patroni.XLog{Received: 1}}, {reached: patroni.XLog{Received: 1}}},
			want:   []bool{true, false},
		},
		"CannotStart": {
			reason: "One that is started again and again and fails at the same place does not, though it does not run in between.",
			args:   []look{{recovery: recovering}, {}, {recovery: recovering}, {}},
			want:   []bool{true, false, false, false},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := &checkup{}
			var got []bool
			for _, seen := range tc.args {
				got = append(got, c.moved(seen.reached, seen.recovery))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nmoved(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
