package backup

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	names "github.com/xdbcluster/xdbcluster/functions/pgbackrest"
	"github.com/xdbcluster/xdbcluster/internal/agent/pgbackrest"
)

func TestSources(t *testing.T) {
	cluster := naming.Cluster{Namespace: "shop", Name: "orders"}
	host := func(pod string) names.Instance {
		return names.Instance{Host: cluster.PodHost(pod), DataDirectory: "/data/" + pod}
	}
	reports := func(standbys ...instance.Standby) map[string]instance.Report {
		return map[string]instance.Report{
			"orders-0": {DataDirectory: "/data/orders-0", Replication: &instance.Replication{Standbys: standbys}},
			"orders-1": {DataDirectory: "/data/orders-1"},
			"orders-2": {DataDirectory: "/data/orders-2"},
		}
	}
	type args struct {
		reports map[string]instance.Report
		wanted  v1alpha1.BackupSource
	}
	type want struct {
		Source  string
		Hosts   []names.Instance
		Standby bool
	}
	cases := map[string]struct {
		reason string
		args   args
		want   want
	}{
		"Primary": {
			reason: "Where nothing else is wanted the primary's files are read.",
			args:   args{reports(instance.Standby{Name: "orders-1", Streaming: true}), v1alpha1.BackupFromPrimary},
			want:   want{Source: "orders-0", Hosts: []names.Instance{host("orders-0")}},
		},
		"LeastLag": {
			reason: "Of the standbys the one that lags least is read; the primary is asked to begin and to end.",
			args: args{reports(
				instance.Standby{Name: "orders-1", Streaming: true, LagBytes: 4 << 20}, instance.Standby{Name: "orders-2", Streaming: true},
			), v1alpha1.BackupFromStandby},
			want: want{Source: "orders-2", Hosts: []names.Instance{host("orders-0"), host("orders-2")}, Standby: true},
		},
		"NoneStreams": {
			reason: "A backup from the primary is better than none.",
			args:   args{reports(instance.Standby{Name: "orders-1"}), v1alpha1.BackupFromStandby},
			want:   want{Source: "orders-0", Hosts: []names.Instance{host("orders-0")}},
		},
		"UnknownStandby": {
			reason: "A standby that has not said where its files are cannot be read.",
			args:   args{reports(instance.Standby{Name: "orders-3", Streaming: true}), v1alpha1.BackupFromStandby},
			want:   want{Source: "orders-0", Hosts: []names.Instance{host("orders-0")}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			source, hosts, standby := sources(cluster, "orders-0", tc.args.reports, tc.args.wanted)
			if diff := cmp.Diff(tc.want, want{source, hosts, standby}); diff != "" {
				t.Errorf("\n%s\nsources(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestTypeAfter(t *testing.T) {
	sound, damaged := pgbackrest.Backup{Label: "A"}, pgbackrest.Backup{Label: "B", Damaged: true}
	cases := map[string]struct {
		reason  string
		backups []pgbackrest.Backup
		wanted  v1alpha1.BackupType
		want    v1alpha1.BackupType
	}{
		"None":         {reason: "pgBackRest itself takes a full backup first.", wanted: v1alpha1.BackupIncremental, want: v1alpha1.BackupIncremental},
		"Sound":        {reason: "A backup that is sound can be continued.", backups: []pgbackrest.Backup{damaged, sound}, wanted: v1alpha1.BackupIncremental, want: v1alpha1.BackupIncremental},
		"Damaged":      {reason: "One that is damaged is not.", backups: []pgbackrest.Backup{sound, damaged}, wanted: v1alpha1.BackupIncremental, want: v1alpha1.BackupFull},
		"Differential": {reason: "Nor by a differential one, which may need the same full one.", backups: []pgbackrest.Backup{sound, damaged}, wanted: v1alpha1.BackupDifferential, want: v1alpha1.BackupFull},
		"FullAsWanted": {reason: "A full backup needs no other.", backups: []pgbackrest.Backup{damaged}, wanted: v1alpha1.BackupFull, want: v1alpha1.BackupFull},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := typeAfter(pgbackrest.Stanza{Backups: tc.backups}, tc.wanted); got != tc.want {
				t.Errorf("\n%s\ntypeAfter(...): got %s, want %s", tc.reason, got, tc.want)
			}
		})
	}
}

func TestRetention(t *testing.T) {
	now := time.Date(2026, 3, 30, 1, 0, 0, 0, time.UTC)
	full := func(daysAgo int, damaged bool) pgbackrest.Backup {
		return pgbackrest.Backup{Type: v1alpha1.BackupFull, Stop: now.Add(-time.Duration(daysAgo)*day - time.Hour), Damaged: damaged}
	}
	incremental := pgbackrest.Backup{Type: v1alpha1.BackupIncremental, Stop: now.Add(-20*day - time.Hour)}

	cases := map[string]struct {
		reason  string
		backups []pgbackrest.Backup
		want    string
	}{
		"None": {
			reason: "Nothing is there to be kept for longer.",
			want:   "--repo1-retention-full=7",
		},
		"AllSound": {
			reason:  "pgBackRest keeps the newest that is older, which is sound.",
			backups: []pgbackrest.Backup{full(21, false), incremental, full(14, false), full(3, false)},
			want:    "--repo1-retention-full=7",
		},
		"DamagedWithinRetention": {
			reason:  "A damaged one that is not old enough pushes nothing out.",
			backups: []pgbackrest.Backup{full(14, false), full(3, true)},
			want:    "--repo1-retention-full=7",
		},
		"NewestOlderIsDamaged": {
			reason:  "The sound one before is the one to be kept: the damaged one must not count as old.",
			backups: []pgbackrest.Backup{full(21, false), full(14, true), full(3, false)},
			want:    "--repo1-retention-full=15",
		},
		"TwoAreDamaged": {
			reason:  "None of those that are damaged may count as old.",
			backups: []pgbackrest.Backup{full(28, false), full(21, true), incremental, full(14, true)},
			want:    "--repo1-retention-full=22",
		},
		"NoneIsSound": {
			reason:  "Without a sound one there is nothing to be kept for.",
			backups: []pgbackrest.Backup{full(21, true), full(14, true)},
			want:    "--repo1-retention-full=7",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := retention(pgbackrest.Stanza{Backups: tc.backups}, 7, now); got != tc.want {
				t.Errorf("\n%s\nretention(...): got %s, want %s", tc.reason, got, tc.want)
			}
		})
	}
}
