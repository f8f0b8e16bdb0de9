package dbcluster

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/functions/parameters"
	"github.com/xdbcluster/xdbcluster/functions/patroni"
	"github.com/xdbcluster/xdbcluster/functions/tls"
)

// generation of the immutable Secrets. A rotation makes the next one.
const generation = 1

// A plan is what is to be, and why some of it cannot be.
type plan struct {
	// Authority and Credentials are as observed, or new.
	Authority   tls.Pair
	Credentials credentials

	// What is nil here is not to be written yet: what it is made from was not observed.
	Certificate map[string][]byte
	Admin       map[string][]byte
	Connection  map[string][]byte
	Config      *instance.Config

	// Backup is what follows from a BackupPlan. Empty when there is none.
	Backup backup

	// Source is what the copy holds of what another namespace grants, to restore from. Nil when there is to be none.
	Source map[string][]byte

	// Bare says that this is the first call, which makes only what all else waits for: Crossplane writes one object after
	// the other, in any order, and calls again after the last, so the fewer there are, the sooner is the second call.
	Bare bool

	// RoleBinding says that there is to be one: the API server refuses it as long as there is no Role, and Crossplane then
	// gives up the call and all that was still to be written.
	RoleBinding bool

	// Protected says that deletion is to be refused: as soon as there are instances, whose data it is about. Where none is to start,
	// nobody waits for one, and Crossplane has one turn less when all is made at once.
	Protected bool

	// ProtectDefinitions says that this includes the deletion of the definitions, because the platform does not refuse it.
	ProtectDefinitions bool

	// Lifetime of Certificate.
	Lifetime lifetime

	// Instances says that the StatefulSet is to be.
	Instances bool

	// Incarnation of the cluster that the Pods are to run. Nil for the one that it was born with. Leaving says that another one
	// is to be, and that the Pods of this one must go first.
	Incarnation *instance.Incarnation
	Leaving     bool

	// Replicas is how many Pods there are to be.
	Replicas int32

	// Ordered says that the primary's agent replaces Pods of older revisions, standbys first. Otherwise the StatefulSet
	// does, which knows no primary: when there is one Pod only, or none serves.
	Ordered bool

	// VolumeClaimTemplates are the observed ones, which cannot be changed. Nil when there are none yet.
	VolumeClaimTemplates []*compose.Resource

	// Verdicts are about the credentials, the certificate and the parameters, in this order.
	Verdicts []verdict
}

// A verdict says whether a part of the spec can be carried out.
type verdict struct {
	compose.Condition

	// Stalls says that somebody has to do something before it can.
	Stalls bool
}

// makePlan decides what is to be. Nothing random is ever made from what was not observed: the authority and the generated
// credentials come first, in Secrets that refuse a second write, and all else follows once they are seen.
func makePlan(c cluster, seen facts, now time.Time, rand io.Reader) (plan, error) {
	incarnation, leaving, err := planIncarnation(seen)
	if err != nil {
		return plan{}, err
	}
	authority, err := planAuthority(c, seen, now, rand)
	if err != nil {
		return plan{}, err
	}
	generated, err := planCredentials(seen, rand)
	if err != nil {
		return plan{}, err
	}
	certificate, certificateVerdict, err := planCertificate(c, seen, now, rand)
	if err != nil {
		return plan{}, err
	}
	password, passwordVerdict := planPassword(c, seen)
	values, given, parametersVerdict, err := planParameters(c, seen)
	if err != nil {
		return plan{}, err
	}

	p := plan{
		Incarnation: incarnation,
		Leaving:     leaving,
		Authority:   authority,
		Credentials: generated,
		Certificate: certificate,
		Admin:       planAdmin(seen, password),
		Source:      planSource(c, seen),
		Verdicts:    []verdict{passwordVerdict, certificateVerdict, parametersVerdict},
	}
	p.Lifetime = lifetimeOf(certificate, seen.Vouched)
	if p.Backup, err = planBackup(c, seen, now, rand); err != nil {
		return plan{}, err
	}
	p.Connection = planConnection(c, seen, p)
	p.Config = planConfig(c, seen, p, values, given)
	p.Bare = planBare(seen)
	p.RoleBinding = seen.Started || seen.Present[naming.ObjectRole] || seen.Present[naming.ObjectRoleBinding]
	p.Instances = planInstances(seen, p)
	p.Replicas = planReplicas(c, seen, p)
	p.Ordered = p.Replicas > 1 && seen.StatefulSet != nil && seen.StatefulSet.ReadyReplicas > 0
	p.Protected = c.Protected && (seen.Started || c.Stopped && p.Instances || len(seen.Usages) > 0)
	p.ProtectDefinitions = p.Protected && !seen.DefinitionsProtected
	if seen.StatefulSet != nil {
		p.VolumeClaimTemplates = seen.StatefulSet.VolumeClaimTemplates
	}
	return p, nil
}

