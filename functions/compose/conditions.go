package compose

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
func ObserveConditions(o *Resource) map[string]ObservedCondition {
	conditions := map[string]ObservedCondition{}
	for _, c := range o.Objects("status", "conditions") {
		conditions[c.Text("type")] = ObservedCondition{
			Status: c.Text("status"), Reason: c.Text("reason"), Message: c.Text("message"), Changed: c.Text("lastTransitionTime"),
		}
	}
	return conditions
}
