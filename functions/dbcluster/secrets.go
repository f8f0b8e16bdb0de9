package dbcluster

import (
	corev1 "k8s.io/api/core/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// Types of Secrets.
//
//nolint:gosec // Names of types, not credentials.
const (
	secretOpaque  = "Opaque"
	secretTLS     = "kubernetes.io/tls"
	secretBinding = "servicebinding.io/postgresql"
)

// authoritySecret holds the key of the certificate authority. It is immutable, so that a call which does not see it yet
// cannot replace it, and no Pod mounts it.
func authoritySecret(c cluster, p plan) *applycorev1.SecretApplyConfiguration {
	return secret(c, c.Authority(generation), secretOpaque, map[string][]byte{
		keyAuthorityCertificate: p.Authority.Certificate,
		keyAuthorityKey:         p.Authority.Key,
	}).WithImmutable(true)
}

// credentialsSecret holds the generated passwords. It is immutable for the same reason.
func credentialsSecret(c cluster, p plan) *applycorev1.SecretApplyConfiguration {
	return secret(c, c.Credentials(generation), secretOpaque, map[string][]byte{
		instance.KeyReplicationPassword: []byte(p.Credentials.Replication),
		instance.KeyRewindPassword:      []byte(p.Credentials.Rewind),
		keyAdminPassword:                []byte(p.Credentials.Admin),
	}).WithImmutable(true)
}

// certificateSecret holds the certificates that instances serve. It changes when they are renewed.
func certificateSecret(c cluster, p plan) *applycorev1.SecretApplyConfiguration {
	return secret(c, c.Certificate(), secretTLS, p.Certificate)
}

// backupCertificateSecret holds the certificate by which instances know the Jobs that may read their files.
func backupCertificateSecret(c cluster, p plan) *applycorev1.SecretApplyConfiguration {
	return secret(c, c.BackupCertificate(), secretTLS, p.Backup.Certificate)
}

// sourceSecret holds what another namespace grants, to restore from.
func sourceSecret(c cluster, p plan) *applycorev1.SecretApplyConfiguration {
	return secret(c, c.Source(), secretOpaque, p.Source)
}

// adminSecret holds the credentials that the database's administrator is to have.
func adminSecret(c cluster, p plan) *applycorev1.SecretApplyConfiguration {
	return secret(c, c.Admin(), secretOpaque, p.Admin)
}

// connectionSecret holds what an application needs to connect.
func connectionSecret(c cluster, p plan) *applycorev1.SecretApplyConfiguration {
	return secret(c, c.Connection(), secretBinding, p.Connection)
}

func secret(c cluster, name string, kind corev1.SecretType, data map[string][]byte) *applycorev1.SecretApplyConfiguration {
	return applycorev1.Secret(name, c.Namespace).WithLabels(c.Labels()).WithType(kind).WithData(data)
}
