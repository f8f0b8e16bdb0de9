package instance

import (
	"cmp"
	"encoding/json"
)

// Role is what an instance is in its cluster.
type Role string

// Roles of an instance.
const (
	RolePrimary Role = "primary"
	RoleStandby Role = "standby"
	RoleUnknown Role = "unknown"
)

// State is what an instance's PostgreSQL is doing.
type State string

// States of an instance.
const (
	StateStarting     State = "starting"
	StateRunning      State = "running"
	StateStreaming    State = "streaming"
	StateDisconnected State = "disconnected"
	StateRestarting   State = "restarting"
	StateStopped      State = "stopped"
	StateFailed       State = "failed"
	StateUnknown      State = "unknown"
)

// A Report is what an instance says about itself. It is written only when it changes, so it holds nothing that changes
// by itself: no time of writing, and lag in coarse steps.
type Report struct {
	// Pod is the UID of the Pod that wrote the report. A report of a Pod that is gone is stale.
	Pod string `json:"pod"`

	// Node is the node that the Pod runs on.
	Node string `json:"node,omitempty"`

	// Incarnation is the number of the Incarnation that the instance runs. 0 where there is none on record.
	Incarnation int `json:"incarnation,omitempty"`

	Role  Role  `json:"role"`
	State State `json:"state"`

	// Timeline of the instance's WAL. 0 when it is not known.
	Timeline int `json:"timeline,omitempty"`

	// Replication is what the primary sees of its standbys. Nil for any other instance.
	Replication *Replication `json:"replication,omitempty"`

	// ReadyFor is the Config.Instances that the primary has prepared for: it is one of those that stay. Standbys are taken
	// away only then. 0 for any other instance.
	ReadyFor int `json:"readyFor,omitempty"`

	// ServerVersion is PostgreSQL's own, for example "17.12".
	ServerVersion string `json:"serverVersion,omitempty"`

	// SystemIdentifier is the one that initdb gave the data directory.
	SystemIdentifier string `json:"systemIdentifier,omitempty"`

	// SettingsHash is the newest Config's, once its settings are in force. Empty until then.
	SettingsHash string `json:"settingsHash,omitempty"`

	// PendingRestart holds the names of the settings that wait for a restart, sorted.
	PendingRestart []string `json:"pendingRestart,omitempty"`

	// Parameters are the settings of Config.Parameters as PostgreSQL shows them (SHOW).
	Parameters map[string]string `json:"parameters,omitempty"`

	// AppliedBy says how the newest change of parameters came into force: Reload or Restart. Empty before the first change.
	AppliedBy AppliedBy `json:"appliedBy,omitempty"`

	// AdminRevision is the revision of the administrator's credentials that are set in the database. Only the primary
	// gives it.
	AdminRevision string `json:"adminRevision,omitempty"`

	// CertificateRevision is the revision of the certificate that PostgreSQL serves.
	CertificateRevision string `json:"certificateRevision,omitempty"`

	// DataDiskSize is what the volume really has, for example "10Gi".
	DataDiskSize string `json:"dataDiskSize,omitempty"`

	// DataDiskFree is how much room is left on the volume, rounded down so that it changes seldom.
	DataDiskFree string `json:"dataDiskFree,omitempty"`

	// DataDirectory is where the database's files are, which a backup reads.
	DataDirectory string `json:"dataDirectory,omitempty"`

	// Archive is how archiving WAL goes. Nil where there is no BackupPlan, and for standbys.
	Archive *Archive `json:"archive,omitempty"`

	// CertificateExpiry is when the certificate that PostgreSQL serves ends, in RFC 3339.
	CertificateExpiry string `json:"certificateExpiry,omitempty"`

	// Incidents are what is wrong with the instance, sorted by Code.
	Incidents []Incident `json:"incidents,omitempty"`
}

// Serves says whether PostgreSQL runs, and as a standby also follows.
func (r Report) Serves() bool { return r.State == StateRunning || r.State == StateStreaming }

// Replication is what the primary sees of its standbys.
type Replication struct {
	// Needed is how many standbys must confirm a commit before it is acknowledged. 0 when replication is asynchronous.
	Needed int `json:"needed,omitempty"`

	// Standbys that follow, sorted by name.
	Standbys []Standby `json:"standbys,omitempty"`
}

// A Standby is one that follows the primary.
type Standby struct {
	// Name of its Pod.
	Name string `json:"name"`

	// Streaming says that it has caught up once and receives every record as it is written.
	Streaming bool `json:"streaming,omitempty"`

	// Synchronous says that it is one of those that can confirm a commit.
	Synchronous bool `json:"synchronous,omitempty"`

	// LagBytes is how far its replay is behind, rounded up to a power of two of MiB; 0 below 16 MiB, so that a healthy
	// standby causes no writes.
	LagBytes int64 `json:"lagBytes,omitempty"`
}

// AppliedBy is how a change of parameters came into force.
type AppliedBy string

// Ways in which a change of parameters comes into force.
const (
	AppliedByReload  AppliedBy = "Reload"
	AppliedByRestart AppliedBy = "Restart"
)

// Codes of incidents that the function acts on. An agent may report others.
const (
	// IncidentDataDiskCannotGrow: the storage class refuses to grow the data volume.
	IncidentDataDiskCannotGrow = "DataDiskCannotGrow"

	// IncidentParametersFailed: PostgreSQL refuses some of Config.Parameters.
	IncidentParametersFailed = "ParametersFailed"

	// IncidentEquipmentMissing: the image or a Secret lacks what the instance needs.
	IncidentEquipmentMissing = "EquipmentMissing"

	// IncidentDataVolumeRefused: the data volume holds something else than what the instance is to run.
	IncidentDataVolumeRefused = "DataVolumeRefused"

	// IncidentDataVolumeEmpty: the database was born, and the data volume does not have it.
	IncidentDataVolumeEmpty = "DataVolumeEmpty"
)

// An Incident is something that is wrong and that a person should know about.
type Incident struct {
	// Code is in UpperCamelCase, for example DataDiskCannotGrow.
	Code string `json:"code"`

	// Message says what is wrong and what to do next. It never holds a secret.
	Message string `json:"message"`

	// Since is when the agent saw it first, in RFC 3339.
	Since string `json:"since"`
}

// ParseReports returns the reports in the data of a ConfigMap by the names of their Pods. One that cannot be read says nothing.
func ParseReports(data map[string]string) map[string]Report {
	reports := make(map[string]Report, len(data))
	for pod, text := range data {
		var report Report
		if err := json.Unmarshal([]byte(text), &report); err == nil {
			reports[pod] = report
		}
	}
	return reports
}

// Primary returns the report of the instance that says that it is the primary and runs. One that was lost could not say that it
// is not the primary any more: the newest incarnation tells, and of one the newest timeline.
func Primary(reports map[string]Report) (name string, primary Report, found bool) {
	for n, r := range reports {
		newer := cmp.Or(cmp.Compare(r.Incarnation, primary.Incarnation), cmp.Compare(r.Timeline, primary.Timeline)) > 0
		if r.Role == RolePrimary && r.State == StateRunning && (!found || newer) {
			name, primary, found = n, r, true
		}
	}
	return name, primary, found
}
