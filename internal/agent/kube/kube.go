// Package kube speaks to the API server about the instance's own objects, and no others.
package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// requestTimeout bounds a request. The agent's loop must go on while the API server is away.
const requestTimeout = 3 * time.Second

// watchRetry is how long to wait after a watch that could not be started.
const watchRetry = 2 * time.Second

// annotationInitialize is where Patroni writes down the database's identifier: empty while the database is being made.
const annotationInitialize = "initialize"

// Annotations of Patroni's ConfigMap of the leader, the one with which a composite calls all of them its own, the one that
// names who may be promoted where standbys do not take over by themselves, the one that names who may be though it may lack commits, and
// until when, and the one that says who got the lock from the last primary itself.
const (
	annotationLeader      = "leader"
	annotationRenewTime   = "renewTime"
	annotationAcquireTime = "acquireTime"
	annotationTransitions = "transitions"
	annotationOwner       = "xdbcluster.io/owner"
	annotationEntitled    = "xdbcluster.io/entitled"
	annotationAdmitted    = "xdbcluster.io/admitted"
	annotationHeir        = "xdbcluster.io/heir"
)

// ErrCannotGrow says that the storage class refuses to grow a volume.
var ErrCannotGrow = errors.New("the storage class does not allow volumes to grow")

// A Client speaks for one instance.
type Client struct {
	api       kubernetes.Interface
	dynamic   dynamic.Interface
	cluster   naming.Cluster
	pod       string
	namespace string
}

// New returns the client of a Pod's instance, with the Pod's own rights.
func New(cluster naming.Cluster, pod string) (*Client, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, fmt.Errorf("cannot find the API server: %w", err)
	}
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client of the API server: %w", err)
	}
	claims, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client of the API server: %w", err)
	}
	return With(api, claims, cluster, pod), nil
}

// With returns the client of a Pod's instance that speaks through the clients given.
func With(api kubernetes.Interface, claims dynamic.Interface, cluster naming.Cluster, pod string) *Client {
	return &Client{api: api, dynamic: claims, cluster: cluster, pod: pod, namespace: cluster.Namespace}
}

// For returns a client that speaks about another incarnation of the cluster.
func (c *Client) For(cluster naming.Cluster) *Client {
	other := *c
	other.cluster = cluster
	return &other
}

// Config returns the cluster's Config as it is now.
func (c *Client) Config(ctx context.Context) (instance.Config, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := c.api.CoreV1().ConfigMaps(c.namespace).Get(ctx, c.cluster.Config(), metav1.GetOptions{})
	if err != nil {
		return instance.Config{}, fmt.Errorf("cannot read ConfigMap %q: %w", c.cluster.Config(), err)
	}
	return parseConfig(m)
}

func parseConfig(m *corev1.ConfigMap) (instance.Config, error) {
	config := instance.Config{}
	if err := json.Unmarshal([]byte(m.Data[instance.ConfigKey]), &config); err != nil {
		return config, fmt.Errorf("cannot parse %s of ConfigMap %q: %w", instance.ConfigKey, m.Name, err)
	}
	return config, nil
}

// WatchConfig calls changed with the cluster's Config whenever there is another one, until the context ends. While the
// API server is away nothing changes.
func (c *Client) WatchConfig(ctx context.Context, log *slog.Logger, changed func(instance.Config)) {
	c.watchNamed(ctx, log, c.cluster.Config(), func(m *corev1.ConfigMap) error {
		config, err := parseConfig(m)
		if err != nil {
			return err
		}
		changed(config)
		return nil
	})
}

// WatchElection calls leads with the name of the instance that holds Patroni's leader lock whenever it is another one, which is empty when
// none does, and synced with Patroni's sync state whenever that changes, until the context ends.
func (c *Client) WatchElection(ctx context.Context, log *slog.Logger, leads func(leader string), synced func(Sync)) {
	last := ""
	labelled := metav1.ListOptions{LabelSelector: labels.Set{naming.LabelScope: c.cluster.Scope()}.String()}
	c.watch(ctx, log, "Patroni's ConfigMaps", labelled, func(m *corev1.ConfigMap) error {
		switch leader := m.Annotations[annotationLeader]; m.Name {
		case c.cluster.PatroniSync():
			synced(syncState(m))
		case c.cluster.PatroniLeader():
			if leader != last {
				last = leader
				leads(leader)
			}
		}
		return nil
	})
}

