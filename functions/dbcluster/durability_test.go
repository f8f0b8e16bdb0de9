package dbcluster

import (
	"strings"
	"testing"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// TestDurability shows that nothing is promised that synchronous_commit takes back.
func TestDurability(t *testing.T) {
	confirmed := &instance.Replication{Needed: 1, Standbys: []instance.Standby{{Name: "demo-1", Streaming: true, Synchronous: true}}}
	cases := map[string]struct {
		reason    string
		commit    string
		instances int
		want      string
	}{
		"On":         {reason: "A standby confirms every commit.", commit: "on", instances: 2, want: "synchronous (any 1 of 1)"},
		"Local":      {reason: "Nobody waits for the standby that could confirm.", commit: "local", instances: 2, want: "asynchronous: synchronous_commit is local"},
		"LocalAlone": {reason: "Without a standby it is the same as on.", commit: "local", instances: 1, want: "An acknowledged transaction is on the volume"},
		"Off":        {reason: "Not even the volume is waited for.", commit: "off", instances: 1, want: "asynchronous: synchronous_commit is off"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			primary := instance.Report{Parameters: map[string]string{"synchronous_commit": tc.commit}, Replication: confirmed}
			if got := durability(cluster{Instances: tc.instances}, primary); !strings.HasPrefix(got, tc.want) {
				t.Errorf("\n%s\ndurability(...): got %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}
