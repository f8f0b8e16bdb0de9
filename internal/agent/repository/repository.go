// Package repository is what all have in common that change a cluster's repository, or read in it what others may remove: they
// hold its lock meanwhile, and write down what is in it.
package repository

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/pgbackrest"
)

const (
	// life is how long the lock lasts that is not renewed, and renewal how often it is.
	life    = time.Minute
	renewal = 10 * time.Second
)

// A Keeper keeps the lock of a repository.
type Keeper interface {
	// TakeRepository takes or renews it, and says who has it otherwise.
	TakeRepository(ctx context.Context, holder string, lifetime time.Duration, now time.Time) (other string, err error)

	// ReleaseRepository gives it up.
	ReleaseRepository(ctx context.Context, holder string, now time.Time) error
}

// A Lock is the lock of a repository, of which there is one holder at a time.
type Lock struct {
	keeper  Keeper
	holder  string
	log     *slog.Logger
	renewal time.Duration
}

// NewLock returns the lock of a repository, for a holder of that name.
func NewLock(keeper Keeper, holder string, log *slog.Logger) *Lock {
	return &Lock{keeper: keeper, holder: holder, log: log, renewal: renewal}
}

// Take takes the lock. It returns what is waited for when it cannot be had now.
func (l *Lock) Take(ctx context.Context) (waits string) {
	other, err := l.keeper.TakeRepository(ctx, l.holder, life, time.Now())
	switch {
	case err != nil:
		return "Waiting for the repository's lock: " + err.Error() + "."
	case other != "":
		return fmt.Sprintf("Waiting for the repository, which %s uses now.", other)
	}
	return ""
}

// Hold renews the lock, which was taken, until it is released. The context that it returns ends when the lock is lost: somebody
// else may change the repository then.
func (l *Lock) Hold(ctx context.Context) (context.Context, func()) {
	held, lose := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		renewed := time.Now()
		for {
			select {
			case <-done:
				return
			case <-time.After(l.renewal):
			}
			now := time.Now()
			other, err := l.keeper.TakeRepository(ctx, l.holder, life, now)
			switch {
			case other != "":
				lose(fmt.Errorf("the repository's lock was lost to %s", other))
				return
			case err == nil:
				renewed = now
			case now.Sub(renewed) > life-l.renewal:
				lose(fmt.Errorf("the repository's lock could not be renewed: %w", err))
				return
			}
		}
	}()
	return held, func() {
		close(done)
		lose(nil)
		l.release(ctx)
	}
}

// Keep takes and renews the lock until it is released, and takes it again when it was lost: for what only reads, and goes on without
// it.
func (l *Lock) Keep(ctx context.Context) (release func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if waits := l.Take(ctx); waits != "" {
				l.log.Warn("It goes on without the repository's lock, and what it reads may expire", "message", waits)
			}
			select {
			case <-done:
				return
			case <-time.After(l.renewal):
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		l.release(ctx)
	}
}

func (l *Lock) release(ctx context.Context) {
	if err := l.keeper.ReleaseRepository(context.WithoutCancel(ctx), l.holder, time.Now()); err != nil {
		l.log.Warn("Cannot release the repository's lock; it runs out", "error", err.Error())
	}
}

// Inventory returns what is in a repository, by its ID.
func Inventory(id string, s pgbackrest.Stanza) instance.Inventory {
	inventory := instance.Inventory{Repository: id}
	for _, b := range s.Backups {
		inventory.Backups = append(inventory.Backups, instance.StoredBackup{
			Label: b.Label, Type: b.Type, Start: b.Start, Stop: b.Stop, Size: b.Repository, Name: b.Annotations[pgbackrest.AnnotationName], Damaged: b.Damaged,
		})
	}
	return inventory
}
