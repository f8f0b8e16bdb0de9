// Package verify tries a backup: it restores it into a directory that is thrown away, starts PostgreSQL on it, and looks through
// all of it. It asks the running cluster for nothing. It can be killed at any point: what it has found to be damaged is marked in
// the repository, and what it did not write down is done again.
package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/internal/agent/archive"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/pgbackrest"
	"github.com/xdbcluster/xdbcluster/internal/agent/repository"
	"github.com/xdbcluster/xdbcluster/internal/agent/restore"
)

const (
	// tick is how often a verification that waits looks again, and retry how long it waits after something failed.
	tick  = 2 * time.Second
	retry = 20 * time.Second

	// patience is how long it waits for what must come by itself. Others' work on the repository is waited for however long it
	// takes.
	patience = time.Hour
)

// A Verifier tries one backup.
type Verifier struct {
	task    instance.VerificationTask
	cluster naming.Cluster
	lock    *repository.Lock
	kube    *kube.Client
	draw    lot
	log     *slog.Logger
	said    string
}

// New returns the verifier of a task, which runs in a Pod.
func New(task instance.VerificationTask, namespace, pod string, log *slog.Logger) (*Verifier, error) {
	cluster := naming.Cluster{Namespace: namespace, Name: task.Cluster}
	client, err := kube.New(cluster, pod)
	if err != nil {
		return nil, err
	}
	return &Verifier{task: task, cluster: cluster, lock: repository.NewLock(client, pod, log), kube: client, draw: rand.Uint64N, log: log}, nil
}

// A place is all that is needed to try a backup. Whoever has one has the repository's lock.
type place struct {
	Mounted     archive.Mounted
	Incarnation string
	Since       time.Time // That WAL is archived without gaps.
	Known       kube.Known
}

func (p place) repository() string { return p.Mounted.Repository.ID() }

// Run returns when the outcome is written down. An error means that the Pod is to be started again.
func (v *Verifier) Run(ctx context.Context) error {
	began, f := time.Now(), findings{}
	for {
		p, waits, err := v.wait(ctx)
		switch {
		case err != nil:
			return err
		case p == nil && waits == "":
			v.log.Info("It was tried before")
			return nil
		case p == nil:
			f.Failures, f.Failed = tries, "it has waited for "+patience.String()+". "+strings.TrimSuffix(waits, ".")
			return v.finish(ctx, began, &f)
		}
		next, err := v.try(ctx, *p, &f)
		if err != nil {
			return err
		}
		if next == condemn && v.condemn(ctx, &f) {
			continue
		}
		if next != repeat {
			return v.finish(ctx, began, &f)
		}
		if err := pause(ctx, retry); err != nil {
			return err
		}
	}
}

// wait returns what is needed, and the repository's lock with it. It returns nothing when the task was carried out before, and
// nothing with what is waited for when that took too long.
func (v *Verifier) wait(ctx context.Context) (*place, string, error) {
	for began := time.Now(); ; {
		p, waits, err := v.prepare(ctx)
		if err != nil {
			return nil, "", err
		}
		if waits == "" && p.Known.Verifications.Handles(v.task, p.repository()) {
			return nil, "", nil
		}
		if waits == "" {
			if waits = v.lock.Take(ctx); waits == "" {
				return p, "", nil
			}
			began = time.Now()
		}
		if waits != v.said {
			v.said = waits
			v.log.Info(waits)
		}
		if time.Since(began) > patience {
			return nil, waits, nil
		}
		if err := pause(ctx, tick); err != nil {
			return nil, "", err
		}
	}
}

