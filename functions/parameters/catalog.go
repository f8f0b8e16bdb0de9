// Package parameters knows PostgreSQL's settings: which ones a version has, which values it takes, and which values suit
// the size of an instance.
package parameters

import (
	_ "embed" // The catalogs.
	"encoding/csv"
	"fmt"
	"strings"
)

// Catalogs hold what pg_settings says in each version of PostgreSQL, one line a setting: what psql -f catalog.sql prints in
// an instance. An end-to-end test holds them to the database images.
var (
	//go:embed catalog/15.csv
	catalog15 string

	//go:embed catalog/17.csv
	catalog17 string
)

// Columns of a catalog.
const (
	columnName = iota
	columnUnit
	columnContext
	columnType
	columnMin
	columnMax
	columnEnum
	columnBoot
	columns
)

// Types of settings.
const (
	typeBool    = "bool"
	typeEnum    = "enum"
	typeInteger = "integer"
	typeReal    = "real"
	typeString  = "string"
)

// Contexts of settings: when one can be set.
const (
	contextInternal   = "internal"
	contextPostmaster = "postmaster"
)

// A Setting is what a version of PostgreSQL says about one of its settings.
type Setting struct {
	Name    string
	Unit    string
	Context string
	Type    string
	Min     string
	Max     string
	Enum    []string
	Boot    string
}

// NeedsRestart says whether a change of the setting waits for a restart.
func (s Setting) NeedsRestart() bool { return s.Context == contextPostmaster }

// Lookup returns what a version says about a setting. It reads the one line, not the catalog: a call of the function looks
// up a handful of some 370 settings.
func Lookup(version, name string) (Setting, bool, error) {
	catalog, err := read(version)
	if err != nil {
		return Setting{}, false, err
	}
	start := find(catalog, name)
	if start < 0 {
		return Setting{}, false, nil
	}
	line, _, _ := strings.Cut(catalog[start+1:], "\n")
	setting, err := parse(line)
	if err != nil {
		return Setting{}, false, fmt.Errorf("cannot read setting %q of PostgreSQL %s: %w", name, version, err)
	}
	return setting, true, nil
}

// Names returns the names of a version's settings, in the catalog's order.
func Names(version string) ([]string, error) {
	catalog, err := read(version)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(catalog), "\n")
	names := make([]string, 0, len(lines))
	for _, line := range lines[1:] {
		name, _, _ := strings.Cut(line, ",")
		names = append(names, name)
	}
	return names, nil
}

// find returns where the line before a setting's line ends, or -1. Names of settings are in lower case but for a few
// old ones such as TimeZone; PostgreSQL takes them in any case, claims have them in lower case.
func find(catalog, name string) int {
	if strings.ContainsAny(name, "\n\",") {
		return -1
	}
	if i := strings.Index(catalog, "\n"+name+","); i >= 0 {
		return i
	}
	for _, mixed := range []string{"DateStyle", "IntervalStyle", "TimeZone"} {
		if strings.EqualFold(mixed, name) {
			return strings.Index(catalog, "\n"+mixed+",")
		}
	}
	return -1
}

func read(version string) (string, error) {
	switch version {
	case "15":
		return catalog15, nil
	case "17":
		return catalog17, nil
	}
	return "", fmt.Errorf("there is no list of the settings of PostgreSQL %q", version)
}

func parse(line string) (Setting, error) {
	fields, err := csv.NewReader(strings.NewReader(line)).Read()
	if err != nil {
		return Setting{}, err
	}
	if len(fields) < columns {
		return Setting{}, fmt.Errorf("it has %d columns, want %d", len(fields), columns)
	}
	return Setting{
		Name:    fields[columnName],
		Unit:    fields[columnUnit],
		Context: fields[columnContext],
		Type:    fields[columnType],
		Min:     fields[columnMin],
		Max:     fields[columnMax],
		Enum:    parseArray(fields[columnEnum]),
		Boot:    fields[columnBoot],
	}, nil
}

// parseArray reads PostgreSQL's text of an array: {a,b}. Values of enums hold nothing that would be quoted but spaces.
func parseArray(s string) []string {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "{"), "}")
	if s == "" {
		return nil
	}
	values := strings.Split(s, ",")
	for i, v := range values {
		values[i] = strings.Trim(v, `"`)
	}
	return values
}