// planReplicas takes standbys away only once the primary has said that it is among those that stay: another count could
// take the primary itself.
func planReplicas(c cluster, seen facts, p plan) int32 {
	wanted := int32(c.Instances) //nolint:gosec // Six at most.
	if c.Stopped || p.Leaving {
		return 0
	}
	if seen.StatefulSet == nil || seen.StatefulSet.SpecReplicas <= int64(wanted) || seen.StatefulSet.SpecReplicas > 1+maximumStandbys {
		return wanted
	}
	if p := primary(c, seen); p != nil && p.ReadyFor == c.Instances {
		return wanted
	}
	return int32(seen.StatefulSet.SpecReplicas) //nolint:gosec // Six at most.
}

// revisionToRun returns the revision that every Pod is to have, once the StatefulSet's controller has named it.
func revisionToRun(c cluster, seen facts) string {
	set := seen.StatefulSet
	if c.Instances == 1 || set == nil || set.ObservedGeneration < set.Generation {
		return ""
	}
	return set.UpdateRevision
}

func planAuthority(c cluster, seen facts, now time.Time, rand io.Reader) (tls.Pair, error) {
	if seen.Authority != nil {
		return *seen.Authority, nil
	}
	authority, err := tls.NewAuthority(c.Name, now, rand)
	if err != nil {
		return tls.Pair{}, fmt.Errorf("cannot make a certificate authority: %w", err)
	}
	return authority, nil
}

func planCredentials(seen facts, rand io.Reader) (credentials, error) {
	if seen.Credentials != nil {
		return *seen.Credentials, nil
	}
	var made credentials
	for _, p := range []*string{&made.Replication, &made.Rewind, &made.Admin} {
		password, err := generatePassword(rand)
		if err != nil {
			return credentials{}, fmt.Errorf("cannot make a password: %w", err)
		}
		*p = password
	}
	return made, nil
}

// planParameters returns the settings that are to be in force and the part of them that the claim gave. When the version
// cannot take what the claim gives now, that is what it gave last; a cluster that never had any waits (nil).
func planParameters(c cluster, seen facts) (values, given map[string]string, v verdict, err error) {
	version, derived := c.Spec.PrimarySpec.Version, parameters.Derive(c.Sizes)
	given = c.Spec.PrimarySpec.Parameters
	values = parameters.Merge(derived, given)

	refusals, err := parameters.Check(version, given, parameters.Libraries(values[parameters.PreloadLibraries]))
	if err != nil {
		return nil, nil, verdict{}, fmt.Errorf("cannot check the parameters: %w", err)
	}
	if len(refusals) == 0 {
		return values, given, parametersAccepted(), nil
	}

	v = parametersRefused(refusals, seen.Started)
	switch {
	case seen.Config != nil && len(seen.Config.Parameters) > 0:
		given = seen.Config.Given
		return parameters.Merge(derived, given), given, v, nil
	case seen.Started:
		given = without(given, refusals)
		return parameters.Merge(derived, given), given, v, nil
	}
	return nil, nil, v, nil
}

// without returns the parameters that are not refused.
func without(given map[string]string, refusals []parameters.Refusal) map[string]string {
	refused := make(map[string]bool, len(refusals))
	for _, r := range refusals {
		refused[r.Name] = true
	}
	rest := make(map[string]string, len(given))
	for name, value := range given {
		if !refused[name] {
			rest[name] = value
		}
	}
	return rest
}

// planConfig returns what every instance is told. It is nil as long as something that it must say is not known and no
// instance follows an older one.
func planConfig(c cluster, seen facts, p plan, values, given map[string]string) *instance.Config {
	known := p.Admin != nil && p.Certificate != nil && values != nil
	if !known && seen.Config == nil {
		return nil
	}
	if values == nil {
		values, given = seen.Config.Parameters, seen.Config.Given
	}
	config := &instance.Config{
		Cluster:        c.Name,
		Version:        c.Spec.PrimarySpec.Version,
		Owner:          c.Owner,
		Parameters:     values,
		Given:          given,
		Instances:      c.Instances,
		Synchronous:    string(c.Synchronous),
		Health:         c.Health,
		Revision:       revisionToRun(c, seen),
		KeepState:      c.Spec.VolumeRetentionPolicy == v1alpha1.VolumesRetained,
		Patroni:        patroni.Timing(c.Health),
		Backup:         p.Backup.Config,
		Restore:        c.Restore,
		Incarnation:    p.Incarnation,
		Leaving:        p.Leaving,
		IfBackupsExist: c.IfBackupsExist,
		PlanAwaited:    awaitedPlan(c, seen),
		DataDiskSize:   c.Disk.Size.String(),
	}
	if p.Admin != nil {
		config.AdminRevision = string(p.Admin[instance.KeyAdminRevision])
	} else {
		config.AdminRevision = seen.Config.AdminRevision
	}
	if p.Certificate != nil {
		config.CertificateRevision = revision(p.Certificate[instance.KeyCertificate])
	} else {
		config.CertificateRevision = seen.Config.CertificateRevision
	}
	config.SettingsHash = settingsHash(*config)
	return config
}

