package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// A Pod is what is seen of an instance's.
type Pod struct {
	Name     string
	UID      types.UID
	Revision string // Of the StatefulSet that it was made from.
	Role     string // As its label says.
	Ending   bool
}

// Pods returns the cluster's.
func (c *Client) Pods(ctx context.Context) ([]Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	list, err := c.api.CoreV1().Pods(c.namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(c.cluster.Selector()).String()})
	if err != nil {
		return nil, fmt.Errorf("cannot list the cluster's Pods: %w", err)
	}
	pods := make([]Pod, 0, len(list.Items))
	for i := range list.Items {
		p := &list.Items[i]
		pods = append(pods, Pod{
			Name: p.Name, UID: p.UID, Revision: p.Labels[appsv1.ControllerRevisionHashLabelKey], Role: p.Labels[naming.LabelRole],
			Ending: p.DeletionTimestamp != nil,
		})
	}
	return pods, nil
}

// DeletePod ends an instance in an orderly way; the StatefulSet makes it anew. Only the very Pod that was seen is deleted.
func (c *Client) DeletePod(ctx context.Context, pod Pod) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := c.api.CoreV1().Pods(c.namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}})
	if err != nil && !kerrors.IsNotFound(err) {
		return fmt.Errorf("cannot delete Pod %q: %w", pod.Name, err)
	}
	return nil
}

// TakeRole takes the label of a role from every other Pod that has it. One that was lost with its node cannot do so itself,
// and clients would go on being sent to it. It returns the names of the Pods.
func (c *Client) TakeRole(ctx context.Context, role string) ([]string, error) {
	pods, err := c.Pods(ctx)
	if err != nil {
		return nil, err
	}
	var taken []string
	for _, p := range pods {
		if p.Name == c.pod || p.Role != role {
			continue
		}
		if err := c.patchPod(ctx, p.Name, map[string]any{"labels": map[string]any{naming.LabelRole: nil}, "uid": p.UID}); err != nil {
			return taken, err
		}
		taken = append(taken, p.Name)
	}
	return taken, nil
}

// SetRole labels this instance's own Pod with a role.
func (c *Client) SetRole(ctx context.Context, role string) error {
	return c.patchPod(ctx, c.pod, map[string]any{"labels": map[string]any{naming.LabelRole: role}})
}

// ReleaseLock gives Patroni's leader lock up for this instance, whose PostgreSQL died at a time and is proven to be gone. It
// does not where the lock was renewed after that or is another's, and says whether it did. An heir, which must have all that
// was acknowledged, gets the lock at once; without one the others elect.
func (c *Client) ReleaseLock(ctx context.Context, died time.Time, heir string) (bool, error) {
	m, err := c.configMap(ctx, c.cluster.PatroniLeader())
	if err != nil {
		return false, err
	}
	if !releasable(m, c.pod, died) {
		return false, nil
	}
	err = c.patchConfigMap(ctx, m.Name, map[string]any{"metadata": map[string]any{
		// Whoever changes it meanwhile wins.
		"resourceVersion": m.ResourceVersion,
		"annotations":     succession(m, heir, time.Now()),
	}})
	return err == nil, err
}

// succession is what Patroni itself would write if the heir acquired the lock. Without an heir the lock is free.
func succession(m *corev1.ConfigMap, heir string, now time.Time) map[string]any {
	if heir == "" {
		return map[string]any{annotationLeader: nil}
	}
	number, _ := strconv.Atoi(m.Annotations[annotationTransitions])
	transitions := strconv.Itoa(number + 1)
	at := now.UTC().Format("2006-01-02T15:04:05.000000-07:00")
	return map[string]any{
		annotationLeader: heir, annotationRenewTime: at, annotationAcquireTime: at,
		annotationTransitions: transitions, annotationEntitled: heir, annotationHeir: heirOf(heir, transitions),
	}
}

// heirOf names an heir. Patroni counts how often the lock has passed on: whoever gets it later is not one by this.
func heirOf(pod, transitions string) string { return pod + " " + transitions }

func releasable(m *corev1.ConfigMap, pod string, died time.Time) bool {
	renewed, err := time.Parse(time.RFC3339, m.Annotations[annotationRenewTime])
	return err == nil && m.Annotations[annotationLeader] == pod && renewed.Before(died)
}

// KeptVolume returns the name of another instance's data volume that is older than the cluster, if there is one: it may
// hold the cluster's data.
func (c *Client) KeptVolume(ctx context.Context, created string, instances int) (string, error) {
	since, err := time.Parse(time.RFC3339, created)
	if err != nil {
		return "", fmt.Errorf("cannot parse when the cluster was created: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for ordinal := range instances {
		if c.cluster.Pod(ordinal) == c.pod {
			continue
		}
		claim, err := c.api.CoreV1().PersistentVolumeClaims(c.namespace).Get(ctx, c.cluster.DataVolume(ordinal), metav1.GetOptions{})
		if kerrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("cannot read PersistentVolumeClaim %q: %w", c.cluster.DataVolume(ordinal), err)
		}
		if claim.CreationTimestamp.Time.Before(since) {
			return claim.Name, nil
		}
	}
	return "", nil
}

func (c *Client) patchPod(ctx context.Context, name string, metadata map[string]any) error {
	raw, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return fmt.Errorf("cannot encode a change of Pod %q: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := c.api.CoreV1().Pods(c.namespace).Patch(ctx, name, types.MergePatchType, raw, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("cannot change Pod %q: %w", name, err)
	}
	return nil
}
