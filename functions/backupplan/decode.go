package backupplan

import (
	"fmt"
	"strings"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/functions/schedule"
)

const (
	defaultRetainDays = 14

	// defaultRegion is what stores take that have no regions.
	defaultRegion = "us-east-1"
)

// A request is what a composite asks for, with every default filled in.
type request struct {
	// Cluster that it is for.
	naming.Cluster

	// Plan is the claim's name.
	Plan string

	// Repository is where backups are to be kept, and Secrets name what is needed to get in. An empty name means none.
	Repository instance.Repository
	Secrets    secretNames

	// Default says that it is the platform's store, and Refused why that cannot be used.
	Default bool
	Refused *refusal

	// Bundle are trusted authorities that the claim itself names.
	Bundle string

	// Grants are the names of the Secrets whose credentials other namespaces get, by namespace.
	Grants map[string]string

	// CreateBucket says that the bucket is to be made.
	CreateBucket bool

	// PITR says that every moment is offered as a target.
	PITR bool

	// Verification says when backups are tried. Nil when they are not.
	Verification *verification
}

// SecretNames are the names of a claim's Secrets.
type secretNames struct {
	Credentials string
	Trust       string
	Passphrase  string
}

func decode(xr *compose.Resource) (request, error) {
	claim, err := compose.ClaimOf(xr)
	if err != nil {
		return request{}, err
	}
	given := compose.Spec(xr)
	spec := v1alpha1.BackupPlanSpec{}
	if err := given.Decode(&spec); err != nil {
		return request{}, fmt.Errorf("cannot read the spec: %w", err)
	}
	r := request{
		Cluster: naming.Cluster{Namespace: claim.Namespace, Name: spec.DBClusterRef},
		Plan:    claim.Name,
		PITR:    spec.PITREnabled == nil || *spec.PITREnabled,

		CreateBucket: spec.CreateBucket && spec.BackupLocation != nil && spec.BackupLocation.Type == v1alpha1.LocationS3,
		Grants:       map[string]string{},
		Verification: decodeVerification(spec.Verification),
		Repository: instance.Repository{
			Plan: claim.Name, RetainDays: int(spec.BackupRetainDays), Compression: spec.Compression,
			Source: spec.BackupSourceStrategy, Paused: spec.Paused, Encrypted: spec.Encryption != nil, Schedules: schedules(spec),
		},
	}
	if r.Repository.RetainDays == 0 {
		r.Repository.RetainDays = defaultRetainDays
	}
	if r.Verification != nil {
		r.Repository.Verification = r.Verification.Schedule
	}
	for _, grant := range spec.Grants {
		r.Grants[grant.Namespace] = grant.SecretRef.Name
	}
	if spec.Encryption != nil {
		r.Secrets.Passphrase = spec.Encryption.SecretRef.Name
	}
	if spec.BackupLocation == nil {
		r.Default, r.Secrets.Credentials = true, defaultStore
		return r, nil
	}
	return r, r.locate(*spec.BackupLocation)
}

// locate reads where the store is.
func (r *request) locate(l v1alpha1.BackupLocation) error {
	r.Repository.Type = l.Type
	switch {
	case l.Type == v1alpha1.LocationS3 && l.S3Options != nil:
		r.locateS3(*l.S3Options)
	case l.Type == v1alpha1.LocationGCS && l.GCSOptions != nil:
		r.locateBucket(l.GCSOptions.BucketOptions)
		if l.GCSOptions.SecretRef != nil {
			r.Secrets.Credentials = l.GCSOptions.SecretRef.Name
		}
	case l.Type == v1alpha1.LocationAzure && l.AzureOptions != nil:
		r.locateBucket(l.AzureOptions.BucketOptions)
		r.Secrets.Credentials = l.AzureOptions.SecretRef.Name
	default:
		return fmt.Errorf("backupLocation has the type %q and no options of that type", l.Type)
	}
	return nil
}

func (r *request) locateS3(o v1alpha1.S3Options) {
	r.locateBucket(o.BucketOptions)
	r.Secrets.Credentials = o.SecretRef.Name
	r.Repository.Region = o.Region
	if r.Repository.Region == "" {
		r.Repository.Region = defaultRegion
	}
	r.Repository.URIStyle = o.URIStyle
	r.Repository.Endpoint = strings.TrimSuffix(strings.TrimPrefix(o.Endpoint, "https://"), "/")
	if r.Repository.Endpoint == "" {
		r.Repository.Endpoint = "s3." + r.Repository.Region + ".amazonaws.com"
	} else if r.Repository.URIStyle == "" {
		r.Repository.URIStyle = "path"
	}
	if r.Repository.URIStyle == "" {
		r.Repository.URIStyle = "host"
	}
	r.Repository.InsecureSkipVerify = o.InsecureSkipVerify
	r.Bundle = strings.Join(o.CABundle, "\n")
	if o.CertRef != nil {
		r.Secrets.Trust = o.CertRef.Name
	}
}

func (r *request) locateBucket(o v1alpha1.BucketOptions) {
	r.Repository.Bucket, r.Repository.Prefix = o.Bucket, strings.Trim(o.Key, "/")
}

// schedules returns when each type of backup is to be taken.
func schedules(spec v1alpha1.BackupPlanSpec) map[v1alpha1.BackupType]string {
	if s := spec.BackupSchedules; s != nil {
		all := map[v1alpha1.BackupType]string{}
		for kind, text := range map[v1alpha1.BackupType]string{
			v1alpha1.BackupFull: s.Full, v1alpha1.BackupDifferential: s.Differential, v1alpha1.BackupIncremental: s.Incremental,
		} {
			if text != "" {
				all[kind] = text
			}
		}
		return all
	}
	kind, text := v1alpha1.BackupFull, spec.CronSchedule
	if spec.PhysicalBackupSpec != nil && spec.PhysicalBackupSpec.BackupType != "" {
		kind = spec.PhysicalBackupSpec.BackupType
	}
	if text == "" {
		text = schedule.Default
	}
	return map[v1alpha1.BackupType]string{kind: text}
}
