package dbcluster

import (
	"encoding/json"
	"errors"
	"fmt"

	applyappsv1 "k8s.io/client-go/applyconfigurations/apps/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/functions/pods"
)

// errIncarnationNotSeen says that it cannot be told which incarnation runs.
var errIncarnationNotSeen = errors.New("neither the StatefulSet nor the ConfigMap of the configuration is seen, which say which incarnation of the database runs; nothing is changed, and it is looked again. If both were deleted, create the ConfigMap again from a backup of it, or the StatefulSet with its annotation xdbcluster.io/incarnation")

// planIncarnation returns the incarnation that the Pods are to run, and whether it is to be left for another one. A Restore has
// written that down in the ledger. The other one begins only when no Pod of this one is left, so that the two never both answer.
// A ledger that says less than what runs is an old one, and so is a StatefulSet that says other than what its Pods are told.
func planIncarnation(seen facts) (incarnation *instance.Incarnation, leaving bool, err error) {
	wanted := seen.Incarnation
	if !seen.Started {
		return wanted, false, nil
	}
	if seen.StatefulSet == nil && seen.Config == nil && wanted != nil {
		return nil, false, errIncarnationNotSeen
	}
	running, left := (*instance.Incarnation)(nil), false
	if set := seen.StatefulSet; set != nil {
		running, left = set.Incarnation, set.SpecReplicas == 0 && set.Replicas == 0 && set.ObservedGeneration >= set.Generation
	}
	if seen.Config != nil && seen.Config.Incarnation.At() > running.At() {
		running = seen.Config.Incarnation
	}
	left = left && seen.Config != nil && seen.Config.Leaving
	switch {
	case wanted.At() <= running.At():
		return running, false, nil
	case left:
		return wanted, false, nil
	}
	return running, true, nil
}

// incarnate lets a StatefulSet's Pods run an incarnation. It is part of the template, so that no Pod is taken for one of another
// incarnation. One that was never restored in place has no trace of it.
func incarnate(set *applyappsv1.StatefulSetApplyConfiguration, template *applycorev1.PodTemplateSpecApplyConfiguration, i *instance.Incarnation) error {
	if i == nil {
		return nil
	}
	raw, err := json.Marshal(i)
	if err != nil {
		return fmt.Errorf("cannot encode the incarnation: %w", err)
	}
	set.WithAnnotations(map[string]string{naming.AnnotationIncarnation: string(raw)})
	template.WithLabels(map[string]string{naming.LabelIncarnation: i.ID})
	for n := range template.Spec.Containers {
		if container := &template.Spec.Containers[n]; *container.Name == pods.ContainerDatabase {
			container.WithEnv(applycorev1.EnvVar().WithName(instance.EnvIncarnation).WithValue(string(raw)))
		}
	}
	return nil
}

// scopes are the cluster under the names that Patroni has, or had, for it: as long as it is kept, an incarnation can come back.
func scopes(c cluster, i *instance.Incarnation) []naming.Cluster {
	all := []naming.Cluster{c.Cluster}
	if i == nil {
		return all
	}
	for _, k := range i.Kept {
		other := c.Cluster
		other.Incarnation = k.Scope()
		all = append(all, other)
	}
	return all
}
