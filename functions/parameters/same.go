package parameters

import "strings"

// Same says whether two values mean the same to PostgreSQL: 1GB and 1024MB, on and true.
func (s Setting) Same(a, b string) bool {
	switch s.Type {
	case typeBool:
		return truth(a) == truth(b)
	case typeEnum:
		return strings.EqualFold(a, b)
	case typeInteger, typeReal:
		x, refusedX := parseNumber(s, a)
		y, refusedY := parseNumber(s, b)
		return refusedX == "" && refusedY == "" && x == y
	default:
		return a == b
	}
}

// truth reads a value that checkBool took.
func truth(value string) bool {
	v := strings.ToLower(value)
	return v == "on" || v == "1" || v != "" && (strings.HasPrefix("true", v) || strings.HasPrefix("yes", v))
}
