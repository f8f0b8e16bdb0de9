package instance

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// FolderRepository is where the Secret of a cluster's repository is mounted. It is empty as long as there is no BackupPlan.
const FolderRepository = "/etc/xdbcluster/repository"

// FolderBackupTLS is where a Job has the certificate by which the instances know it.
const FolderBackupTLS = "/etc/xdbcluster/backup-tls"

// PortBackup is the port of pgBackRest's own server, which lets Jobs read an instance's files.
const PortBackup = 8432

// BackupClient is the name in the certificate of Jobs that may read an instance's files.
const BackupClient = "xdb-backup"

// Keys of the Secret that is mounted at FolderRepository. Which credentials it has depends on the type of the store.
const (
	// KeyRepository holds the Repository as JSON.
	KeyRepository = "repository.json"

	// KeyRepositoryRevision is another one whenever anything else is: it says whether a newer Secret is to be mounted.
	KeyRepositoryRevision = "revision"

	// KeyAccessKey and KeySecretKey are S3's credentials, or the account and key of Azure. KeySessionToken is S3's, where the
	// credentials are temporary.
	KeyAccessKey    = "access-key"
	KeySecretKey    = "secret-key"
	KeySessionToken = "session-token"

	// KeyServiceAccount is a service account's key of Google Cloud.
	KeyServiceAccount = "service-account.json"

	// KeyTrust are the authorities that may have signed the store's certificate.
	KeyTrust = "ca.crt"

	// KeyPassphrase is what backups are encrypted with.
	KeyPassphrase = "passphrase"
)

// A Repository says where and how a cluster's backups are kept. It has no secret in it.
type Repository struct {
	// Plan is the BackupPlan's name.
	Plan string `json:"plan"`

	Type               v1alpha1.LocationType `json:"type"`
	Bucket             string                `json:"bucket"`
	Prefix             string                `json:"prefix,omitempty"` // Without a slash at its ends.
	Endpoint           string                `json:"endpoint,omitempty"`
	Region             string                `json:"region,omitempty"`
	URIStyle           string                `json:"uriStyle,omitempty"`
	InsecureSkipVerify bool                  `json:"insecureSkipVerify,omitempty"`

	Compression v1alpha1.Compression  `json:"compression"`
	Encrypted   bool                  `json:"encrypted,omitempty"`
	RetainDays  int                   `json:"retainDays"`
	Source      v1alpha1.BackupSource `json:"source"`

	// Schedules are when backups are due, by type, in UTC.
	Schedules map[v1alpha1.BackupType]string `json:"schedules,omitempty"`

	// Verification is when backups are to be tried, in UTC. Empty when they are not.
	Verification string `json:"verification,omitempty"`

	// Paused says that no backup is taken on schedule, and none tried.
	Paused bool `json:"paused,omitempty"`
}

// ID identifies the place: what was archived to another one is not in this.
func (r Repository) ID() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{string(r.Type), r.Endpoint, r.Region, r.Bucket, r.Prefix}, "\n")))
	return hex.EncodeToString(sum[:8])
}

// A Backup of a Config says that the cluster has a BackupPlan.
type Backup struct {
	// Revision is the content of KeyRepositoryRevision in the newest Secret. An agent that has another one mounted asks for the
	// new one (AnnotationRefresh).
	Revision string `json:"revision"`
}

// ArchiveState is how archiving WAL goes.
type ArchiveState string

// States of archiving.
const (
	// ArchiveStarting: the store was not seen to work yet, so that nothing can be restored and WAL is not kept for it.
	ArchiveStarting ArchiveState = "Starting"

	// Archiving: segments are archived as they are written.
	Archiving ArchiveState = "Archiving"

	// ArchiveFailing: segments wait on the data volume, because the store does not take them.
	ArchiveFailing ArchiveState = "Failing"
)

// Codes of incidents about archiving.
const (
	// IncidentRepositoryUnusable: the store of the BackupPlan was never seen to work.
	IncidentRepositoryUnusable = "RepositoryUnusable"

	// IncidentArchivingFails: the store does not take WAL any more, which piles up on the data volume.
	IncidentArchivingFails = "ArchivingFails"

	// IncidentArchiveGap: WAL is missing in the archive, and no instance has it any more.
	IncidentArchiveGap = "ArchiveGap"
)

