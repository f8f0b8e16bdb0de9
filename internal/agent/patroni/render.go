// Package patroni writes Patroni's configuration and speaks to its REST API.
package patroni

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/internal/agent/fence"
)

// Database users of the system's own.
const (
	UserReplication = "xdb_replication"
	UserRewind      = "xdb_rewind"
	UserMetrics     = "xdb_metrics"
)

// PathMayPromote is where the agent of an instance says whether that may be promoted.
const PathMayPromote = "/may-promote"

// archiveCommand takes a WAL segment to where the BackupPlan says. Its name is what pgBackRest looks for before it takes a backup.
const archiveCommand = "/usr/local/bin/xdb-agent pgbackrest-archive %p"

// Settings are what Patroni's configuration of one instance follows from.
type Settings struct {
	Config instance.Config

	// Scope is Patroni's name for the cluster.
	Scope string

	// Pod and its namespace and IP address.
	Pod       string
	Namespace string
	PodIP     string

	// DataDirectory of PostgreSQL.
	DataDirectory string

	// Behind says that the instance lacks the cluster's last timeline. It takes no part in elections.
	Behind bool

	// Passwords of the system's own users.
	ReplicationPassword string
	RewindPassword      string
}

// ConfigFile is where the configuration is written. It holds passwords.
func ConfigFile() string { return filepath.Join(instance.FolderRun, "patroni.yml") }

// AuthoritiesFile is where the authorities are written that may have signed what another instance serves: the cluster's own,
// and the one of the user's certificate.
func AuthoritiesFile() string { return filepath.Join(instance.FolderRun, "authorities.crt") }

// WatchdogDevice is where Patroni says that it holds PostgreSQL in check.
func WatchdogDevice() string { return filepath.Join(instance.FolderRun, "watchdog") }

// mayPromote is the command that asks the agent whether this instance may be promoted.
func mayPromote() string {
	return "/usr/local/bin/xdb-may-promote http://" + net.JoinHostPort("localhost", strconv.Itoa(instance.PortAgent)) + PathMayPromote
}

