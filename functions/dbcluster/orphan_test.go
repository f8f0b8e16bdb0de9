package dbcluster

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/functiontest"
)

func TestOrphan(t *testing.T) {
	boundTo := func(composite string) []*compose.Resource {
		claim := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"resourceRef": map[string]any{"name": composite}}}}
		return []*compose.Resource{functiontest.Resource(t, claim)}
	}
	cases := map[string]struct {
		reason string
		from   string // The case that the input is taken from.
		claim  []*compose.Resource
		young  bool
		orphan bool
		again  time.Duration
	}{
		"Bound":      {reason: "The claim's own composite wants all.", from: "material-seen", claim: boundTo("demo-x7k2p")},
		"Unbound":    {reason: "A claim that is not bound yet has no other composite.", from: "material-seen", claim: boundTo("")},
		"NotThere":   {reason: "A claim that cannot be seen has none either.", from: "material-seen", claim: []*compose.Resource{}},
		"NotLooked":  {reason: "What was not looked up is not known.", from: "material-seen"},
		"Other":      {reason: "A second composite wants nothing, so that the first gets all.", from: "material-seen", claim: boundTo("demo-abcde"), orphan: true, again: callAgain},
		"OtherYoung": {reason: "The claim that is seen at first may be an older one.", from: "material-seen", claim: boundTo("demo-abcde"), young: true, orphan: true, again: orphanAgain},
		"OtherWithDatabase": {
			reason: "A database is never given up, whatever the claim says.",
			from:   "running", claim: boundTo("demo-abcde"),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			in := functiontest.Load(t, "testdata/"+tc.from)
			if tc.claim != nil {
				in.Required[requiredClaim] = tc.claim
			}
			if tc.young {
				in.Composite.Object("metadata").Fields["creationTimestamp"] = structpb.NewStringValue(in.Now.Add(-time.Second).Format(time.RFC3339))
			}
			out, err := Compose(in)
			if err != nil {
				t.Fatal(err)
			}
			if isOrphan := len(out.Objects) == 0; isOrphan != tc.orphan {
				t.Fatalf("\n%s\nit wants %d objects", tc.reason, len(out.Objects))
			}
			if tc.orphan && (out.TTL != tc.again || out.Conditions[0].Status != compose.True || !out.Incomplete) {
				t.Errorf("\n%s\nit says %+v, and is looked at again after %s; want Stalled, after %s", tc.reason, out.Conditions, out.TTL, tc.again)
			}
		})
	}
}