// prepare returns what is waited for as long as something is missing.
func (v *Verifier) prepare(ctx context.Context) (*place, string, error) {
	mounted, err := archive.ReadMounted(instance.FolderRepository)
	if err != nil {
		return nil, "", err
	}
	known, err := v.kube.Known(ctx)
	if err != nil {
		return nil, "The API server does not answer: " + err.Error() + ".", nil //nolint:nilerr // It is waited for.
	}
	record, _, err := v.kube.Ledger(ctx)
	if err != nil {
		return nil, "The API server does not answer: " + err.Error() + ".", nil //nolint:nilerr // It is waited for.
	}
	if mounted == nil {
		return nil, "Waiting for the BackupPlan.", nil
	}
	if record.Archive == nil || record.Birth == nil || record.Archive.Repository != mounted.Repository.ID() {
		return nil, "Waiting for the first WAL in the repository.", nil
	}
	return &place{Mounted: *mounted, Incarnation: record.Birth.Incarnation, Since: record.Archive.Since, Known: known}, "", nil
}

// try restores what is to be tried, while the repository is locked: nothing that it needs may be removed meanwhile. Then it looks
// through it.
func (v *Verifier) try(ctx context.Context, p place, f *findings) (step, error) {
	held, release := v.lock.Hold(ctx)
	t, label, err := v.restore(held, p, f)
	if err != nil && context.Cause(held) != nil {
		err = context.Cause(held)
	}
	release()
	if err == nil && t == (trial{}) {
		return end, nil
	}
	var checks []string
	if err == nil {
		checks, err = v.checker().check(ctx)
	}
	if ctx.Err() != nil {
		return end, ctx.Err()
	}
	next := f.take(t, label, checks, err)
	if err != nil {
		v.log.Warn("A backup was tried, and something is wrong", "backup", label, "target", t.target(), "error", err.Error())
	}
	if f.Sound {
		v.tell(ctx, p, label)
	}
	return next, nil
}

// restore restores what is to be tried, and says what that is. It says nothing when there is none, or that cannot be told.
func (v *Verifier) restore(ctx context.Context, p place, f *findings) (trial, string, error) {
	stanza, err := v.info(ctx, p)
	if err != nil {
		return f.Next, "", err
	}
	for _, b := range foundBy(stanza, v.task) {
		f.remember(b.Label)
	}
	t := f.Next
	if t == (trial{}) {
		t = choose(stanza, p.Since, v.task, p.Known.Verifications.Count, v.draw)
	}
	if t == (trial{}) {
		return t, "", nil
	}
	v.log.Info("A backup is tried", "backup", t.Label, "target", t.target())
	label, err := v.restorer(t.wanted(v.cluster, p.Incarnation)).Restore(ctx)
	return t, label, err
}

// condemn marks the backup that was found last to be damaged, and says whether it is: only then another one can be tried.
func (v *Verifier) condemn(ctx context.Context, f *findings) bool {
	wrong := &f.Damaged[len(f.Damaged)-1]
	for failed := 1; ; failed++ {
		err := v.mark(ctx, *wrong)
		if err == nil {
			return true
		}
		v.log.Warn("A damaged backup cannot be marked", "backup", wrong.Label, "error", err.Error())
		if failed == tries || ctx.Err() != nil {
			wrong.Unmarked = err.Error()
			return false
		}
		if err := pause(ctx, retry); err != nil {
			return false
		}
	}
}

// mark marks a backup as damaged, where everybody finds it who restores, and lets everybody know.
func (v *Verifier) mark(ctx context.Context, wrong finding) error {
	p, waits, err := v.wait(ctx)
	if err != nil {
		return err
	}
	if p == nil {
		return errors.New(waits)
	}
	held, release := v.lock.Hold(ctx)
	defer release()
	program, err := v.program(*p)
	if err != nil {
		return err
	}
	if _, err := program.Run(held, "annotate", "--set="+wrong.Label, "--annotation="+pgbackrest.AnnotationDamaged+"="+mark(v.task)); err != nil {
		return err
	}
	v.log.Warn("A backup is marked as damaged", "backup", wrong.Label)
	stanza, err := program.Info(held)
	if err != nil {
		return err
	}
	if err := v.kube.WriteInventory(held, repository.Inventory(p.repository(), stanza)); err != nil {
		return err
	}
	said := dependants(stanza)
	if b := stanza.Find(wrong.Label); b != nil {
		said[b.Annotations[pgbackrest.AnnotationName]] = wrong.Cause
	}
	for name, message := range said {
		v.tellBackup(held, name, v1alpha1.VerificationDamaged, message)
	}
	return nil
}

