// Package archive takes the write-ahead log (WAL) of an instance to the repository of its BackupPlan: the command that PostgreSQL
// calls for each segment, and the archivist, a part of the agent that sees to it that the command knows where to, that the
// repository is there, and that people are told when it does not take what it is given.
package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// Names of files in the folder that archivist and command share. It is in memory: some of them hold credentials.
const (
	// fileConfig is pgBackRest's configuration that is in force, fileCandidate one that is being tried, and fileServer its
	// server's.
	fileConfig    = "pgbackrest.conf"
	fileCandidate = "candidate.conf"
	fileServer    = "server.conf"

	// fileDiscard says that nobody wants the WAL: there is no BackupPlan, or none that has ever worked. It counts as archived,
	// or it would fill the volume. Only the archivist says so; while it has said nothing, WAL is kept.
	fileDiscard = "discard"

	// fileFailure says since when the command fails, and why.
	fileFailure = "failure.json"
)

// Folder is the folder that archivist and command share.
func Folder() string { return filepath.Join(instance.FolderRun, "pgbackrest") }

// A Mounted is the Secret of a repository as it is mounted.
type Mounted struct {
	Repository instance.Repository
	Revision   string
	Secrets    map[string][]byte
}

// ReadMounted returns what is mounted in a folder. Nil when nothing is.
func ReadMounted(folder string) (*Mounted, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list the repository's Secret: %w", err)
	}
	m := &Mounted{Secrets: map[string][]byte{}}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue // The kubelet's own: it replaces all keys in one step.
		}
		raw, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("cannot read the repository's Secret: %w", err)
		}
		m.Secrets[entry.Name()] = raw
	}
	if len(m.Secrets) == 0 {
		return nil, nil
	}
	m.Revision = string(m.Secrets[instance.KeyRepositoryRevision])
	if err := json.Unmarshal(m.Secrets[instance.KeyRepository], &m.Repository); err != nil {
		return nil, fmt.Errorf("cannot parse %s of the repository's Secret: %w", instance.KeyRepository, err)
	}
	return m, nil
}

// A failure is since when the command fails, and why.
type failure struct {
	Since time.Time `json:"since"`
	Count int       `json:"count"`
	Cause string    `json:"cause"`
}

// readFailure returns nil when the last segment was archived.
func readFailure(folder string) *failure {
	raw, err := os.ReadFile(filepath.Join(folder, fileFailure))
	if err != nil {
		return nil
	}
	f := &failure{}
	if err := json.Unmarshal(raw, f); err != nil {
		return nil
	}
	return f
}

// replace writes a file in one step: whoever reads it sees all of it, or all of the one before.
func replace(name string, content []byte) error {
	if err := os.WriteFile(name+".new", content, 0o600); err != nil {
		return fmt.Errorf("cannot write %q: %w", name, err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("cannot replace %q: %w", name, err)
	}
	return nil
}

func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove %q: %w", name, err)
	}
	return nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
