package dbcluster

import (
	"encoding/json"
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
	requiredRepository  = "repository"
	requiredSource      = "source"
	requiredLedger      = "ledger"
	requiredPlans       = "plans"
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
	Conditions map[string]compose.ObservedCondition

	// Succession is what the status says of primaries so far.
	Succession succession

	// Password and GivenCertificate are the user's Secrets.
	Password         compose.Lookup
	GivenCertificate compose.Lookup

	// Repository is what a BackupPlan says about where backups are kept.
	Repository compose.Lookup

	// Source is what a BackupPlan says about where the backups are that the cluster begins with.
	Source compose.Lookup

	// Incarnation is the one that is to be, as the cluster's ledger says. Nil for one that was never restored in place.
	Incarnation *instance.Incarnation

	// Plans are the BackupPlans of the namespace: the names of their DBClusters by their own. Nil when they were not looked up.
	Plans map[string]string

	// BackupCertificate is the one of Jobs that may read the instances' files.
	BackupCertificate map[string][]byte
}

// Credentials are the passwords that were made for a cluster.
type credentials struct {
	Replication string
	Rewind      string
	Admin       string
}

// StatefulSetFacts are what is seen of the StatefulSet.
type statefulSetFacts struct {
	VolumeClaimTemplates []any
	Template             string                // The value of naming.AnnotationTemplate.
	Incarnation          *instance.Incarnation // The value of naming.AnnotationIncarnation.
	Generation           int64
	ObservedGeneration   int64
	SpecReplicas         int64
	Replicas             int64
	ReadyReplicas        int64
	UpdatedReplicas      int64
	CurrentRevision      string
	UpdateRevision       string
}

// observe returns what is seen.
func observe(in compose.Input) facts {
	f := facts{
		Authority:        observeAuthority(in.Observed[naming.ObjectAuthority]),
		Credentials:      observeCredentials(in.Observed[naming.ObjectCredentials]),
		Certificate:      compose.SecretData(in.Observed[naming.ObjectCertificate]),
		Admin:            compose.SecretData(in.Observed[naming.ObjectAdmin]),
		Connection:       compose.SecretData(in.Observed[naming.ObjectConnection]),
		Config:           observeConfig(in.Observed[naming.ObjectConfig]),
		Reports:          observeReports(in.Observed[naming.ObjectReports]),
		StatefulSet:      observeStatefulSet(in.Observed[naming.ObjectStatefulSet]),
		Usages:           map[string]bool{},
		Present:          map[string]bool{},
		Conditions:       compose.ObserveConditions(in.Composite),
		Succession:       observeSuccession(in.Composite),
		Orphaned:         observeOrphan(in),
		Password:         compose.LookUpSecret(in, requiredPassword),
		GivenCertificate: compose.LookUpSecret(in, requiredCertificate),

		Repository:        compose.LookUpSecret(in, requiredRepository),
		Source:            compose.LookUpSecret(in, requiredSource),
		Incarnation:       observeLedger(in.Required[requiredLedger]),
		Plans:             observePlans(in),
		BackupCertificate: compose.SecretData(in.Observed[naming.ObjectBackupCertificate]),

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

// observePlans returns the BackupPlans that are to stay.
func observePlans(in compose.Input) map[string]string {
	found, answered := in.Required[requiredPlans]
	if !answered {
		return nil
	}
	plans := map[string]string{}
	for _, claim := range found {
		if claim.GetDeletionTimestamp() == nil {
			plans[claim.GetName()] = text(claim.Object, "spec", "dbclusterRef")
		}
	}
	return plans
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
	data := compose.SecretData(secret)
	if len(data[keyAuthorityCertificate]) == 0 || len(data[keyAuthorityKey]) == 0 {
		return nil
	}
	return &tls.Pair{Certificate: data[keyAuthorityCertificate], Key: data[keyAuthorityKey]}
}

func observeCredentials(secret *unstructured.Unstructured) *credentials {
	data := compose.SecretData(secret)
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

// observeReports returns the instances' reports by Pod name.
func observeReports(configMap *unstructured.Unstructured) map[string]instance.Report {
	if configMap == nil {
		return map[string]instance.Report{}
	}
	data, _, _ := unstructured.NestedMap(configMap.Object, "data")
	return instance.ParseReports(data)
}

func observeStatefulSet(o *unstructured.Unstructured) *statefulSetFacts {
	if o == nil {
		return nil
	}
	templates, _, _ := unstructured.NestedSlice(o.Object, "spec", "volumeClaimTemplates")
	return &statefulSetFacts{
		VolumeClaimTemplates: templates,
		Template:             o.GetAnnotations()[naming.AnnotationTemplate],
		Incarnation:          instance.ParseIncarnation(o.GetAnnotations()[naming.AnnotationIncarnation]),
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

// observeLedger returns the incarnation that a cluster's ledger says is to be.
func observeLedger(found []*unstructured.Unstructured) *instance.Incarnation {
	if len(found) == 0 {
		return nil
	}
	return instance.ParseIncarnation(text(found[0].Object, "data", instance.IncarnationKey))
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

func conditionTrue(o *unstructured.Unstructured, kind string) bool {
	return compose.ObserveConditions(o)[kind].Status == string(compose.True)
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
