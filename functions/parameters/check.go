package parameters

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// PreloadLibraries is the setting that names the libraries to load at the start.
const PreloadLibraries = "shared_preload_libraries"

// A Refusal says why a parameter cannot be set, and what would be right.
type Refusal struct {
	Name    string
	Message string
}

// Error returns the refusal in one line.
func (r Refusal) Error() string { return r.Name + ": " + r.Message }

// Check returns why a version of PostgreSQL cannot take some of the given parameters, sorted by name. preloaded are the
// libraries that are in shared_preload_libraries.
func Check(version string, given map[string]string, preloaded []string) ([]Refusal, error) {
	var refusals []Refusal
	for _, name := range slices.Sorted(maps.Keys(given)) {
		message, err := check(version, name, given[name], preloaded)
		if err != nil {
			return nil, err
		}
		if message != "" {
			refusals = append(refusals, Refusal{Name: printable(name), Message: message})
		}
	}
	return refusals, nil
}

// check returns why a parameter is refused, or nothing.
func check(version, name, value string, preloaded []string) (string, error) {
	if reason, isOwned := owned(name); isOwned {
		return reason, nil
	}
	if i := strings.IndexFunc(value, unicode.IsControl); i >= 0 {
		return "the value holds a control character", nil
	}
	if prefix, _, ok := strings.Cut(name, "."); ok {
		return checkExtension(prefix, preloaded), nil
	}

	setting, ok, err := Lookup(version, name)
	if err != nil {
		return "", err
	}
	if !ok {
		return unknown(version, name)
	}
	if setting.Context == contextInternal {
		return fmt.Sprintf("PostgreSQL %s only shows this setting, nobody can set it; remove it", version), nil
	}
	if name == "huge_pages" && strings.EqualFold(value, "on") {
		return "PostgreSQL would not start: its Pod has no huge pages; set try, or leave it out", nil
	}
	return checkValue(setting, value), nil
}

// checkExtension returns why a setting of an extension is refused. Their names are not in pg_settings before the library
// is loaded, and PostgreSQL takes any such name without a word.
func checkExtension(prefix string, preloaded []string) string {
	libraries := []string{"auth_delay", "auto_explain", "pg_prewarm", "pg_stat_statements"}
	switch {
	case prefix == "plpgsql": // Loaded by its first function.
		return ""
	case !slices.Contains(libraries, prefix):
		return fmt.Sprintf("settings of %q are not known to this version of xdbcluster; it knows plpgsql.* and those of the libraries %s",
			printable(prefix), strings.Join(libraries, ", "))
	case !slices.Contains(preloaded, prefix):
		return fmt.Sprintf("PostgreSQL would ignore it, because the library %s is not loaded; add it to shared_preload_libraries", prefix)
	}
	return ""
}

// unknown returns the refusal of a setting that the version does not have, with the name that was perhaps meant.
func unknown(version, name string) (string, error) {
	names, err := Names(version)
	if err != nil {
		return "", err
	}
	message := fmt.Sprintf("PostgreSQL %s has no such setting", version)
	if nearest, ok := nearest(name, names); ok {
		message += fmt.Sprintf("; perhaps %s is meant", nearest)
	}
	return message, nil
}

// checkValue returns why a value is refused for a setting.
func checkValue(s Setting, value string) string {
	switch s.Type {
	case typeBool:
		return checkBool(value)
	case typeEnum:
		return checkEnum(s, value)
	case typeInteger, typeReal:
		return checkNumber(s, value)
	}
	return ""
}

// checkBool takes what PostgreSQL takes: also unambiguous beginnings, in any case.
func checkBool(value string) string {
	v := strings.ToLower(value)
	for _, word := range []string{"true", "false", "yes", "no"} {
		if v != "" && strings.HasPrefix(word, v) {
			return ""
		}
	}
	if slices.Contains([]string{"on", "off", "of", "1", "0"}, v) {
		return ""
	}
	return fmt.Sprintf("%q is neither on nor off", value)
}

func checkEnum(s Setting, value string) string {
	if slices.ContainsFunc(s.Enum, func(e string) bool { return strings.EqualFold(e, value) }) {
		return ""
	}
	return fmt.Sprintf("%q is not one of %s", value, strings.Join(s.Enum, ", "))
}

func checkNumber(s Setting, value string) string {
	n, message := parseNumber(s, value)
	if message != "" {
		return message
	}
	if floor, ok := floors()[s.Name]; ok {
		s.Min = floor
	}
	low, errLow := strconv.ParseFloat(s.Min, 64)
	high, errHigh := strconv.ParseFloat(s.Max, 64)
	if errLow != nil || errHigh != nil {
		return fmt.Sprintf("its range %s to %s in this version's list cannot be read; report this as a bug", s.Min, s.Max)
	}
	if n < low || n > high {
		return fmt.Sprintf("%s is out of range: it must be between %s and %s", value, withUnit(s.Min, s.Unit), withUnit(s.Max, s.Unit))
	}
	return ""
}

// floors are, in the setting's own unit, what PostgreSQL's own list allows less than. Patroni replaces what is less by its own default
// (CMDLINE_OPTIONS in its postgresql/config.py), which would be in force in place of what was asked for; and with room for fewer than
// two segments of WAL PostgreSQL does not start (ReadControlFile in its xlog.c).
func floors() map[string]string {
	return map[string]string{
		"max_connections": "25", "max_locks_per_transaction": "32", "max_worker_processes": "2", "wal_keep_size": "16",
		"max_wal_size": "32", "min_wal_size": "32",
	}
}

// parseNumber reads a number with or without a unit as PostgreSQL does, and returns it in the setting's own unit.
func parseNumber(s Setting, value string) (n float64, refusal string) {
	text := strings.TrimSpace(value)
	end := strings.LastIndexAny(text, "0123456789.") + 1
	number, unit := text[:end], strings.TrimSpace(text[end:])

	if strings.ContainsAny(number, "_bBoO") { // Go's own forms of numbers.
		return 0, fmt.Sprintf("%q is not a number%s", value, exampleOf(s.Unit))
	}
	n, err := strconv.ParseFloat(number, 64)
	if whole, errWhole := strconv.ParseInt(number, 0, 64); errWhole == nil {
		n, err = float64(whole), nil // Hexadecimal and octal too.
	}
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, fmt.Sprintf("%q is not a number%s", value, exampleOf(s.Unit))
	}

	if unit != "" {
		factor, ok := factorBetween(unit, s.Unit)
		if !ok {
			return 0, fmt.Sprintf("%q has a unit that cannot be used here; %s", value, unitsFor(s.Unit))
		}
		n *= factor
	}
	if s.Type == typeInteger {
		n = math.RoundToEven(n)
	}
	return n, ""
}

// printable returns at most 64 printable characters of a name: it goes into messages.
func printable(name string) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return -1
	}, name)
	if len(clean) > 64 {
		return strings.ToValidUTF8(clean[:64], "") + "..."
	}
	return clean
}
