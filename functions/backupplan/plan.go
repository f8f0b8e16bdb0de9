package backupplan

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/functions/schedule"
)

// callAgain is the longest that a plan goes unlooked at.
const callAgain = 24 * time.Hour

// errNotSeen says that what is in force cannot be seen, so that it cannot be kept as it is.
var errNotSeen = errors.New("the Secret of the repository is not seen yet, and nothing can be put in its place; nothing is changed")

// A plan is what is to be, and why some of it cannot be.
type plan struct {
	// Secret is what the repository's Secret is to hold. Nil when there is to be none yet.
	Secret map[string][]byte

	// Grants are what the Secrets are to hold that other namespaces restore with, by namespace.
	Grants map[string]map[string][]byte

	// Shared says that there are to be the objects that instances and Jobs share, RoleBinding that the Role is there that it
	// needs.
	Shared      bool
	RoleBinding bool

	// Repository is the one that instances archive to: the one before while another one that is asked for cannot be had.
	Repository instance.Repository

	// Bucket says that the bucket is to be made.
	Bucket bool

	Phase v1alpha1.BackupPlanPhase

	// Backups are those that can be restored and brought forward to now, the oldest first, Newest is when the newest one began
	// that there is, and Damaged how many of those cannot be restored. Next is when the next one is due. Zero when none is.
	Backups []instance.StoredBackup
	Newest  time.Time
	Damaged int
	Next    time.Time

	// Trial is what is to be of trying backups.
	Trial trial

	// Verdicts say what can be carried out and what is.
	Verdicts []verdict

	CallAgain time.Duration
}

// A verdict says whether a part of the plan is as it should be.
type verdict struct {
	compose.Condition

	// Stalls says that somebody has to do something before it can be.
	Stalls bool

	// Informs says that nobody has to wait for it.
	Informs bool
}

// Waits says that it is not as it should be, or not yet.
func (v verdict) Waits() bool { return v.Status != compose.True && !v.Informs }

// Ready says whether everything is as it should be.
func (p plan) Ready() bool {
	return !slices.ContainsFunc(p.Verdicts, verdict.Waits)
}

func makePlan(r request, seen facts, now time.Time, rand io.Reader) (plan, error) {
	location, data, err := planSecret(r, seen, rand)
	if err != nil {
		return plan{}, err
	}
	scheduled, schedules := planSchedules(r)
	if scheduled.Stalls {
		data = seen.Repository // The schedules in it are those before.
	}
	if data == nil && seen.Wanted {
		return plan{}, notSeen(location, scheduled)
	}
	granted, grants, err := planGrants(r, seen, location, rand)
	if err != nil {
		return plan{}, err
	}
	p := plan{
		Secret: data, Grants: grants, Shared: data != nil, RoleBinding: data != nil && seen.RoleThere,
		Repository: repositoryIn(data, r.Repository),
		Bucket:     r.CreateBucket && seen.Rival == "",
	}
	p.takeStock(seen)
	idle := r.Repository.Paused || seen.Stopped
	if !idle {
		p.Next = schedules.Next(now)
	}
	p.Trial = planTrial(r, seen, p, now)
	p.Verdicts = []verdict{
		location, scheduled, archiving(r, seen, p.Repository.ID()), backedUp(p, schedules, idle, now), p.Trial.Verdict, bucketReady(r, seen), granted,
	}
	p.Phase = phase(p, seen, idle)
	p.CallAgain = again(p, now)
	return p, nil
}

// notSeen says what keeps the Secret from being made again: when it was deleted, and is not only unseen, somebody has to mend that.
func notSeen(verdicts ...verdict) error {
	err := errNotSeen
	for _, v := range verdicts {
		if v.Waits() {
			err = fmt.Errorf("%w: %s", err, strings.TrimSuffix(v.Message, "."))
		}
	}
	return err
}

