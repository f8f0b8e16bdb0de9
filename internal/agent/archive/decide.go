package archive

import (
	"github.com/xdbcluster/xdbcluster/internal/agent/ledger"
)

// A situation is what the archivist finds.
type situation struct {
	// Planned says that the function knows of a BackupPlan.
	Planned bool

	// Mounted is what the BackupPlan says. Nil when nothing is mounted.
	Mounted *Mounted

	// Primary says that this instance is the primary, and Database which database it has.
	Primary  bool
	Database string

	// InForce says that WAL goes to a repository now.
	InForce bool

	// Ledger is what the cluster remembers.
	Ledger ledger.Ledger
}

// A step is what the archivist does next.
type step int

const (
	// stay: leave everything as it is.
	stay step = iota

	// discard the WAL: nobody wants it.
	discard

	// hold the WAL: it is not known yet where it is to go.
	hold

	// adopt the repository: it was seen to work with this database.
	adopt

	// try the repository for the first time. Nothing can be restored from it yet, so that the WAL is discarded meanwhile.
	try

	// move to another repository: WAL goes to the one before until that works.
	move
)

// decide never discards WAL that a backup may need: not while one of two ways by which a BackupPlan is known says that there is
// one, and not once a repository has worked.
func decide(s situation) step {
	if s.Mounted == nil {
		if s.Planned {
			return stay // The kubelet is about to mount it, or was about to when it was deleted by accident.
		}
		return discard
	}
	birth, record := s.Ledger.Alive(), s.Ledger.Archive
	switch {
	case birth == nil || birth.Incarnation == "" || birth.SystemIdentifier != s.Database:
		return hold
	case record != nil && record.Repository == s.Mounted.Repository.ID():
		return adopt
	case !s.Primary:
		return hold
	case record == nil && !s.InForce:
		return try
	}
	return move
}
