package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/ledger"
)

// Annotations of Patroni's ConfigMaps of the sync state and of a requested failover, see Patroni's kubernetes.py.
const (
	annotationSyncStandby = "sync_standby"
	annotationQuorum      = "quorum"
	annotationMember      = "member"
	annotationScheduled   = "scheduled_at"
	annotationPosition    = "optime"
	annotationTTL         = "ttl"
	annotationHistory     = "history"
)

// Ledger reads what the cluster remembers of operations, and the version of it that a change is to be of.
func (c *Client) Ledger(ctx context.Context) (ledger.Ledger, string, error) {
	m, err := c.configMap(ctx, c.cluster.Ledger())
	if kerrors.IsNotFound(err) {
		return ledger.Ledger{}, "", nil
	}
	if err != nil {
		return ledger.Ledger{}, "", err
	}
	l, err := ledger.Parse(m.Data)
	return l, m.ResourceVersion, err
}

// WriteLedger replaces the version of a ledger that was read. It fails when there is a newer one. A write whose answer was lost is looked
// for: who began something, and does not know that it is written down, would take it for another process's.
func (c *Client) WriteLedger(ctx context.Context, l ledger.Ledger, version string) error {
	data, err := l.Data()
	if err != nil {
		return err
	}
	m := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: c.cluster.Ledger(), Namespace: c.namespace, ResourceVersion: version, Labels: c.cluster.Labels()},
		Data:       data,
	}
	err = c.putConfigMap(ctx, m)
	if err == nil {
		return nil
	}
	if there, errRead := c.configMap(ctx, m.Name); errRead == nil && maps.Equal(there.Data, m.Data) {
		return nil
	}
	return fmt.Errorf("cannot write ConfigMap %q: %w", m.Name, err)
}

func (c *Client) putConfigMap(ctx context.Context, m *corev1.ConfigMap) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	configMaps := c.api.CoreV1().ConfigMaps(c.namespace)
	if m.ResourceVersion == "" {
		_, err := configMaps.Create(ctx, m, metav1.CreateOptions{})
		return err
	}
	_, err := configMaps.Update(ctx, m, metav1.UpdateOptions{})
	return err
}

// WriteOperation reports how far an operation is, in the ConfigMap of the name.
func (c *Client) WriteOperation(ctx context.Context, name string, report instance.OperationReport) error {
	raw, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("cannot encode the report: %w", err)
	}
	return c.patchConfigMap(ctx, name, map[string]any{"data": map[string]string{instance.OperationKey: string(raw)}})
}

// A Lock is Patroni's leader lock.
type Lock struct {
	// Holder is the instance that has it. Empty when none does.
	Holder string

	// Last is who had it last, when it has run out.
	Last string

	// TTL is how long after its last renewal it runs out.
	TTL time.Duration

	// Position is where the holder's WAL was when it renewed the lock, in bytes.
	Position uint64

	// Renewed is when that was.
	Renewed time.Time

	// Inherited says that the holder got it from the last primary, which had seen that it has everything.
	Inherited bool

	// Entitled is who may be promoted where standbys do not take over by themselves: the last primary, or who was to follow it.
	Entitled string

	// Admitted is who may be promoted until AdmittedUntil though it may lack commits of a later timeline: a Failover says so.
	Admitted      string
	AdmittedUntil time.Time
}

// Admits says whether an instance may be promoted though it may lack commits of a later timeline.
func (l Lock) Admits(pod string, now time.Time) bool {
	return l.Admitted == pod && now.Before(l.AdmittedUntil)
}

// Lock reads Patroni's leader lock.
func (c *Client) Lock(ctx context.Context) (Lock, error) {
	m, err := c.configMap(ctx, c.cluster.PatroniLeader())
	if kerrors.IsNotFound(err) {
		return Lock{}, nil
	}
	if err != nil {
		return Lock{}, err
	}
	lock := Lock{Holder: m.Annotations[annotationLeader], Entitled: m.Annotations[annotationEntitled]}
	lock.Inherited = lock.Holder != "" && m.Annotations[annotationHeir] == heirOf(lock.Holder, m.Annotations[annotationTransitions])
	lock.Position, _ = strconv.ParseUint(m.Annotations[annotationPosition], 10, 64)
	seconds, _ := strconv.Atoi(m.Annotations[annotationTTL])
	lock.TTL = time.Duration(seconds) * time.Second
	lock.Renewed, _ = time.Parse(time.RFC3339, m.Annotations[annotationRenewTime])
	admitted, until, _ := strings.Cut(m.Annotations[annotationAdmitted], " ")
	lock.Admitted = admitted
	lock.AdmittedUntil, _ = time.Parse(time.RFC3339, until)
	return lock, nil
}

