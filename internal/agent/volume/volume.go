// Package volume guards an instance's data volume: one agent at a time, and never an empty database where data was.
package volume

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

const (
	lockFile     = ".lock"
	identityFile = "identity.json"
	dataFolder   = "pgdata"
)

// lockInterval is how often a waiting agent tries again.
const lockInterval = 200 * time.Millisecond

// ErrNotOurs says that a volume holds something, but not what the agent left on it. Starting there could hide or destroy
// somebody's data.
var ErrNotOurs = errors.New("the volume is not empty and has no " + identityFile)

// ErrDataMissing says that a database was born on a volume and is not there any more.
var ErrDataMissing = errors.New("the database that was born on the volume is not there")

// ErrOtherVersion says that the data directory was made by another major version of PostgreSQL.
var ErrOtherVersion = errors.New("the data directory was made by another major version of PostgreSQL")

// ErrOlderIncarnation says that a volume was used by a later incarnation than the Pod's.
var ErrOlderIncarnation = errors.New("the volume was used by a later incarnation of the cluster than this Pod's")

// An Identity says which data directory of a volume is the current one.
type Identity struct {
	// Incarnation names the folder that holds the data directory.
	Incarnation string `json:"incarnation"`

	// Record is the cluster's incarnation that the data directory belongs to. Nil for the one that the cluster was born with: each
	// volume then has its own name for the folder.
	Record *instance.Incarnation `json:"record,omitempty"`

	// Kept are the data directories of other incarnations.
	Kept []Kept `json:"kept,omitempty"`

	// SystemIdentifier is the one that initdb gave the database. Empty until the database was born.
	SystemIdentifier string `json:"systemIdentifier,omitempty"`

	// Born is when the database answered first.
	Born *time.Time `json:"born,omitempty"`
}

// A Kept data directory is that of an incarnation that can be brought back.
type Kept struct {
	instance.KeptIncarnation

	// Folder that holds it.
	Folder string `json:"folder"`

	SystemIdentifier string     `json:"systemIdentifier,omitempty"`
	Born             *time.Time `json:"born,omitempty"`
}

// A Volume is an instance's data volume, held by this process.
type Volume struct {
	folder string

	mu       sync.Mutex
	identity Identity
}

// Lock takes a volume for the life of the process. It waits while another process has it: a StatefulSet gives a Pod that
// was deleted by force a successor at once, while the old container may live on with the same volume mounted. The file is
// never closed, so the kernel lets the lock go when the process ends, and not before. It is no os.File, which the garbage
// collector would close.
func Lock(ctx context.Context, folder string, waiting func()) error {
	file, err := unix.Open(filepath.Join(folder, lockFile), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open the lock of the data volume: %w", err)
	}
	for told := false; ; {
		err := unix.Flock(file, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("cannot lock the data volume: %w", err)
		}
		if !told {
			waiting()
			told = true
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot lock the data volume: %w", ctx.Err())
		case <-time.After(lockInterval):
		}
	}
}

// Open finds the data directory of an incarnation on a locked volume, which is nil for the one that the cluster was born with. On
// a volume that does not have it, it makes room. The volume is returned with ErrDataMissing and ErrOlderIncarnation, too.
func Open(folder, version string, wanted *instance.Incarnation, rand io.Reader) (*Volume, error) {
	v := &Volume{folder: folder}
	raw, err := os.ReadFile(filepath.Join(folder, identityFile)) //nolint:gosec // The instance's own volume.
	if errors.Is(err, fs.ErrNotExist) {
		return v, v.begin(wanted, rand)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the volume's identity: %w", err)
	}
	if err := json.Unmarshal(raw, &v.identity); err != nil {
		return nil, fmt.Errorf("cannot parse the volume's identity: %w", err)
	}
	if v.identity.Record.At() > wanted.At() {
		return v, ErrOlderIncarnation
	}
	if v.identity.Record.At() < wanted.At() {
		if err := v.become(*wanted); err != nil {
			return nil, err
		}
	}
	return v, v.check(version)
}

// DataDirectory is where PostgreSQL's data is, or is to be.
func (v *Volume) DataDirectory() string {
	return filepath.Join(v.folder, v.Identity().Incarnation, dataFolder)
}

// MakingDirectory is where a database is made that takes some time, beside DataDirectory.
func (v *Volume) MakingDirectory() string { return v.DataDirectory() + ".making" }

// Adopt puts the database that was made in MakingDirectory in the place of the data directory, which must be empty, in one step
// that survives a crash.
func (v *Volume) Adopt() error {
	if v.Identity().SystemIdentifier != "" {
		return fmt.Errorf("cannot put another database in place: the database %s was born on the volume", v.Identity().SystemIdentifier)
	}
	if err := os.Rename(v.MakingDirectory(), v.DataDirectory()); err != nil {
		return fmt.Errorf("cannot put the database in place: %w", err)
	}
	return syncFolder(filepath.Dir(v.DataDirectory()))
}

// Identity says what is on the volume.
func (v *Volume) Identity() Identity {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.identity
}

// update changes the identity on the volume, and then here.
func (v *Volume) update(change func(*Identity)) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	next := v.identity
	change(&next)
	if err := v.write(next); err != nil {
		return err
	}
	v.identity = next
	return nil
}

