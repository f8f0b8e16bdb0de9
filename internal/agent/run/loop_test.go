package run

import (
	"testing"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
)

func TestPause(t *testing.T) {
	config := instance.Config{SettingsHash: "p", CertificateRevision: "c", AdminRevision: "a"}
	primary := func(change func(*instance.Report)) *instance.Report {
		r := &instance.Report{
			Role: instance.RolePrimary, State: instance.StateRunning, SettingsHash: "p", CertificateRevision: "c", AdminRevision: "a",
		}
		change(r)
		return r
	}
	cases := map[string]struct {
		reason  string
		written *instance.Report
		want    time.Duration
	}{
		"NothingReported": {
			reason: "Somebody waits for the first report.",
			want:   hurriedTick,
		},
		"Settled": {
			reason:  "There is nothing to wait for.",
			written: primary(func(*instance.Report) {}),
			want:    tick,
		},
		"Starting": {
			reason:  "Somebody waits for the database.",
			written: primary(func(r *instance.Report) { r.State = instance.StateStarting }),
			want:    hurriedTick,
		},
		"OtherParameters": {
			reason:  "Somebody waits for a change.",
			written: primary(func(r *instance.Report) { r.SettingsHash = "older" }),
			want:    hurriedTick,
		},
		"PendingRestart": {
			reason:  "Somebody waits for a restart.",
			written: primary(func(r *instance.Report) { r.PendingRestart = []string{"max_connections"} }),
			want:    hurriedTick,
		},
		"StandbyHasNoCredentials": {
			reason: "Only the primary sets credentials.",
			written: primary(func(r *instance.Report) {
				r.Role, r.State, r.AdminRevision = instance.RoleStandby, instance.StateStreaming, ""
			}),
			want: tick,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			l := &loop{Agent: &Agent{config: config}, written: tc.written}
			start := time.Unix(1000, 0)
			if got := l.pause(start); got != tc.want {
				t.Errorf("\n%s\npause() = %s, want %s", tc.reason, got, tc.want)
			}
			if got := l.pause(start.Add(hurry)); got != tick {
				t.Errorf("\n%s\npause() = %s after %s, want %s: haste has an end", tc.reason, got, hurry, tick)
			}
		})
	}
}

func TestIsStep(t *testing.T) {
	starting := instance.Report{Role: instance.RoleUnknown, State: instance.StateStarting}
	stopped := instance.Report{Role: instance.RoleUnknown, State: instance.StateStopped}
	serving := instance.Report{Role: instance.RolePrimary, State: instance.StateRunning}
	ailing := instance.Report{Role: instance.RoleUnknown, State: instance.StateStarting, Incidents: []instance.Incident{{Code: "DataDiskFilling"}}}
	cases := map[string]struct {
		reason string
		before *instance.Report
		now    instance.Report
		want   bool
	}{
		"First":        {reason: "What an earlier Pod has reported is not true any more.", now: starting, want: false},
		"OnItsWay":     {reason: "Nobody acts on how far a start is.", before: &starting, now: stopped, want: true},
		"Serves":       {reason: "The claim becomes ready.", before: &starting, now: serving, want: false},
		"ServesNoMore": {reason: "The claim is not ready any more.", before: &serving, now: stopped, want: false},
		"Incident":     {reason: "A person is to see it.", before: &starting, now: ailing, want: false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := isStep(tc.before, tc.now); got != tc.want {
				t.Errorf("%s: isStep() is %t; want %t", tc.reason, got, tc.want)
			}
		})
	}
}

func TestPromoted(t *testing.T) {
	standby := instance.Report{Role: instance.RoleStandby, State: instance.StateRunning}
	primary := instance.Report{Role: instance.RolePrimary, State: instance.StateRunning}
	cases := map[string]struct {
		reason string
		before instance.Report
		member patroni.Member
		want   bool
	}{
		"Promoted": {reason: "Who looks at the claim looks for the new primary.", before: standby, member: patroni.Member{Role: "primary", State: "running"}, want: true},
		"Standby":  {reason: "It goes on.", before: standby, member: patroni.Member{Role: "replica", State: "running"}},
		"Primary":  {reason: "It was said.", before: primary, member: patroni.Member{Role: "primary", State: "running"}},
		"Starting": {reason: "One that starts is told of when it has done all.", member: patroni.Member{Role: "primary", State: "running"}},
		"Stops":    {reason: "It does not serve.", before: standby, member: patroni.Member{Role: "primary", State: "stopping"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := promoted(tc.before, tc.member); got != tc.want {
				t.Errorf("\n%s\npromoted() is %t; want %t", tc.reason, got, tc.want)
			}
		})
	}
}

func TestRoleLabel(t *testing.T) {
	cases := map[string]struct {
		reason  string
		version string
		role    string
		want    string
	}{
		"Primary":       {reason: "Clients that write are led to it.", version: "17", role: "primary", want: "primary"},
		"PrimaryBefore": {reason: "Patroni 3.0.2 has another word, and so has the Service.", version: "15", role: "master", want: "master"},
		"Standby":       {reason: "Clients that read are.", version: "17", role: "replica", want: "replica"},
		"Promoted":      {reason: "One that is promoted just then keeps what it has.", version: "15", role: "promoted", want: ""},
		"Demoted":       {reason: "One that is no primary any more keeps the label until another one takes it.", version: "17", role: "demoted", want: ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := roleLabel(tc.version, patroni.Member{Role: tc.role}); got != tc.want {
				t.Errorf("\n%s\nroleLabel(%q, %q) = %q, want %q", tc.reason, tc.version, tc.role, got, tc.want)
			}
		})
	}
}
