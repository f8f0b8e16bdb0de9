package verify

import (
	"fmt"
	"slices"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/internal/agent/pgbackrest"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
)

// A trial is what is to be restored: a backup to its end, or to a position in the WAL from the newest backup before it. The zero
// one is none.
type trial struct {
	Label string
	LSN   string
}

// wanted is the trial as a restore.
func (t trial) wanted(c naming.Cluster, incarnation string) instance.Restore {
	return instance.Restore{Namespace: c.Namespace, Cluster: c.Name, Incarnation: incarnation, Backup: t.Label, LSN: t.LSN}
}

// target says in words up to where is restored.
func (t trial) target() string {
	if t.LSN != "" {
		return "to " + t.LSN
	}
	return "to the end of the backup"
}

// A lot draws a number below n.
type lot func(n uint64) uint64

// choose returns the next trial. It is the newest backup, or in turn a point in the recovery window, where every moment is
// offered. When this verification has found a backup damaged, it is the one that that continues: what is damaged may be in there.
// A position is a point that can be reached on a database that nobody has written to, unlike a time.
func choose(s pgbackrest.Stanza, since time.Time, task instance.VerificationTask, count int, draw lot) trial {
	if found := foundBy(s, task); len(found) > 0 {
		prior := s.Find(found[0].Prior)
		if prior == nil || prior.Damaged {
			return trial{}
		}
		return trial{Label: prior.Label}
	}
	usable := slices.DeleteFunc(s.Sound(), func(b pgbackrest.Backup) bool { return b.Start.Before(since.Truncate(time.Second)) })
	if len(usable) == 0 {
		return trial{}
	}
	if begin, end, ok := window(usable, s.LastWAL); ok && task.Points && count%2 == 1 {
		return trial{LSN: postgres.FormatPosition(begin + draw(end-begin))}
	}
	return trial{Label: usable[len(usable)-1].Label}
}

// mark is how a backup is marked that a verification has found to be damaged.
func mark(task instance.VerificationTask) string { return task.Due.UTC().Format(time.RFC3339) }

// foundBy returns the backups that a verification has found to be damaged, the oldest first.
func foundBy(s pgbackrest.Stanza, task instance.VerificationTask) []pgbackrest.Backup {
	return slices.DeleteFunc(slices.Clone(s.Backups), func(b pgbackrest.Backup) bool {
		return b.Annotations[pgbackrest.AnnotationDamaged] != mark(task)
	})
}

// window is what can be restored, as positions in the WAL: from the end of the oldest backup to where the newest segment that is
// archived begins.
func window(usable []pgbackrest.Backup, lastWAL string) (begin, end uint64, ok bool) {
	begin, errBegin := postgres.ParsePosition(usable[0].LSN[1])
	end, errEnd := postgres.SegmentStart(lastWAL)
	return begin, end, errBegin == nil && errEnd == nil && begin < end
}

// dependants returns the backups that are damaged only because one that they continue is, with what to say of them.
func dependants(s pgbackrest.Stanza) map[string]string {
	said := map[string]string{}
	for _, b := range s.Backups {
		if b.Damaged && b.Annotations[pgbackrest.AnnotationDamaged] == "" {
			said[b.Annotations[pgbackrest.AnnotationName]] = fmt.Sprintf("It continues %s, which is damaged.", b.Prior)
		}
	}
	delete(said, "")
	return said
}
