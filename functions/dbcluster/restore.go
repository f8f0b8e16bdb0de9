package dbcluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
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
	r.ByGrant = r.Namespace != c.Namespace && spec.Restore.BackupPlanOf != v1alpha1.PlanOfSelf
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

// sourceSecret is the name of the Secret that says where the backups are which the cluster begins with. A BackupPlan composes it; of
// what another namespace grants the cluster has a copy.
func (c cluster) sourceSecret() string {
	switch {
	case c.Restore.ByGrant:
		return c.Source()
	case c.Spec.Bootstrap.Restore.BackupPlanOf == v1alpha1.PlanOfSelf:
		return c.Repository()
	}
	return c.restored().Repository()
}

// restored is the cluster that was backed up.
func (c cluster) restored() naming.Cluster {
	return naming.Cluster{Namespace: c.Restore.Namespace, Name: c.Restore.Cluster}
}

// lookUpSource returns what is looked up of it. There is nothing more to read of what was granted once there is a database.
func (c cluster) lookUpSource(seen facts) (compose.Selector, bool) {
	switch {
	case c.Restore == nil, c.Restore.ByGrant && born(seen):
		return compose.Selector{}, false
	case c.Restore.ByGrant:
		return secretSelector(c.Restore.Namespace, c.restored().Granted(c.Namespace)), true
	}
	return secretSelector(c.Namespace, c.sourceSecret()), true
}

// planSource returns what is to be in the copy of what another namespace grants. Nil while there is to be none.
func planSource(c cluster, seen facts) map[string][]byte {
	switch {
	case c.Restore == nil, !c.Restore.ByGrant, born(seen):
		return nil
	case !seen.Source.Answered:
		return seen.SourceCopy
	}
	return seen.Source.Data
}
