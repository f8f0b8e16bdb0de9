package pgbackrest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/pgbackrest"
)

// Annotations of backups. They are in the repository, so that they are known where nothing else is left.
const (
	// AnnotationClaim says which claim's a backup is, by the UID of its composite, and AnnotationName what that is called.
	AnnotationClaim = "xdb-backup"
	AnnotationName  = "xdb-backup-name"

	// AnnotationDamaged says that a backup was found to be damaged, and when the verification was due that found it.
	AnnotationDamaged = "xdb-damaged"
)

// A Backup is one that is in a repository.
type Backup struct {
	Label string
	Type  v1alpha1.BackupType
	Prior string
	Start time.Time
	Stop  time.Time

	// LSN and WAL are where what must be replayed begins and ends.
	LSN [2]string
	WAL [2]string

	// Sizes in bytes: of the database, of what was copied, of what that takes of the store, and of that with all that it needs.
	Database      int64
	Copied        int64
	Repository    int64
	RepositorySet int64

	// Faulty says that pages of it were found to be damaged.
	Faulty bool

	// Damaged says that it cannot be restored: it, or one that it continues, has AnnotationDamaged.
	Damaged bool

	Annotations map[string]string
}

// A Stanza is what a repository says about a database.
type Stanza struct {
	// There says that it exists.
	There bool

	// Backups that are complete, the oldest first.
	Backups []Backup

	// FirstWAL is the name of the database's oldest segment that is archived. Empty when none is.
	FirstWAL string

	// LastWAL is the name of the database's newest segment that is archived. Empty when none is.
	LastWAL string

	// LastArchived is when that was archived, by the store's clock. Info does not ask for it: LookUpArchived does.
	LastArchived time.Time

	// ArchiveID is the folder of the archive that has it.
	ArchiveID string
}

// Find returns the backup of a label, or nil.
func (s Stanza) Find(label string) *Backup {
	for i := range s.Backups {
		if s.Backups[i].Label == label {
			return &s.Backups[i]
		}
	}
	return nil
}

// Sound returns the backups that are not damaged, the oldest first.
func (s Stanza) Sound() []Backup {
	return slices.DeleteFunc(slices.Clone(s.Backups), func(b Backup) bool { return b.Damaged })
}

// Codes of a stanza's status. See pgBackRest's cmdInfo.
const (
	statusOK            = 0
	statusMissingStanza = 1
	statusNoBackups     = 2
	statusMissingData   = 3
	statusOther         = 99
)

// IsIncomplete says whether an error of Info is that a stanza lacks the files which say what is in it: its removal was interrupted,
// or somebody has deleted them.
func IsIncomplete(err error) bool {
	failure := (*Failure)(nil)
	if !errors.As(err, &failure) || failure.Command != "info" {
		return false
	}
	return failure.Status == statusMissingData || failure.Status == statusOther && strings.Contains(failure.Output, "[FileMissingError] unable to load info file")
}

