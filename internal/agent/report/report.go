// Package report says in the cluster's words what an instance is and does.
package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/parameters"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
)

// Facts are what an agent saw at one moment.
type Facts struct {
	// PodUID and Node of the instance.
	PodUID string
	Node   string

	// Incarnation is the number of the one that the instance runs.
	Incarnation int

	// Config that is wanted.
	Config instance.Config

	// SystemIdentifier is the one of the database on the volume. Empty until it was born. It is known before PostgreSQL
	// runs, so that a cluster which only starts again is not taken for a new one.
	SystemIdentifier string

	// Member is what Patroni said. Nil when it did not answer.
	Member *patroni.Member

	// Settings of Config.Parameters as PostgreSQL has them. Nil when it did not answer.
	Settings map[string]postgres.Setting

	// Given says that Patroni's dynamic configuration is as Config wants it, and was reloaded.
	Given bool

	// Heeded says that what is no setting of PostgreSQL's is as Config wants it: who takes over by itself, and whether Patroni's state
	// outlives the claim.
	Heeded bool

	// Replication is what the primary sees of its standbys. Nil when it could not be read.
	Replication *instance.Replication

	// ReadyFor is what a primary reports as such.
	ReadyFor int

	// DataDirectory is where the database's files are.
	DataDirectory string

	// Archive is how archiving goes. Nil for all but a primary with a BackupPlan.
	Archive *instance.Archive

	AppliedBy           instance.AppliedBy
	AdminRevision       string
	CertificateRevision string
	CertificateExpiry   time.Time
	DataDiskSize        string
	DataDiskFree        string
	Incidents           []instance.Incident
}

// Build makes the report.
func Build(f Facts) instance.Report {
	r := instance.Report{
		Pod: f.PodUID, Node: f.Node, Incarnation: f.Incarnation, Role: instance.RoleUnknown, State: instance.StateStarting,
		SystemIdentifier: f.SystemIdentifier, CertificateRevision: f.CertificateRevision, DataDiskSize: f.DataDiskSize, DataDiskFree: f.DataDiskFree,
		AppliedBy: f.AppliedBy, DataDirectory: f.DataDirectory,
		Incidents: slices.SortedFunc(slices.Values(f.Incidents), func(a, b instance.Incident) int { return strings.Compare(a.Code, b.Code) }),
	}
	if !f.CertificateExpiry.IsZero() {
		r.CertificateExpiry = f.CertificateExpiry.UTC().Format(time.RFC3339)
	}
	if f.Member == nil {
		return r
	}
	r.Role, r.State = role(*f.Member), state(*f.Member)
	r.Timeline = f.Member.Timeline
	if f.Member.SystemIdentifier != "" {
		r.SystemIdentifier = f.Member.SystemIdentifier
	}
	r.ServerVersion = Version(f.Member.ServerVersion)
	if r.Role == instance.RolePrimary {
		r.AdminRevision, r.Replication, r.ReadyFor, r.Archive = f.AdminRevision, f.Replication, f.ReadyFor, f.Archive
	}
	if f.Settings == nil {
		return r
	}
	r.Parameters = shown(f)
	r.PendingRestart = PendingRestart(f)
	if f.Given && f.Heeded && len(r.PendingRestart) == 0 && len(Different(f)) == 0 {
		r.SettingsHash = f.Config.SettingsHash
	}
	return r
}

// Different returns the names of the parameters whose values are not in force, sorted.
func Different(f Facts) []string {
	names := []string{}
	for name, want := range f.Config.Parameters {
		if !inForce(f, name, want) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// PendingRestart returns the names of the settings that wait for a restart, sorted. PostgreSQL says so itself: Patroni has a flag
// of its own, which stays when the setting that it was set for has become what is wanted.
func PendingRestart(f Facts) []string {
	names := []string{}
	for name, s := range f.Settings {
		if s.PendingRestart || s.NeedsRestart() && !inForce(f, name, f.Config.Parameters[name]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ofPrimary are the settings that a standby cannot have smaller than its primary had them when it wrote the WAL
// (PostgreSQL's manual, 26.4.3).
func ofPrimary() []string {
	return []string{"max_connections", "max_locks_per_transaction", "max_prepared_transactions", "max_wal_senders", "max_worker_processes"}
}

// Lowered returns the names of the settings of which a standby needs as much as its primary has, and that wait to be
// lowered.
func Lowered(f Facts) []string {
	names := []string{}
	for _, name := range ofPrimary() {
		is, errIs := strconv.Atoi(f.Settings[name].Value)
		want, errWant := strconv.Atoi(f.Config.Parameters[name])
		if errIs == nil && errWant == nil && want < is {
			names = append(names, name)
		}
	}
	return names
}

// inForce asks the version's own list what a value means. A setting that is not in it is a library's: PostgreSQL knows it
// only as text.
func inForce(f Facts, name, want string) bool {
	s, ok := f.Settings[name]
	if !ok {
		return false
	}
	known, found, err := parameters.Lookup(f.Config.Version, name)
	if err != nil || !found {
		return s.Value == want || s.Shown == want
	}
	return known.Same(s.Value, want)
}

func shown(f Facts) map[string]string {
	values := make(map[string]string, len(f.Settings))
	for name, s := range f.Settings {
		values[name] = s.Shown
	}
	return values
}

func role(m patroni.Member) instance.Role {
	switch {
	case m.IsPrimary():
		return instance.RolePrimary
	case m.Role == "replica":
		return instance.RoleStandby
	default:
		return instance.RoleUnknown
	}
}

// state brings Patroni's many words down to a few.
func state(m patroni.Member) instance.State {
	switch {
	case strings.Contains(m.State, "failed"), m.State == "crashed":
		return instance.StateFailed
	case m.State == "running", m.State == "streaming":
		return instance.StateRunning
	case strings.HasPrefix(m.State, "restarting"):
		return instance.StateRestarting
	case strings.HasPrefix(m.State, "stop"):
		return instance.StateStopped
	default:
		return instance.StateStarting
	}
}

// Version writes PostgreSQL's version number, such as 170012, as people do.
func Version(number int) string {
	if number == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%d", number/10000, number%10000)
}