func (c *Client) watchNamed(ctx context.Context, log *slog.Logger, name string, seen func(*corev1.ConfigMap) error) {
	c.watch(ctx, log, fmt.Sprintf("ConfigMap %q", name), metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}, seen)
}

func (c *Client) watch(ctx context.Context, log *slog.Logger, what string, options metav1.ListOptions, seen func(*corev1.ConfigMap) error) {
	for ctx.Err() == nil {
		if err := c.watchOnce(ctx, options, seen); err != nil && ctx.Err() == nil {
			log.Warn("Cannot watch; what was seen last stays in force", "what", what, "error", err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchRetry):
		}
	}
}

func (c *Client) watchOnce(ctx context.Context, options metav1.ListOptions, seen func(*corev1.ConfigMap) error) error {
	w, err := c.api.CoreV1().ConfigMaps(c.namespace).Watch(ctx, options)
	if err != nil {
		return fmt.Errorf("cannot begin: %w", err)
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		m, ok := event.Object.(*corev1.ConfigMap)
		if !ok {
			return fmt.Errorf("it ended: %w", kerrors.FromObject(event.Object))
		}
		if err := seen(m); err != nil {
			return err
		}
	}
	return nil
}

// LastReport returns what this instance reported last, before its container was restarted. An empty report when there
// is none.
func (c *Client) LastReport(ctx context.Context) (instance.Report, error) {
	reports, err := c.Reports(ctx)
	return reports[c.pod], err
}

// Reports returns what every instance reported last, by the names of their Pods. What an instance that is gone said is
// among it.
func (c *Client) Reports(ctx context.Context) (map[string]instance.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := c.api.CoreV1().ConfigMaps(c.namespace).Get(ctx, c.cluster.Reports(), metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("cannot read ConfigMap %q: %w", c.cluster.Reports(), err)
	}
	reports := make(map[string]instance.Report, len(m.Data))
	for pod, raw := range m.Data {
		report := instance.Report{}
		if err := json.Unmarshal([]byte(raw), &report); err != nil {
			return nil, fmt.Errorf("cannot parse the report of %q: %w", pod, err)
		}
		reports[pod] = report
	}
	return reports, nil
}

// WriteReport replaces this instance's report.
func (c *Client) WriteReport(ctx context.Context, report instance.Report) error {
	raw, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("cannot encode the report: %w", err)
	}
	patch := map[string]any{"data": map[string]string{c.pod: string(raw)}}
	return c.patchConfigMap(ctx, c.cluster.Reports(), patch)
}

// Own marks Patroni's ConfigMaps as this composite's. They go with it, unless they are to be kept: then they tell the next
// composite of the name, which finds the volumes, who has every commit. It says whether there are some, and all as they
// should be.
func (c *Client) Own(ctx context.Context, owner instance.Owner, keep bool) (bool, error) {
	some := false
	for _, name := range c.cluster.PatroniConfigMaps() {
		owned, err := c.own(ctx, name, owner, keep)
		if err != nil {
			return false, err
		}
		some = some || owned
	}
	return some, nil
}

// own says whether there is a ConfigMap of that name, and sees to it that it is as it should be.
func (c *Client) own(ctx context.Context, name string, owner instance.Owner, keep bool) (bool, error) {
	getCtx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := c.api.CoreV1().ConfigMaps(c.namespace).Get(getCtx, name, metav1.GetOptions{})
	if kerrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot read ConfigMap %q: %w", name, err)
	}
	if isOurs(m, owner) && (len(m.OwnerReferences) == 0) == keep {
		return true, nil
	}
	references := []metav1.OwnerReference{}
	if !keep {
		references = append(references, metav1.OwnerReference{
			APIVersion: owner.APIVersion, Kind: owner.Kind, Name: owner.Name, UID: types.UID(owner.UID),
		})
	}
	return true, c.patchConfigMap(ctx, name, map[string]any{"metadata": map[string]any{
		"ownerReferences": references,
		"annotations":     map[string]string{annotationOwner: owner.UID},
	}})
}