// stanza is pgBackRest's own form of it.
type stanza struct {
	Status struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"status"`
	Repo []struct {
		Status struct {
			Message string `json:"message"`
		} `json:"status"`
	} `json:"repo"`
	Backup []struct {
		Label   string `json:"label"`
		Type    string `json:"type"`
		Prior   string `json:"prior"`
		Error   bool   `json:"error"`
		Archive struct {
			Start string `json:"start"`
			Stop  string `json:"stop"`
		} `json:"archive"`
		LSN struct {
			Start string `json:"start"`
			Stop  string `json:"stop"`
		} `json:"lsn"`
		Timestamp struct {
			Start int64 `json:"start"`
			Stop  int64 `json:"stop"`
		} `json:"timestamp"`
		Info struct {
			Size       int64 `json:"size"`
			Delta      int64 `json:"delta"`
			Repository struct {
				Size  int64 `json:"size"`
				Delta int64 `json:"delta"`
			} `json:"repository"`
		} `json:"info"`
		Annotation map[string]string `json:"annotation"`
	} `json:"backup"`
	Archive []struct {
		ID  string `json:"id"`
		Min string `json:"min"`
		Max string `json:"max"`
	} `json:"archive"`
}

// Info asks what is in the repository.
func (p Program) Info(ctx context.Context) (Stanza, error) {
	out, err := p.Run(ctx, "info", "--output=json")
	if err != nil {
		return Stanza{}, err
	}
	return parseInfo([]byte(out))
}

// folderOfWAL is how much of a segment's name is the name of the folder that it is in.
const folderOfWAL = 16

// LookUpArchived asks when a stanza's newest segment was archived.
func (p Program) LookUpArchived(ctx context.Context, s *Stanza) error {
	if len(s.LastWAL) < folderOfWAL {
		return nil
	}
	files, err := p.archived(ctx, *s, s.LastWAL)
	if err != nil {
		return err
	}
	at, found := files.find(s.LastWAL)
	if !found {
		return fmt.Errorf("the segment %s is not in the archive, though it was a moment ago", s.LastWAL)
	}
	s.LastArchived = at
	return nil
}

// IsArchived asks whether a stanza's archive has a segment.
func (p Program) IsArchived(ctx context.Context, s Stanza, segment string) (bool, error) {
	files, err := p.archived(ctx, s, segment)
	if err != nil {
		return false, err
	}
	_, found := files.find(segment)
	return found, nil
}

// ArchivedFiles are those of a folder of the archive. A segment's has a suffix after its name.
type archivedFiles map[string]struct {
	Time int64 `json:"time"`
}

// archived lists the folder of the archive that a segment is in.
func (p Program) archived(ctx context.Context, s Stanza, segment string) (archivedFiles, error) {
	out, err := p.Run(ctx, "repo-ls", "--output=json", path.Join("archive", pgbackrest.Stanza, s.ArchiveID, segment[:folderOfWAL]))
	if err != nil {
		return nil, err
	}
	return parseArchived([]byte(out))
}

func parseArchived(raw []byte) (archivedFiles, error) {
	files := archivedFiles{}
	if err := json.Unmarshal(raw, &files); err != nil {
		return nil, fmt.Errorf("cannot parse what pgBackRest says about the archive: %w", err)
	}
	return files, nil
}

// find returns when a segment was archived, by the store's clock.
func (f archivedFiles) find(segment string) (at time.Time, found bool) {
	for name, file := range f {
		if strings.HasPrefix(name, segment) && !strings.HasPrefix(name[len(segment):], ".partial") {
			return time.Unix(file.Time, 0).UTC(), true
		}
	}
	return time.Time{}, false
}

func parseInfo(raw []byte) (Stanza, error) {
	var list []stanza
	// What it cannot read it repeats as it is, with characters that have no place in JSON.
	raw = bytes.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, raw)
	if err := json.Unmarshal(raw, &list); err != nil {
		return Stanza{}, fmt.Errorf("cannot parse what pgBackRest says about the repository: %w", err)
	}
	if len(list) != 1 {
		return Stanza{}, errors.New("pgBackRest says nothing about the repository")
	}
	switch s := list[0]; s.Status.Code {
	case statusMissingStanza:
		return Stanza{}, nil
	case statusOK, statusNoBackups:
		return newStanza(s), nil
	default:
		said := s.Status.Message // It may only be "other"; the repository says what.
		for _, repository := range s.Repo {
			said += ": " + repository.Status.Message
		}
		return Stanza{}, &Failure{Command: "info", Status: s.Status.Code, Output: said}
	}
}

func newStanza(s stanza) Stanza {
	found := Stanza{There: true}
	if len(s.Archive) > 0 {
		last := s.Archive[len(s.Archive)-1]
		found.FirstWAL, found.LastWAL, found.ArchiveID = last.Min, last.Max, last.ID
	}
	for _, b := range s.Backup {
		prior := found.Find(b.Prior)
		found.Backups = append(found.Backups, Backup{
			Label: b.Label, Type: v1alpha1.BackupType(b.Type), Prior: b.Prior, Faulty: b.Error, Annotations: b.Annotation,
			Damaged: b.Annotation[AnnotationDamaged] != "" || prior != nil && prior.Damaged,
			Start:   time.Unix(b.Timestamp.Start, 0).UTC(), Stop: time.Unix(b.Timestamp.Stop, 0).UTC(),
			LSN: [2]string{b.LSN.Start, b.LSN.Stop}, WAL: [2]string{b.Archive.Start, b.Archive.Stop},
			Database: b.Info.Size, Copied: b.Info.Delta, Repository: b.Info.Repository.Delta, RepositorySet: b.Info.Repository.Size,
		})
	}
	return found
}
