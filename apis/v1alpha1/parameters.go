package v1alpha1

// OwnedParameters are settings of PostgreSQL that the system sets itself, with one reason for all of them.
type OwnedParameters struct {
	// Reason completes the sentence "<name> cannot be set: " with why, and with what to do instead where there is something.
	Reason string

	// Names of the settings, in lower case, sorted.
	Names []string
}

// SystemParameters returns the settings that a claim cannot set. They are refused at admission; the schema is generated
// from this list.
func SystemParameters() []OwnedParameters {
	return []OwnedParameters{
		{
			Reason: "clients find PostgreSQL at port 5432 of the Service <cluster>-rw, which status.endpoints names",
			Names: []string{
				"bonjour", "bonjour_name", "listen_addresses", "port", "unix_socket_directories", "unix_socket_group",
				"unix_socket_permissions",
			},
		},
		{
			Reason: "the system keeps the instance's files in places of its own",
			Names: []string{
				"config_file", "data_directory", "external_pid_file", "hba_file", "ident_file",
			},
		},
		{
			Reason: "the system gives every cluster its name",
			Names: []string{
				"cluster_name",
			},
		},
		{
			Reason: "the log goes to standard error, where kubectl logs and the platform's log collector find it",
			Names: []string{
				"event_source", "log_destination", "log_directory", "log_file_mode", "log_filename", "log_rotation_age",
				"log_rotation_size", "log_truncate_on_rotation", "logging_collector", "syslog_facility", "syslog_ident",
				"syslog_sequence_numbers", "syslog_split_messages",
			},
		},
		{
			Reason: "the system manages certificates, and TLS is always on; set spec.tls.certSecret for a certificate of your own",
			Names: []string{
				"ssl", "ssl_ca_file", "ssl_cert_file", "ssl_crl_dir", "ssl_crl_file", "ssl_dh_params_file", "ssl_key_file",
				"ssl_max_protocol_version", "ssl_min_protocol_version", "ssl_passphrase_command",
				"ssl_passphrase_command_supports_reload",
			},
		},
		{
			Reason: "clients log in with SCRAM passwords over TLS and in no other way",
			Names: []string{
				"db_user_namespace", "gss_accept_delegation", "krb_caseins_users", "krb_server_keyfile",
				"password_encryption",
			},
		},
		{
			Reason: "the system manages archiving and recovery",
			Names: []string{
				"archive_cleanup_command", "archive_command", "archive_library", "archive_mode", "archive_timeout",
				"recovery_end_command", "recovery_min_apply_delay", "recovery_target", "recovery_target_action",
				"recovery_target_inclusive", "recovery_target_lsn", "recovery_target_name", "recovery_target_time",
				"recovery_target_timeline", "recovery_target_xid", "restore_command",
			},
		},
		{
			Reason: "the system manages replication; set spec.availability",
			Names: []string{
				"hot_standby", "max_replication_slots", "max_wal_senders", "primary_conninfo", "primary_slot_name",
				"promote_trigger_file", "sync_replication_slots", "synchronized_standby_slots", "synchronous_standby_names",
				"wal_level", "wal_log_hints",
			},
		},
		{
			Reason: "the system restarts PostgreSQL after a crash",
			Names: []string{
				"restart_after_crash",
			},
		},
		{
			Reason: "other values can lose or corrupt data",
			Names: []string{
				"allow_system_table_mods", "data_sync_retry", "fsync", "full_page_writes", "ignore_checksum_failure",
				"ignore_invalid_pages", "ignore_system_indexes", "zero_damaged_pages",
			},
		},
	}
}
