// Package metrics shows Prometheus what an instance reports. It counts nothing that PostgreSQL's exporter counts: roles,
// who confirms commits, and what the agent itself has done.
package metrics

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// A Collector holds what was reported last.
type Collector struct {
	cluster, pod string

	mu          sync.Mutex
	report      instance.Report
	full        float64
	synchronous bool
	events      map[Event]int
	backups     *Backups
}

// Backups are what the primary knows of a repository.
type Backups struct {
	// Since is when the database began to be archived there, and LastArchived when the last WAL segment was.
	Since, LastArchived time.Time

	// Failing says that the store takes no WAL, and Waiting how many segments wait for it.
	Failing bool
	Waiting int

	// Stops are when the backups were complete that are not damaged, the oldest first, Damaged is how many are, and Bytes what all
	// of them take of the store.
	Stops   []time.Time
	Damaged int
	Bytes   int64

	// Verifications are what came of trying backups. Nil where they are not tried.
	Verifications *Verifications

	// Overdue says that the newest is older than it should be by the schedules.
	Overdue bool

	// Retention is for how long the plan promises to be able to go back.
	Retention time.Duration
}

// Verifications are what came of trying backups.
type Verifications struct {
	// Sound is when one was last found to be sound. Zero when none was.
	Sound time.Time

	// Failed says that the last one is damaged or could not be tried, and Overdue that one should have been tried by now.
	Failed, Overdue bool
}

// An Event is something that the agent did.
type Event string

// Events.
const (
	// EventFenced: PostgreSQL was killed because nobody confirmed that it is the primary's.
	EventFenced Event = "fenced"

	// EventPromoted: the instance became the primary.
	EventPromoted Event = "promoted"

	// EventReleased: the leader lock was given up before it ran out.
	EventReleased Event = "lock_released"

	// EventHealed: PostgreSQL was killed because it did not answer, or a standby's data is copied anew.
	EventHealed Event = "healed"
)

// New returns the collector of an instance.
func New(cluster, pod string) *Collector {
	return &Collector{
		cluster: cluster, pod: pod,
		report: instance.Report{Role: instance.RoleUnknown, State: instance.StateStarting},
		events: map[Event]int{EventFenced: 0, EventPromoted: 0, EventReleased: 0, EventHealed: 0},
	}
}

// Report takes what was reported, how full the data volume is, from 0 to 1, and whether commits are to wait for standbys.
func (c *Collector) Report(r instance.Report, full float64, synchronous bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report, c.full, c.synchronous = r, full, synchronous
}

// Archived takes what is known of the repository. Nil means that this instance knows nothing of one.
func (c *Collector) Archived(b *Backups) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.backups = b
}

// Count counts an event.
func (c *Collector) Count(e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events[e]++
}

// Describe describes nothing: which metrics there are depends on the role.
func (*Collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the metrics.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gauge := func(name, help string, value float64, labels prometheus.Labels) {
		out <- prometheus.MustNewConstMetric(c.description(name, help, labels), prometheus.GaugeValue, value)
	}
	r := c.report
	gauge("xdb_instance_info", "What the instance is, as labels.", 1, prometheus.Labels{
		"role": string(r.Role), "state": string(r.State), "version": r.ServerVersion,
	})
	gauge("xdb_instance_primary", "Whether the instance is the primary.", truth(r.Role == instance.RolePrimary), nil)
	gauge("xdb_instance_serving", "Whether PostgreSQL runs, and as a standby also follows.", truth(r.Serves()), nil)
	gauge("xdb_instance_timeline", "Timeline of the WAL.", float64(r.Timeline), nil)
	gauge("xdb_instance_pending_restart_settings", "Settings that wait for a restart.", float64(len(r.PendingRestart)), nil)
	gauge("xdb_cluster_synchronous", "Whether commits are to wait for standbys.", truth(c.synchronous), nil)
	gauge("xdb_volume_used_ratio", "How full the data volume is, from 0 to 1.", c.full, nil)
	for _, i := range r.Incidents {
		gauge("xdb_instance_incident", "An incident that lasts.", 1, prometheus.Labels{"code": i.Code})
	}
	if r.Replication != nil {
		replication(gauge, *r.Replication)
	}
	if c.backups != nil {
		backups(gauge, *c.backups)
	}
	for _, e := range slices.Sorted(maps.Keys(c.events)) {
		out <- prometheus.MustNewConstMetric(
			c.description("xdb_agent_events_total", "What the agent did since its container started.", prometheus.Labels{"event": string(e)}),
			prometheus.CounterValue, float64(c.events[e]))
	}
}

