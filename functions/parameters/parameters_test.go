package parameters

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// versions of PostgreSQL that there are catalogs of.
func versions() []string { return []string{"15", "17"} }

func TestCheck(t *testing.T) {
	cases := map[string]struct {
		reason    string
		name      string
		value     string
		preloaded []string
		want      string
	}{
		"Bool":              {reason: "Every spelling that PostgreSQL takes is right.", name: "log_lock_waits", value: "tRu"},
		"BoolWrong":         {reason: "Another is not.", name: "log_lock_waits", value: "maybe", want: `"maybe" is neither on nor off`},
		"BoolAmbiguous":     {reason: "PostgreSQL does not guess.", name: "log_lock_waits", value: "o", want: `"o" is neither on nor off`},
		"Integer":           {reason: "A number without a unit counts in the setting's own.", name: "work_mem", value: "4096"},
		"IntegerUnit":       {reason: "A unit is converted.", name: "work_mem", value: "16 MB"},
		"IntegerHex":        {reason: "PostgreSQL takes hexadecimal numbers.", name: "work_mem", value: "0x1000"},
		"IntegerOfGo":       {reason: "PostgreSQL has no underscores in numbers, and no binary ones.", name: "work_mem", value: "1_000", want: `"1_000" is not a number, for example 16MB`},
		"IntegerBinary":     {reason: "The same.", name: "work_mem", value: "0b1000", want: `"0b1000" is not a number, for example 16MB`},
		"IntegerFraction":   {reason: "A fraction is rounded.", name: "work_mem", value: "1.5MB"},
		"IntegerMinus":      {reason: "Some have a value below zero.", name: "log_temp_files", value: "-1"},
		"TooSmall":          {reason: "The range is the setting's.", name: "work_mem", value: "1kB", want: "1kB is out of range: it must be between 64kB and 2147483647kB"},
		"LessThanPatroni's": {reason: "Patroni would put its own default in its place.", name: "max_connections", value: "20", want: "20 is out of range: it must be between 25 and 262143"},
		"NoWALKept":         {reason: "The same, though PostgreSQL's own default.", name: "wal_keep_size", value: "0", want: "0 is out of range: it must be between 16MB and 2147483647MB"},
		"OneSegmentOfWAL":   {reason: "A reload takes it, and PostgreSQL does not start again.", name: "max_wal_size", value: "16MB", want: "16MB is out of range: it must be between 32MB and 2147483647MB"},
		"HugePages":         {reason: "A Pod has none.", name: "huge_pages", value: "ON", want: "PostgreSQL would not start: its Pod has no huge pages; set try, or leave it out"},
		"TooLarge":          {reason: "The range is in the setting's unit.", name: "work_mem", value: "3000GB", want: "3000GB is out of range: it must be between 64kB and 2147483647kB"},
		"Pages":             {reason: "A setting that counts pages takes sizes too.", name: "shared_buffers", value: "128MB"},
		"PagesTooSmall":     {reason: "Its range is in pages.", name: "shared_buffers", value: "64kB", want: "64kB is out of range: it must be between 16 pages of 8kB and 1073741823 pages of 8kB"},
		"WrongUnit":         {reason: "Units are case-sensitive.", name: "work_mem", value: "16mb", want: `"16mb" has a unit that cannot be used here; use B, kB, MB, GB or TB`},
		"KubernetesUnit":    {reason: "Units are not Kubernetes'.", name: "work_mem", value: "16Mi", want: `"16Mi" has a unit that cannot be used here; use B, kB, MB, GB or TB`},
		"TimeForSize":       {reason: "A size is not a time.", name: "work_mem", value: "16s", want: `"16s" has a unit that cannot be used here; use B, kB, MB, GB or TB`},
		"SizeForTime":       {reason: "A time is not a size.", name: "statement_timeout", value: "1MB", want: `"1MB" has a unit that cannot be used here; use us, ms, s, min, h or d`},
		"UnitForCount":      {reason: "A count has no unit.", name: "max_connections", value: "100s", want: `"100s" has a unit that cannot be used here; it takes none`},
		"Time":              {reason: "Times are converted.", name: "statement_timeout", value: "5min"},
		"NoNumber":          {reason: "A word is not a number.", name: "work_mem", value: "lots", want: `"lots" is not a number, for example 16MB`},
		"Empty":             {reason: "Nothing is not a number.", name: "max_connections", value: "", want: `"" is not a number`},
		"NaN":               {reason: "Not a number is not a number.", name: "random_page_cost", value: "NaN", want: `"NaN" is not a number`},
		"Real":              {reason: "A real number is taken.", name: "random_page_cost", value: "1.1"},
		"RealExponent":      {reason: "An exponent is part of a number.", name: "random_page_cost", value: "11e-1"},
		"RealTooLarge":      {reason: "Real numbers have a range.", name: "checkpoint_completion_target", value: "1.5", want: "1.5 is out of range: it must be between 0 and 1"},
		"Enum":              {reason: "Case does not matter.", name: "wal_compression", value: "LZ4"},
		"EnumWrong":         {reason: "The values are listed.", name: "wal_compression", value: "brotli", want: `"brotli" is not one of pglz, lz4, zstd, on, off`},
		"String":            {reason: "A string can be anything.", name: "search_path", value: `"$user", public`},
		"MixedCase":         {reason: "A name that PostgreSQL shows in mixed case is given in lower case.", name: "timezone", value: "Europe/Vienna"},
		"Newline":           {reason: "A line break would begin another line of the configuration.", name: "search_path", value: "a\nb", want: "the value holds a control character"},
		"Internal":          {reason: "Nobody can set what PostgreSQL only shows.", name: "block_size", value: "8192", want: "only shows this setting, nobody can set it; remove it"},
		"Typo":              {reason: "A typo is named with what was perhaps meant.", name: "work_men", value: "1MB", want: "has no such setting; perhaps work_mem is meant"},
		"Unknown":           {reason: "Something else is just unknown.", name: "quite_another_thing", value: "1", want: "has no such setting"},
		"Injection":         {reason: "A name cannot reach into the catalog.", name: "work_mem,kB", value: "1", want: "has no such setting"},
		"Extension":         {reason: "The setting of a library that is loaded is taken.", name: "pg_stat_statements.max", value: "1000", preloaded: []string{"pg_stat_statements"}},
		"ExtensionNotThere": {reason: "PostgreSQL would take it without a word and ignore it.", name: "auto_explain.log_min_duration", value: "1s", want: "the library auto_explain is not loaded; add it to shared_preload_libraries"},
		"ExtensionUnknown":  {reason: "So it would any name with a dot.", name: "foo.bar", value: "1", want: `settings of "foo" are not known`},
		"Language":          {reason: "PL/pgSQL is always there.", name: "plpgsql.extra_warnings", value: "all"},
	}
	for name, tc := range cases {
		for _, version := range versions() {
			t.Run(name+version, func(t *testing.T) {
				refusals, err := Check(version, map[string]string{tc.name: tc.value}, tc.preloaded)
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case tc.want == "" && len(refusals) > 0:
					t.Errorf("%s\nrefused: %s", tc.reason, refusals[0].Message)
				case tc.want != "" && (len(refusals) != 1 || !strings.Contains(refusals[0].Message, tc.want)):
					t.Errorf("%s\ngot %v, want a refusal with %q", tc.reason, refusals, tc.want)
				}
			})
		}
	}
}

