package run

import "testing"

func TestGoesOn(t *testing.T) {
	type args struct{ asked, crashed, stopping, noFailover bool }
	cases := map[string]struct {
		reason string
		args   args
		want   bool
	}{
		"Crashed":              {"A standby takes over from a primary that failed.", args{crashed: true}, true},
		"CrashedWhileStopping": {"Whatever else was going on.", args{crashed: true, stopping: true}, true},
		"CrashedNoFailover":    {"Unless that is to be decided by somebody.", args{crashed: true, noFailover: true}, false},
		"AskedNoFailover":      {"A Failover decides it.", args{asked: true, crashed: true, noFailover: true}, true},
		"Restarted":            {"An end in order is one of a restart, after which this instance goes on.", args{}, false},
		"Switchover":           {"Unless a switchover ended it.", args{asked: true}, true},
		"Stopping":             {"An instance that ends hands over in order, without automatic failover, too.", args{stopping: true, noFailover: true}, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := goesOn(tc.args.asked, tc.args.crashed, tc.args.stopping, tc.args.noFailover); got != tc.want {
				t.Errorf("\n%s\ngoesOn(%+v) = %t, want %t", tc.reason, tc.args, got, tc.want)
			}
		})
	}
}
