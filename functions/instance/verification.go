package instance

import (
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

const (
	// VerificationKey is the key of a cluster's inventory that holds its Verifications, and of the ConfigMap that a backup's Job
	// reports in that holds what came of trying that backup, a BackupVerification.
	VerificationKey = "verification.json"

	// EnvVerification holds, in JSON, the VerificationTask that a Job is to carry out.
	EnvVerification = "VERIFICATION"
)

// IncidentVerificationFailed: the last backup that was tried is damaged, or could not be tried.
const IncidentVerificationFailed = "VerificationFailed"

// Checks that a backup passes when it is tried, in this order.
const (
	// CheckRestored: every file is there and has its checksum.
	CheckRestored = "Restored"

	// CheckRecovered: WAL was replayed up to the target.
	CheckRecovered = "Recovered"

	// CheckChecksums: every page on the disk has its checksum.
	CheckChecksums = "Checksums"

	// CheckStarted: PostgreSQL serves it.
	CheckStarted = "Started"

	// CheckTables: pg_amcheck finds nothing wrong.
	CheckTables = "Tables"
)

// A VerificationTask is what a Job is to try.
type VerificationTask struct {
	// Cluster is the DBCluster's name, and Version its PostgreSQL's major version.
	Cluster string `json:"cluster"`
	Version string `json:"version"`

	// Due is when the backup was to be tried. It identifies the task.
	Due time.Time `json:"due"`

	// Points says that every moment is offered as a target of a restore, not only backups.
	Points bool `json:"points,omitempty"`
}

// Verifications are what came of trying the backups of a repository.
type Verifications struct {
	// Repository is the ID of the Repository that it is about.
	Repository string `json:"repository"`

	// Handled is until when everything that was due has been taken care of.
	Handled time.Time `json:"handled"`

	// Count is how many have come to an end.
	Count int `json:"count"`

	// Sound is when the last one came to an end that found nothing wrong.
	Sound *time.Time `json:"sound,omitempty"`

	// Last is what came of the last one.
	Last Verification `json:"last"`
}

// Handles says whether a task was carried out.
func (v Verifications) Handles(t VerificationTask, repository string) bool {
	return v.Repository == repository && !v.Handled.Before(t.Due)
}

// With returns what is to be remembered when another one has come to an end. What came due meanwhile is not made up for.
func (v Verifications) With(repository string, last Verification) Verifications {
	if v.Repository != repository {
		v = Verifications{Repository: repository}
	}
	v.Handled, v.Last = last.Time, last
	v.Count++
	if last.Result == v1alpha1.VerificationSucceeded {
		v.Sound = &last.Time
	}
	return v
}

// A Verification is what came of trying a backup.
type Verification struct {
	// Time is when it came to an end.
	Time time.Time `json:"time"`

	Result  v1alpha1.VerificationResult `json:"result"`
	Message string                      `json:"message"`

	// Label of the backup that was restored, and up to where WAL was replayed, in words. Empty when it did not come to that.
	Label  string `json:"label,omitempty"`
	Target string `json:"target,omitempty"`

	// Checks that were passed.
	Checks []string `json:"checks,omitempty"`

	// Duration of it, for example 1m12s.
	Duration string `json:"duration,omitempty"`
}

// A BackupVerification is what came of trying one backup.
type BackupVerification struct {
	Time    time.Time                   `json:"time"`
	Result  v1alpha1.VerificationResult `json:"result"`
	Message string                      `json:"message"`
}
