package compose

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// An ObservedCondition is what an object says about itself now. Of a composite it dates incidents and tells whether something
// changed; nothing is decided by what an earlier call wrote.
type ObservedCondition struct {
	Status  string
	Reason  string
	Message string
	Changed string // In RFC 3339.
}

// Differs says whether a condition tells something new.
func (o ObservedCondition) Differs(c Condition) bool {
	return o.Status != string(c.Status) || o.Reason != c.Reason || o.Message != c.Message
}

// ObserveConditions returns an object's conditions by type.
func ObserveConditions(o *unstructured.Unstructured) map[string]ObservedCondition {
	conditions := map[string]ObservedCondition{}
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, item := range list {
		c, ok := item.(map[string]any)
		if !ok {
			continue
		}
		text := func(field string) string {
			value, _ := c[field].(string)
			return value
		}
		conditions[text("type")] = ObservedCondition{
			Status: text("status"), Reason: text("reason"), Message: text("message"), Changed: text("lastTransitionTime"),
		}
	}
	return conditions
}
