// Command agent is PID 1 of every database container, and what Jobs that carry out operations and backups run.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/archive"
	"github.com/xdbcluster/xdbcluster/internal/agent/backup"
	"github.com/xdbcluster/xdbcluster/internal/agent/operate"
	"github.com/xdbcluster/xdbcluster/internal/agent/run"
	"github.com/xdbcluster/xdbcluster/internal/agent/verify"
)

type commands struct {
	Run     runCommand     `cmd:"" help:"Run an instance until told to stop."`
	Archive archiveCommand `cmd:"" name:"pgbackrest-archive" help:"Take a segment of the write-ahead log to the repository: PostgreSQL's archive_command."`
	Operate operateCommand `cmd:"" help:"Carry out the operation that the environment holds, once."`
	Backup  backupCommand  `cmd:"" help:"Take the backup that the environment holds, once."`
	Verify  verifyCommand  `cmd:"" help:"Try a backup as the environment says, once."`
}

type runCommand struct{}

func (runCommand) Run(ctx context.Context) error {
	agent, err := agent(ctx)
	if err != nil {
		return err
	}
	return agent.Run(ctx)
}

func agent(ctx context.Context) (*run.Agent, error) {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	return run.New(ctx, run.Environment{
		Pod:         os.Getenv(instance.EnvPodName),
		Namespace:   os.Getenv(instance.EnvPodNamespace),
		PodIP:       os.Getenv(instance.EnvPodIP),
		PodUID:      os.Getenv(instance.EnvPodUID),
		Node:        os.Getenv(instance.EnvNodeName),
		Incarnation: os.Getenv(instance.EnvIncarnation),
	}, log)
}

type archiveCommand struct {
	Segment string `arg:"" help:"The segment's file."`
}

func (c archiveCommand) Run(ctx context.Context) error {
	return archive.Push(ctx, archive.Folder(), c.Segment, time.Now())
}

type backupCommand struct{}

func (backupCommand) Run(ctx context.Context) error {
	task := instance.BackupTask{}
	if err := json.Unmarshal([]byte(os.Getenv(instance.EnvBackup)), &task); err != nil {
		return fmt.Errorf("cannot parse the backup in %s: %w", instance.EnvBackup, err)
	}
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	taker, err := backup.New(task, os.Getenv(instance.EnvPodNamespace), os.Getenv(instance.EnvPodName), log)
	if err != nil {
		return err
	}
	return taker.Run(ctx)
}

type verifyCommand struct{}

func (verifyCommand) Run(ctx context.Context) error {
	task := instance.VerificationTask{}
	if err := json.Unmarshal([]byte(os.Getenv(instance.EnvVerification)), &task); err != nil {
		return fmt.Errorf("cannot parse the verification in %s: %w", instance.EnvVerification, err)
	}
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	verifier, err := verify.New(task, os.Getenv(instance.EnvPodNamespace), os.Getenv(instance.EnvPodName), log)
	if err != nil {
		return err
	}
	return verifier.Run(ctx)
}

type operateCommand struct{}

func (operateCommand) Run(ctx context.Context) error {
	operation := instance.Operation{}
	if err := json.Unmarshal([]byte(os.Getenv(instance.EnvOperation)), &operation); err != nil {
		return fmt.Errorf("cannot parse the operation in %s: %w", instance.EnvOperation, err)
	}
	password, err := os.ReadFile(filepath.Join(instance.FolderCredentials, instance.KeyRewindPassword))
	if err != nil {
		return fmt.Errorf("cannot read the password: %w", err)
	}
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	operator, err := operate.New(operation, os.Getenv(instance.EnvPodNamespace), os.Getenv(instance.EnvPodName), string(password), log)
	if err != nil {
		return err
	}
	return operator.Run(ctx)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	k := kong.Parse(&commands{}, kong.Description("Run one instance of a database cluster, carry out an operation on it, back it up, or try a backup."))
	k.BindTo(ctx, (*context.Context)(nil))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // The process ends; there is nothing to stop listening to.
	}
}
