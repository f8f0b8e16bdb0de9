package operation

import (
	"fmt"
	"strings"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// A request is what a composite asks for, with every default filled in.
type request struct {
	naming.Operation

	// Cluster that it is for.
	Cluster naming.Cluster

	// Task is what the Job is to carry out.
	Task instance.Operation

	// Acknowledged says that somebody has seen how it failed.
	Acknowledged bool
}

func decode(xr *compose.Resource) (request, error) {
	claim, err := compose.ClaimOf(xr)
	if err != nil {
		return request{}, err
	}
	given := compose.Spec(xr)
	kind, spec := v1alpha1.KindFailover, v1alpha1.FailoverSpec{}
	if xr.Text("kind") == v1alpha1.KindXSwitchover {
		kind = v1alpha1.KindSwitchover
		err = given.Decode(&spec.OperationSpec)
	} else {
		err = given.Decode(&spec)
	}
	if err != nil {
		return request{}, fmt.Errorf("cannot read the spec: %w", err)
	}

	task := instance.Operation{
		Kind: kind, Name: claim.Name, Cluster: spec.DBClusterRef, NewPrimary: spec.NewPrimary, AllowDataLoss: spec.AllowDataLoss,
		RequestedAt: spec.RequestedAt.UTC(), ValidUntil: spec.RequestedAt.UTC().Add(instance.DefaultValidity),
	}
	if spec.ValidUntil != nil {
		task.ValidUntil = spec.ValidUntil.UTC()
	}
	if spec.Expect != nil {
		task.ExpectPrimary = spec.Expect.Primary
	}
	return request{
		Operation:    naming.Operation{Namespace: claim.Namespace, Kind: strings.ToLower(kind), Name: claim.Name},
		Cluster:      naming.Cluster{Namespace: claim.Namespace, Name: spec.DBClusterRef},
		Task:         task,
		Acknowledged: spec.Acknowledged,
	}, nil
}

// begun says whether the time to begin has come.
func (r request) begun(now time.Time) bool { return !now.Before(r.Task.RequestedAt) }
