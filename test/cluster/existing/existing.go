// Package existing lets tests run on a cluster that somebody else brought up.
package existing

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const timeout = 10 * time.Second

// Check says whether the cluster of a kubeconfig answers and has a node to run Pods on.
func Check(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("cannot read the kubeconfig %q that KUBECONFIG names: %w", kubeconfig, err)
	}
	config.Timeout = timeout
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("cannot use the kubeconfig %q that KUBECONFIG names: %w", kubeconfig, err)
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return fmt.Errorf("the cluster %s that KUBECONFIG names does not answer (unset KUBECONFIG to use the local cluster): %w", config.Host, err)
	}
	if len(nodes.Items) == 0 {
		return fmt.Errorf("the cluster %s that KUBECONFIG names has no nodes", config.Host)
	}
	return nil
}
