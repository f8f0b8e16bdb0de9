package instance

import (
	"time"
)

// FolderSource is where the Secret of the repository is mounted that a new cluster's database is restored from.
const FolderSource = "/etc/xdbcluster/source"

// A Restore of a Config says which database a new cluster begins with. At most one of Backup, Time and LSN is given; none of
// them means all that is archived.
type Restore struct {
	// Namespace and Cluster that was backed up.
	Namespace string `json:"namespace"`
	Cluster   string `json:"cluster"`

	// Incarnation of the cluster's database. Empty means the newest one that has the target.
	Incarnation string `json:"incarnation,omitempty"`

	// Backup is pgBackRest's label of the backup to restore, and nothing that came after it.
	Backup string `json:"backup,omitempty"`

	// Time up to which transactions are restored.
	Time *time.Time `json:"time,omitempty"`

	// LSN up to which WAL is replayed.
	LSN string `json:"lsn,omitempty"`
}

// Codes of incidents of a cluster that is restored.
const (
	// IncidentRestoreWaits: the repository is not known yet.
	IncidentRestoreWaits = "RestoreWaits"

	// IncidentRestoreRefused: what is asked for is not in the repository.
	IncidentRestoreRefused = "RestoreRefused"

	// IncidentRestoreFails: it is tried again.
	IncidentRestoreFails = "RestoreFails"
)