// makeUsers is the command that gives a new database its system's own users, without passwords; Patroni adds how to connect. It gives them
// their passwords, and would make them itself, while it takes the leader lock already: a database that is interrupted then, and has none
// of them, is never promoted again.
func makeUsers(version string) string {
	command := []string{filepath.Join(BinaryFolder(version), "psql"), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"}
	for _, statement := range []string{
		"CREATE ROLE " + UserReplication + " LOGIN REPLICATION",
		"CREATE ROLE " + UserRewind + " LOGIN",
		"GRANT EXECUTE ON FUNCTION " + strings.Join(rewindFunctions(), ", ") + " TO " + UserRewind,
	} {
		command = append(command, "--command", "'"+statement+"'")
	}
	return strings.Join(command, " ")
}

// rewindFunctions are those that pg_rewind calls on the server that it copies from (its page in PostgreSQL's manual).
func rewindFunctions() []string {
	return []string{
		"pg_catalog.pg_ls_dir(text, boolean, boolean)",
		"pg_catalog.pg_stat_file(text, boolean)",
		"pg_catalog.pg_read_binary_file(text)",
		"pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)",
	}
}

// BinaryFolder is where Debian has a major version's programs.
func BinaryFolder(version string) string { return "/usr/lib/postgresql/" + version + "/bin" }

// Render returns Patroni's configuration.
func Render(s Settings) ([]byte, error) {
	raw, err := yaml.Marshal(map[string]any{
		"scope": s.Scope,
		"name":  s.Pod,
		"tags":  map[string]bool{"nofailover": s.Behind},
		"restapi": map[string]any{
			"listen":          "0.0.0.0:" + strconv.Itoa(instance.PortPatroni),
			"connect_address": s.host() + ":" + strconv.Itoa(instance.PortPatroni),
			"certfile":        tlsFile(instance.KeyInternalCertificate),
			"keyfile":         tlsFile(instance.KeyInternalPrivateKey),
			"cafile":          tlsFile(instance.KeyInternalAuthority),
			// Whatever changes something needs a certificate of the cluster; probes, which only read, have none.
			"verify_client": "optional",
		},
		"ctl": map[string]any{
			"cacert":   tlsFile(instance.KeyInternalAuthority),
			"certfile": tlsFile(instance.KeyInternalCertificate),
			"keyfile":  tlsFile(instance.KeyInternalPrivateKey),
		},
		"kubernetes": map[string]any{
			"namespace":     s.Namespace,
			"labels":        map[string]string{naming.LabelCluster: s.Config.Cluster},
			"scope_label":   naming.LabelScope,
			"role_label":    naming.LabelPatroniRole,
			"use_endpoints": false,
			"pod_ip":        s.PodIP,
		},
		"watchdog": map[string]any{
			"mode": "required",
			// It writes to a named pipe what it would otherwise tell the kernel.
			"driver":        "testing",
			"device":        WatchdogDevice(),
			"safety_margin": int(fence.Margin.Seconds()),
		},
		"bootstrap":  map[string]any{"dcs": dynamic(s.Config), "initdb": initdb(), "post_bootstrap": makeUsers(s.Config.Version)},
		"postgresql": s.postgresql(),
	})
	if err != nil {
		return nil, fmt.Errorf("cannot encode Patroni's configuration: %w", err)
	}
	return raw, nil
}

func (s Settings) host() string {
	return naming.Cluster{Namespace: s.Namespace, Name: s.Config.Cluster}.PodHost(s.Pod)
}

func (s Settings) postgresql() map[string]any {
	return map[string]any{
		"listen":               "0.0.0.0:" + strconv.Itoa(instance.PortPostgreSQL),
		"connect_address":      s.host() + ":" + strconv.Itoa(instance.PortPostgreSQL),
		"data_dir":             s.DataDirectory,
		"bin_dir":              BinaryFolder(s.Config.Version),
		"pgpass":               filepath.Join(instance.FolderRun, "pgpass"),
		"use_unix_socket":      true,
		"use_unix_socket_repl": true,
		"authentication": map[string]any{
			"superuser":   map[string]string{"username": "postgres"},
			"replication": s.remoteUser(UserReplication, s.ReplicationPassword),
			"rewind":      s.remoteUser(UserRewind, s.RewindPassword),
		},
		// A standby is wanted now, not after the minutes over which a checkpoint is spread.
		"basebackup": []any{map[string]string{"checkpoint": "fast"}},
		// Patroni asks it of an instance that has won the leader lock, and gives the lock back when the answer is no.
		"pre_promote": mayPromote(),
		"parameters":  ownParameters(),
		"pg_hba":      hostBasedAccess(),
		"pg_ident": []string{
			"local postgres postgres",
			"local postgres " + UserReplication,
			"local postgres " + UserRewind,
			"local postgres " + UserMetrics,
		},
	}
}

func (s Settings) remoteUser(name, password string) map[string]string {
	return map[string]string{
		"username": name, "password": password,
		"sslmode": "verify-ca", "sslrootcert": AuthoritiesFile(),
	}
}

// ownParameters belong to the instance and not to the cluster: where its files are.
func ownParameters() map[string]string {
	return map[string]string{
		"unix_socket_directories":  instance.FolderSocket,
		"ssl":                      "on",
		"ssl_cert_file":            tlsFile(instance.KeyCertificate),
		"ssl_key_file":             tlsFile(instance.KeyPrivateKey),
		"ssl_ca_file":              tlsFile(instance.KeyAuthority),
		"ssl_min_protocol_version": "TLSv1.2",
		"logging_collector":        "off",
		"log_destination":          "stderr",
		// Turning archiving on later needs a restart. What the command does follows from whether there is a BackupPlan.
		"archive_mode":    "on",
		"archive_command": archiveCommand,
	}
}

// hostBasedAccess lets nobody in without TLS and a password, but for the instance's own processes, whom the kernel
// vouches for.
func hostBasedAccess() []string {
	return []string{
		"local all postgres peer map=local",
		"local all " + UserMetrics + " peer map=local",
		"local all " + UserRewind + " peer map=local",
		"local replication " + UserReplication + " peer map=local",
		"local all all scram-sha-256",
		"hostssl replication " + UserReplication + " all scram-sha-256",
		"hostssl all " + UserReplication + " all reject",
		"hostssl all all all scram-sha-256",
	}
}

// initdb's options. Text sorts by code point, in every version of the operating system's library alike: an image with
// another one cannot break an index.
func initdb() []any {
	return []any{
		map[string]string{"encoding": "UTF8"},
		map[string]string{"locale": "C.UTF-8"},
		map[string]string{"auth-local": "peer"},
		map[string]string{"auth-host": "scram-sha-256"},
		"data-checksums",
	}
}

func tlsFile(key string) string { return filepath.Join(instance.FolderTLS, key) }