// LastTimeline reads the last timeline that Patroni knows of. Zero when it knows of none.
func (c *Client) LastTimeline(ctx context.Context) (int, error) {
	m, err := c.configMap(ctx, c.cluster.PatroniConfig())
	if kerrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return lastTimeline(m.Annotations[annotationHistory])
}

// lastTimeline is the one after the last that ended. Each entry of a history begins with the number of one that did.
func lastTimeline(history string) (int, error) {
	if history == "" {
		return 0, nil
	}
	var ended [][]any
	if err := json.Unmarshal([]byte(history), &ended); err != nil {
		return 0, fmt.Errorf("cannot parse Patroni's history of timelines: %w", err)
	}
	if len(ended) == 0 {
		return 1, nil
	}
	last := ended[len(ended)-1]
	if len(last) == 0 {
		return 0, errors.New("cannot parse Patroni's history of timelines: an entry is empty")
	}
	number, ok := last[0].(float64)
	if !ok {
		return 0, fmt.Errorf("cannot parse Patroni's history of timelines: %v is no timeline", last[0])
	}
	return int(number) + 1, nil
}

// Entitle names the instance that may be promoted where standbys do not take over by themselves. Nobody is admitted any more.
func (c *Client) Entitle(ctx context.Context, pod string) error {
	return c.annotateLeader(ctx, map[string]any{annotationEntitled: pod, annotationAdmitted: nil})
}

// Admit names the instance that may be promoted until then though it may lack commits of a later timeline.
func (c *Client) Admit(ctx context.Context, pod string, until time.Time) error {
	return c.annotateLeader(ctx, map[string]any{annotationEntitled: pod, annotationAdmitted: pod + " " + until.UTC().Format(time.RFC3339)})
}

func (c *Client) annotateLeader(ctx context.Context, annotations map[string]any) error {
	return c.patchConfigMap(ctx, c.cluster.PatroniLeader(), map[string]any{"metadata": map[string]any{"annotations": annotations}})
}

// A Sync is what Patroni knows of which instances have every commit. Where replication is asynchronous it is empty.
type Sync struct {
	// Leader is the primary that commits waited at.
	Leader string

	// Standbys could confirm them.
	Standbys []string

	// Quorum is how many of Leader and Standbys an instance must not be behind to have every commit. Patroni before 4 has
	// none: its one standby has every commit.
	Quorum int
}

// Sync reads Patroni's sync state.
func (c *Client) Sync(ctx context.Context) (Sync, error) {
	m, err := c.configMap(ctx, c.cluster.PatroniSync())
	if kerrors.IsNotFound(err) {
		return Sync{}, nil
	}
	if err != nil {
		return Sync{}, err
	}
	return syncState(m), nil
}

func syncState(m *corev1.ConfigMap) Sync {
	s := Sync{Leader: m.Annotations[annotationLeader]}
	s.Standbys = slices.DeleteFunc(strings.Split(m.Annotations[annotationSyncStandby], ","), func(name string) bool { return name == "" })
	s.Quorum, _ = strconv.Atoi(m.Annotations[annotationQuorum])
	return s
}

// A Handover is a request to Patroni to make another instance the primary.
type Handover struct {
	// From is the primary that is to give up. Empty in one that was not asked for by the primary's name.
	From string

	// To is the instance that is to take over. Empty when Patroni is to pick one.
	To string
}

// Concerns says whether another instance is to take over from a primary. A Failover names none.
func (h Handover) Concerns(primary string) bool {
	return h.From == primary || h.From == "" && h.To != ""
}

// Handover reads the request that Patroni has not carried out yet. It is empty when there is none.
func (c *Client) Handover(ctx context.Context) (Handover, error) {
	m, err := c.configMap(ctx, c.cluster.PatroniFailover())
	if kerrors.IsNotFound(err) {
		return Handover{}, nil
	}
	if err != nil {
		return Handover{}, err
	}
	return Handover{From: m.Annotations[annotationLeader], To: m.Annotations[annotationMember]}, nil
}

// TakeBack takes a request to Patroni back, so that it elects as if nothing had been asked for.
func (c *Client) TakeBack(ctx context.Context) error {
	err := c.patchConfigMap(ctx, c.cluster.PatroniFailover(), map[string]any{"metadata": map[string]any{
		"annotations": map[string]any{annotationLeader: nil, annotationMember: nil, annotationScheduled: nil},
	}})
	if kerrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (c *Client) configMap(ctx context.Context, name string) (*corev1.ConfigMap, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := c.api.CoreV1().ConfigMaps(c.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("cannot read ConfigMap %q: %w", name, err)
	}
	return m, nil
}
