package operate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
)

// Reasons of phases that a look at the cluster leads to.
const (
	reasonNoPrimary     = "NoPrimary"
	reasonNoCandidate   = "NoCandidate"
	reasonOtherPrimary  = "OtherPrimary"
	reasonWouldLose     = "WouldLoseData"
	reasonAlready       = "AlreadyPrimary"
	reasonWaitsForLock  = "WaitsForLeaderLock"
	reasonNotCarriedOut = "NotCarriedOut"
	reasonPutBack       = "PutBack"
)

// A view is what is seen of a cluster.
type view struct {
	Lock kube.Lock
	Sync kube.Sync

	// Timeline is the last one that Patroni has written down. Zero when it has none.
	Timeline int

	// Synchronous says that commits are to wait for standbys.
	Synchronous bool

	// Members are the instances that answer, by name.
	Members map[string]member
}

// A member is an instance that answers.
type member struct {
	// Primary says that it calls itself that, Running that its PostgreSQL runs.
	Primary bool
	Running bool

	Timeline int

	// Position is how much of the WAL it has, in bytes.
	Position uint64

	// Streams are the standbys that a primary sends its WAL to.
	Streams []string
}

// primary returns the instance that has the lock and serves.
func (v view) primary() (string, member, bool) {
	m, ok := v.Members[v.Lock.Holder]
	return v.Lock.Holder, m, ok && m.Primary && m.Running
}

// standbys returns the instances that could be promoted, those first that have the most of the WAL.
func (v view) standbys() []string {
	names := slices.DeleteFunc(slices.Collect(maps.Keys(v.Members)), func(name string) bool {
		return !v.Members[name].Running || v.Members[name].Primary || name == v.Lock.Holder
	})
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(
			cmp.Compare(v.Members[b].Timeline, v.Members[a].Timeline),
			cmp.Compare(v.Members[b].Position, v.Members[a].Position),
			cmp.Compare(a, b),
		)
	})
	return names
}

// An action is how a standby is promoted.
type action int

const (
	// wait until something has changed, but not for ever.
	wait action = iota

	// settle: as wait, and it is rejected when it stays so for a while.
	settle

	// reject at once.
	reject

	// finish: there is nothing to be done.
	finish

	// switchOver: the primary gives up in order.
	switchOver

	// failOver: the candidate is promoted without a primary, or without regard to what it may lack.
	failOver
)

// A decision is what to do now.
type decision struct {
	Action    action
	Candidate string
	Reason    string
	Message   string

	// DataLoss says what is lost, where something may be.
	DataLoss string
}

// decide says what is to be done to carry an operation out. Nothing is done that could lose an acknowledged commit, unless
// the operation allows it.
func decide(o instance.Operation, v view) decision {
	primary, m, serves := v.primary()
	last := lastPrimary(v)
	switch {
	case o.ExpectPrimary != "" && last != "" && last != o.ExpectPrimary:
		return decision{Action: reject, Reason: reasonOtherPrimary, Message: fmt.Sprintf(
			"The primary is %s, or was last, and expect.primary is %s. Nothing was done. Look again, and commit another %s if it is still wanted.", last, o.ExpectPrimary, o.Kind)}
	case serves && o.NewPrimary == primary:
		return decision{Action: finish, Reason: reasonAlready, Message: primary + " is the primary already: there was nothing to do."}
	case serves:
		return fromPrimary(o, v, m)
	case o.Kind == v1alpha1.KindSwitchover:
		return decision{Action: wait, Reason: reasonNoPrimary, Message: "It waits for a primary: none serves. If none comes back, commit a Failover."}
	case v.Lock.Holder != "":
		return decision{Action: wait, Reason: reasonWaitsForLock, Message: fmt.Sprintf(
			"It waits until %s, which does not answer, has lost the leader lock: until then it may go on acknowledging commits.", v.Lock.Holder)}
	default:
		return withoutPrimary(o, v)
	}
}

// fromPrimary decides while there is a primary that serves: it gives up in order, to a standby that has every commit.
func fromPrimary(o instance.Operation, v view, m member) decision {
	candidates := v.standbys()
	if o.NewPrimary != "" {
		candidates = []string{o.NewPrimary}
	}
	for _, c := range candidates {
		if v.follows(c, m) {
			return decision{Action: switchOver, Candidate: c}
		}
	}
	standbys := v.standbys()
	if o.NewPrimary != "" {
		standbys = slices.DeleteFunc(standbys, func(name string) bool { return name != o.NewPrimary })
	}
	if len(standbys) == 0 {
		return decision{Action: settle, Reason: reasonNoCandidate, Message: "No standby that could take over answers" + named(o) + ". Nothing was done. Look at instances in the DBCluster's status."}
	}
	if o.Kind == v1alpha1.KindSwitchover {
		return decision{Action: settle, Reason: reasonNoCandidate, Message: fmt.Sprintf(
			"No standby that has every commit follows the primary%s. Nothing was done. Look at instances in the DBCluster's status.", named(o))}
	}
	best := standbys[0]
	loss := fmt.Sprintf("%s is %d bytes of WAL behind the primary, and what is written until then is lost, too", best, behind(m.Position, v.Members[best].Position))
	if !o.AllowDataLoss {
		return decision{Action: settle, Reason: reasonWouldLose, Message: fmt.Sprintf(
			"No standby is proven to have every acknowledged commit%s: %s. Nothing was done. Repair the standby, or commit another Failover with allowDataLoss.", named(o), loss)}
	}
	return decision{Action: failOver, Candidate: best, DataLoss: "at least as much as: " + loss}
}

