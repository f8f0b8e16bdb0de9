package dbcluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/functions/parameters"
)

// maximumStandbys that a primary can have.
const maximumStandbys = 5

// machinery are the fields that Crossplane adds to a spec. They are not the user's.
func machinery() []string {
	return []string{
		"claimRef", "compositeDeletePolicy", "compositionRef", "compositionRevisionRef", "compositionRevisionSelector",
		"compositionSelector", "compositionUpdatePolicy", "crossplane", "environmentConfigRefs",
		"publishConnectionDetailsTo", "resourceRef", "resourceRefs", "writeConnectionSecretToRef",
	}
}

// PlatformDefaults is the input of the composition's step: what the platform sets for every cluster.
type PlatformDefaults struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`

	// Images are the database images by major version of PostgreSQL.
	Images map[string]string `json:"images"`
}

// A cluster is what a composite asks for, with every default filled in.
type cluster struct {
	naming.Cluster

	// Owner is the composite.
	Owner instance.Owner

	// Spec is what the claim asks for.
	Spec v1alpha1.DBClusterSpec

	// Given is the user's part of the spec as it is, for the status to echo.
	Given map[string]any

	// Image that every instance runs.
	Image string

	// Disk is the data disk.
	Disk v1alpha1.DiskSpec

	// Sizes of an instance.
	Sizes parameters.Sizes

	// Protected says that deletion is to be refused.
	Protected bool

	// Instances is how many there are to be while the cluster is not stopped: the primary and its standbys.
	Instances int

	// Stopped says that no instance is to run.
	Stopped bool

	// Synchronous is what a commit waits for.
	Synchronous v1alpha1.Synchrony

	// ReadReplicas says that clients may read from standbys.
	ReadReplicas bool
}

// decode returns what a composite asks for. An error means that it cannot be told: nothing may be changed then.
func decode(xr *unstructured.Unstructured, config map[string]any) (cluster, error) {
	name, err := claim(xr)
	if err != nil {
		return cluster{}, err
	}
	given, _, err := unstructured.NestedMap(xr.Object, "spec")
	if err != nil {
		return cluster{}, fmt.Errorf("cannot read the spec: %w", err)
	}
	maps.DeleteFunc(given, func(field string, _ any) bool { return isMachinery(field) })

	c := cluster{
		Cluster: name,
		Owner: instance.Owner{
			APIVersion: xr.GetAPIVersion(), Kind: xr.GetKind(), Name: xr.GetName(), UID: string(xr.GetUID()),
			Created: text(xr.Object, "metadata", "creationTimestamp"),
		},
		Given: given,
	}
	if err := remarshal(given, &c.Spec); err != nil {
		return cluster{}, fmt.Errorf("cannot read the spec: %w", err)
	}
	if err := c.complete(config); err != nil {
		return cluster{}, err
	}
	return c, nil
}

// claim returns the namespace and the name that a composite works for. It is the only place that knows claims: with
// namespaced composites it returns the composite's own.
func claim(xr *unstructured.Unstructured) (naming.Cluster, error) {
	namespace, _, errNamespace := unstructured.NestedString(xr.Object, "spec", "claimRef", "namespace")
	name, _, errName := unstructured.NestedString(xr.Object, "spec", "claimRef", "name")
	if err := errors.Join(errNamespace, errName); err != nil {
		return naming.Cluster{}, fmt.Errorf("cannot read spec.claimRef: %w", err)
	}
	if namespace == "" || name == "" {
		return naming.Cluster{}, errors.New("spec.claimRef is empty: create a DBCluster in a namespace, and leave the XDBCluster to Crossplane")
	}
	if len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1035Label(name)) > 0 {
		return naming.Cluster{}, errors.New("spec.claimRef has a namespace or a name that cannot be part of a DNS name")
	}
	return naming.Cluster{Namespace: namespace, Name: name}, nil
}

// complete fills in what follows from the spec and from the platform's defaults.
func (c *cluster) complete(config map[string]any) error {
	if c.Spec.VolumeRetentionPolicy == "" {
		c.Spec.VolumeRetentionPolicy = v1alpha1.VolumesRetained
	}
	c.Protected = c.Spec.DeletionProtection == nil || *c.Spec.DeletionProtection
	c.Stopped = c.Spec.PrimarySpec.IsStopped
	if err := c.completeAvailability(); err != nil {
		return err
	}

	image, err := imageFor(c.Spec, config)
	if err != nil {
		return err
	}
	c.Image = image

	for _, disk := range c.Spec.PrimarySpec.Resources.Disks {
		if disk.Name == v1alpha1.DataDisk {
			c.Disk = disk
		}
	}
	if len(c.Disk.AccessModes) == 0 {
		c.Disk.AccessModes = []v1alpha1.DiskAccessMode{"ReadWriteOnce"}
	}
	return c.size()
}

func (c *cluster) completeAvailability() error {
	c.Instances, c.Synchronous, c.ReadReplicas = 1, v1alpha1.SynchronyPreferred, true
	a := c.Spec.Availability
	if a == nil {
		return nil
	}
	if a.NumberOfStandbys < 0 || a.NumberOfStandbys > maximumStandbys {
		return fmt.Errorf("availability.numberOfStandbys is %d, and must be between 0 and %d", a.NumberOfStandbys, maximumStandbys)
	}
	c.Instances += int(a.NumberOfStandbys)
	if a.Synchronous != "" {
		c.Synchronous = a.Synchronous
	}
	c.ReadReplicas = a.EnableStandbyAsReadReplica == nil || *a.EnableStandbyAsReadReplica
	return nil
}

// size reads the quantities.
func (c *cluster) size() error {
	resources := c.Spec.PrimarySpec.Resources
	if resources.CPU.IsZero() {
		resources.CPU.Set(1)
		c.Spec.PrimarySpec.Resources.CPU = resources.CPU
	}
	c.Sizes = parameters.Sizes{
		Memory:   resources.Memory.Value(),
		CPU:      resources.CPU.MilliValue(),
		DataDisk: c.Disk.Size.Value(),
	}
	switch {
	case c.Sizes.CPU <= 0 || c.Sizes.CPU == math.MaxInt64:
		return fmt.Errorf("primarySpec.resources.cpu is %s, which no instance can have", resources.CPU.String())
	case c.Sizes.Memory <= 0 || c.Sizes.Memory == math.MaxInt64:
		return fmt.Errorf("primarySpec.resources.memory is %s, which no instance can have", resources.Memory.String())
	case c.Sizes.DataDisk <= 0 || c.Sizes.DataDisk == math.MaxInt64:
		return fmt.Errorf("primarySpec.resources.disks has no DataDisk with a size, but %q", c.Disk.Size.String())
	}
	return nil
}

// imageFor returns the image that the claim names, or the platform's for the version.
func imageFor(spec v1alpha1.DBClusterSpec, config map[string]any) (string, error) {
	if spec.DatabaseImage != "" {
		return spec.DatabaseImage, nil
	}
	var defaults PlatformDefaults
	if err := remarshal(config, &defaults); err != nil {
		return "", fmt.Errorf("cannot read the input of the composition's step: %w", err)
	}
	image := defaults.Images[spec.PrimarySpec.Version]
	if image == "" {
		return "", fmt.Errorf("the platform has no image for PostgreSQL %q: add it to images in the input of the composition's step, or set databaseImage",
			spec.PrimarySpec.Version)
	}
	return image, nil
}

func isMachinery(field string) bool {
	return slices.Contains(machinery(), field)
}

// remarshal reads untyped content into a typed value. What the type does not know is an error: nothing is ignored.
func remarshal(from map[string]any, into any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
