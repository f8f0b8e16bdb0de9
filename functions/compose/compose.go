// Package compose holds what goes into a composer and what comes out of it: plain values, so that a composer is a pure
// function that a test calls as it is.
package compose

import (
	"io"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/tls"
)

// An Input is everything a composer may look at.
type Input struct {
	// Composite is the composite resource as it is in the API server.
	Composite *Resource

	// Observed are the composed resources that exist, by the names they have in Output.Objects. They may be older than the
	// composite and older than what an earlier call returned: "not observed" proves nothing.
	Observed map[string]*Resource

	// Required are the resources that an earlier output of the same reconcile asked for in Output.Requires. A name that is
	// missing was not looked up yet; an empty list was looked up and does not exist.
	Required map[string][]*Resource

	// Config is the input of the composition's step: what the platform sets for every claim.
	Config *Resource

	// Now is the time of the call.
	Now time.Time

	// Rand is where random bytes come from.
	Rand io.Reader

	// Vouched are certificates that calls before have verified. It saves time and changes no output. It can be nil.
	Vouched *tls.Vouched
}

// An Output is everything a composer says. Everything in it is the complete desired state: an object left out is deleted,
// a status field left out is emptied, a condition left out becomes unknown.
type Output struct {
	// Objects are the composed resources by a name that never changes.
	Objects map[string]Object

	// Incomplete says that objects are still to come, so that the composite is not ready though every object in Objects is.
	Incomplete bool

	// Status of the composite: a struct with pointers and omitempty.
	Status any

	// Conditions of the composite and of its claim.
	Conditions []Condition

	// Events are written to the composite and its claim. Emit one on a change only.
	Events []Event

	// Requires are the resources to look up, by the names they get in Input.Required.
	Requires map[string]Selector

	// TTL is when the composer wants to be called again though nothing changed.
	TTL time.Duration
}

// An Object is a composed resource.
type Object struct {
	// Content of the object, without a status: one of client-go's apply configurations, a struct with pointers and omitempty
	// like them, or a map. A Resource can be part of it. Unlike the API's own types they have no zero values: Crossplane would
	// own, and set back for ever, every field that is in here.
	Content any

	// Ready says that the object is seen to be what it should be, or has nothing to become once it is applied. Crossplane writes an
	// event for every other one, whenever it looks.
	Ready bool
}

// Truth is the status of a condition.
type Truth string

// Truths.
const (
	True    Truth = "True"
	False   Truth = "False"
	Unknown Truth = "Unknown"
)

// A Condition tells one thing about a composite and its claim.
type Condition struct {
	Type    string
	Status  Truth
	Reason  string
	Message string
}

// Severity of an Event.
type Severity string

// Severities.
const (
	Normal  Severity = "Normal"
	Warning Severity = "Warning"
)

// An Event tells that something happened to a composite.
type Event struct {
	Severity Severity
	Reason   string
	Message  string
}

// A Selector names a resource that a composer wants to read.
type Selector struct {
	APIVersion string
	Kind       string
	Namespace  string

	// Name of the resource. Without one it is all resources of the kind in Namespace.
	Name string
}
