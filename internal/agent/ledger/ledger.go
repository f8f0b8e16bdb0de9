// Package ledger decides, by what a cluster remembers, whether an operation is still to be carried out. It is the memory of
// what was done once and must not be done again, whatever happens to the claims that asked for it.
package ledger

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// capacity is how many operations are remembered at least. Of more, those are forgotten that have long expired: they would
// not be begun again without the memory either.
const capacity = 500

// fresh is how long after a database's birth a ledger that is begun then can have missed nothing: a cluster takes that long
// to be announced to anybody.
const fresh = 10 * time.Minute

// Reasons of outcomes that the ledger comes to.
const (
	ReasonOtherOperation = "WaitsForOtherOperation"
	ReasonUnborn         = "WaitsForCluster"
	ReasonNameTaken      = "NameTaken"
	ReasonBeforeBirth    = "RequestedBeforeBirth"
	ReasonExpired        = "Expired"
)

// A Ledger is what a cluster remembers.
type Ledger struct {
	// Birth is nil as long as no database was born.
	Birth *instance.Birth

	// Archive is nil as long as no WAL is archived.
	Archive *instance.ArchiveRecord

	// Incarnation is the one that is to be. Nil for a cluster that was never restored in place.
	Incarnation *instance.Incarnation

	// Entries by the operations' keys.
	Entries map[string]instance.LedgerEntry
}

// Parse reads the data of a ledger's ConfigMap.
func Parse(data map[string]string) (Ledger, error) {
	l := Ledger{Entries: make(map[string]instance.LedgerEntry, len(data))}
	for key, value := range data {
		if err := l.parse(key, []byte(value)); err != nil {
			return Ledger{}, fmt.Errorf("cannot parse the ledger's %q: %w", key, err)
		}
	}
	return l, nil
}

func (l *Ledger) parse(key string, value []byte) error {
	switch key {
	case instance.BirthKey:
		return json.Unmarshal(value, &l.Birth)
	case instance.ArchiveKey:
		return json.Unmarshal(value, &l.Archive)
	case instance.IncarnationKey:
		return json.Unmarshal(value, &l.Incarnation)
	}
	entry := instance.LedgerEntry{}
	if err := json.Unmarshal(value, &entry); err != nil {
		return err
	}
	l.Entries[key] = entry
	return nil
}

