package restore

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/pgbackrest"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
)

// A Refusal says why there is nothing to restore, and what there is.
type Refusal struct{ Message string }

func (r Refusal) Error() string { return r.Message }

func refuse(format string, args ...any) error { return Refusal{Message: fmt.Sprintf(format, args...)} }

// A Choice is the backup that a restore begins with.
type Choice struct {
	Incarnation string
	Label       string

	// Size of the database then, in bytes.
	Size int64
}

// Kept is what there is of a cluster in a repository.
type Kept struct {
	// Backups is how many there are.
	Backups int

	// Label of the newest backup, the incarnation that it is of, and when it was complete.
	Label       string
	Incarnation string
	Stop        time.Time
}

// kept returns nil when there is no backup.
func kept(found map[string]pgbackrest.Stanza) *Kept {
	incarnations := candidates(instance.Restore{}, found)
	if len(incarnations) == 0 {
		return nil
	}
	backups := found[incarnations[0]].Backups
	newest := backups[len(backups)-1]
	k := &Kept{Label: newest.Label, Incarnation: incarnations[0], Stop: newest.Stop}
	for _, incarnation := range incarnations {
		k.Backups += len(found[incarnation].Backups)
	}
	return k
}

func newChoice(incarnation string, b pgbackrest.Backup) Choice {
	return Choice{Incarnation: incarnation, Label: b.Label, Size: b.Database}
}

// choose returns the newest backup from which the target can be reached. Of several incarnations it is in the newest one that
// has the target: that is what the cluster was last at that time. Backups that are damaged are none.
//
// What was written to the newest incarnation is lost when it has no backup yet, and an older one does not take its place unasked:
// it would be without all of that, and with what the newest one was restored to be rid of.
//
// Where a transaction or a restore point is in the WAL cannot be told beforehand, and from a backup that was not complete before
// it, it is never reached. So the search begins with the oldest backup, from which all that is archived can be, unless one is named.
func choose(wanted instance.Restore, found map[string]pgbackrest.Stanza, now time.Time) (Choice, error) {
	damaged, sound := sift(found)
	incarnations := candidates(wanted, sound)
	if wanted.Time != nil && wanted.Time.After(now) {
		return Choice{}, refuse("pointInTime %s has not come yet: it is %s. Choose an earlier one.", rfc3339(*wanted.Time), rfc3339(now))
	}
	if b := damaged[wanted.Backup]; b != nil {
		return Choice{}, Refusal{Message: isDamaged(*b, incarnations, sound)}
	}
	if len(incarnations) == 0 {
		return Choice{}, Refusal{Message: nothing(wanted, found)}
	}
	if newest := newest(found); wanted.OfNewest() && newest != "" && newest != incarnations[0] {
		return Choice{}, Refusal{Message: tooNew(wanted, newest, incarnations[0], sound)}
	}
	if wanted.Searched() && wanted.Backup == "" {
		return newChoice(incarnations[0], sound[incarnations[0]].Backups[0]), nil
	}
	if chosen := nearest(wanted, incarnations, sound); chosen != nil {
		return *chosen, nil
	}
	if chosen := last(wanted, incarnations, sound); chosen != nil {
		return *chosen, nil
	}
	return Choice{}, Refusal{Message: missed(wanted, incarnations, sound)}
}

// nothing says why there is no backup that can be restored.
func nothing(wanted instance.Restore, found map[string]pgbackrest.Stanza) string {
	if len(candidates(wanted, found)) > 0 {
		return fmt.Sprintf("every backup of the DBCluster %s of the namespace %s in the repository is damaged: each was tried, or continues one that was. Take a full backup if the DBCluster still runs.", wanted.Cluster, wanted.Namespace)
	}
	return fmt.Sprintf("there is no backup of the DBCluster %s of the namespace %s in the repository%s.", wanted.Cluster, wanted.Namespace, known(wanted, found))
}

// last returns the newest backup from which a target can be reached, or nil.
func last(wanted instance.Restore, incarnations []string, found map[string]pgbackrest.Stanza) *Choice {
	for _, incarnation := range incarnations {
		for _, b := range slices.Backward(found[incarnation].Backups) {
			if reaches(b, wanted) {
				c := newChoice(incarnation, b)
				return &c
			}
		}
	}
	return nil
}

// nearest returns the last backup before a time of those incarnations that were written to at that time or later. One that was put
// back was written to both before and after the one that had taken its place, whose backup is nearer to what was between.
func nearest(wanted instance.Restore, incarnations []string, found map[string]pgbackrest.Stanza) *Choice {
	if wanted.Time == nil {
		return nil
	}
	var chosen *Choice
	var stop time.Time
	for i, incarnation := range incarnations {
		if i > 0 && lastWritten(found[incarnation]).Before(*wanted.Time) {
			continue
		}
		for _, b := range found[incarnation].Backups {
			if reaches(b, wanted) && b.Stop.After(stop) {
				c := newChoice(incarnation, b)
				chosen, stop = &c, b.Stop
			}
		}
	}
	return chosen
}

