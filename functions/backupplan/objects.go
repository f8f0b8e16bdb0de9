package backupplan

import (
	"strings"

	applycoordinationv1 "k8s.io/client-go/applyconfigurations/coordination/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applyrbacv1 "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// objects returns every object that a plan is to have. All are named by the DBCluster, so that it cannot have two plans.
func objects(r request, seen facts, p plan) (map[string]compose.Object, error) {
	location := r.Repository.ID()
	shapes := map[string]any{}
	if p.Bucket {
		shapes[naming.ObjectBucket(location)], shapes[naming.ObjectStore(location)] = bucket(r), store(r)
	}
	if p.Shared {
		shapes[naming.ObjectRepository], shapes[naming.ObjectInventory] = repositorySecret(r, p), inventoryConfigMap(r)
		shapes[naming.ObjectLock], shapes[naming.ObjectRole] = lock(r), role(r)
	}
	if p.RoleBinding {
		shapes[naming.ObjectRoleBinding] = roleBinding(r)
	}
	for namespace, data := range p.Grants {
		shapes[naming.ObjectGrant(namespace)] = grantSecret(r, namespace, data)
	}
	pending := map[string]bool{naming.ObjectRepository: seen.Repository == nil, naming.ObjectBucket(location): !seen.Bucket.Ready}
	contents, err := trialObjects(r, seen, p.Trial)
	if err != nil {
		return nil, err
	}
	for name, shape := range shapes {
		contents[name] = compose.Object{Content: shape, Ready: !pending[name]}
	}
	return contents, nil
}

// repositorySecret tells the instances and the Jobs where backups are kept and how to get in.
func repositorySecret(r request, p plan) *applycorev1.SecretApplyConfiguration {
	return applycorev1.Secret(r.Cluster.Repository(), r.Namespace).WithLabels(r.labels()).WithType("Opaque").WithData(p.Secret)
}

// grantSecret lets the DBClusters of another namespace restore from the backups. The function copies it to those that ask for it.
func grantSecret(r request, namespace string, data map[string][]byte) *applycorev1.SecretApplyConfiguration {
	return applycorev1.Secret(r.Granted(namespace), r.Namespace).WithLabels(r.labels()).WithType("Opaque").WithData(data)
}

// inventoryConfigMap has no data here: the Jobs of backups write it.
func inventoryConfigMap(r request) *applycorev1.ConfigMapApplyConfiguration {
	return applycorev1.ConfigMap(r.Inventory(), r.Namespace).WithLabels(r.labels())
}

// lock has no holder here: whoever changes the repository takes it.
func lock(r request) *applycoordinationv1.LeaseApplyConfiguration {
	return applycoordinationv1.Lease(r.RepositoryLock(), r.Namespace).WithLabels(r.labels())
}

// role is what the instances may do beyond what they may without a plan: create Backups when they are due, and delete those
// that name what is no longer there. Names can limit neither.
func role(r request) *applyrbacv1.RoleApplyConfiguration {
	return applyrbacv1.Role(r.Archivist(), r.Namespace).WithLabels(r.labels()).WithRules(
		applyrbacv1.PolicyRule().WithAPIGroups(v1alpha1.Group).WithResources(strings.ToLower(v1alpha1.KindBackup)+"s").WithVerbs("list", "create", "delete"),
		applyrbacv1.PolicyRule().WithAPIGroups("").WithResources("configmaps").WithVerbs("get", "patch").WithResourceNames(r.Inventory()),
		applyrbacv1.PolicyRule().WithAPIGroups("coordination.k8s.io").WithResources("leases").WithVerbs("get", "update").WithResourceNames(r.RepositoryLock()),
	)
}

func roleBinding(r request) *applyrbacv1.RoleBindingApplyConfiguration {
	return applyrbacv1.RoleBinding(r.Archivist(), r.Namespace).
		WithLabels(r.labels()).
		WithRoleRef(applyrbacv1.RoleRef().WithAPIGroup("rbac.authorization.k8s.io").WithKind("Role").WithName(r.Archivist())).
		WithSubjects(applyrbacv1.Subject().WithKind("ServiceAccount").WithName(r.ServiceAccount()).WithNamespace(r.Namespace))
}