// Data is the data of the ledger's ConfigMap.
func (l Ledger) Data() (map[string]string, error) {
	data := make(map[string]string, len(l.Entries)+3)
	write := func(key string, value any) error {
		raw, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("cannot encode the ledger's %q: %w", key, err)
		}
		data[key] = string(raw)
		return nil
	}
	if l.Birth != nil {
		if err := write(instance.BirthKey, l.Birth); err != nil {
			return nil, err
		}
	}
	if l.Archive != nil {
		if err := write(instance.ArchiveKey, l.Archive); err != nil {
			return nil, err
		}
	}
	if l.Incarnation != nil {
		if err := write(instance.IncarnationKey, l.Incarnation); err != nil {
			return nil, err
		}
	}
	for key, entry := range l.Entries {
		if err := write(key, entry); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// Born returns the ledger of a database that lives in a folder of a volume, and whether it is another one than before. One that
// is begun only now, because the one before was lost or was another database's, knows nothing of what was asked for before.
func (l Ledger) Born(systemIdentifier, folder string, born, now time.Time) (Ledger, bool) {
	if alive := l.Alive(); alive != nil && alive.SystemIdentifier == systemIdentifier && alive.Incarnation != "" {
		return l, false
	}
	next := l
	if alive := l.Alive(); alive != nil && alive.SystemIdentifier == systemIdentifier {
		named := *alive // It is that of a version of the agent that did not name it.
		named.Incarnation = folder
		next.Birth = &named
		return next, true
	}
	next.Birth = &instance.Birth{Since: born.UTC(), SystemIdentifier: systemIdentifier, Incarnation: folder}
	if now.Sub(born) > fresh {
		next.Birth.Since = now.UTC()
	}
	if l.Incarnation != nil {
		next.Birth.Incarnation = l.Incarnation.ID
	}
	next.Archive = nil
	return next, true
}

// Alive returns the birth of the database that is to be. It is nil as long as that was not born: a restore in place lets the one
// before stand until then.
func (l Ledger) Alive() *instance.Birth {
	if l.Incarnation != nil && l.Birth != nil && l.Birth.Incarnation != l.Incarnation.ID {
		return nil
	}
	return l.Birth
}

// Archived returns a ledger that says that WAL is archived since a time. Without a record it says that it is not.
func (l Ledger) Archived(record *instance.ArchiveRecord) Ledger {
	l.Archive = record
	return l
}

// Becoming returns a ledger that says that another incarnation is to be.
func (l Ledger) Becoming(incarnation *instance.Incarnation) Ledger {
	l.Incarnation = incarnation
	return l
}

// With returns a ledger that remembers an entry, too.
func (l Ledger) With(key string, entry instance.LedgerEntry, now time.Time) Ledger {
	entries := maps.Clone(l.Entries)
	if entries == nil {
		entries = map[string]instance.LedgerEntry{}
	}
	entries[key] = entry
	for _, old := range oldest(entries) {
		if len(entries) <= capacity {
			break
		}
		if e := entries[old]; old != key && e.Report.Phase.Final() && now.After(e.ValidUntil) {
			delete(entries, old)
		}
	}
	l.Entries = entries
	return l
}

// oldest returns the keys of entries, those first that expired first.
func oldest(entries map[string]instance.LedgerEntry) []string {
	return slices.SortedFunc(maps.Keys(entries), func(a, b string) int {
		return cmp.Or(entries[a].ValidUntil.Compare(entries[b].ValidUntil), cmp.Compare(a, b))
	})
}

// A Verdict says what is to be done about an operation now.
type Verdict struct {
	// Begin says that it may be begun.
	Begin bool

	// Judge says that it was begun, and that its outcome is to be found out; it is not begun again.
	Judge bool

	// Report is what to tell. When its phase is final and Begin and Judge are not set, that is the outcome.
	Report instance.OperationReport

	// Remember says that Report is new to the ledger and is to be written there.
	Remember bool
}

// Judge decides about an operation. The ledger is asked first: what it remembers is the outcome, whatever the clock says.
func (l Ledger) Judge(o instance.Operation, hash string, now time.Time) Verdict {
	if entry, ok := l.Entries[o.Key()]; ok {
		switch {
		case entry.Hash != hash:
			return over(v1alpha1.OperationRejected, ReasonNameTaken,
				"Another "+o.Kind+" of this name was for the same DBCluster and asked for something else: commit this one under a name of its own.", false)
		case entry.Report.Phase.Final():
			return Verdict{Report: entry.Report}
		default:
			return Verdict{Judge: true, Report: entry.Report}
		}
	}
	switch {
	case l.Birth != nil && o.RequestedAt.Before(l.Birth.Since):
		return over(v1alpha1.OperationSkipped, ReasonBeforeBirth, fmt.Sprintf(
			"It was asked for before %s, since when the DBCluster's database and its record of operations exist: it was for another one, or was done. Nothing was done now.",
			l.Birth.Since.UTC().Format(time.RFC3339)), true)
	case now.After(o.ValidUntil):
		return over(v1alpha1.OperationExpired, ReasonExpired, "It could not be begun before validUntil, and nothing was done.", l.Birth != nil)
	case l.Birth == nil:
		return waiting(ReasonUnborn, "The DBCluster has no database yet.")
	}
	for key, entry := range l.Entries {
		if l.inProgress(entry, now) && !undoes(o, entry) {
			return waiting(ReasonOtherOperation, fmt.Sprintf("Another operation is in progress: %s.", key))
		}
	}
	return Verdict{Begin: true}
}

// inProgress says whether an operation still keeps others waiting. A restore in place does so only until its database is born, or
// another one took its place: nobody may be left to write how it ended.
func (l Ledger) inProgress(entry instance.LedgerEntry, now time.Time) bool {
	if entry.Report.Phase.Final() || entry.Deadline == nil || !now.Before(*entry.Deadline) {
		return false
	}
	if entry.Report.NewIncarnation == "" {
		return true
	}
	return l.Incarnation != nil && l.Incarnation.ID == entry.Report.NewIncarnation && l.Alive() == nil
}

// undoes says whether an operation brings back what a restore in place has put aside.
func undoes(o instance.Operation, entry instance.LedgerEntry) bool {
	return o.Restore != nil && o.Restore.Kept != "" && o.Restore.Kept == entry.Report.OldIncarnation
}

func waiting(reason, message string) Verdict {
	return Verdict{Report: instance.OperationReport{Phase: v1alpha1.OperationPending, Reason: reason, Message: message}}
}

func over(phase v1alpha1.OperationPhase, reason, message string, remember bool) Verdict {
	return Verdict{Report: instance.OperationReport{Phase: phase, Reason: reason, Message: message}, Remember: remember}
}