// planSecret returns what the repository's Secret is to hold: what was accepted last, when what is asked for now cannot be.
func planSecret(r request, seen facts, rand io.Reader) (verdict, map[string][]byte, error) {
	if seen.Rival != "" {
		return located(compose.False, v1alpha1.ReasonOtherPlan, true, fmt.Sprintf(
			"The DBCluster %s has another BackupPlan, %s, and can have one only. Change that one, or delete it first: the backups stay.",
			r.Name, seen.Rival)), seen.Repository, nil
	}
	data, refused := content(r, seen, ownCredentials(r, seen))
	if refused != nil && refused.Waits {
		return located(compose.Unknown, refused.Reason, false, refused.Message), seen.Repository, nil
	}
	if refused != nil {
		return located(compose.False, refused.Reason, true, refused.Message), seen.Repository, nil
	}
	if r.CreateBucket && !seen.Bucket.Ready && !inForce(r, seen) {
		return located(compose.Unknown, v1alpha1.ReasonWaitingForBucket, false, fmt.Sprintf("Waiting for the bucket %s.", r.Repository.Bucket)), seen.Repository, nil
	}
	data, err := revised(data, seen.Repository, rand)
	return located(compose.True, v1alpha1.ReasonAccepted, false, "All is known that is needed to get into the store."), data, err
}

// inForce says whether the instances have been told of the location already. Then they are also told of new credentials, whatever
// becomes of the bucket.
func inForce(r request, seen facts) bool {
	return len(seen.Repository) > 0 && repositoryIn(seen.Repository, instance.Repository{}).ID() == r.Repository.ID()
}

// repositoryIn returns the one that a Secret tells the instances of, and another one where it tells of none.
func repositoryIn(secret map[string][]byte, otherwise instance.Repository) instance.Repository {
	told := instance.Repository{}
	if err := json.Unmarshal(secret[instance.KeyRepository], &told); err != nil {
		return otherwise
	}
	return told
}

func located(status compose.Truth, reason string, stalls bool, message string) verdict {
	return verdict{Stalls: stalls, Condition: compose.Condition{
		Type: v1alpha1.ConditionLocationAccepted, Status: status, Reason: reason, Message: message,
	}}
}

func planSchedules(r request) (verdict, schedule.Schedules) {
	accepted := compose.Condition{
		Type: v1alpha1.ConditionScheduleAccepted, Status: compose.True, Reason: v1alpha1.ReasonAccepted, Message: "The schedules can be kept.",
	}
	schedules, err := schedule.Parse(r.Repository.Schedules)
	where := "cronSchedule or backupSchedules"
	if err == nil && r.Verification != nil {
		_, err = schedule.ParseVerification(r.Verification.Schedule)
		where = "verification.schedule"
	}
	if err != nil {
		accepted.Status, accepted.Reason = compose.False, v1alpha1.ReasonRefused
		accepted.Message = err.Error() + ". Correct " + where + "; the schedules before stay in force."
		return verdict{Stalls: true, Condition: accepted}, nil
	}
	return verdict{Condition: accepted}, schedules
}

// takeStock looks at the backups of the repository that can be brought forward to now, which those before a gap cannot.
func (p *plan) takeStock(seen facts) {
	id := p.Repository.ID()
	if seen.Inventory == nil || seen.Inventory.Repository != id {
		return
	}
	var since time.Time
	if seen.Archive != nil && seen.Archive.Repository == id && seen.Archive.Since != nil {
		since = *seen.Archive.Since
	}
	for _, b := range seen.Inventory.Backups {
		switch {
		case b.Start.Before(since.Truncate(time.Second)):
			continue
		case b.Damaged:
			p.Damaged++
		default:
			p.Backups = append(p.Backups, b)
		}
		p.Newest = b.Start
	}
}

