package dbcluster

import (
	"fmt"
	"maps"

	metav1 "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// objects returns every object that a cluster is to have, by its composition resource name. Whatever is not in here is
// deleted. The mark identifies the Pod template that the StatefulSet is to have.
func objects(c cluster, p plan) (contents map[string]any, mark string, err error) {
	if contents, err = surroundings(c, p); err != nil || !p.Instances {
		return contents, "", err
	}
	contents[naming.ObjectStatefulSet], mark, err = statefulSet(c, p)
	if err != nil {
		return nil, "", fmt.Errorf("cannot shape object %q: %w", naming.ObjectStatefulSet, err)
	}
	return contents, mark, nil
}

// surroundings returns every object but the StatefulSet.
func surroundings(c cluster, p plan) (map[string]any, error) {
	shapes := map[string]any{
		naming.ObjectAuthority:      authoritySecret(c, p),
		naming.ObjectCredentials:    credentialsSecret(c, p),
		naming.ObjectServiceAccount: serviceAccount(c),
		naming.ObjectRole:           role(c, p),
	}
	if p.RoleBinding {
		shapes[naming.ObjectRoleBinding] = roleBinding(c)
	}
	if !p.Bare {
		maps.Copy(shapes, map[string]any{
			naming.ObjectReports:             reportsConfigMap(c),
			naming.ObjectReadWrite:           readWriteService(c, p),
			naming.ObjectPods:                podsService(c),
			naming.ObjectPodDisruptionBudget: podDisruptionBudget(c),
			naming.ObjectNetworkPolicy:       networkPolicy(c, p),
		})
	}
	if !p.Bare && c.ReadReplicas {
		shapes[naming.ObjectReadOnly] = readOnlyService(c, p)
	}
	if p.Certificate != nil {
		shapes[naming.ObjectCertificate] = certificateSecret(c, p)
	}
	if p.Admin != nil {
		shapes[naming.ObjectAdmin] = adminSecret(c, p)
	}
	if p.Connection != nil {
		shapes[naming.ObjectConnection] = connectionSecret(c, p)
	}
	if p.Config != nil {
		config, err := configConfigMap(c, p)
		if err != nil {
			return nil, err
		}
		shapes[naming.ObjectConfig] = config
	}
	if p.Backup.Certificate != nil {
		shapes[naming.ObjectBackupCertificate] = backupCertificateSecret(c, p)
	}
	if p.Source != nil {
		shapes[naming.ObjectSource] = sourceSecret(c, p)
	}
	if p.Protected {
		protect(shapes, c, p.ProtectDefinitions)
	}
	return shapes, nil
}

// selector selects the cluster's Pods.
func selector(c cluster) *metav1.LabelSelectorApplyConfiguration {
	return metav1.LabelSelector().WithMatchLabels(c.Selector())
}
