package runner

import (
	"errors"
	"fmt"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/xdbcluster/xdbcluster/functions/compose"
)

// input returns what a composer gets of a request.
func input(req *fnv1.RunFunctionRequest) (compose.Input, error) {
	composite := req.GetObserved().GetComposite().GetResource()
	if len(composite.GetFields()) == 0 {
		return compose.Input{}, errors.New("it holds no composite resource")
	}

	in := compose.Input{
		Composite: (*compose.Resource)(composite),
		Observed:  make(map[string]*compose.Resource, len(req.GetObserved().GetResources())),
		Required:  make(map[string][]*compose.Resource, len(req.GetRequiredResources())),
		Config:    (*compose.Resource)(req.GetInput()),
	}
	for name, r := range req.GetObserved().GetResources() {
		in.Observed[name] = (*compose.Resource)(r.GetResource())
	}
	for name, list := range req.GetRequiredResources() {
		found := make([]*compose.Resource, 0, len(list.GetItems()))
		for _, r := range list.GetItems() {
			found = append(found, (*compose.Resource)(r.GetResource()))
		}
		in.Required[name] = found
	}
	return in, nil
}

// explain writes what is told to people: it takes effect even when the rest of the response does not.
func explain(rsp *fnv1.RunFunctionResponse, out compose.Output) {
	target := fnv1.Target_TARGET_COMPOSITE_AND_CLAIM
	for _, c := range out.Conditions {
		message := c.Message
		rsp.Conditions = append(rsp.Conditions, &fnv1.Condition{
			Type: c.Type, Status: truth(c.Status), Reason: c.Reason, Message: &message, Target: &target,
		})
	}
	for _, e := range out.Events {
		reason := e.Reason
		rsp.Results = append(rsp.Results, &fnv1.Result{
			Severity: severity(e.Severity), Reason: &reason, Message: e.Message, Target: &target,
		})
	}
	rsp.Meta.Ttl = durationpb.New(out.TTL)
}

// desire writes the desired state.
func desire(rsp *fnv1.RunFunctionResponse, xr *compose.Resource, out compose.Output) error {
	status, err := structOf(out.Status)
	if err != nil {
		return fmt.Errorf("cannot convert the status: %w", err)
	}
	resources := make(map[string]*fnv1.Resource, len(out.Objects))
	for name, o := range out.Objects {
		s, err := structOf(o.Content)
		if err != nil {
			return fmt.Errorf("cannot convert object %q: %w", name, err)
		}
		resources[name] = &fnv1.Resource{Resource: s, Ready: ready(o.Ready)}
	}

	composite := &fnv1.Resource{Resource: &structpb.Struct{Fields: map[string]*structpb.Value{
		"apiVersion": structpb.NewStringValue(xr.Text("apiVersion")),
		"kind":       structpb.NewStringValue(xr.Text("kind")),
		"status":     structpb.NewStructValue(status),
	}}}
	if out.Incomplete {
		composite.Ready = fnv1.Ready_READY_FALSE
	}
	rsp.Desired = &fnv1.State{Composite: composite, Resources: resources}
	rsp.Requirements = requirements(out.Requires)
	return nil
}

// requirements returns what Crossplane is to look up for the next call.
func requirements(requires map[string]compose.Selector) *fnv1.Requirements {
	if len(requires) == 0 {
		return nil
	}
	selectors := make(map[string]*fnv1.ResourceSelector, len(requires))
	for name, s := range requires {
		selector := &fnv1.ResourceSelector{
			ApiVersion: s.APIVersion, Kind: s.Kind, Match: &fnv1.ResourceSelector_MatchName{MatchName: s.Name},
		}
		if s.Name == "" {
			selector.Match = &fnv1.ResourceSelector_MatchLabels{MatchLabels: &fnv1.MatchLabels{}} // Labels that are not asked for match.
		}
		if s.Namespace != "" {
			namespace := s.Namespace
			selector.Namespace = &namespace
		}
		selectors[name] = selector
	}
	return &fnv1.Requirements{Resources: selectors}
}

func truth(t compose.Truth) fnv1.Status {
	switch t {
	case compose.True:
		return fnv1.Status_STATUS_CONDITION_TRUE
	case compose.False:
		return fnv1.Status_STATUS_CONDITION_FALSE
	case compose.Unknown:
		return fnv1.Status_STATUS_CONDITION_UNKNOWN
	}
	return fnv1.Status_STATUS_CONDITION_UNKNOWN
}

func severity(s compose.Severity) fnv1.Severity {
	if s == compose.Warning {
		return fnv1.Severity_SEVERITY_WARNING
	}
	return fnv1.Severity_SEVERITY_NORMAL
}

func ready(r bool) fnv1.Ready {
	if r {
		return fnv1.Ready_READY_TRUE
	}
	return fnv1.Ready_READY_FALSE
}