// archiving says how archiving to a repository goes.
func archiving(r request, seen facts, id string) verdict {
	say := func(status compose.Truth, reason, message string) verdict {
		return verdict{Condition: compose.Condition{Type: v1alpha1.ConditionArchiving, Status: status, Reason: reason, Message: message}}
	}
	archive := seen.Archive
	if archive != nil && archive.Repository != id {
		archive = nil // It is about the store before.
	}
	switch {
	case seen.ClusterAnswered && !seen.ClusterFound:
		return say(compose.False, v1alpha1.ReasonClusterMissing, fmt.Sprintf("Waiting for the DBCluster %s in the namespace %s. Check dbclusterRef.", r.Name, r.Namespace))
	case seen.Stopped:
		return say(compose.True, v1alpha1.ReasonClusterStopped, "The DBCluster is stopped: there is nothing to archive, and no backup is taken until it runs.")
	case incident(seen, instance.IncidentRepositoryUnusable, "") != "":
		v := say(compose.False, v1alpha1.ReasonRepositoryUnusable, incident(seen, instance.IncidentRepositoryUnusable, ""))
		v.Stalls = true
		return v
	case archive == nil:
		return say(compose.Unknown, v1alpha1.ReasonNoPrimary, fmt.Sprintf("Waiting for the primary of the DBCluster %s to say that it archives.", r.Name))
	case archive.State == instance.Archiving:
		return say(compose.True, v1alpha1.ReasonArchiving, "Every WAL segment is archived as it is written, after a minute at the latest.")
	case archive.State == instance.ArchiveFailing:
		return say(compose.False, v1alpha1.ReasonArchivingFails, incident(seen, instance.IncidentArchivingFails, "The store does not take WAL."))
	}
	return say(compose.Unknown, v1alpha1.ReasonArchiveStarting, "Waiting for the primary to try the store.")
}

// incident returns what the primary says about an incident, or else a text.
func incident(seen facts, code, otherwise string) string {
	for _, i := range seen.Incidents {
		if i.Code == code {
			return i.Message
		}
	}
	return otherwise
}

// bucketReady says whether the bucket is there, as far as the plan is to make it.
func bucketReady(r request, seen facts) verdict {
	say := func(status compose.Truth, reason, message string) verdict {
		return verdict{Condition: compose.Condition{Type: v1alpha1.ConditionBucketReady, Status: status, Reason: reason, Message: message}}
	}
	switch {
	case !r.CreateBucket:
		return say(compose.True, v1alpha1.ReasonBucketGiven, "createBucket is off: the bucket is expected to be there.")
	case seen.Rival != "":
		return say(compose.Unknown, v1alpha1.ReasonOtherPlan, "The bucket is made once the plan is in force.")
	case seen.Bucket.Problem != "":
		v := say(compose.False, v1alpha1.ReasonBucketFails, fmt.Sprintf("The provider says of the Bucket %s: %s.", r.Bucket(r.Repository.ID()), seen.Bucket.Problem))
		v.Stalls = !seen.Bucket.Ready // One that was there may come back by itself.
		return v
	case seen.Bucket.Ready:
		return say(compose.True, v1alpha1.ReasonBucketReady, "The bucket is there.")
	}
	return say(compose.Unknown, v1alpha1.ReasonBucketCreating, fmt.Sprintf("Waiting for the Bucket %s to be made.", r.Bucket(r.Repository.ID())))
}

// backedUp says whether the database can be restored, and whether backups are taken when they are due.
func backedUp(p plan, schedules schedule.Schedules, idle bool, now time.Time) verdict {
	say := func(status compose.Truth, reason, message string) verdict {
		return verdict{Condition: compose.Condition{Type: v1alpha1.ConditionBackedUp, Status: status, Reason: reason, Message: message}}
	}
	if len(p.Backups) == 0 && p.Damaged > 0 {
		return say(compose.False, v1alpha1.ReasonNoBackup, "Every backup is damaged. Create a full Backup now (within an hour one is taken by itself), and look for what has changed the objects in the store.")
	}
	if len(p.Backups) == 0 && idle {
		return say(compose.False, v1alpha1.ReasonNoBackup, "There is no backup, and none is taken on schedule: create a Backup, or let the BackupPlan and the DBCluster go on.")
	}
	if len(p.Backups) == 0 {
		return say(compose.False, v1alpha1.ReasonNoBackup, "Waiting for the first backup. List the plan's backups with kubectl get backups to see how far it is.")
	}
	if due, missed := schedules.Overdue(p.Newest, now); missed && !idle {
		return say(compose.False, v1alpha1.ReasonBackupOverdue, fmt.Sprintf(
			"The backup that was due at %s is not there. Look at the newest of kubectl get backups for the reason.", due.Format(time.RFC3339)))
	}
	return say(compose.True, v1alpha1.ReasonBackedUp, "There is a backup, and none is overdue.")
}

