package dbcluster

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
)

// reasonPrimaryChanged is the reason of the event that tells of another primary.
const reasonPrimaryChanged = "PrimaryChanged"

// A succession is who was seen as the primary last, and the newest change of that.
type succession struct {
	Known *v1alpha1.KnownPrimary
	Last  *v1alpha1.FailoverRecord

	// Changed says that Last is new.
	Changed bool
}

// observeSuccession returns what the composite's own status says. What it does not say is not known.
func observeSuccession(xr *compose.Resource) succession {
	s := succession{}
	if known := xr.Object("status", "lastKnownPrimary"); known.Text("name") != "" {
		s.Known = &v1alpha1.KnownPrimary{Name: known.Text("name"), Timeline: int(known.Number("timeline"))}
	}
	last := xr.Object("status", "lastFailover")
	if at := last.Time("time"); !at.IsZero() {
		s.Last = &v1alpha1.FailoverRecord{
			OldPrimary: last.Text("oldPrimary"), NewPrimary: last.Text("newPrimary"),
			Timeline: int(last.Number("timeline")), Time: metav1.NewTime(at),
		}
	}
	return s
}

// follow returns the succession with what the instances say now. A report of an older timeline is that of an instance which
// was lost, and changes nothing.
func (s succession) follow(leader *reported, now time.Time) succession {
	if leader == nil || leader.Timeline == 0 || s.Known != nil && leader.Timeline <= s.Known.Timeline {
		return s
	}
	if s.Known != nil {
		s.Last = &v1alpha1.FailoverRecord{
			OldPrimary: s.Known.Name, NewPrimary: leader.Name, Timeline: leader.Timeline, Time: metav1.NewTime(now.UTC().Truncate(time.Second)),
		}
		s.Changed = true
	}
	s.Known = &v1alpha1.KnownPrimary{Name: leader.Name, Timeline: leader.Timeline}
	return s
}

// events tell that another instance is the primary, and how the one before is now.
func (s succession) events(c cluster, seen facts) []compose.Event {
	if !s.Changed {
		return nil
	}
	message := fmt.Sprintf("%s is the primary on timeline %d.", s.Last.NewPrimary, s.Last.Timeline)
	if s.Last.OldPrimary != s.Last.NewPrimary {
		message = fmt.Sprintf("%s is the primary in place of %s, on timeline %d.", s.Last.NewPrimary, s.Last.OldPrimary, s.Last.Timeline)
	}
	for _, r := range current(c, seen) {
		if r.Name != s.Last.OldPrimary || r.Name == s.Last.NewPrimary {
			continue
		}
		message += fmt.Sprintf(" %s is %s.", r.Name, r.State)
		for _, i := range r.Incidents {
			message += fmt.Sprintf(" %s: %s", i.Code, i.Message)
		}
	}
	return []compose.Event{{Severity: compose.Warning, Reason: reasonPrimaryChanged, Message: message}}
}