// tell lets a backup's claim know that it is sound.
func (v *Verifier) tell(ctx context.Context, p place, label string) {
	for _, b := range p.Known.Inventory.Backups {
		if b.Label == label {
			v.tellBackup(ctx, b.Name, v1alpha1.VerificationSucceeded, "It was restored, started and looked through, and nothing is wrong with it.")
		}
	}
}

// tellBackup lets a claim know what came of trying its backup. A backup of an earlier version has no name.
func (v *Verifier) tellBackup(ctx context.Context, name string, result v1alpha1.VerificationResult, message string) {
	if name == "" {
		return
	}
	report := naming.Operation{Namespace: v.cluster.Namespace, Kind: strings.ToLower(v1alpha1.KindBackup), Name: name}.Objects()
	said := instance.BackupVerification{Time: time.Now().UTC().Truncate(time.Second), Result: result, Message: message}
	if err := v.kube.WriteBackupVerification(ctx, report, said); err != nil {
		v.log.Warn("Cannot report what came of trying a backup", "backup", name, "error", err.Error())
	}
}

// finish writes the outcome down, however long that takes: until then it would all be done again.
func (v *Verifier) finish(ctx context.Context, began time.Time, f *findings) error {
	outcome := f.outcome(began, time.Now())
	v.log.Info("The verification has ended", "result", string(outcome.Result), "backup", outcome.Label, "took", outcome.Duration, "message", outcome.Message)
	for {
		err := v.write(ctx, outcome)
		if err == nil {
			return nil
		}
		v.log.Warn("Cannot write the outcome down; it is tried again", "error", err.Error())
		if err := pause(ctx, tick); err != nil {
			return err
		}
	}
}

func (v *Verifier) write(ctx context.Context, outcome instance.Verification) error {
	mounted, err := archive.ReadMounted(instance.FolderRepository)
	if err != nil {
		return err
	}
	if mounted == nil {
		return nil // There is no BackupPlan any more.
	}
	known, err := v.kube.Known(ctx)
	if err != nil {
		return err
	}
	return v.kube.WriteVerifications(ctx, known.Verifications.With(mounted.Repository.ID(), outcome))
}

// info asks what is in the repository.
func (v *Verifier) info(ctx context.Context, p place) (pgbackrest.Stanza, error) {
	program, err := v.program(p)
	if err != nil {
		return pgbackrest.Stanza{}, err
	}
	return program.Info(ctx)
}

func (v *Verifier) program(p place) (pgbackrest.Program, error) {
	r := v.restorer(trial{}.wanted(v.cluster, p.Incarnation))
	r.Run = filepath.Join(instance.FolderRun, "verify")
	if err := os.MkdirAll(r.Run, 0o700); err != nil {
		return pgbackrest.Program{}, fmt.Errorf("cannot make the folder that pgBackRest needs: %w", err)
	}
	return r.Program(p.Mounted, p.Incarnation, 1)
}

func (v *Verifier) restorer(wanted instance.Restore) restore.Restorer {
	return restore.New(wanted, instance.FolderRepository, filepath.Join(instance.FolderVolume, "tried"), patroni.BinaryFolder(v.task.Version), v.log)
}

func (v *Verifier) checker() checker {
	r := v.restorer(instance.Restore{})
	return checker{Binaries: r.Binaries, Directory: r.Directory, Run: filepath.Join(instance.FolderRun, "check")}
}

func pause(ctx context.Context, length time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(length):
		return nil
	}
}
