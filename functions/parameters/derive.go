package parameters

import (
	"maps"
	"strconv"
	"strings"
)

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// Sizes of an instance.
type Sizes struct {
	// Memory in bytes: what the container may use.
	Memory int64

	// CPU in thousandths of a core.
	CPU int64

	// DataDisk in bytes.
	DataDisk int64
}

// Derive returns the settings that suit an instance's size, where PostgreSQL's own defaults do not. Every one can be
// overridden by the claim. What PostgreSQL sizes well by itself (wal_buffers, checkpoint_completion_target since 14,
// autovacuum_work_mem) is left to it.
func Derive(s Sizes) map[string]string {
	shared := max(s.Memory/4, 16*mib)
	connections := clamp(s.Memory/(10*mib), 50, 500)
	cores := clamp((s.CPU+999)/1000, 1, 512)
	wal := clamp(s.DataDisk/10, 128*mib, 16*gib)

	return map[string]string{
		// A quarter of the memory, as PostgreSQL's manual recommends (19.4); the rest is for connections and for the page
		// cache, which the container's limit counts too.
		"shared_buffers": size(shared),

		// What the planner may expect to be cached: shared buffers and page cache together.
		"effective_cache_size": size(s.Memory * 3 / 4),

		// About 10 MB for each connection, as Amazon RDS does; fewer than 50 surprises applications with a pool or two, more
		// than 500 want a pooler.
		"max_connections": strconv.FormatInt(connections, 10),

		// A plan can use work_mem several times over: three for each connection, of what shared buffers leave.
		"work_mem": size(clamp((s.Memory-shared)/(connections*3), mib, 128*mib)),

		// Three autovacuum workers and a CREATE INDEX use it at once: a quarter of the memory together.
		"maintenance_work_mem": size(clamp(s.Memory/16, 16*mib, 2*gib)),

		// A tenth of the disk between checkpoints: fewer full pages in the WAL, and never a full disk for it.
		"max_wal_size": size(wal),
		"min_wal_size": size(max(wal/4, 80*mib)),

		// Half of the WAL's volume for little CPU; both images are built with lz4.
		"wal_compression": "lz4",

		// Network and local disks of today are solid state: random reads cost little more than sequential ones.
		"random_page_cost":         "1.1",
		"effective_io_concurrency": "200",

		// Parallel plans as wide as half of the cores; with one core they only cost.
		"max_worker_processes":             strconv.FormatInt(max(8, cores), 10),
		"max_parallel_workers":             strconv.FormatInt(cores, 10),
		"max_parallel_workers_per_gather":  strconv.FormatInt(min(4, cores/2), 10),
		"max_parallel_maintenance_workers": strconv.FormatInt(min(4, cores/2), 10),

		// How long a promotion can wait at most, and a standby that asked its new primary before that served: PostgreSQL's own 5 s are
		// long. Much less, and a standby can stream from its old primary again, which starts after a crash, before it is told of
		// the new one: then it has to be rewound.
		"wal_retrieve_retry_interval": "1s",

		// Where a node has huge pages but the Pod has none, "try" maps them and dies by SIGBUS at the first touch.
		"huge_pages": "off",

		// What a person looks for first when a database is slow.
		"log_lock_waits":  "on",
		"log_temp_files":  "10MB",
		"log_line_prefix": "%m [%p] %q%u@%d ",
		"track_io_timing": "on",
		PreloadLibraries:  "pg_stat_statements",
	}
}

// Merge returns the derived parameters with the given ones in their place. Where a given one is smaller than a derived one
// that it limits, the derived one follows.
func Merge(derived, given map[string]string) map[string]string {
	merged := maps.Clone(derived)
	maps.Copy(merged, given)
	if _, ok := given["min_wal_size"]; !ok && given["max_wal_size"] != "" {
		delete(merged, "min_wal_size") // PostgreSQL's own default suits every max_wal_size that it takes.
	}
	if _, ok := given["max_parallel_workers"]; !ok && given["max_worker_processes"] != "" {
		delete(merged, "max_parallel_workers")
	}
	return merged
}

// Libraries returns the libraries in a value of shared_preload_libraries.
func Libraries(value string) []string {
	var libraries []string
	for library := range strings.SplitSeq(value, ",") {
		if library = strings.Trim(strings.TrimSpace(library), `"`); library != "" {
			libraries = append(libraries, library)
		}
	}
	return libraries
}

// size returns a number of bytes as PostgreSQL writes it, rounded down to whole megabytes.
func size(n int64) string {
	n -= n % mib
	if n%gib == 0 && n > 0 {
		return strconv.FormatInt(n/gib, 10) + "GB"
	}
	return strconv.FormatInt(n/mib, 10) + "MB"
}

func clamp(n, low, high int64) int64 { return max(low, min(n, high)) }