func TestCheckVersion(t *testing.T) {
	if _, err := Check("9.6", map[string]string{"work_mem": "1MB"}, nil); err == nil {
		t.Error("a version without a catalog cannot be checked, and must not pass as if it were")
	}
}

func TestCheckIsSorted(t *testing.T) {
	refusals, err := Check("15", map[string]string{"zzz": "1", "aaa": "1", "mmm": "1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range refusals {
		names = append(names, r.Name)
	}
	if diff := cmp.Diff([]string{"aaa", "mmm", "zzz"}, names); diff != "" {
		t.Errorf("messages must not flap (-want +got):\n%s", diff)
	}
}

// TestDerive checks that PostgreSQL can take what is derived, for instances from the smallest to a large one.
func TestDerive(t *testing.T) {
	for _, version := range versions() {
		for _, memory := range []int64{128 * mib, 256 * mib, gib, 8 * gib, 96*gib + 12345, 1024 * gib} {
			for _, cpu := range []int64{1, 100, 1000, 3500, 64000, 2000000} {
				for _, disk := range []int64{512 * mib, 10 * gib, 64 * 1024 * gib} {
					derived := Derive(Sizes{Memory: memory, CPU: cpu, DataDisk: disk})
					refusals, err := Check(version, derived, []string{"pg_stat_statements"})
					if err != nil {
						t.Fatal(err)
					}
					if len(refusals) > 0 {
						t.Errorf("PostgreSQL %s, memory %d, cpu %d, disk %d: %v", version, memory, cpu, disk, refusals)
					}
				}
			}
		}
	}
}

func TestDeriveSeedManifest(t *testing.T) {
	got := Derive(Sizes{Memory: 8 * gib, CPU: 1000, DataDisk: 10 * gib})
	for name, want := range map[string]string{
		"shared_buffers": "2GB", "effective_cache_size": "6GB", "max_connections": "500", "work_mem": "4MB",
		"maintenance_work_mem": "512MB", "max_wal_size": "1GB", "max_parallel_workers_per_gather": "0",
	} {
		if got[name] != want {
			t.Errorf("%s of an instance with 8 GiB is %s, want %s", name, got[name], want)
		}
	}
}

func TestMerge(t *testing.T) {
	derived := Derive(Sizes{Memory: gib, CPU: 1000, DataDisk: 100 * gib})
	merged := Merge(derived, map[string]string{"max_wal_size": "64MB", "work_mem": "1MB"})
	if merged["work_mem"] != "1MB" || merged["max_wal_size"] != "64MB" {
		t.Error("what the claim gives comes first")
	}
	if _, ok := merged["min_wal_size"]; ok {
		t.Error("a derived min_wal_size above a given max_wal_size would be refused by PostgreSQL")
	}
	if derived["work_mem"] == "1MB" {
		t.Error("merging must not change what it merges")
	}
}

func TestLookup(t *testing.T) {
	for _, version := range versions() {
		names, err := Names(version)
		if err != nil {
			t.Fatal(err)
		}
		if len(names) < 300 {
			t.Errorf("PostgreSQL %s has some 350 settings, the catalog has %d", version, len(names))
		}
		for _, name := range names {
			setting, ok, err := Lookup(version, strings.ToLower(name))
			if err != nil || !ok || setting.Name != name {
				t.Errorf("PostgreSQL %s: cannot look %s up: found %t as %q, %v", version, name, ok, setting.Name, err)
			}
			settable := setting.Context != contextInternal && name != "wal_keep_size" // Patroni's is in force in place of none.
			if settable && (setting.Type == typeInteger || setting.Type == typeReal) {
				if refusal := checkNumber(setting, setting.Boot); refusal != "" {
					t.Errorf("PostgreSQL %s: its own default of %s is refused: %s", version, name, refusal)
				}
			}
		}
	}
}

func TestLibraries(t *testing.T) {
	got := Libraries(` pg_stat_statements, "auto_explain",,`)
	if diff := cmp.Diff([]string{"pg_stat_statements", "auto_explain"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func ExampleRefusal() {
	refusals, _ := Check("15", map[string]string{"work_men": "16MB"}, nil)
	fmt.Println(refusals[0].Error())
	// Output: work_men: PostgreSQL 15 has no such setting; perhaps work_mem is meant
}