// failures are reasons that nobody need do anything about at once, and that are no good all the same.
func failures() []string {
	return []string{v1alpha1.ReasonArchivingFails, v1alpha1.ReasonBackupOverdue, v1alpha1.ReasonBucketFails}
}

func phase(p plan, seen facts, idle bool) v1alpha1.BackupPlanPhase {
	for _, v := range p.Verdicts {
		failing := v.Stalls || slices.Contains(failures(), v.Reason) || v.Type == v1alpha1.ConditionVerified && v.Status == compose.False
		if failing {
			return v1alpha1.BackupPlanFailing
		}
	}
	archives := slices.ContainsFunc(p.Verdicts, func(v verdict) bool {
		return v.Type == v1alpha1.ConditionArchiving && v.Status == compose.True
	})
	switch {
	case idle && (archives || seen.Stopped):
		return v1alpha1.BackupPlanPaused
	case !p.Ready():
		return v1alpha1.BackupPlanPending
	}
	return v1alpha1.BackupPlanActive
}

// again returns when to look again: when the next backup is due, when it would be overdue, and when one is to be tried.
func again(p plan, now time.Time) time.Duration {
	wait := callAgain
	if !p.Next.IsZero() {
		wait = min(wait, p.Next.Sub(now)+time.Second)
	}
	if overdue := p.Newest.Add(schedule.OverdueAfter).Sub(now); !p.Next.IsZero() && overdue > 0 {
		wait = min(wait, overdue+time.Second)
	}
	if p.Trial.CallAgain == soon {
		return soon
	}
	if p.Trial.CallAgain > 0 {
		wait = min(wait, p.Trial.CallAgain)
	}
	return max(wait, time.Minute)
}

// requires returns what is to be looked up. It is asked for on every call: what is not asked for again is not watched any more.
func requires(r request, p plan) map[string]compose.Selector {
	core := func(kind, name string) compose.Selector {
		return compose.Selector{APIVersion: "v1", Kind: kind, Namespace: r.Namespace, Name: name}
	}
	selectors := map[string]compose.Selector{
		requiredRepository: core("Secret", r.Cluster.Repository()),
		requiredReports:    core("ConfigMap", r.Reports()),
		requiredCluster: {
			APIVersion: v1alpha1.GroupVersion().String(), Kind: v1alpha1.KindDBCluster, Namespace: r.Namespace, Name: r.Name,
		},
	}
	if p.Trial.Rights {
		selectors[requiredInstances] = compose.Selector{APIVersion: "apps/v1", Kind: "StatefulSet", Namespace: r.Namespace, Name: r.StatefulSet()}
	}
	for name, secret := range map[string]string{
		requiredCredentials: r.Secrets.Credentials, requiredTrust: r.Secrets.Trust, requiredPassphrase: r.Secrets.Passphrase,
	} {
		if secret != "" {
			selectors[name] = core("Secret", secret)
		}
	}
	for namespace, secret := range r.Grants {
		selectors[naming.ObjectGrant(namespace)] = core("Secret", secret)
	}
	return selectors
}

// labels are on every object of a plan.
func (r request) labels() map[string]string {
	labels := r.Labels()
	labels[naming.LabelBackupPlan] = r.Plan
	return labels
}
