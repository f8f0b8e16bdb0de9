package backup

import (
	"fmt"
	"strings"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// A request is what a composite asks for, with every default filled in.
type request struct {
	naming.Operation

	// Cluster that it is of.
	Cluster naming.Cluster

	// Task is what the Job is to carry out.
	Task instance.BackupTask

	// Acknowledged says that somebody has seen how it failed.
	Acknowledged bool
}

func decode(xr *compose.Resource) (request, error) {
	claim, err := compose.ClaimOf(xr)
	if err != nil {
		return request{}, err
	}
	given := compose.Spec(xr)
	spec := v1alpha1.BackupSpec{}
	if err := given.Decode(&spec); err != nil {
		return request{}, fmt.Errorf("cannot read the spec: %w", err)
	}
	kind := v1alpha1.BackupFull
	if spec.PhysicalBackupSpec != nil && spec.PhysicalBackupSpec.BackupType != "" {
		kind = spec.PhysicalBackupSpec.BackupType
	}
	return request{
		Operation: naming.Operation{Namespace: claim.Namespace, Kind: strings.ToLower(v1alpha1.KindBackup), Name: claim.Name},
		Cluster:   naming.Cluster{Namespace: claim.Namespace, Name: spec.DBClusterRef},
		Task: instance.BackupTask{
			Name: claim.Name, UID: xr.Text("metadata", "uid"), Cluster: spec.DBClusterRef, Plan: spec.BackupPlanRef, Type: kind,
		},
		Acknowledged: spec.Acknowledged,
	}, nil
}
