package parameters

import "strings"

// dimension of a unit: what it measures, and how many of the smallest unit of that dimension it has.
type dimension struct {
	kind string
	size float64
}

// dimensionOf returns a unit's dimension. Units are case-sensitive, as in PostgreSQL: a kB is 1024 bytes.
func dimensionOf(unit string) (dimension, bool) {
	switch unit {
	case "B":
		return dimension{"size", 1}, true
	case "kB":
		return dimension{"size", 1 << 10}, true
	case "8kB": // The unit of settings that count pages.
		return dimension{"size", 8 << 10}, true
	case "MB":
		return dimension{"size", 1 << 20}, true
	case "GB":
		return dimension{"size", 1 << 30}, true
	case "TB":
		return dimension{"size", 1 << 40}, true
	case "us":
		return dimension{"time", 1}, true
	case "ms":
		return dimension{"time", 1e3}, true
	case "s":
		return dimension{"time", 1e6}, true
	case "min":
		return dimension{"time", 60e6}, true
	case "h":
		return dimension{"time", 3600e6}, true
	case "d":
		return dimension{"time", 86400e6}, true
	}
	return dimension{}, false
}

// factorBetween returns by what a number in one unit is multiplied to be in another.
func factorBetween(from, to string) (float64, bool) {
	f, okFrom := dimensionOf(from)
	t, okTo := dimensionOf(to)
	if !okFrom || !okTo || f.kind != t.kind || from == "8kB" {
		return 0, false
	}
	return f.size / t.size, true
}

// unitsFor says which units a setting takes that has the given one.
func unitsFor(unit string) string {
	d, ok := dimensionOf(unit)
	switch {
	case !ok:
		return "it takes none"
	case d.kind == "size":
		return "use B, kB, MB, GB or TB"
	default:
		return "use us, ms, s, min, h or d"
	}
}

// exampleOf shows a right value of a setting with a unit.
func exampleOf(unit string) string {
	d, ok := dimensionOf(unit)
	switch {
	case !ok:
		return ""
	case d.kind == "size":
		return ", for example 16MB"
	default:
		return ", for example 30s"
	}
}

// withUnit shows a limit as its setting counts.
func withUnit(n, unit string) string {
	if unit == "8kB" {
		return n + " pages of 8kB"
	}
	return n + unit
}

// nearest returns the name that is spelled most like name, if one is near enough to have been meant.
func nearest(name string, names []string) (string, bool) {
	if len(name) > 64 {
		return "", false
	}
	best, distance := "", len(name)/3+1
	for _, candidate := range names {
		if d := levenshtein(strings.ToLower(name), candidate); d <= distance && (best == "" || d < distance) {
			best, distance = candidate, d
		}
	}
	return best, best != ""
}

// levenshtein counts the single-character changes that turn a into b.
func levenshtein(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, above+1, row[j]+1)
			diagonal = above
		}
	}
	return row[len(b)]
}
