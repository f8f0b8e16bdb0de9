package metrics

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

func TestCollect(t *testing.T) {
	cases := map[string]struct {
		reason string
		report instance.Report
		want   map[string]float64
		absent []string
	}{
		"Primary": {
			reason: "A primary shows who confirms its commits.",
			report: instance.Report{
				Role: instance.RolePrimary, State: instance.StateRunning, Timeline: 4,
				Replication: &instance.Replication{Needed: 1, Standbys: []instance.Standby{
					{Name: "db-1", Streaming: true, Synchronous: true}, {Name: "db-2", Streaming: true, LagBytes: 1 << 24},
				}},
				Incidents: []instance.Incident{{Code: "DataDiskFilling"}},
			},
			want: map[string]float64{
				"xdb_instance_primary": 1, "xdb_instance_serving": 1, "xdb_instance_timeline": 4, "xdb_volume_used_ratio": 0.5, "xdb_cluster_synchronous": 1,
				"xdb_replication_standbys_needed": 1, "xdb_replication_standbys_streaming": 2, "xdb_replication_standbys_confirming": 1,
				"xdb_instance_incident": 1, "xdb_standby_lag_bytes": 1 << 24, "xdb_agent_events_total": 1,
			},
		},
		"Standby": {
			reason: "A standby sees nobody who follows it, and must not say that nobody confirms.",
			report: instance.Report{Role: instance.RoleStandby, State: instance.StateDisconnected},
			want:   map[string]float64{"xdb_instance_primary": 0, "xdb_instance_serving": 0},
			absent: []string{"xdb_replication_standbys_needed", "xdb_instance_incident"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := New("db", "db-0")
			c.Report(tc.report, 0.5, true)
			c.Count(EventFenced)
			registry := prometheus.NewPedanticRegistry()
			registry.MustRegister(c)
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			// Of metrics with several series the greatest counts.
			got := map[string]float64{}
			for _, f := range families {
				for _, m := range f.GetMetric() {
					got[f.GetName()] = max(got[f.GetName()], m.GetGauge().GetValue(), m.GetCounter().GetValue())
				}
			}
			for metric, want := range tc.want {
				if diff := cmp.Diff(want, got[metric]); diff != "" {
					t.Errorf("\n%s\n%s: -want, +got:\n%s", tc.reason, metric, diff)
				}
			}
			for _, metric := range tc.absent {
				if _, there := got[metric]; there {
					t.Errorf("\n%s\n%s is there", tc.reason, metric)
				}
			}
		})
	}
}
