package dbcluster

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/tls"
)

// portHTTPS is where stores listen that do not say otherwise.
const portHTTPS = 443

// A backup is what follows from a cluster's BackupPlan.
type backup struct {
	// Config is what the instances are told. Nil when there is no plan.
	Config *instance.Backup

	// Ports of stores that are not among those that the instances may reach anyway.
	Ports []int32

	// Certificate of the Jobs that may read the instances' files. Nil when there is no plan, or no authority yet.
	Certificate map[string][]byte
}

// planBackup returns what follows from the Secret that a BackupPlan composes. While that was not looked up, what was told the
// instances last stays.
func planBackup(c cluster, seen facts, now time.Time, rand io.Reader) (backup, error) {
	b := backup{Config: configured(seen), Ports: unusualPorts(seen.Repository, seen.Source)}
	if b.Config == nil || seen.Authority == nil {
		return b, nil
	}
	leaf, err := backupLeaf(seen, now, rand)
	if err != nil {
		return backup{}, fmt.Errorf("cannot issue a certificate with the authority in the Secret %s: %w", c.Authority(generation), err)
	}
	b.Certificate = map[string][]byte{
		instance.KeyCertificate: leaf.Certificate,
		instance.KeyPrivateKey:  leaf.Key,
		instance.KeyAuthority:   seen.Authority.Certificate,
	}
	return b, nil
}

// configured returns what the instances are to be told of a BackupPlan.
func configured(seen facts) *instance.Backup {
	if !seen.Repository.Answered && seen.Config != nil {
		return seen.Config.Backup
	}
	revision := seen.Repository.Data[instance.KeyRepositoryRevision]
	if len(revision) == 0 {
		return nil
	}
	return &instance.Backup{Revision: string(revision)}
}

// backupLeaf returns the observed certificate of Jobs, or a new one when that cannot be used any longer.
func backupLeaf(seen facts, now time.Time, rand io.Reader) (tls.Pair, error) {
	names := []string{instance.BackupClient}
	observed := tls.Pair{
		Certificate: seen.BackupCertificate[instance.KeyCertificate],
		Key:         seen.BackupCertificate[instance.KeyPrivateKey],
	}
	if err := tls.CheckLeaf(observed, seen.Authority.Certificate, names, now, seen.Vouched); err == nil {
		return observed, nil
	}
	return tls.NewLeaf(*seen.Authority, instance.BackupClient, names, now, rand)
}

// unusualPorts returns the ports of stores that are not HTTPS's.
func unusualPorts(secrets ...compose.Lookup) []int32 {
	var ports []int32
	for _, secret := range secrets {
		repository := instance.Repository{}
		if err := json.Unmarshal(secret.Data[instance.KeyRepository], &repository); err != nil {
			continue
		}
		if number := unusualPort(repository.Endpoint); number != 0 {
			ports = append(ports, number)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// unusualPort returns the port of an endpoint, and 0 for that of HTTPS.
func unusualPort(endpoint string) int32 {
	_, text, err := net.SplitHostPort(endpoint)
	if err != nil {
		return 0
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil || number == portHTTPS {
		return 0
	}
	return int32(number)
}
