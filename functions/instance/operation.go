package instance

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

const (
	// OperationKey is the key of the ConfigMap that an operation's Job reports in.
	OperationKey = "operation.json"

	// EnvOperation holds, in JSON, the Operation that a Job is to carry out.
	EnvOperation = "OPERATION"

	// BirthKey is the key of a cluster's ledger that holds its Birth. Every key but it and ArchiveKey is an Operation's.
	BirthKey = "birth"

	// ArchiveKey is the key of a cluster's ledger that holds its ArchiveRecord.
	ArchiveKey = "archive"
)

// DefaultValidity is how long after its requestedAt an operation may begin, unless it says so itself.
const DefaultValidity = time.Hour

// An Operation is what a Job is to carry out, once.
type Operation struct {
	// Kind of the claim: Switchover, Failover or Restore.
	Kind string `json:"kind"`

	// Name of the claim.
	Name string `json:"name"`

	// Cluster is the DBCluster's name.
	Cluster string `json:"cluster"`

	// NewPrimary and ExpectPrimary are Pods. Empty when anything will do.
	NewPrimary    string `json:"newPrimary,omitempty"`
	ExpectPrimary string `json:"expectPrimary,omitempty"`

	AllowDataLoss bool `json:"allowDataLoss,omitempty"`

	// Restore says what a Restore is to do. Nil for any other.
	Restore *RestoreTask `json:"restore,omitempty"`

	RequestedAt time.Time `json:"requestedAt"`
	ValidUntil  time.Time `json:"validUntil"`
}

// A RestoreTask is what a cluster's database is to be in place of what it is, or what another cluster is to begin with.
type RestoreTask struct {
	// Target is the database in the repository.
	Target Restore `json:"target"`

	// Clone is the name of the DBCluster that is to begin with it. Empty for a restore in place.
	Clone string `json:"clone,omitempty"`

	// Kept is the ID of an incarnation whose data is on the volumes. Empty when the database comes from the repository.
	Kept string `json:"kept,omitempty"`

	// KeepFor is how long the data of now is kept, Timeout how long the restore may take.
	KeepFor time.Duration `json:"keepFor"`
	Timeout time.Duration `json:"timeout"`
}

// Clones says that another DBCluster is made, and this one goes on.
func (o Operation) Clones() bool { return o.Restore != nil && o.Restore.Clone != "" }

// Key is where a ledger remembers the operation.
func (o Operation) Key() string { return o.Kind + "." + o.Name }

// Hash identifies what is asked for, so that another operation of the same name is not taken for it.
func (o Operation) Hash() (string, error) {
	b, err := json.Marshal(o)
	if err != nil {
		return "", fmt.Errorf("cannot encode an operation: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16]), nil
}

// An OperationReport is how far an operation is. It is what its claim's status shows.
type OperationReport struct {
	Phase          v1alpha1.OperationPhase `json:"phase"`
	Reason         string                  `json:"reason,omitempty"`
	Message        string                  `json:"message,omitempty"`
	StartedAt      *time.Time              `json:"startedAt,omitempty"`
	FinishedAt     *time.Time              `json:"finishedAt,omitempty"`
	OldPrimary     string                  `json:"oldPrimary,omitempty"`
	NewPrimary     string                  `json:"newPrimary,omitempty"`
	TimelineBefore int                     `json:"timelineBefore,omitempty"`
	TimelineAfter  int                     `json:"timelineAfter,omitempty"`
	WritePause     string                  `json:"writePause,omitempty"`
	DataLoss       string                  `json:"dataLoss,omitempty"`

	// Incarnations before and after a Restore, the backup that it began with, and until when the data before is kept.
	OldIncarnation string     `json:"oldIncarnation,omitempty"`
	NewIncarnation string     `json:"newIncarnation,omitempty"`
	Backup         string     `json:"backup,omitempty"`
	KeptUntil      *time.Time `json:"keptUntil,omitempty"`
}

// A LedgerEntry is what a cluster remembers of an operation. It is written before anything is done, with the phase
// InProgress, and again with the outcome.
type LedgerEntry struct {
	// Hash of the Operation.
	Hash string `json:"hash"`

	// ValidUntil is the Operation's. An entry may be forgotten some time after it.
	ValidUntil time.Time `json:"validUntil"`

	// Deadline is when the outcome is taken for unknown, if it was not written by then.
	Deadline *time.Time `json:"deadline,omitempty"`

	Report OperationReport `json:"report"`
}

// A Birth is since when a ledger is complete.
type Birth struct {
	// Since is when the database was born, or when the ledger was begun if that was later: whatever was asked for before
	// then is not known to be still to do.
	Since time.Time `json:"since"`

	// SystemIdentifier of the database. Another one was born later.
	SystemIdentifier string `json:"systemIdentifier"`

	// Incarnation is that of the volume that the database was born on. It names its place in a repository.
	Incarnation string `json:"incarnation,omitempty"`
}

// An ArchiveRecord says that a database's WAL is archived, without a gap.
type ArchiveRecord struct {
	// Repository is the ID of the Repository.
	Repository string `json:"repository"`

	// Since is when that began.
	Since time.Time `json:"since"`
}
