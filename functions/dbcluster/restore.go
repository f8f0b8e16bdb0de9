package dbcluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// restoreOf returns which database a cluster begins with. Nil means an empty one.
func restoreOf(c naming.Cluster, spec *v1alpha1.BootstrapSpec) (*instance.Restore, error) {
	if spec == nil {
		return nil, nil
	}
	r, err := instance.RestoreOf(cmp.Or(spec.Restore.SourceNamespace, c.Namespace), spec.Restore.SourceDBCluster, spec.Restore.RestoreTarget)
	if err != nil {
		return nil, fmt.Errorf("cannot read bootstrap.restore: %w", err)
	}
	return &r, nil
}

// awaitedPlan returns the BackupPlan of a cluster without a database, as long as it has not said where backups are kept: the
// cluster and its plan may come in any order, and what the plan leads to has a say in how the cluster begins.
func awaitedPlan(c cluster, seen facts) string {
	switch {
	case born(seen), len(seen.Repository.Data[instance.KeyRepositoryRevision]) > 0:
		return ""
	case seen.Plans == nil && seen.Config != nil:
		return seen.Config.PlanAwaited
	}
	for _, plan := range slices.Sorted(maps.Keys(seen.Plans)) {
		if seen.Plans[plan] == c.Name {
			return plan
		}
	}
	return ""
}

// source returns the cluster whose BackupPlan says where the backups are that this one begins with.
func (c cluster) source() naming.Cluster {
	if c.Spec.Bootstrap.Restore.BackupPlanOf == v1alpha1.PlanOfSelf {
		return c.Cluster
	}
	return naming.Cluster{Namespace: c.Namespace, Name: c.Spec.Bootstrap.Restore.SourceDBCluster}
}
