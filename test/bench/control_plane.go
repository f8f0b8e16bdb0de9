package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	statsv1 "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// labelFunction is on the Pods that Crossplane runs functions in.
	labelFunction = "pkg.crossplane.io/function"

	// memoryInterval is how often memory is looked at. A kubelet looks every 10 seconds or so itself.
	memoryInterval = 5 * time.Second
)

// functionPod returns the Pod that the function runs in.
func (b *bench) functionPod(ctx context.Context) (string, error) {
	return b.crossplanePod(ctx, client.HasLabels{labelFunction})
}

// crossplanePod returns the only running Pod of Crossplane's namespace that is selected.
func (b *bench) crossplanePod(ctx context.Context, selector client.ListOption) (string, error) {
	pods := &corev1.PodList{}
	if err := b.Client.List(ctx, pods, client.InNamespace(crossplaneNamespace), selector); err != nil {
		return "", fmt.Errorf("cannot list Crossplane's Pods: %w", err)
	}
	running := []string{}
	for _, pod := range pods.Items {
		if pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil {
			running = append(running, pod.Name)
		}
	}
	if len(running) != 1 {
		return "", fmt.Errorf("there must be one running Pod to measure, but there are: %v", running)
	}
	return running[0], nil
}

// functionCalls returns how often the function was called since it was started, from its metrics.
func (b *bench) functionCalls(ctx context.Context) (float64, error) {
	pod, err := b.functionPod(ctx)
	if err != nil {
		return 0, err
	}
	metrics, err := b.Logs.CoreV1().Pods(crossplaneNamespace).ProxyGet("http", pod, "8080", "metrics", nil).DoRaw(ctx)
	if err != nil {
		return 0, fmt.Errorf("cannot read the function's metrics: %w", err)
	}
	return calls(string(metrics))
}

// calls adds up the calls of all outcomes in Prometheus metrics.
func calls(metrics string) (float64, error) {
	total := 0.0
	for line := range strings.Lines(metrics) {
		if !strings.HasPrefix(line, "grpc_server_handled_total{") || !strings.Contains(line, `grpc_method="RunFunction"`) {
			continue
		}
		fields := strings.Fields(line)
		v, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			return 0, fmt.Errorf("cannot read the function's metrics: %w", err)
		}
		total += v
	}
	return total, nil
}

// A sampler reads again and again how much memory Pods of Crossplane's namespace work with, as their kubelet says.
type sampler struct {
	bench *bench
	stop  context.CancelFunc
	done  sync.WaitGroup

	// pods are the measurements by the names of Pods.
	pods map[string]*measurement
	errs []error
}

// sample begins to read. End it with end before looking at the measurements.
func (b *bench) sample(ctx context.Context, pods map[string]*measurement) *sampler {
	ctx, cancel := context.WithCancel(ctx)
	s := &sampler{bench: b, stop: cancel, pods: pods}
	s.done.Go(func() {
		for ctx.Err() == nil {
			s.read(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(memoryInterval):
			}
		}
	})
	return s
}

// end returns an error only when nothing could be read at all: a kubelet that is busy may miss a sample.
func (s *sampler) end() error {
	s.stop()
	s.done.Wait()
	for pod, m := range s.pods {
		if len(m.samples) == 0 {
			return fmt.Errorf("cannot read how much memory Pod %q works with: %w", pod, errors.Join(s.errs...))
		}
	}
	return nil
}

func (s *sampler) read(ctx context.Context) {
	nodes := &corev1.NodeList{}
	if err := s.bench.Client.List(ctx, nodes); err != nil {
		s.errs = append(s.errs, err)
		return
	}
	for _, node := range nodes.Items {
		summary, err := s.bench.summary(ctx, node.Name)
		if err != nil {
			s.errs = append(s.errs, err)
			continue
		}
		s.take(summary)
	}
}

func (s *sampler) take(summary statsv1.Summary) {
	for _, pod := range summary.Pods {
		m, wanted := s.pods[pod.PodRef.Name]
		if wanted && pod.PodRef.Namespace == crossplaneNamespace && pod.Memory != nil && pod.Memory.WorkingSetBytes != nil {
			m.add(float64(*pod.Memory.WorkingSetBytes))
		}
	}
}

// summary asks a node's kubelet what its Pods use.
func (b *bench) summary(ctx context.Context, node string) (statsv1.Summary, error) {
	summary := statsv1.Summary{}
	raw, err := b.Logs.CoreV1().RESTClient().Get().Resource("nodes").Name(node).SubResource("proxy").Suffix("stats/summary").DoRaw(ctx)
	if err != nil {
		return summary, fmt.Errorf("cannot ask the kubelet of node %q: %w", node, err)
	}
	if err := json.Unmarshal(raw, &summary); err != nil {
		return summary, fmt.Errorf("cannot read what the kubelet of node %q says: %w", node, err)
	}
	return summary, nil
}