// follows says whether a standby has every commit of the primary, and takes part in confirming the next.
func (v view) follows(standby string, primary member) bool {
	s, ok := v.Members[standby]
	if !ok || !s.Running || s.Primary || s.Timeline != primary.Timeline || !slices.Contains(primary.Streams, standby) {
		return false
	}
	return !v.Synchronous || v.Sync.Leader == v.Lock.Holder && slices.Contains(v.Sync.Standbys, standby)
}

// withoutPrimary decides when nobody has the leader lock and Patroni elects nobody, or has not elected yet.
func withoutPrimary(o instance.Operation, v view) decision {
	standbys := v.standbys()
	if o.NewPrimary != "" {
		standbys = slices.DeleteFunc(standbys, func(name string) bool { return name != o.NewPrimary })
	}
	if len(standbys) == 0 {
		return decision{Action: settle, Reason: reasonNoCandidate, Message: "No instance that could take over answers" + named(o) + ". Nothing was done. Look at instances in the DBCluster's status."}
	}
	best := standbys[0]
	if v.hasEverything(best) {
		return decision{Action: failOver, Candidate: best, DataLoss: "none"}
	}
	loss := v.bound(best)
	if !o.AllowDataLoss {
		return decision{Action: settle, Reason: reasonWouldLose, Message: fmt.Sprintf(
			"No instance that answers is proven to have every acknowledged commit%s: %s. Nothing was done. Bring %s back, or commit another Failover with allowDataLoss.",
			named(o), loss, strings.Join(v.missing(), " or "))}
	}
	return decision{Action: failOver, Candidate: best, DataLoss: loss}
}

// hasEverything says whether an instance has every commit that the last primary acknowledged. It applies Patroni's own rule:
// of the instances that commits waited for, so many must be seen not to be ahead that none of the others can have one alone.
func (v view) hasEverything(candidate string) bool {
	if v.Sync.Leader == "" || len(v.Sync.Standbys) == 0 {
		return false // The last primary acknowledged on its own.
	}
	voters := append([]string{v.Sync.Leader}, v.Sync.Standbys...)
	if !slices.Contains(voters, candidate) {
		return false
	}
	votes := 0
	for _, voter := range voters {
		m, ok := v.Members[voter]
		if voter == candidate || !ok || !m.Running {
			continue
		}
		if m.Position > v.Members[candidate].Position || m.Timeline > v.Members[candidate].Timeline {
			return false
		}
		votes++
	}
	return votes >= v.Sync.Quorum
}

// bound says how much an instance may lack of what the last primary acknowledged.
func (v view) bound(candidate string) string {
	if own := v.Members[candidate].Timeline; own < v.Timeline {
		return fmt.Sprintf("%s has timeline %d and has not followed the last primary, which had timeline %d: it lacks all that was acknowledged since that was promoted", candidate, own, v.Timeline)
	}
	known := behind(v.Lock.Position, v.Members[candidate].Position)
	text := fmt.Sprintf("%s lacks %d bytes of the WAL that the last primary is known to have written", candidate, known)
	if v.Lock.Renewed.IsZero() {
		return text + ", and what it wrote after that"
	}
	return text + fmt.Sprintf(" until %s, and what it wrote after that", v.Lock.Renewed.UTC().Format("15:04:05 MST"))
}

// missing returns the instances that may have what nobody else has.
func (v view) missing() []string {
	var names []string
	for _, voter := range append([]string{v.Sync.Leader}, v.Sync.Standbys...) {
		if _, ok := v.Members[voter]; !ok && voter != "" {
			names = append(names, voter)
		}
	}
	if len(names) == 0 {
		return []string{"the last primary"}
	}
	return names
}

func named(o instance.Operation) string {
	if o.NewPrimary == "" {
		return ""
	}
	return " (newPrimary is " + o.NewPrimary + ")"
}

func behind(ahead, position uint64) uint64 {
	if position >= ahead {
		return 0
	}
	return ahead - position
}