// A PatroniState is what Patroni wrote down of the cluster.
type PatroniState struct {
	// Ours says that it belongs to this composite, not to an earlier one of the same name.
	Ours bool

	// Initialized says that an instance began to make the database.
	Initialized bool

	// SystemIdentifier of the database, once it was made.
	SystemIdentifier string

	// Led says that an instance has had the leader lock. Nobody is let in before.
	Led bool
}

// PatroniState returns what Patroni wrote down of the cluster, which is nothing for a new one.
func (c *Client) PatroniState(ctx context.Context, owner instance.Owner) (PatroniState, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	name := c.cluster.PatroniConfig()
	m, err := c.api.CoreV1().ConfigMaps(c.namespace).Get(ctx, name, metav1.GetOptions{})
	if kerrors.IsNotFound(err) {
		return PatroniState{}, nil
	}
	if err != nil {
		return PatroniState{}, fmt.Errorf("cannot read ConfigMap %q: %w", name, err)
	}
	identifier, initialized := m.Annotations[annotationInitialize]
	_, err = c.api.CoreV1().ConfigMaps(c.namespace).Get(ctx, c.cluster.PatroniLeader(), metav1.GetOptions{})
	if err != nil && !kerrors.IsNotFound(err) {
		return PatroniState{}, fmt.Errorf("cannot read ConfigMap %q: %w", c.cluster.PatroniLeader(), err)
	}
	return PatroniState{Ours: isOurs(m, owner), Initialized: initialized, SystemIdentifier: identifier, Led: err == nil}, nil
}

// ForgetPatroniState deletes what Patroni wrote down of the cluster, and returns the names of what there was.
func (c *Client) ForgetPatroniState(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var forgotten []string
	for _, name := range c.cluster.PatroniConfigMaps() {
		err := c.api.CoreV1().ConfigMaps(c.namespace).Delete(ctx, name, metav1.DeleteOptions{})
		if kerrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return forgotten, fmt.Errorf("cannot delete ConfigMap %q: %w", name, err)
		}
		forgotten = append(forgotten, name)
	}
	return forgotten, nil
}

func isOurs(m *corev1.ConfigMap, owner instance.Owner) bool {
	return m.Annotations[annotationOwner] == owner.UID
}

// Refresh makes the kubelet look at the Pod again: it renews mounted Secrets and grows file systems at once, rather than
// within a minute or two.
func (c *Client) Refresh(ctx context.Context, reason string) error {
	return c.patchPod(ctx, c.pod, map[string]any{"annotations": map[string]string{instance.AnnotationRefresh: reason}})
}

// GrowVolume asks for a data volume of at least the given size. It returns the size that the volume has now.
func (c *Client) GrowVolume(ctx context.Context, wanted string) (string, error) {
	want, err := resource.ParseQuantity(wanted)
	if err != nil {
		return "", fmt.Errorf("cannot parse the size of the data volume %q: %w", wanted, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	name := naming.DataVolumeTemplate + "-" + c.pod
	claims := c.api.CoreV1().PersistentVolumeClaims(c.namespace)
	claim, err := claims.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("cannot read PersistentVolumeClaim %q: %w", name, err)
	}
	capacity := claim.Status.Capacity[corev1.ResourceStorage]
	requested := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if requested.Cmp(want) >= 0 {
		return capacity.String(), nil
	}
	raw, err := json.Marshal(map[string]any{"spec": map[string]any{"resources": map[string]any{"requests": map[string]string{"storage": want.String()}}}})
	if err != nil {
		return "", fmt.Errorf("cannot encode a size: %w", err)
	}
	if _, err := claims.Patch(ctx, name, types.MergePatchType, raw, metav1.PatchOptions{}); err != nil {
		if kerrors.IsForbidden(err) || kerrors.IsInvalid(err) {
			return capacity.String(), fmt.Errorf("%w: %w", ErrCannotGrow, err)
		}
		return capacity.String(), fmt.Errorf("cannot grow PersistentVolumeClaim %q: %w", name, err)
	}
	return capacity.String(), nil
}

func (c *Client) patchConfigMap(ctx context.Context, name string, patch any) error {
	raw, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("cannot encode a change of ConfigMap %q: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := c.api.CoreV1().ConfigMaps(c.namespace).Patch(ctx, name, types.MergePatchType, raw, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("cannot change ConfigMap %q: %w", name, err)
	}
	return nil
}
