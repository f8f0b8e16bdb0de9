package v1alpha1

// OwnedParameters are settings of PostgreSQL that the system sets itself, with one reason for all of them.
type OwnedParameters struct {
	// Reason completes the sentence "<names> cannot be set: ".
	Reason string

	// Names of the settings, in lower case, sorted.
	Names []string
}

// SystemParameters returns the settings that a claim cannot set. They are refused at admission; the schema is generated
// from this list.
func SystemParameters() []OwnedParameters {
	return []OwnedParameters{
		{
			Reason: "the system sets where the instance listens, keeps its files and logs",
			Names: []string{
				"cluster_name", "config_file", "data_directory", "external_pid_file", "hba_file", "ident_file", "listen_addresses",
				"log_destination", "log_directory", "log_file_mode", "log_filename", "logging_collector", "port",
				"unix_socket_directories", "unix_socket_group", "unix_socket_permissions",
			},
		},
		{
			Reason: "the system manages certificates; use spec.tls for one of your own",
			Names: []string{
				"ssl", "ssl_ca_file", "ssl_cert_file", "ssl_crl_dir", "ssl_crl_file", "ssl_key_file", "ssl_passphrase_command",
				"ssl_passphrase_command_supports_reload",
			},
		},
		{
			Reason: "the system manages replication, archiving and recovery",
			Names: []string{
				"archive_cleanup_command", "archive_command", "archive_library", "archive_mode", "hot_standby", "max_replication_slots",
				"max_wal_senders", "primary_conninfo", "primary_slot_name", "promote_trigger_file", "recovery_end_command",
				"recovery_min_apply_delay", "recovery_target", "recovery_target_action", "recovery_target_inclusive",
				"recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_timeline",
				"recovery_target_xid", "restart_after_crash", "restore_command", "sync_replication_slots",
				"synchronous_standby_names", "synchronized_standby_slots", "wal_level", "wal_log_hints",
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
