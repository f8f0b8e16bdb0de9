package dbcluster

import (
	"encoding/json"
	"slices"
	"strings"

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

	// SourceCopy is what the cluster's own Secret holds of what another namespace grants.
	SourceCopy map[string][]byte

	// Incarnation is the one that is to be, as the cluster's ledger says. Nil for one that was never restored in place.
	Incarnation *instance.Incarnation

	// Plans are the BackupPlans of the namespace: the names of their DBClusters by their own. Nil when they were not looked up.
	Plans map[string]string

	// BackupCertificate is the one of Jobs that may read the instances' files.
	BackupCertificate map[string][]byte

	// Vouched are certificates that need not be verified again.
	Vouched *tls.Vouched
}

// Credentials are the passwords that were made for a cluster.
type credentials struct {
	Replication string
	Rewind      string
	Admin       string
}

// StatefulSetFacts are what is seen of the StatefulSet.
type statefulSetFacts struct {
	VolumeClaimTemplates []*compose.Resource
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
		SourceCopy:        compose.SecretData(in.Observed[naming.ObjectSource]),
		Incarnation:       observeLedger(in.Required[requiredLedger]),
		Plans:             observePlans(in),
		BackupCertificate: compose.SecretData(in.Observed[naming.ObjectBackupCertificate]),

		DefinitionsProtected: observeDefinitions(in.Required),

		Vouched: in.Vouched,
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
		if claim.Time("metadata", "deletionTimestamp").IsZero() {
			plans[claim.Text("metadata", "name")] = claim.Text("spec", "dbclusterRef")
		}
	}
	return plans
}

// observeDefinitions says whether every definition is seen to be protected for all clusters. What was not looked up, or is
// not in force, protects nothing.
func observeDefinitions(required map[string][]*compose.Resource) bool {
	for _, d := range definitions() {
		if !slices.ContainsFunc(required[d.Object], func(u *compose.Resource) bool { return protects(u, d) }) {
			return false
		}
	}
	return true
}

func protects(usage *compose.Resource, d definition) bool {
	kind := usage.Text("spec", "of", "kind")
	name := usage.Text("spec", "of", "resourceRef", "name")
	return kind == d.Kind && name == d.Name && usage.Time("metadata", "deletionTimestamp").IsZero() && conditionTrue(usage, "Ready")
}

func observeAuthority(secret *compose.Resource) *tls.Pair {
	data := compose.SecretData(secret)
	if len(data[keyAuthorityCertificate]) == 0 || len(data[keyAuthorityKey]) == 0 {
		return nil
	}
	return &tls.Pair{Certificate: data[keyAuthorityCertificate], Key: data[keyAuthorityKey]}
}

func observeCredentials(secret *compose.Resource) *credentials {
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

func observeConfig(configMap *compose.Resource) *instance.Config {
	if configMap == nil {
		return nil
	}
	text := configMap.Text("data", instance.ConfigKey)
	config := &instance.Config{}
	if err := json.Unmarshal([]byte(text), config); err != nil {
		return nil // Nothing of it can be carried over; it is written anew.
	}
	return config
}

// observeReports returns the instances' reports by Pod name.
func observeReports(configMap *compose.Resource) map[string]instance.Report {
	if configMap == nil {
		return map[string]instance.Report{}
	}
	return instance.ParseReports(configMap.Texts("data"))
}

func observeStatefulSet(o *compose.Resource) *statefulSetFacts {
	if o == nil {
		return nil
	}
	return &statefulSetFacts{
		VolumeClaimTemplates: o.Objects("spec", "volumeClaimTemplates"),
		Template:             o.Text("metadata", "annotations", naming.AnnotationTemplate),
		Incarnation:          instance.ParseIncarnation(o.Text("metadata", "annotations", naming.AnnotationIncarnation)),
		Generation:           o.Number("metadata", "generation"),
		ObservedGeneration:   o.Number("status", "observedGeneration"),
		SpecReplicas:         o.Number("spec", "replicas"),
		Replicas:             o.Number("status", "replicas"),
		ReadyReplicas:        o.Number("status", "readyReplicas"),
		UpdatedReplicas:      o.Number("status", "updatedReplicas"),
		CurrentRevision:      o.Text("status", "currentRevision"),
		UpdateRevision:       o.Text("status", "updateRevision"),
	}
}

// observeLedger returns the incarnation that a cluster's ledger says is to be.
func observeLedger(found []*compose.Resource) *instance.Incarnation {
	if len(found) == 0 {
		return nil
	}
	return instance.ParseIncarnation(found[0].Text("data", instance.IncarnationKey))
}

// refersToStatefulSet says whether the composite lists a StatefulSet among its objects. It does from the moment an earlier
// call returned one, also while the StatefulSet itself cannot be seen.
func refersToStatefulSet(xr *compose.Resource) bool {
	refs := append(xr.Objects("spec", "resourceRefs"), xr.Objects("spec", "crossplane", "resourceRefs")...)
	return slices.ContainsFunc(refs, func(ref *compose.Resource) bool { return ref.Text("kind") == "StatefulSet" })
}

func conditionTrue(o *compose.Resource, kind string) bool {
	return compose.ObserveConditions(o)[kind].Status == string(compose.True)
}
