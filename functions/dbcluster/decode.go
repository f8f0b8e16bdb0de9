package dbcluster

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/functions/parameters"
)

// maximumStandbys that a primary can have.
const maximumStandbys = 5

// What v1alpha1.AvailabilitySpec has as defaults: a composite that is older than a field has none.
const (
	defaultPeriod            = 5
	defaultFailoverThreshold = 3
	defaultHealThreshold     = 12
)

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
	Given *compose.Resource

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

	// Restore says which database the cluster begins with. Nil means an empty one.
	Restore *instance.Restore

	// IfBackupsExist says what it does about backups of an earlier cluster of its name.
	IfBackupsExist v1alpha1.IfBackupsExist

	// Health says when an instance that runs is taken for failed.
	Health instance.Health
}

// decode returns what a composite asks for. An error means that it cannot be told: nothing may be changed then.
func decode(xr, config *compose.Resource) (cluster, error) {
	name, err := claim(xr)
	if err != nil {
		return cluster{}, err
	}
	given := compose.Spec(xr)
	c := cluster{
		Cluster: name,
		Owner: instance.Owner{
			APIVersion: xr.Text("apiVersion"), Kind: xr.Text("kind"), Name: xr.Text("metadata", "name"), UID: xr.Text("metadata", "uid"),
			Created: xr.Text("metadata", "creationTimestamp"),
		},
		Given: given,
	}
	if err := given.Decode(&c.Spec); err != nil {
		return cluster{}, fmt.Errorf("cannot read the spec: %w", err)
	}
	if err := c.complete(config); err != nil {
		return cluster{}, err
	}
	return c, nil
}

// claim returns the namespace and the name that a composite works for.
func claim(xr *compose.Resource) (naming.Cluster, error) {
	of, err := compose.ClaimOf(xr)
	if err != nil {
		return naming.Cluster{}, err
	}
	if len(validation.IsDNS1035Label(of.Name)) > 0 {
		return naming.Cluster{}, errors.New("spec.claimRef has a name that cannot be part of a DNS name")
	}
	return naming.Cluster{Namespace: of.Namespace, Name: of.Name}, nil
}

// complete fills in what follows from the spec and from the platform's defaults.
func (c *cluster) complete(config *compose.Resource) error {
	if c.Spec.VolumeRetentionPolicy == "" {
		c.Spec.VolumeRetentionPolicy = v1alpha1.VolumesRetained
	}
	c.Protected = c.Spec.DeletionProtection == nil || *c.Spec.DeletionProtection
	c.Stopped = c.Spec.PrimarySpec.IsStopped
	if err := c.completeAvailability(); err != nil {
		return err
	}

	restore, err := restoreOf(c.Cluster, c.Spec.Bootstrap)
	if err != nil {
		return err
	}
	c.Restore = restore
	c.IfBackupsExist = cmp.Or(c.Spec.IfBackupsExist, v1alpha1.BackupsFail)
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
	c.Health = instance.Health{PeriodSeconds: defaultPeriod, FailoverThreshold: defaultFailoverThreshold, HealThreshold: defaultHealThreshold}
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
	c.completeHealth(*a)
	return nil
}

func (c *cluster) completeHealth(a v1alpha1.AvailabilitySpec) {
	c.Health.PeriodSeconds = cmp.Or(int(a.HealthcheckPeriodSeconds), c.Health.PeriodSeconds)
	c.Health.FailoverThreshold = cmp.Or(int(a.AutoFailoverTriggerThreshold), c.Health.FailoverThreshold)
	c.Health.HealThreshold = cmp.Or(int(a.AutoHealTriggerThreshold), c.Health.HealThreshold)
	c.Health.NoFailover = c.Instances > 1 && a.EnableAutoFailover != nil && !*a.EnableAutoFailover
	c.Health.NoHeal = a.EnableAutoHeal != nil && !*a.EnableAutoHeal
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
func imageFor(spec v1alpha1.DBClusterSpec, config *compose.Resource) (string, error) {
	if spec.DatabaseImage != "" {
		return spec.DatabaseImage, nil
	}
	var defaults PlatformDefaults
	if err := config.Decode(&defaults); err != nil {
		return "", fmt.Errorf("cannot read the input of the composition's step: %w", err)
	}
	image := defaults.Images[spec.PrimarySpec.Version]
	if image == "" {
		return "", fmt.Errorf("the platform has no image for PostgreSQL %q: add it to images in the input of the composition's step, or set databaseImage",
			spec.PrimarySpec.Version)
	}
	return image, nil
}
