package operation

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// What v1alpha1.InPlaceRestoreSpec has as defaults.
const (
	defaultKeep    = "168h"
	defaultTimeout = "12h"
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
	task := instance.Operation{Kind: kindOf(xr), Name: claim.Name}
	r := request{Operation: naming.Operation{Namespace: claim.Namespace, Kind: strings.ToLower(task.Kind), Name: claim.Name}}
	if task.Kind == v1alpha1.KindRestore {
		r.Task, r.Acknowledged, err = restoreTask(task, claim.Namespace, given)
	} else {
		r.Task, r.Acknowledged, err = promotionTask(task, given)
	}
	if err != nil {
		return request{}, fmt.Errorf("cannot read the spec: %w", err)
	}
	r.Cluster = naming.Cluster{Namespace: claim.Namespace, Name: r.Task.Cluster}
	return r, nil
}

// kindOf returns the kind of a composite's claim.
func kindOf(xr *compose.Resource) string {
	switch xr.Text("kind") {
	case v1alpha1.KindXSwitchover:
		return v1alpha1.KindSwitchover
	case v1alpha1.KindXRestore:
		return v1alpha1.KindRestore
	}
	return v1alpha1.KindFailover
}

// promotionTask is that of a Switchover or a Failover.
func promotionTask(task instance.Operation, given *compose.Resource) (_ instance.Operation, acknowledged bool, err error) {
	spec := v1alpha1.FailoverSpec{}
	if task.Kind == v1alpha1.KindSwitchover {
		err = given.Decode(&spec.OperationSpec)
	} else {
		err = given.Decode(&spec)
	}
	if err != nil {
		return task, false, err
	}
	task.Cluster, task.NewPrimary, task.AllowDataLoss = spec.DBClusterRef, spec.NewPrimary, spec.AllowDataLoss
	if spec.Expect != nil {
		task.ExpectPrimary = spec.Expect.Primary
	}
	task.RequestedAt, task.ValidUntil = validity(spec.RequestedAt, spec.ValidUntil)
	return task, spec.Acknowledged, nil
}

// restoreTask is that of a Restore.
func restoreTask(task instance.Operation, namespace string, given *compose.Resource) (_ instance.Operation, acknowledged bool, err error) {
	spec := v1alpha1.InPlaceRestoreSpec{}
	if err := given.Decode(&spec); err != nil {
		return task, false, err
	}
	if spec.RequestedAt == nil {
		return task, false, errors.New("requestedAt is missing")
	}
	restore := &instance.RestoreTask{Kept: spec.KeptIncarnation}
	if spec.ClonedDBClusterConfig != nil {
		restore.Clone = spec.ClonedDBClusterConfig.DBClusterName
	}
	if restore.Target, err = instance.RestoreOf(namespace, spec.SourceDBCluster, spec.RestoreTarget); err != nil {
		return task, false, err
	}
	if restore.KeepFor, err = time.ParseDuration(cmp.Or(spec.KeepOldDataFor, defaultKeep)); err != nil {
		return task, false, fmt.Errorf("cannot read keepOldDataFor: %w", err)
	}
	if restore.Timeout, err = time.ParseDuration(cmp.Or(spec.Timeout, defaultTimeout)); err != nil {
		return task, false, fmt.Errorf("cannot read timeout: %w", err)
	}
	task.Cluster, task.Restore = spec.SourceDBCluster, restore
	task.RequestedAt, task.ValidUntil = validity(*spec.RequestedAt, spec.ValidUntil)
	return task, spec.Acknowledged, nil
}

// validity returns from when to when an operation may begin.
func validity(requestedAt metav1.Time, validUntil *metav1.Time) (from, until time.Time) {
	if validUntil != nil {
		return requestedAt.UTC(), validUntil.UTC()
	}
	return requestedAt.UTC(), requestedAt.UTC().Add(instance.DefaultValidity)
}

// begun says whether the time to begin has come.
func (r request) begun(now time.Time) bool { return !now.Before(r.Task.RequestedAt) }

// longest is how long it may take once it has begun, and be judged.
func (r request) longest() time.Duration {
	if r.Task.Restore != nil {
		return r.Task.Restore.Timeout + overtime
	}
	return overtime
}
