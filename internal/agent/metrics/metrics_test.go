package metrics

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

func TestCollect(t *testing.T) {
	cases := map[string]struct {
		reason  string
		report  instance.Report
		backups *Backups
		want    map[string]float64
		absent  []string
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
		"BackedUp": {
			reason: "A primary with a BackupPlan shows how far back it can go, and what waits to be archived.",
			report: instance.Report{Role: instance.RolePrimary, State: instance.StateRunning},
			backups: &Backups{
				Since: time.Unix(100, 0), LastArchived: time.Unix(400, 5e8), Failing: true, Waiting: 3, Overdue: true,
				Stops: []time.Time{time.Unix(200, 0), time.Unix(300, 0)}, Bytes: 7, Retention: time.Hour, Damaged: 1,
				Verifications: &Verifications{Sound: time.Unix(350, 0), Failed: true, Overdue: true},
			},
			want: map[string]float64{
				"xdb_archive_since_timestamp_seconds": 100, "xdb_archive_last_timestamp_seconds": 400.5, "xdb_archive_failing": 1, "xdb_archive_waiting_segments": 3,
				"xdb_backup_overdue": 1, "xdb_backup_retention_seconds": 3600, "xdb_backup_count": 2, "xdb_backup_bytes": 7,
				"xdb_backup_damaged": 1, "xdb_verification_failed": 1, "xdb_verification_overdue": 1, "xdb_verification_last_timestamp_seconds": 350,
				"xdb_backup_oldest_timestamp_seconds": 200, "xdb_backup_newest_timestamp_seconds": 300,
			},
		},
		"NotBackedUpYet": {
			reason:  "Without a backup there is no time of one.",
			report:  instance.Report{Role: instance.RolePrimary, State: instance.StateRunning},
			backups: &Backups{Since: time.Unix(100, 0)},
			want:    map[string]float64{"xdb_archive_since_timestamp_seconds": 100, "xdb_archive_failing": 0},
			absent:  []string{"xdb_backup_oldest_timestamp_seconds", "xdb_backup_newest_timestamp_seconds", "xdb_archive_last_timestamp_seconds", "xdb_verification_failed"},
		},
		"NotVerifiedYet": {
			reason:  "Where no backup was tried yet, there is no time of it.",
			report:  instance.Report{Role: instance.RolePrimary, State: instance.StateRunning},
			backups: &Backups{Since: time.Unix(100, 0), Verifications: &Verifications{}},
			want:    map[string]float64{"xdb_verification_failed": 0, "xdb_verification_overdue": 0},
			absent:  []string{"xdb_verification_last_timestamp_seconds"},
		},
		"Standby": {
			reason: "A standby sees nobody who follows it, and must not say that nobody confirms.",
			report: instance.Report{Role: instance.RoleStandby, State: instance.StateDisconnected},
			want:   map[string]float64{"xdb_instance_primary": 0, "xdb_instance_serving": 0},
			absent: []string{"xdb_replication_standbys_needed", "xdb_instance_incident", "xdb_archive_failing"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := New("db", "db-0")
			c.Report(tc.report, 0.5, true)
			c.Archived(tc.backups)
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
