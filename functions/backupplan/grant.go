package backupplan

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// GrantFacts are what is seen of what another namespace restores with.
type grantFacts struct {
	// Secret is what it was given. Nil when that was not observed.
	Secret map[string][]byte

	// Credentials that it is to get.
	Credentials compose.Lookup
}

func observeGrants(in compose.Input, r request) map[string]grantFacts {
	seen := map[string]grantFacts{}
	for namespace := range r.Grants {
		object := naming.ObjectGrant(namespace)
		seen[namespace] = grantFacts{Secret: compose.SecretData(in.Observed[object]), Credentials: compose.LookUpSecret(in, object)}
	}
	return seen
}

// planGrants returns what other namespaces restore with: what they were given before, as long as what they are to be given cannot be
// used, or the instances are told of another location.
func planGrants(r request, seen facts, location verdict, rand io.Reader) (verdict, map[string]map[string][]byte, error) {
	told := granted(compose.True, v1alpha1.ReasonAccepted, grantsInForce(r))
	grants := map[string]map[string][]byte{}
	for _, namespace := range slices.Sorted(maps.Keys(r.Grants)) {
		before := seen.Grants[namespace].Secret
		data, refused := grantContent(r, seen, location, namespace)
		if refused != nil {
			if told.Status == compose.True {
				told = grantRefused(*refused)
			}
			if before != nil {
				grants[namespace] = before
			}
			continue
		}
		with, err := revised(data, before, rand)
		if err != nil {
			return verdict{}, nil, err
		}
		grants[namespace] = with
	}
	return told, grants, nil
}

func grantContent(r request, seen facts, location verdict, namespace string) (map[string][]byte, *refusal) {
	switch {
	case namespace == r.Namespace:
		return nil, &refusal{Reason: v1alpha1.ReasonRefused, Message: fmt.Sprintf("The namespace %s in grants is the plan's own, which needs no grant: take it out.", namespace)}
	case location.Status != compose.True:
		return nil, &refusal{Reason: location.Reason, Message: "Grants wait until the location is accepted: " + location.Message, Waits: true}
	}
	return content(r, seen, userSecret{
		Lookup: seen.Grants[namespace].Credentials, Name: r.Grants[namespace], Field: fmt.Sprintf("the grant to the namespace %s", namespace),
	})
}

func grantRefused(refused refusal) verdict {
	if refused.Waits {
		return granted(compose.Unknown, refused.Reason, refused.Message)
	}
	v := granted(compose.False, refused.Reason, refused.Message)
	v.Stalls = true
	return v
}

func grantsInForce(r request) string {
	if len(r.Grants) == 0 {
		return "No other namespace may restore from the backups."
	}
	return "These namespaces may restore from the backups: " + strings.Join(slices.Sorted(maps.Keys(r.Grants)), ", ") + "."
}

func granted(status compose.Truth, reason, message string) verdict {
	return verdict{Condition: compose.Condition{Type: v1alpha1.ConditionGrantsAccepted, Status: status, Reason: reason, Message: message}}
}
