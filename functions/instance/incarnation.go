package instance

import (
	"encoding/json"
	"slices"
	"time"
)

// EnvIncarnation holds, in JSON, the Incarnation that a Pod is to run. A Pod without it runs the one that the cluster was born
// with. It is in the Pod's template, so that no Pod ever runs another one than the one it was made for.
const EnvIncarnation = "INCARNATION"

// IncarnationKey is the key of a cluster's ledger that holds its Incarnation.
const IncarnationKey = "incarnation"

// scopeLength is how much of an incarnation's ID is in Patroni's name for it, which must fit into a label.
const scopeLength = 8

// pasts is how many incarnations before are known: their record is part of each Pod's template.
const pasts = 32

// An Incarnation is one of a cluster's databases. A restore in place begins another one beside the one before, on the same
// volumes, and a later one can bring that back. A cluster that was never restored in place has none on record.
type Incarnation struct {
	// Number grows by one with each change. Nobody goes back to a lower one.
	Number int `json:"number"`

	// ID names its data directory and its place in a repository. Original says that the cluster was born with it.
	ID       string `json:"id"`
	Original bool   `json:"original,omitempty"`

	// Since is when it was decided that it is to be.
	Since time.Time `json:"since"`

	// Restore says which database it begins with. Nil when it is one that was kept.
	Restore *Restore `json:"restore,omitempty"`

	// Kept are those before whose data is still on the volumes.
	Kept []KeptIncarnation `json:"kept,omitempty"`

	// Past are those before, the newest last. Their backups are in a repository for as long as its BackupPlan needs them.
	Past []PastIncarnation `json:"past,omitempty"`
}

// A PastIncarnation is one whose place another one took.
type PastIncarnation struct {
	ID   string    `json:"id"`
	Left time.Time `json:"left"`
}

// A KeptIncarnation is one that can be brought back.
type KeptIncarnation struct {
	ID       string `json:"id"`
	Original bool   `json:"original,omitempty"`

	// Until is when its data is removed.
	Until time.Time `json:"until"`
}

// ParseIncarnation reads what one of ours has written. What cannot be read is none: who wrote it may be asked again, and whoever
// runs one does not go back.
func ParseIncarnation(text string) *Incarnation {
	incarnation := &Incarnation{}
	if err := json.Unmarshal([]byte(text), incarnation); err != nil || incarnation.ID == "" {
		return nil
	}
	return incarnation
}

// Scope is what Patroni's name for the cluster ends with. Empty for the incarnation that the cluster was born with.
func (i *Incarnation) Scope() string {
	if i == nil {
		return ""
	}
	return scope(i.ID, i.Original)
}

// Scope is what Patroni's name for the cluster ended with.
func (k KeptIncarnation) Scope() string { return scope(k.ID, k.Original) }

func scope(id string, original bool) string {
	if original {
		return ""
	}
	return id[:min(len(id), scopeLength)]
}

// At returns the number of an incarnation, which is 0 for none on record.
func (i *Incarnation) At() int {
	if i == nil {
		return 0
	}
	return i.Number
}

// Restored returns the incarnation that follows this one, under an ID of its own. Born is the ID of the one that the cluster was
// born with, which has none on record. The data of the one that is left is kept for some time.
func (i *Incarnation) Restored(born, id string, restore Restore, now time.Time, keep time.Duration) *Incarnation {
	return &Incarnation{
		Number: i.At() + 1, ID: id, Since: now.UTC(), Restore: &restore, Kept: i.left(born, id, now, keep), Past: i.past(born, id, now),
	}
}

// Returned returns the incarnation that brings a kept one back. It is nil when that is not kept any more.
func (i *Incarnation) Returned(id string, now time.Time, keep time.Duration) *Incarnation {
	for _, k := range i.kept(now) {
		if k.ID == id {
			return &Incarnation{Number: i.At() + 1, ID: k.ID, Original: k.Original, Since: now.UTC(), Kept: i.left("", id, now, keep), Past: i.past("", id, now)}
		}
	}
	return nil
}

// Keeps says whether the data of an incarnation before is still on the volumes.
func (i *Incarnation) Keeps(id string, now time.Time) bool {
	return slices.ContainsFunc(i.kept(now), func(k KeptIncarnation) bool { return k.ID == id })
}

// kept returns what is surely still on the volumes.
func (i *Incarnation) kept(now time.Time) []KeptIncarnation {
	if i == nil {
		return nil
	}
	var list []KeptIncarnation
	for _, k := range i.Kept {
		if k.Until.After(now) {
			list = append(list, k)
		}
	}
	return list
}

// left returns what is kept once another incarnation takes this one's place.
func (i *Incarnation) left(born, next string, now time.Time, keep time.Duration) []KeptIncarnation {
	leaving := KeptIncarnation{ID: born, Original: true, Until: now.UTC().Add(keep)}
	if i != nil {
		leaving.ID, leaving.Original = i.ID, i.Original
	}
	var list []KeptIncarnation
	for _, k := range append(i.kept(now), leaving) {
		if k.ID != next {
			list = append(list, k)
		}
	}
	return list
}

// past returns those before once another incarnation takes this one's place.
func (i *Incarnation) past(born, next string, now time.Time) []PastIncarnation {
	leaving := PastIncarnation{ID: born, Left: now.UTC()}
	var list []PastIncarnation
	if i != nil {
		leaving.ID, list = i.ID, slices.Clone(i.Past)
	}
	list = slices.DeleteFunc(append(list, leaving), func(p PastIncarnation) bool { return p.ID == next })
	return list[max(len(list)-pasts, 0):]
}
