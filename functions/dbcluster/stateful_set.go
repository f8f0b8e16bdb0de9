package dbcluster

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apimetav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applyappsv1 "k8s.io/client-go/applyconfigurations/apps/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	metav1 "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// statefulSet runs the instances. Its Pod template says nothing of what can change in a running instance (parameters,
// passwords, certificates, the size of the disk): a change of the template restarts every Pod.
func statefulSet(c cluster, p plan) (content any, mark string, err error) {
	template, err := podTemplate(c)
	if err != nil {
		return nil, "", err
	}
	set := applyappsv1.StatefulSet(c.StatefulSet(), c.Namespace).WithLabels(c.Labels())
	if err := incarnate(set, template, p.Incarnation); err != nil {
		return nil, "", err
	}
	if mark, err = templateMark(template); err != nil {
		return nil, "", err
	}
	set.WithAnnotations(map[string]string{naming.AnnotationTemplate: mark}).
		WithSpec(applyappsv1.StatefulSetSpec().
			WithServiceName(c.Pods()).
			WithReplicas(p.Replicas).
			WithSelector(selector(c)).
			// Patroni elects: no instance waits for the one before it.
			WithPodManagementPolicy(appsv1.ParallelPodManagement).
			WithUpdateStrategy(applyappsv1.StatefulSetUpdateStrategy().WithType(updateStrategy(p))).
			WithPersistentVolumeClaimRetentionPolicy(retention(c)).
			WithRevisionHistoryLimit(2).
			WithTemplate(template).
			WithVolumeClaimTemplates(dataVolume(c)))

	if len(p.VolumeClaimTemplates) == 0 {
		return set, mark, nil
	}
	return &existingStatefulSet{
		StatefulSetApplyConfiguration: set,
		Spec:                          existingStatefulSetSpec{set.Spec, p.VolumeClaimTemplates},
	}, mark, nil
}

// An existingStatefulSet has the templates of its volumes as they are: they cannot be changed, and the agents grow the disks.
type existingStatefulSet struct {
	*applyappsv1.StatefulSetApplyConfiguration `json:",inline"`

	Spec existingStatefulSetSpec `json:"spec"`
}

type existingStatefulSetSpec struct {
	*applyappsv1.StatefulSetSpecApplyConfiguration `json:",inline"`

	VolumeClaimTemplates []*compose.Resource `json:"volumeClaimTemplates"`
}

// updateStrategy leaves the order of a rolling update to the primary's agent where there is an order to keep.
func updateStrategy(p plan) appsv1.StatefulSetUpdateStrategyType {
	if p.Ordered {
		return appsv1.OnDeleteStatefulSetStrategyType
	}
	return appsv1.RollingUpdateStatefulSetStrategyType
}

// retention says that stopping keeps the volumes, and whether the claim's end does.
func retention(c cluster) *applyappsv1.StatefulSetPersistentVolumeClaimRetentionPolicyApplyConfiguration {
	deleted := appsv1.RetainPersistentVolumeClaimRetentionPolicyType
	if c.Spec.VolumeRetentionPolicy == v1alpha1.VolumesDeleted {
		deleted = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	}
	return applyappsv1.StatefulSetPersistentVolumeClaimRetentionPolicy().
		WithWhenScaled(appsv1.RetainPersistentVolumeClaimRetentionPolicyType).
		WithWhenDeleted(deleted)
}

func dataVolume(c cluster) *applycorev1.PersistentVolumeClaimApplyConfiguration {
	modes := make([]corev1.PersistentVolumeAccessMode, 0, len(c.Disk.AccessModes))
	for _, mode := range c.Disk.AccessModes {
		modes = append(modes, corev1.PersistentVolumeAccessMode(mode))
	}
	spec := applycorev1.PersistentVolumeClaimSpec().
		WithAccessModes(modes...).
		WithVolumeMode(corev1.PersistentVolumeFilesystem).
		WithResources(applycorev1.VolumeResourceRequirements().
			WithRequests(corev1.ResourceList{corev1.ResourceStorage: c.Disk.Size}))
	if c.Disk.StorageClass != "" {
		spec.WithStorageClassName(c.Disk.StorageClass)
	}
	if c.Disk.VolumeName != "" {
		spec.WithVolumeName(c.Disk.VolumeName)
	}
	if c.Disk.Selector != nil {
		spec.WithSelector(labelSelector(c.Disk.Selector))
	}

	volume := &applycorev1.PersistentVolumeClaimApplyConfiguration{}
	volume.WithName(naming.DataVolumeTemplate).WithLabels(c.Labels()).WithSpec(spec)
	if len(c.Disk.Annotations) > 0 {
		volume.WithAnnotations(c.Disk.Annotations)
	}
	return volume
}

// templateMark identifies a Pod template. It is written on the StatefulSet in the same request as the template, so whoever
// sees the mark knows that the StatefulSet's generation is the template's.
func templateMark(template *applycorev1.PodTemplateSpecApplyConfiguration) (string, error) {
	b, err := json.Marshal(template)
	if err != nil {
		return "", fmt.Errorf("cannot encode the Pod template: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8]), nil
}

func podTemplate(c cluster) (*applycorev1.PodTemplateSpecApplyConfiguration, error) {
	spec, err := podSpec(c)
	if err != nil {
		return nil, err
	}
	// Patroni finds its members by both labels.
	labels := c.Labels()
	labels[naming.LabelScope] = c.Scope()
	return applycorev1.PodTemplateSpec().WithLabels(labels).WithSpec(spec), nil
}

func labelSelector(s *apimetav1.LabelSelector) *metav1.LabelSelectorApplyConfiguration {
	ac := metav1.LabelSelector()
	if len(s.MatchLabels) > 0 {
		ac.WithMatchLabels(s.MatchLabels)
	}
	for _, e := range s.MatchExpressions {
		ac.WithMatchExpressions(metav1.LabelSelectorRequirement().WithKey(e.Key).WithOperator(e.Operator).WithValues(e.Values...))
	}
	return ac
}
