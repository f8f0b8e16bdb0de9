// Package restore makes the database of a new cluster from a backup: it chooses the backup, lets pgBackRest copy it, and lets
// PostgreSQL replay WAL up to the target, before Patroni knows of anything. What it makes is complete, or it is thrown away.
package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	names "github.com/xdbcluster/xdbcluster/functions/pgbackrest"
	"github.com/xdbcluster/xdbcluster/internal/agent/archive"
	"github.com/xdbcluster/xdbcluster/internal/agent/pgbackrest"
)

const (
	// askTime bounds each question about what is in the repository.
	askTime = 2 * time.Minute

	// processes is how many copy at a time.
	processes = 2
)

// ErrNoRepository says that the repository is not known yet.
var ErrNoRepository = errors.New("the BackupPlan that says where the backups are is not there yet")

// A Restorer makes a database from a backup.
type Restorer struct {
	// Wanted is which database.
	Wanted instance.Restore

	// Source is the folder that the repository's Secret is mounted in, Run one for what is only needed meanwhile.
	Source string
	Run    string

	// Directory is where the database is made. What is in it is removed first.
	Directory string

	// Binaries is the folder of PostgreSQL's programs.
	Binaries string

	Log *slog.Logger
}

// New returns the restorer of an instance, with the folder that the repository's Secret is mounted in.
func New(wanted instance.Restore, source, directory, binaries string, log *slog.Logger) Restorer {
	return Restorer{
		Wanted: wanted, Source: source, Run: filepath.Join(instance.FolderRun, "restore"), Directory: directory, Binaries: binaries, Log: log,
	}
}

// Restore returns when the database is complete: a primary that was stopped in order, on a timeline of its own. It says from
// which backup, once that is chosen. An error is a Refusal when what is wanted is not there.
func (r Restorer) Restore(ctx context.Context) (label string, err error) {
	mounted, err := archive.ReadMounted(r.Source)
	if err != nil {
		return "", err
	}
	if mounted == nil {
		return "", ErrNoRepository
	}
	if err := errors.Join(os.RemoveAll(r.Directory), os.MkdirAll(r.Run, 0o700)); err != nil {
		return "", fmt.Errorf("cannot make room for the restored database: %w", err)
	}
	defer os.RemoveAll(r.Run) //nolint:errcheck // It is in memory, and goes with the Pod.
	chosen, err := r.choose(ctx, *mounted)
	if err != nil {
		return "", err
	}
	return chosen.Label, r.build(ctx, *mounted, chosen)
}

// build makes the database from the backup that was chosen.
func (r Restorer) build(ctx context.Context, mounted archive.Mounted, chosen Choice) error {
	program, err := r.Program(mounted, chosen.Incarnation, processes)
	if err != nil {
		return err
	}
	r.Log.Info("A backup is restored", "cluster", r.Wanted.Namespace+"/"+r.Wanted.Cluster, "incarnation", chosen.Incarnation, "backup", chosen.Label)
	began := time.Now()
	if err := os.MkdirAll(r.Directory, 0o700); err != nil {
		return fmt.Errorf("cannot make the data directory: %w", err)
	}
	if _, err := program.Run(ctx, "restore", "--set="+chosen.Label, "--type=none"); err != nil {
		return fmt.Errorf("cannot copy the backup %s: %w", chosen.Label, err)
	}
	r.Log.Info("The backup is copied, and WAL is replayed", "took", time.Since(began).String())
	if err := r.recover(ctx, program.Config, chosen.Label); err != nil {
		return err
	}
	r.Log.Info("The database is restored", "took", time.Since(began).String())
	return nil
}

// Find returns the backup that a restore would begin with, and touches nothing. An error is a Refusal when what is wanted is not
// there.
func (r Restorer) Find(ctx context.Context) (Choice, error) {
	var chosen Choice
	err := r.ask(func(mounted archive.Mounted) (err error) {
		chosen, err = r.choose(ctx, mounted)
		return err
	})
	return chosen, err
}

// Look returns what there is of the cluster in the repository. Nil when there is no backup.
func (r Restorer) Look(ctx context.Context) (*Kept, error) {
	var there *Kept
	err := r.ask(func(mounted archive.Mounted) error {
		found, err := r.list(ctx, mounted)
		there = kept(found)
		return err
	})
	return there, err
}

// ask asks the repository, and touches nothing.
func (r Restorer) ask(question func(archive.Mounted) error) error {
	mounted, err := archive.ReadMounted(r.Source)
	if err != nil {
		return err
	}
	if mounted == nil {
		return ErrNoRepository
	}
	if err := os.MkdirAll(r.Run, 0o700); err != nil {
		return fmt.Errorf("cannot make room for pgBackRest's configuration: %w", err)
	}
	defer os.RemoveAll(r.Run) //nolint:errcheck // It is in memory, and goes with the Pod.
	return question(*mounted)
}

func (r Restorer) choose(ctx context.Context, mounted archive.Mounted) (Choice, error) {
	found, err := r.list(ctx, mounted)
	if err != nil {
		return Choice{}, err
	}
	return choose(r.Wanted, found, time.Now())
}

// list looks at all incarnations of the cluster that are in the repository.
func (r Restorer) list(ctx context.Context, mounted archive.Mounted) (map[string]pgbackrest.Stanza, error) {
	above, err := r.Program(mounted, "", 1)
	if err != nil {
		return nil, err
	}
	ask, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	listed, err := above.Run(ask, "repo-ls")
	if err != nil {
		return nil, fmt.Errorf("cannot list the repository: %w", err)
	}
	found := map[string]pgbackrest.Stanza{}
	for incarnation := range strings.FieldsSeq(listed) {
		program, err := r.Program(mounted, incarnation, 1)
		if err != nil {
			return nil, err
		}
		stanza, err := program.Info(ask)
		if err != nil {
			return nil, fmt.Errorf("cannot look at the incarnation %s: %w", incarnation, err)
		}
		if err := program.LookUpArchived(ask, &stanza); err != nil {
			return nil, fmt.Errorf("cannot look at the archive of the incarnation %s: %w", incarnation, err)
		}
		found[incarnation] = stanza
	}
	return found, nil
}

// Program is pgBackRest for the repository of an incarnation. Without one it is for what is above them all. Run must be there.
func (r Restorer) Program(mounted archive.Mounted, incarnation string, processes int) (pgbackrest.Program, error) {
	source := naming.Cluster{Namespace: r.Wanted.Namespace, Name: r.Wanted.Cluster}
	config, err := names.Settings{
		Repository: mounted.Repository, Path: names.Path(mounted.Repository.Prefix, source, incarnation), Secrets: mounted.Secrets,
		Folder: r.Source, Run: r.Run, Processes: processes, Instances: []names.Instance{{DataDirectory: r.Directory}},
	}.Render()
	if err != nil {
		return pgbackrest.Program{}, err
	}
	program := pgbackrest.Program{Config: filepath.Join(r.Run, "pgbackrest-"+incarnation+".conf")}
	if err := os.WriteFile(program.Config, config, 0o600); err != nil {
		return pgbackrest.Program{}, fmt.Errorf("cannot write pgBackRest's configuration: %w", err)
	}
	return program, nil
}
