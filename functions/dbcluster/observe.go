package dbcluster

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/functions/tls"
)

// Names of the resources that are looked up.
const (
	requiredPassword    = "password"
	requiredCertificate = "certificate"
)

// Keys of the Secrets that only the function knows. The others are in package instance.
const (
	keyAuthorityCertificate = "ca.crt"
	keyAuthorityKey         = "ca.key"
	keyAdminPassword        = "admin"
)

// Facts are what is seen. What was not observed is nil: it may exist nevertheless.
type facts struct {
	Authority   *tls.Pair
	Credentials *credentials
	Certificate map[string][]byte
	Admin       map[string][]byte
	Connection  map[string][]byte
	Config      *instance.Config
	Reports     map[string]instance.Report
	StatefulSet *statefulSetFacts

	// Started says that an earlier call wanted the StatefulSet: it is observed, or the composite refers to it.
	Started bool

	// Orphaned says that the claim has another composite.
	Orphaned bool

	Usages map[string]bool // Observed usages by object name: true when they are in force.

	// DefinitionsProtected says that the platform refuses the deletion of every definition.
	DefinitionsProtected bool

	Present    map[string]bool // All observed objects by name.
	Conditions map[string]conditionFacts

	// Succession is what the status says of primaries so far.
	Succession succession

	// Password and GivenCertificate are the user's Secrets.
	Password         lookup
	GivenCertificate lookup
}

// Credentials are the passwords that were made for a cluster.
type credentials struct {
	Replication string
	Rewind      string
	Admin       string
}

// A lookup is what is known about a Secret that was asked for.
type lookup struct {
	// Answered says that it was looked up. Until then nothing is known.
	Answered bool

	// Data of the Secret. Nil when it does not exist.
	Data map[string][]byte
}

// StatefulSetFacts are what is seen of the StatefulSet.
type statefulSetFacts struct {
	VolumeClaimTemplates []any
	Template             string // The value of naming.AnnotationTemplate.
	Generation           int64
	ObservedGeneration   int64
	SpecReplicas         int64
	Replicas             int64
	ReadyReplicas        int64
	UpdatedReplicas      int64
	CurrentRevision      string
	UpdateRevision       string
}

// ConditionFacts are what the composite says about itself now. They date incidents and tell whether something changed;
// nothing is decided from them.
type conditionFacts struct {
	Status  string
	Reason  string
	Message string
	Changed string
}

// observe returns what is seen.
func observe(in compose.Input) facts {
	f := facts{
		Authority:        observeAuthority(in.Observed[naming.ObjectAuthority]),
		Credentials:      observeCredentials(in.Observed[naming.ObjectCredentials]),
		Certificate:      secretData(in.Observed[naming.ObjectCertificate]),
		Admin:            secretData(in.Observed[naming.ObjectAdmin]),
		Connection:       secretData(in.Observed[naming.ObjectConnection]),
		Config:           observeConfig(in.Observed[naming.ObjectConfig]),
		Reports:          observeReports(in.Observed[naming.ObjectReports]),
		StatefulSet:      observeStatefulSet(in.Observed[naming.ObjectStatefulSet]),
		Usages:           map[string]bool{},
		Present:          map[string]bool{},
		Conditions:       observeConditions(in.Composite),
		Succession:       observeSuccession(in.Composite),
		Orphaned:         observeOrphan(in),
		Password:         observeRequired(in.Required, requiredPassword),
		GivenCertificate: observeRequired(in.Required, requiredCertificate),

		DefinitionsProtected: observeDefinitions(in.Required),
	}
	f.Started = f.StatefulSet != nil || refersToStatefulSet(in.Composite)
	for name, o := range in.Observed {
		f.Present[name] = true
		if strings.HasPrefix(name, naming.PrefixUsage) {
			f.Usages[name] = conditionTrue(o, "Ready")
		}
	}
	return f
}

// observeDefinitions says whether every definition is seen to be protected for all clusters. What was not looked up, or is
// not in force, protects nothing.
func observeDefinitions(required map[string][]*unstructured.Unstructured) bool {
	for _, d := range definitions() {
		if !slices.ContainsFunc(required[d.Object], func(u *unstructured.Unstructured) bool { return protects(u, d) }) {
			return false
		}
	}
	return true
}

func protects(usage *unstructured.Unstructured, d definition) bool {
	kind := text(usage.Object, "spec", "of", "kind")
	name := text(usage.Object, "spec", "of", "resourceRef", "name")
	return kind == d.Kind && name == d.Name && usage.GetDeletionTimestamp() == nil && conditionTrue(usage, "Ready")
}

func observeAuthority(secret *unstructured.Unstructured) *tls.Pair {
	data := secretData(secret)
	if len(data[keyAuthorityCertificate]) == 0 || len(data[keyAuthorityKey]) == 0 {
		return nil
	}
	return &tls.Pair{Certificate: data[keyAuthorityCertificate], Key: data[keyAuthorityKey]}
}

