package report

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
)

func TestBuild(t *testing.T) {
	config := instance.Config{Version: "17", SettingsHash: "h", Parameters: map[string]string{"work_mem": "16MB", "max_connections": "50"}}
	primary := &patroni.Member{State: "running", Role: "primary", ServerVersion: 170012, Timeline: 1, SystemIdentifier: "7"}
	workMem := postgres.Setting{Name: "work_mem", Value: "16384", Unit: "kB", Shown: "16MB", Context: "user"}
	connections := postgres.Setting{Name: "max_connections", Value: "50", Shown: "50", Context: "postmaster"}
	settings := func(s ...postgres.Setting) map[string]postgres.Setting {
		m := map[string]postgres.Setting{}
		for _, one := range s {
			m[one.Name] = one
		}
		return m
	}
	shown := map[string]string{"work_mem": "16MB", "max_connections": "50"}

	cases := map[string]struct {
		reason string
		facts  Facts
		want   instance.Report
	}{
		"NothingAnswers": {
			reason: "An instance whose Patroni does not answer is starting, for all that is known.",
			facts:  Facts{PodUID: "u", Config: config},
			want:   instance.Report{Pod: "u", Role: instance.RoleUnknown, State: instance.StateStarting},
		},
		"InForce": {
			reason: "The hash is given when every parameter is in force, in whatever unit PostgreSQL counts.",
			facts:  Facts{PodUID: "u", Config: config, Member: primary, Settings: settings(workMem, connections), Given: true, Heeded: true, AdminRevision: "r"},
			want: instance.Report{
				Pod: "u", Role: instance.RolePrimary, State: instance.StateRunning, Timeline: 1, ServerVersion: "17.12", SystemIdentifier: "7",
				SettingsHash: "h", Parameters: shown, PendingRestart: []string{}, AdminRevision: "r",
			},
		},
		"NotGiven": {
			reason: "Parameters that Patroni does not have yet may be in force by chance only.",
			facts:  Facts{PodUID: "u", Config: config, Member: primary, Settings: settings(workMem, connections), Heeded: true},
			want: instance.Report{
				Pod: "u", Role: instance.RolePrimary, State: instance.StateRunning, Timeline: 1, ServerVersion: "17.12", SystemIdentifier: "7",
				Parameters: shown, PendingRestart: []string{},
			},
		},
		"NotHeeded": {
			reason: "The agent would still let a standby take over by itself.",
			facts:  Facts{PodUID: "u", Config: config, Member: primary, Settings: settings(workMem, connections), Given: true},
			want: instance.Report{
				Pod: "u", Role: instance.RolePrimary, State: instance.StateRunning, Timeline: 1, ServerVersion: "17.12", SystemIdentifier: "7",
				Parameters: shown, PendingRestart: []string{},
			},
		},
		"PendingRestart": {
			reason: "A parameter of the command line waits for a restart, which pg_settings does not say.",
			facts: Facts{PodUID: "u", Config: config, Member: primary, Given: true, Heeded: true, Settings: settings(workMem, postgres.Setting{
				Name: "max_connections", Value: "100", Shown: "100", Context: "postmaster",
			})},
			want: instance.Report{
				Pod: "u", Role: instance.RolePrimary, State: instance.StateRunning, Timeline: 1, ServerVersion: "17.12", SystemIdentifier: "7",
				Parameters: map[string]string{"work_mem": "16MB", "max_connections": "100"}, PendingRestart: []string{"max_connections"},
			},
		},
		"StandbyGivesNoCredentials": {
			reason: "Only the primary can set credentials, so only it says which are set.",
			facts:  Facts{PodUID: "u", Config: config, Member: &patroni.Member{State: "streaming", Role: "replica"}, AdminRevision: "r"},
			want:   instance.Report{Pod: "u", Role: instance.RoleStandby, State: instance.StateRunning},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Build(tc.facts)); diff != "" {
				t.Errorf("\n%s\nBuild(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