// settingsHash identifies what an instance puts in force while it runs, and reports when it is.
func settingsHash(c instance.Config) string {
	b, err := json.Marshal([]any{c.Parameters, c.Synchronous, c.Health, c.Patroni, c.KeepState})
	if err != nil {
		return "" // Strings and numbers can always be encoded.
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// planInstances says whether there is to be a StatefulSet: always when there is one, and else when all is there that its
// Pods mount, and the ServiceAccount, without which they are refused and tried again ever more seldom; and when it is known whether
// there is a BackupPlan, which they would begin without otherwise.
func planInstances(seen facts, p plan) bool {
	if seen.Started {
		return true
	}
	return seen.Plans != nil && seen.Authority != nil && seen.Credentials != nil && seen.Present[naming.ObjectServiceAccount] && p.RoleBinding &&
		p.Certificate != nil && p.Admin != nil && p.Connection != nil && p.Config != nil
}

// planBare says whether this is the first call: what all else waits for is not there, and neither is anything else.
func planBare(seen facts) bool {
	others := len(seen.Present)
	for _, name := range []string{naming.ObjectAuthority, naming.ObjectCredentials, naming.ObjectServiceAccount, naming.ObjectRole} {
		if seen.Present[name] {
			others--
		}
	}
	return others == 0 && !seen.Started && (seen.Authority == nil || seen.Credentials == nil)
}

func parametersAccepted() verdict {
	return verdict{Condition: compose.Condition{
		Type: v1alpha1.ConditionParametersAccepted, Status: compose.True, Reason: v1alpha1.ReasonAccepted,
		Message: "PostgreSQL can take every parameter.",
	}}
}

func parametersRefused(refusals []parameters.Refusal, exists bool) verdict {
	message := "PostgreSQL cannot take these parameters: "
	for i, r := range refusals {
		if i > 0 {
			message += "; "
		}
		message += r.Error()
	}
	if exists {
		message += ". The last accepted parameters stay in force; correct primarySpec.parameters."
	} else {
		message += ". The cluster is created once primarySpec.parameters is correct."
	}
	return verdict{Stalls: true, Condition: compose.Condition{
		Type: v1alpha1.ConditionParametersAccepted, Status: compose.False, Reason: v1alpha1.ReasonRefused, Message: message,
	}}
}

// requires returns what is to be looked up: the user's Secrets, those of BackupPlans, the ledger, what protects the definitions for
// all clusters, until there are instances the claim, and until there is a database the BackupPlans. It is asked for on every call:
// what is not asked for again is not watched any more.
func requires(c cluster, seen facts) map[string]compose.Selector {
	secret := func(name string) compose.Selector { return secretSelector(c.Namespace, name) }
	selectors := map[string]compose.Selector{
		requiredRepository: secret(c.Repository()),
		requiredLedger:     {APIVersion: "v1", Kind: "ConfigMap", Namespace: c.Namespace, Name: c.Ledger()},
	}
	if source, needed := c.lookUpSource(seen); needed {
		selectors[requiredSource] = source
	}
	if !seen.Started {
		selectors[requiredClaim] = compose.Selector{
			APIVersion: v1alpha1.Group + "/" + v1alpha1.Version, Kind: v1alpha1.KindDBCluster, Namespace: c.Namespace, Name: c.Name,
		}
	}
	if !born(seen) {
		selectors[requiredPlans] = compose.Selector{
			APIVersion: v1alpha1.Group + "/" + v1alpha1.Version, Kind: v1alpha1.KindBackupPlan, Namespace: c.Namespace,
		}
	}
	if user := c.Spec.PrimarySpec.AdminUser; user != nil && user.PasswordRef != nil {
		selectors[requiredPassword] = secret(user.PasswordRef.Name)
	}
	if c.Spec.TLS != nil {
		selectors[requiredCertificate] = secret(c.Spec.TLS.CertSecret.Name)
	}
	if c.Protected {
		for _, d := range definitions() {
			selectors[d.Object] = compose.Selector{APIVersion: usageVersion, Kind: kindClusterUsage, Name: d.Usage}
		}
	}
	return selectors
}

func secretSelector(namespace, name string) compose.Selector {
	return compose.Selector{APIVersion: "v1", Kind: "Secret", Namespace: namespace, Name: name}
}