func observeCredentials(secret *unstructured.Unstructured) *credentials {
	data := secretData(secret)
	c := &credentials{
		Replication: string(data[instance.KeyReplicationPassword]),
		Rewind:      string(data[instance.KeyRewindPassword]),
		Admin:       string(data[keyAdminPassword]),
	}
	if c.Replication == "" || c.Rewind == "" || c.Admin == "" {
		return nil
	}
	return c
}

func observeConfig(configMap *unstructured.Unstructured) *instance.Config {
	if configMap == nil {
		return nil
	}
	text, _, _ := unstructured.NestedString(configMap.Object, "data", instance.ConfigKey)
	config := &instance.Config{}
	if err := json.Unmarshal([]byte(text), config); err != nil {
		return nil // Nothing of it can be carried over; it is written anew.
	}
	return config
}

// observeReports returns the instances' reports by Pod name. One that cannot be read says nothing.
func observeReports(configMap *unstructured.Unstructured) map[string]instance.Report {
	reports := map[string]instance.Report{}
	if configMap == nil {
		return reports
	}
	data, _, _ := unstructured.NestedMap(configMap.Object, "data")
	for pod, value := range data {
		text, _ := value.(string)
		var report instance.Report
		if err := json.Unmarshal([]byte(text), &report); err == nil {
			reports[pod] = report
		}
	}
	return reports
}

func observeStatefulSet(o *unstructured.Unstructured) *statefulSetFacts {
	if o == nil {
		return nil
	}
	templates, _, _ := unstructured.NestedSlice(o.Object, "spec", "volumeClaimTemplates")
	return &statefulSetFacts{
		VolumeClaimTemplates: templates,
		Template:             o.GetAnnotations()[naming.AnnotationTemplate],
		Generation:           number(o.Object, "metadata", "generation"),
		ObservedGeneration:   number(o.Object, "status", "observedGeneration"),
		SpecReplicas:         number(o.Object, "spec", "replicas"),
		Replicas:             number(o.Object, "status", "replicas"),
		ReadyReplicas:        number(o.Object, "status", "readyReplicas"),
		UpdatedReplicas:      number(o.Object, "status", "updatedReplicas"),
		CurrentRevision:      text(o.Object, "status", "currentRevision"),
		UpdateRevision:       text(o.Object, "status", "updateRevision"),
	}
}

// refersToStatefulSet says whether the composite lists a StatefulSet among its objects. It does from the moment an earlier
// call returned one, also while the StatefulSet itself cannot be seen.
func refersToStatefulSet(xr *unstructured.Unstructured) bool {
	refs, _, _ := unstructured.NestedSlice(xr.Object, "spec", "resourceRefs")
	refsOfV2, _, _ := unstructured.NestedSlice(xr.Object, "spec", "crossplane", "resourceRefs")
	refs = append(refs, refsOfV2...)
	return slices.ContainsFunc(refs, func(ref any) bool {
		r, ok := ref.(map[string]any)
		return ok && r["kind"] == "StatefulSet"
	})
}

func observeConditions(o *unstructured.Unstructured) map[string]conditionFacts {
	conditions := map[string]conditionFacts{}
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, item := range list {
		c, ok := item.(map[string]any)
		if !ok {
			continue
		}
		conditions[text(c, "type")] = conditionFacts{
			Status: text(c, "status"), Reason: text(c, "reason"), Message: text(c, "message"), Changed: text(c, "lastTransitionTime"),
		}
	}
	return conditions
}

func conditionTrue(o *unstructured.Unstructured, kind string) bool {
	return observeConditions(o)[kind].Status == string(compose.True)
}

func observeRequired(required map[string][]*unstructured.Unstructured, name string) lookup {
	found, answered := required[name]
	l := lookup{Answered: answered}
	if len(found) > 0 {
		l.Data = secretData(found[0])
		if l.Data == nil {
			l.Data = map[string][]byte{}
		}
	}
	return l
}

// secretData returns what a Secret holds, or nil. What is not base64 is left out: the API server takes nothing else.
func secretData(secret *unstructured.Unstructured) map[string][]byte {
	if secret == nil {
		return nil
	}
	encoded, _, _ := unstructured.NestedMap(secret.Object, "data")
	if len(encoded) == 0 {
		return nil
	}
	data := make(map[string][]byte, len(encoded))
	for _, key := range slices.Sorted(maps.Keys(encoded)) {
		value, _ := encoded[key].(string)
		if b, err := base64.StdEncoding.DecodeString(value); err == nil {
			data[key] = b
		}
	}
	return data
}

// number returns a number of untyped content. Requests hold floats, tests hold integers.
func number(o map[string]any, path ...string) int64 {
	value, _, _ := unstructured.NestedFieldNoCopy(o, path...)
	switch n := value.(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	}
	return 0
}

func text(o map[string]any, path ...string) string {
	value, _, _ := unstructured.NestedString(o, path...)
	return value
}
