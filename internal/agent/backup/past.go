package backup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/archive"
	"github.com/xdbcluster/xdbcluster/internal/agent/pgbackrest"
	"github.com/xdbcluster/xdbcluster/internal/agent/restore"
)

// expirePast removes what the plan does not need any more of incarnations whose place a restore took: no backup of theirs follows
// that would do so. What cannot be removed now is with the next backup.
func (t *Taker) expirePast(ctx context.Context, p preparation, now time.Time) {
	if p.Incarnation == nil {
		return
	}
	for _, past := range p.Incarnation.Past {
		if err := t.expire(ctx, p, past, now); err != nil {
			t.log.Warn("Cannot remove old backups of an incarnation before; it is tried again with the next backup", "incarnation", past.ID, "error", err.Error())
		}
	}
}

// expire leaves to pgBackRest what of an incarnation may still be needed. Of one that was left before the recovery window began
// nothing is; it goes as a whole, unless it can still be brought back and would go on archiving there.
func (t *Taker) expire(ctx context.Context, p preparation, past instance.PastIncarnation, now time.Time) error {
	program, err := t.programOf(p, past.ID)
	if err != nil {
		return err
	}
	stanza, err := program.Info(ctx)
	days := p.Mounted.Repository.RetainDays
	needed := past.Left.Add(time.Duration(days)*day).After(now) || p.Incarnation.Keeps(past.ID, now)
	switch {
	case err != nil && (needed || !pgbackrest.IsIncomplete(err)): // What is incomplete may be what is left of a removal.
		return err
	case err == nil && !stanza.There:
		return nil
	case needed:
		_, err := program.Run(ctx, "expire", retention(stanza, days, now))
		return err
	}
	// pgBackRest deletes a stanza only when it was told that nobody on this host uses it any more.
	if _, err := program.Run(ctx, "stop"); err != nil {
		return err
	}
	if _, err := program.Run(ctx, "stanza-delete"); err != nil {
		return err
	}
	t.log.Info("The backups of an incarnation before were removed", "incarnation", past.ID, "left", past.Left)
	return nil
}

// programOf is pgBackRest for an incarnation of which there is only the repository. Its folder is its own: that it was told to stop
// must concern no other.
func (t *Taker) programOf(p preparation, incarnation string) (pgbackrest.Program, error) {
	folder := filepath.Join(archive.Folder(), "past", incarnation)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return pgbackrest.Program{}, fmt.Errorf("cannot make room for pgBackRest's configuration: %w", err)
	}
	return restore.Restorer{
		Wanted: instance.Restore{Namespace: t.cluster.Namespace, Cluster: t.cluster.Name},
		Source: instance.FolderRepository, Directory: filepath.Join(folder, "pgdata"), Run: folder,
	}.Program(*p.Mounted, incarnation, 1)
}