// sift returns the backups that are damaged, by label, and the stanzas without them.
func sift(found map[string]pgbackrest.Stanza) (map[string]*pgbackrest.Backup, map[string]pgbackrest.Stanza) {
	damaged, sound := map[string]*pgbackrest.Backup{}, make(map[string]pgbackrest.Stanza, len(found))
	for name, stanza := range found {
		for i, b := range stanza.Backups {
			if b.Damaged {
				damaged[b.Label] = &stanza.Backups[i]
			}
		}
		stanza.Backups = stanza.Sound()
		sound[name] = stanza
	}
	return damaged, sound
}

// isDamaged says what there is in place of a backup that is damaged.
func isDamaged(b pgbackrest.Backup, incarnations []string, found map[string]pgbackrest.Stanza) string {
	said := fmt.Sprintf("the backup %s is damaged: it was tried, and could not be restored or had faults.", b.Label)
	if b.Annotations[pgbackrest.AnnotationDamaged] == "" {
		said = fmt.Sprintf("the backup %s continues %s, which is damaged.", b.Label, b.Prior)
	}
	if len(incarnations) == 0 {
		return said + " There is no other."
	}
	newest := found[incarnations[0]].Backups
	return fmt.Sprintf("%s Choose another one; the newest that is not known to be damaged is %s.", said, newest[len(newest)-1].Label)
}

// candidates are the incarnations that have backups, the newest first.
func candidates(wanted instance.Restore, found map[string]pgbackrest.Stanza) []string {
	var names []string
	for name, stanza := range found {
		if len(stanza.Backups) > 0 && (wanted.Incarnation == "" || wanted.Incarnation == name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return lastWritten(found[b]).Compare(lastWritten(found[a])) })
	return names
}

// newest is the incarnation that was archived last, with or without a backup. Empty when nothing was.
func newest(found map[string]pgbackrest.Stanza) string {
	last := ""
	for name, stanza := range found {
		if at := lastWritten(stanza); !at.IsZero() && (last == "" || at.After(lastWritten(found[last]))) {
			last = name
		}
	}
	return last
}

// lastWritten is when something of an incarnation came last. A database that is restored in place, or put back, goes on archiving
// after the one that it takes the place of, whichever of them has the newer backup.
func lastWritten(s pgbackrest.Stanza) time.Time {
	if len(s.Backups) == 0 {
		return s.LastArchived
	}
	stop := s.Backups[len(s.Backups)-1].Stop
	if s.LastArchived.After(stop) {
		return s.LastArchived
	}
	return stop
}

// tooNew says what there is when the newest incarnation has no backup.
func tooNew(wanted instance.Restore, newest, before string, found map[string]pgbackrest.Stanza) string {
	backups := found[before].Backups
	return fmt.Sprintf("the newest incarnation of the DBCluster %s, %s, was written to until %s, and has no backup that it can be restored from. "+
		"To go back to what was before it, without all of that, restore with incarnation %s, whose newest backup is %s; a new DBCluster does so with spec.bootstrap.restore.",
		wanted.Cluster, newest, rfc3339(lastWritten(found[newest])), before, backups[len(backups)-1].Label)
}

// reaches says whether a target can be reached from a backup. pgBackRest gives times in whole seconds, so that a backup may have
// ended up to a second after its Stop; nothing before its end is consistent.
func reaches(b pgbackrest.Backup, wanted instance.Restore) bool {
	switch {
	case wanted.Backup != "":
		return b.Label == wanted.Backup
	case wanted.Time != nil:
		return !wanted.Time.Before(b.Stop.Add(time.Second))
	case wanted.LSN != "":
		end, errEnd := postgres.ParsePosition(b.LSN[1])
		target, errTarget := postgres.ParsePosition(wanted.LSN)
		return errEnd == nil && errTarget == nil && end <= target
	}
	return true
}

// missed says what there is in place of the target.
func missed(wanted instance.Restore, incarnations []string, found map[string]pgbackrest.Stanza) string {
	oldest := found[incarnations[len(incarnations)-1]].Backups[0]
	newest := found[incarnations[0]].Backups
	switch {
	case wanted.Backup != "":
		return fmt.Sprintf("the backup %s is not in the repository, which has those from %s to %s. Choose one of them: kubectl get backups -o wide lists them.",
			wanted.Backup, oldest.Label, newest[len(newest)-1].Label)
	case wanted.Time != nil:
		return fmt.Sprintf("pointInTime %s is before the recovery window, which begins at %s. Choose a later one.",
			rfc3339(*wanted.Time), rfc3339(oldest.Stop.Add(time.Second)))
	}
	return fmt.Sprintf("lsn %s is before the recovery window, which begins at %s. Choose a later one.", wanted.LSN, oldest.LSN[1])
}

// known names the incarnations that have backups, where another one was asked for.
func known(wanted instance.Restore, found map[string]pgbackrest.Stanza) string {
	if wanted.Incarnation == "" {
		return ": check sourceDBCluster, sourceNamespace, and the location of the BackupPlan"
	}
	names := candidates(instance.Restore{}, found)
	if len(names) == 0 {
		return ", of no incarnation"
	}
	return fmt.Sprintf(" in the incarnation %s; there are some in %s", wanted.Incarnation, strings.Join(names, ", "))
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