// HasDatabase says whether there is a database in the data directory. A copy that was interrupted has none: its control
// file is the last that pg_basebackup writes.
func (v *Volume) HasDatabase() (bool, error) {
	_, err := os.Stat(filepath.Join(v.DataDirectory(), "global", "pg_control"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot look for a database in the data directory: %w", err)
	}
	return true, nil
}

// Forget gives up the database that was born on a volume and is not there any more, so that it can be copied from another
// instance. It refuses to give up one that is there.
func (v *Volume) Forget() error {
	there, err := v.HasDatabase()
	if err != nil {
		return err
	}
	if there {
		return fmt.Errorf("cannot give up the database %s: it is there", v.identity.SystemIdentifier)
	}
	if err := v.update(func(id *Identity) { id.SystemIdentifier, id.Born = "", nil }); err != nil {
		return err
	}
	return v.Clear()
}

// Clear removes what is in the data directory of a database whose birth was interrupted. It refuses to touch one that was
// born.
func (v *Volume) Clear() error {
	if v.identity.SystemIdentifier != "" {
		return fmt.Errorf("cannot clear the data directory: the database %s was born in it", v.identity.SystemIdentifier)
	}
	if err := os.RemoveAll(v.DataDirectory()); err != nil {
		return fmt.Errorf("cannot clear the data directory: %w", err)
	}
	return nil
}

// RecordBirth writes down that the database has answered. From then on a missing data directory is an error. It does
// nothing when the birth is on record.
func (v *Volume) RecordBirth(systemIdentifier string, now time.Time) error {
	if v.identity.SystemIdentifier != "" || systemIdentifier == "" {
		return nil
	}
	return v.update(func(id *Identity) { id.SystemIdentifier, id.Born = systemIdentifier, &now })
}

func (v *Volume) begin(wanted *instance.Incarnation, rand io.Reader) error {
	entries, err := os.ReadDir(v.folder)
	if err != nil {
		return fmt.Errorf("cannot list the data volume: %w", err)
	}
	for _, e := range entries {
		if e.Name() != lockFile && e.Name() != "lost+found" && e.Name() != identityFile+".new" {
			return fmt.Errorf("%w, but %q: move that away, or use another volume", ErrNotOurs, e.Name())
		}
	}
	begun := Identity{Record: wanted}
	if wanted != nil {
		begun.Incarnation = wanted.ID
	} else if begun.Incarnation, err = NewIncarnation(rand); err != nil {
		return err
	}
	if err := v.update(func(id *Identity) { *id = begun }); err != nil {
		return err
	}
	return v.makeFolder()
}

// NewIncarnation names an incarnation as nothing was named before.
func NewIncarnation(rand io.Reader) (string, error) {
	id := make([]byte, 8)
	if _, err := io.ReadFull(rand, id); err != nil {
		return "", fmt.Errorf("cannot name an incarnation: %w", err)
	}
	return hex.EncodeToString(id), nil
}

func (v *Volume) check(version string) error {
	there, err := v.HasDatabase()
	if err != nil {
		return err
	}
	if !there && v.identity.SystemIdentifier != "" {
		return fmt.Errorf("%w: %s was born at %s in %s; restore the volume's content before you start the cluster",
			ErrDataMissing, v.identity.SystemIdentifier, v.identity.Born, v.DataDirectory())
	}
	raw, err := os.ReadFile(filepath.Join(v.DataDirectory(), "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return v.makeFolder()
	}
	if err != nil {
		return fmt.Errorf("cannot read the version of the data directory: %w", err)
	}
	if found := string(trimNewline(raw)); found != version {
		return fmt.Errorf("%w: it is of version %s and the claim says %s; set primarySpec.version to %s, or use another volume", ErrOtherVersion, found, version, found)
	}
	return v.makeFolder()
}

// makeFolder creates the incarnation's folder, and takes from the data directory the rights that the kubelet may have
// given to its group: PostgreSQL refuses to start with them.
func (v *Volume) makeFolder() error {
	if err := os.MkdirAll(filepath.Dir(v.DataDirectory()), 0o700); err != nil {
		return fmt.Errorf("cannot create the incarnation's folder: %w", err)
	}
	err := os.Chmod(v.DataDirectory(), 0o700) //nolint:gosec // A folder needs the right to enter it.
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot set the rights of the data directory: %w", err)
	}
	return nil
}

// write replaces the identity in one step that survives a crash.
func (v *Volume) write(id Identity) error {
	raw, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("cannot encode the volume's identity: %w", err)
	}
	name := filepath.Join(v.folder, identityFile)
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write the volume's identity: %w", err)
	}
	_, err = f.Write(append(raw, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("cannot write the volume's identity: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("cannot replace the volume's identity: %w", err)
	}
	return syncFolder(v.folder)
}

func syncFolder(folder string) error {
	d, err := os.Open(folder) //nolint:gosec // The instance's own volume.
	if err != nil {
		return fmt.Errorf("cannot open the data volume: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("cannot make the data volume durable: %w", err)
	}
	return nil
}

func trimNewline(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == '\n' {
		b = b[:len(b)-1]
	}
	return b
}

// A Usage says how full a volume is.
type Usage struct {
	// Part of it that is in use, from 0 to 1.
	Part float64

	// Free bytes.
	Free int64
}

// Use reads how full a volume is.
func Use(folder string) (Usage, error) {
	s := unix.Statfs_t{}
	if err := unix.Statfs(folder, &s); err != nil {
		return Usage{}, fmt.Errorf("cannot read how full the data volume is: %w", err)
	}
	if s.Blocks == 0 {
		return Usage{}, nil
	}
	return Usage{Part: 1 - float64(s.Bavail)/float64(s.Blocks), Free: int64(s.Bavail) * s.Bsize}, nil //nolint:gosec // No volume is that large.
}

// Room returns the free bytes in coarse steps, so that a report changes seldom: a power of two of MiB, and half as much more.
func (u Usage) Room() string {
	step := int64(1) << 20
	for 2*step <= u.Free {
		step *= 2
	}
	switch {
	case u.Free < step:
		step = 0
	case u.Free >= step+step/2:
		step += step / 2
	}
	return resource.NewQuantity(step, resource.BinarySI).String()
}
