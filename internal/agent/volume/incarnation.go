package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// become puts the data directory of another incarnation in the place of the current one, which is kept beside it. Both are only
// named otherwise: nothing is copied, and nothing of either is touched.
func (v *Volume) become(wanted instance.Incarnation) error {
	next := Identity{Incarnation: wanted.ID, Record: &wanted}
	for _, k := range v.leaving(wanted) {
		if k.ID == wanted.ID {
			next.Incarnation, next.SystemIdentifier, next.Born = k.Folder, k.SystemIdentifier, k.Born
			continue
		}
		next.Kept = append(next.Kept, k)
	}
	if err := v.update(func(id *Identity) { *id = next }); err != nil {
		return err
	}
	return v.makeFolder()
}

// leaving returns all data directories that are on the volume, with until when each is kept as the incarnation that is wanted
// says. What it does not know was to be removed already.
func (v *Volume) leaving(wanted instance.Incarnation) []Kept {
	current := Kept{Folder: v.identity.Incarnation, SystemIdentifier: v.identity.SystemIdentifier, Born: v.identity.Born}
	if v.identity.Record != nil {
		current.ID, current.Original = v.identity.Record.ID, v.identity.Record.Original
	} else if born := slices.IndexFunc(wanted.Kept, func(k instance.KeptIncarnation) bool { return k.Original }); born >= 0 {
		current.ID, current.Original = wanted.Kept[born].ID, true
	} else if wanted.Original {
		current.ID, current.Original = wanted.ID, true
	}
	all := append(slices.Clone(v.identity.Kept), current)
	for i := range all {
		all[i].Until = time.Time{}
		for _, k := range wanted.Kept {
			if k.ID == all[i].ID {
				all[i].Until = k.Until
			}
		}
	}
	return all
}

// RemoveExpired removes the data directories that are not kept any longer, and returns the incarnations that they were of.
func (v *Volume) RemoveExpired(now time.Time) ([]string, error) {
	identity := v.Identity()
	var removed []string
	var errs []error
	for _, k := range identity.Kept {
		if k.Until.After(now) || k.Folder == identity.Incarnation {
			continue
		}
		if err := v.remove(k); err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, k.ID)
	}
	return removed, errors.Join(errs...)
}

// remove takes a data directory's name off the volume only when nothing of it is left.
func (v *Volume) remove(k Kept) error {
	if err := os.RemoveAll(filepath.Join(v.folder, k.Folder)); err != nil {
		return fmt.Errorf("cannot remove the data of the incarnation %s: %w", k.ID, err)
	}
	return v.update(func(id *Identity) {
		id.Kept = slices.DeleteFunc(slices.Clone(id.Kept), func(other Kept) bool { return other.Folder == k.Folder })
	})
}
