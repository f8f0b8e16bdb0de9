package parameters

import "testing"

func TestSame(t *testing.T) {
	type args struct {
		setting Setting
		a, b    string
	}
	cases := map[string]struct {
		reason string
		args   args
		want   bool
	}{
		"Units":            {"A number of pages is what pg_settings shows for a size.", args{Setting{Type: typeInteger, Unit: "8kB"}, "16384", "128MB"}, true},
		"OtherUnits":       {"The same size has many spellings.", args{Setting{Type: typeInteger, Unit: "kB"}, "1GB", "1024MB"}, true},
		"Differ":           {"Other sizes differ.", args{Setting{Type: typeInteger, Unit: "kB"}, "1GB", "1023MB"}, false},
		"Negative":         {"-1 turns many settings off.", args{Setting{Type: typeInteger, Unit: "ms"}, "-1", "-1"}, true},
		"Real":             {"A real number may be written with more digits.", args{Setting{Type: typeReal}, "1.1", "1.10"}, true},
		"Bool":             {"Truth has many words.", args{Setting{Type: typeBool}, "on", "TRUE"}, true},
		"BoolDiffer":       {"Truth is not falsehood.", args{Setting{Type: typeBool}, "on", "no"}, false},
		"Enum":             {"Words of an enumeration have no case.", args{Setting{Type: typeEnum}, "Replica", "replica"}, true},
		"String":           {"A text is as it is.", args{Setting{Type: typeString}, "UTC", "utc"}, false},
		"NumberUnreadable": {"What is no number equals none.", args{Setting{Type: typeInteger}, "x", "x"}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.args.setting.Same(tc.args.a, tc.args.b); got != tc.want {
				t.Errorf("\n%s\nSame(%q, %q): got %t, want %t", tc.reason, tc.args.a, tc.args.b, got, tc.want)
			}
		})
	}
}
