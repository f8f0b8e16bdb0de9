package dbcluster

import (
	"encoding/json"
	"fmt"

	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// configConfigMap tells every instance what to be. Agents watch it, so a change of it restarts no Pod.
func configConfigMap(c cluster, p plan) (*applycorev1.ConfigMapApplyConfiguration, error) {
	config, err := json.MarshalIndent(p.Config, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("cannot encode the configuration of the instances: %w", err)
	}
	return applycorev1.ConfigMap(c.Config(), c.Namespace).
		WithLabels(c.Labels()).
		WithData(map[string]string{instance.ConfigKey: string(config)}), nil
}

// reportsConfigMap is where instances report. It has no data here, so that theirs is left alone, and a change of theirs
// calls the function.
func reportsConfigMap(c cluster) *applycorev1.ConfigMapApplyConfiguration {
	return applycorev1.ConfigMap(c.Reports(), c.Namespace).WithLabels(c.Labels())
}
