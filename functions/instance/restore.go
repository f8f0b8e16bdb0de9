package instance

import (
	"fmt"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// FolderSource is where the Secret of the repository is mounted that a new cluster's database is restored from.
const FolderSource = "/etc/xdbcluster/source"

// A Restore of a Config says which database a new cluster begins with. At most one of Time, LSN, XID, Name and Immediate is given.
// None of them means the end of Backup, and without one all that is archived.
type Restore struct {
	// Namespace and Cluster that was backed up.
	Namespace string `json:"namespace"`
	Cluster   string `json:"cluster"`

	// ByGrant says that a BackupPlan of that namespace has to grant its backups to the new cluster's.
	ByGrant bool `json:"byGrant,omitempty"`

	// Incarnation of the cluster's database. Empty means the newest one that has the target.
	Incarnation string `json:"incarnation,omitempty"`

	// Backup is pgBackRest's label of the backup to begin with, which may be given alone or with XID or Name.
	Backup string `json:"backup,omitempty"`

	// Time up to which transactions are restored.
	Time *time.Time `json:"time,omitempty"`

	// LSN up to which WAL is replayed.
	LSN string `json:"lsn,omitempty"`

	// XID is the transaction up to whose end WAL is replayed. It may have the epoch that pg_current_xact_id() gives.
	XID int64 `json:"xid,omitempty"`

	// Name of the restore point up to which WAL is replayed.
	Name string `json:"name,omitempty"`

	// Immediate is the end of the newest backup.
	Immediate bool `json:"immediate,omitempty"`
}

// RestoreOf returns what is to be restored of a cluster that was backed up.
func RestoreOf(namespace, cluster string, t v1alpha1.RestoreTarget) (Restore, error) {
	r := Restore{
		Namespace: namespace, Cluster: cluster, Incarnation: t.Incarnation, Backup: t.Backup, LSN: t.LSN, XID: t.XID, Name: t.Name, Immediate: t.Immediate,
	}
	if t.PointInTime == "" {
		return r, nil
	}
	at, err := time.Parse(time.RFC3339Nano, t.PointInTime)
	if err != nil {
		return Restore{}, fmt.Errorf("cannot read pointInTime: %w", err)
	}
	at = at.UTC()
	r.Time = &at
	return r, nil
}

// Given returns the target as a claim has it.
func (r Restore) Given() v1alpha1.RestoreTarget {
	t := v1alpha1.RestoreTarget{Incarnation: r.Incarnation, Backup: r.Backup, LSN: r.LSN, XID: r.XID, Name: r.Name, Immediate: r.Immediate}
	if r.Time != nil {
		t.PointInTime = r.Time.Format(time.RFC3339Nano)
	}
	return t
}

// Searched says that nobody knows where in the archive the target is before WAL is replayed.
func (r Restore) Searched() bool { return r.XID != 0 || r.Name != "" }

// OfNewest says that the target is in what the cluster was last, because nothing says otherwise.
func (r Restore) OfNewest() bool {
	return r.Incarnation == "" && r.Backup == "" && r.Time == nil && r.LSN == ""
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

// Codes of incidents of a new cluster that has a BackupPlan.
const (
	// IncidentBackupPlanAwaited: only the BackupPlan says where there may be backups of an earlier cluster.
	IncidentBackupPlanAwaited = "BackupPlanAwaited"

	// IncidentBackupsUnknown: the store does not say whether there are any.
	IncidentBackupsUnknown = "BackupsUnknown"

	// IncidentBackupsExist: there are some, and nobody has said what is to be done about them.
	IncidentBackupsExist = "BackupsExist"
)