// replication sends what only the primary sees.
func replication(gauge func(name, help string, value float64, labels prometheus.Labels), r instance.Replication) {
	streaming, confirming := 0, 0
	for _, s := range r.Standbys {
		if s.Streaming {
			streaming++
		}
		if s.Streaming && s.Synchronous {
			confirming++
		}
		gauge("xdb_standby_lag_bytes", "How far a standby's replay is behind, in coarse steps.", float64(s.LagBytes), prometheus.Labels{"standby": s.Name})
	}
	gauge("xdb_replication_standbys_needed", "Standbys that must confirm a commit. 0 means that commits wait for nobody.", float64(r.Needed), nil)
	gauge("xdb_replication_standbys_streaming", "Standbys that receive every record as it is written.", float64(streaming), nil)
	gauge("xdb_replication_standbys_confirming", "Standbys that can confirm a commit.", float64(confirming), nil)
}

// backups sends what only the primary of a database with a BackupPlan knows.
func backups(gauge func(name, help string, value float64, labels prometheus.Labels), b Backups) {
	gauge("xdb_archive_since_timestamp_seconds", "When the database began to be archived in this repository.", seconds(b.Since), nil)
	gauge("xdb_archive_failing", "Whether the store takes no WAL.", truth(b.Failing), nil)
	gauge("xdb_archive_waiting_segments", "WAL segments that wait on the data volume to be archived.", float64(b.Waiting), nil)
	gauge("xdb_backup_overdue", "Whether the newest backup is older than it should be by the schedules.", truth(b.Overdue), nil)
	gauge("xdb_backup_retention_seconds", "For how long the BackupPlan promises to be able to go back.", b.Retention.Seconds(), nil)
	gauge("xdb_backup_count", "Backups in the repository that are not known to be damaged.", float64(len(b.Stops)), nil)
	gauge("xdb_backup_damaged", "Backups in the repository that are known to be damaged, or to continue one that is.", float64(b.Damaged), nil)
	gauge("xdb_backup_bytes", "What all backups take of the store.", float64(b.Bytes), nil)
	if !b.LastArchived.IsZero() {
		gauge("xdb_archive_last_timestamp_seconds", "When the last WAL segment was archived.", seconds(b.LastArchived), nil)
	}
	if v := b.Verifications; v != nil {
		gauge("xdb_verification_failed", "Whether the last backup that was tried is damaged, or could not be tried.", truth(v.Failed), nil)
		gauge("xdb_verification_overdue", "Whether a backup should have been tried by now, and was not.", truth(v.Overdue), nil)
		if !v.Sound.IsZero() {
			gauge("xdb_verification_last_timestamp_seconds", "When a backup was last tried and found to be sound.", seconds(v.Sound), nil)
		}
	}
	if len(b.Stops) > 0 {
		gauge("xdb_backup_oldest_timestamp_seconds", "When the oldest backup was complete: the database can be restored to any time since.", seconds(b.Stops[0]), nil)
		gauge("xdb_backup_newest_timestamp_seconds", "When the newest backup was complete.", seconds(b.Stops[len(b.Stops)-1]), nil)
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (c *Collector) description(name, help string, labels prometheus.Labels) *prometheus.Desc {
	all := prometheus.Labels{"cluster": c.cluster, "instance_name": c.pod}
	maps.Copy(all, labels)
	return prometheus.NewDesc(name, help, nil, all)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