// An Archive is what the primary says about archiving.
type Archive struct {
	// Repository is the ID of the Repository that it is about.
	Repository string `json:"repository"`

	// Path in the store.
	Path string `json:"path,omitempty"`

	State ArchiveState `json:"state"`

	// Since is when this database began to be archived there. A backup that is older cannot be brought forward past it.
	Since *time.Time `json:"since,omitempty"`

	// Last is when the last segment was archived, in steps of ArchiveStep, so that a report changes seldom.
	Last *time.Time `json:"last,omitempty"`
}

// ArchiveStep is the step in which Archive.Last is given.
const ArchiveStep = 10 * time.Minute

// InventoryKey is the key of a cluster's inventory that holds the Inventory as JSON.
const InventoryKey = "inventory.json"

// An Inventory is what is in a repository.
type Inventory struct {
	// Repository is the ID of the Repository that it is about.
	Repository string `json:"repository"`

	// Backups that are complete, the oldest first.
	Backups []StoredBackup `json:"backups,omitempty"`
}

// A StoredBackup is one that is in a repository.
type StoredBackup struct {
	Label string              `json:"label"`
	Type  v1alpha1.BackupType `json:"type"`
	Start time.Time           `json:"start"`
	Stop  time.Time           `json:"stop"`

	// Size is what it added to the store, in bytes.
	Size int64 `json:"size"`

	// Name of the claim that asked for it.
	Name string `json:"name,omitempty"`

	// Damaged says that it cannot be restored, because it or one that it continues was found to be damaged.
	Damaged bool `json:"damaged,omitempty"`
}

// ScheduleKey is the key of a cluster's inventory under which the instances remember their Schedule.
const ScheduleKey = "schedule.json"

// A Schedule is what the instances remember of a BackupPlan's schedules.
type Schedule struct {
	// Handled is until when every backup that was due has been taken care of.
	Handled time.Time `json:"handled"`

	// Plan identifies the schedules of backups that this is about.
	Plan string `json:"plan"`

	// First identifies the database in a repository that a first backup was asked for, and FirstAt when.
	First   string    `json:"first,omitempty"`
	FirstAt time.Time `json:"firstAt,omitzero"`

	// Verification is when backups are to be tried, and VerificationSince since when that is so.
	Verification      string    `json:"verification,omitempty"`
	VerificationSince time.Time `json:"verificationSince,omitzero"`
}

// BackupKey is the key of the ConfigMap that a backup's Job reports in.
const BackupKey = "backup.json"

// EnvBackup holds, in JSON, the BackupTask that a Job is to carry out.
const EnvBackup = "BACKUP"

// A BackupTask is what a Job is to back up.
type BackupTask struct {
	// Name of the claim.
	Name string `json:"name"`

	// UID of its composite, by which a Job that is started again knows what the one before has done.
	UID string `json:"uid"`

	// Cluster is the DBCluster's name, Plan the BackupPlan's.
	Cluster string `json:"cluster"`
	Plan    string `json:"plan"`

	Type v1alpha1.BackupType `json:"type"`
}

// A BackupReport is how far a backup is. It is what its claim's status shows.
type BackupReport struct {
	Phase   v1alpha1.BackupPhase `json:"phase"`
	Reason  string               `json:"reason,omitempty"`
	Message string               `json:"message,omitempty"`
	Source  string               `json:"source,omitempty"`
	Label   string               `json:"label,omitempty"`
	Type    v1alpha1.BackupType  `json:"type,omitempty"`
	Prior   string               `json:"prior,omitempty"`
	Start   *time.Time           `json:"start,omitempty"`
	Stop    *time.Time           `json:"stop,omitempty"`
	LSN     [2]string            `json:"lsn,omitzero"`
	WAL     [2]string            `json:"wal,omitzero"`

	// Sizes in bytes: of the database, of what was copied, of what that takes of the store, and of that with all that it needs.
	Database      int64 `json:"database,omitempty"`
	Copied        int64 `json:"copied,omitempty"`
	Repository    int64 `json:"repository,omitempty"`
	RepositorySet int64 `json:"repositorySet,omitempty"`

	// RetainDays is how long the plan keeps backups.
	RetainDays int `json:"retainDays,omitempty"`
}
