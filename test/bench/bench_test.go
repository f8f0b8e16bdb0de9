package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/test/platform"
)

func TestTable(t *testing.T) {
	cases := map[string]struct {
		reason  string
		samples []float64
		want    string
	}{
		"Odd": {
			reason:  "The median is what as many were below as above, in whatever order they came.",
			samples: []float64{9, 1, 2},
			want:    "| it | 7 s | 2.0 s | 1.0 s | 9.0 s | 3 |",
		},
		"Even": {
			reason:  "Between two in the middle, the median is half way.",
			samples: []float64{4, 1, 2, 9},
			want:    "| it | 7 s | 3.0 s | 1.0 s | 9.0 s | 4 |",
		},
		"None": {
			reason: "What was never measured has no numbers.",
			want:   "| it | 7 s | | | | 0 |",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			out := &strings.Builder{}
			r := &report{out: out}
			if err := r.table(&measurement{what: "it", atMost: "7 s", unit: seconds, samples: tc.samples}); err != nil {
				t.Fatal(err)
			}
			want := "| what | at most | median | min | max | n |\n|---|---|---:|---:|---:|---:|\n" + tc.want + "\n\n"
			if diff := cmp.Diff(want, out.String()); diff != "" {
				t.Errorf("%s\n(-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestSteps(t *testing.T) {
	start := time.Unix(0, 0)
	after := func(what string, seconds int) platform.Mark {
		return platform.Mark{What: what, At: start.Add(time.Duration(seconds) * time.Second)}
	}
	s := steps{}
	s.add(start, after("ready", 5), after("applied", 1))
	s.add(start, after("applied", 3), after("ready", 8))
	out := &strings.Builder{}
	if err := s.table(&report{out: out}, "push"); err != nil {
		t.Fatal(err)
	}
	want := `| push, step by step | adds | reached after | min | max | n |
|---|---:|---:|---:|---:|---:|
| applied | 2.0 s | 2.0 s | 1.0 s | 3.0 s | 2 |
| ready | 4.5 s | 6.5 s | 5.0 s | 8.0 s | 2 |

`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("Steps come in the order in which they are reached (-want +got):\n%s", diff)
	}
}

func TestParseBenchmark(t *testing.T) {
	cases := map[string]struct {
		reason string
		line   string
		want   map[string]float64
	}{
		"Result": {
			reason: "Every number has its unit after it.",
			line:   "BenchmarkRunFunction-2   \t    1362\t    873508 ns/op\t  601234 B/op\t    9876 allocs/op\n",
			want:   map[string]float64{"ns/op": 873508, "B/op": 601234, "allocs/op": 9876},
		},
		"Other":    {reason: "What else go test says is no result.", line: "ok  \tgithub.com/xdbcluster/xdbcluster/functions/runner\t7.2s\n"},
		"NameOnly": {reason: "A benchmark that printed something leaves its name alone on a line.", line: "BenchmarkRunFunction\n"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, parseBenchmark(tc.line)); diff != "" {
				t.Errorf("%s\n(-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestCalls(t *testing.T) {
	metrics := `# TYPE grpc_server_handled_total counter
grpc_server_handled_total{grpc_code="OK",grpc_method="Check",grpc_service="grpc.health.v1.Health",grpc_type="unary"} 7
grpc_server_handled_total{grpc_code="OK",grpc_method="RunFunction",grpc_service="apiextensions.fn.proto.v1.FunctionRunnerService",grpc_type="unary"} 65
grpc_server_handled_total{grpc_code="Unknown",grpc_method="RunFunction",grpc_service="apiextensions.fn.proto.v1.FunctionRunnerService",grpc_type="unary"} 1
`
	if got, err := calls(metrics); err != nil || got != 66 {
		t.Errorf("calls of all outcomes count, and of no other method: want 66, got %v, %v", got, err)
	}
}

func TestMarksIn(t *testing.T) {
	log := `2026-01-01T10:00:00.8Z {"level":"INFO","msg":"Patroni started","pid":14}
2026-01-01T10:00:01.6Z 2026-01-01 10:00:01,570 INFO: trying to bootstrap a new cluster
2026-01-01T10:00:03.4Z Success. You can now start the database server using:
2026-01-01T10:00:04Z 2026-01-01 10:00:04.051 UTC [44] LOG:  database system is ready to accept connections
2026-01-01T10:00:04.3Z 2026-01-01 10:00:04,368 INFO: initialized a new cluster
2026-01-01T10:00:09Z 2026-01-01 10:00:09.051 UTC [44] LOG:  database system is ready to accept connections
`
	marks, err := marksIn(log)
	if err != nil {
		t.Fatal(err)
	}
	s := steps{}
	s.add(time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC), marks...)
	want := steps{
		"agent checked the volume and started Patroni": {0.8},
		"Patroni is up and starts initdb":              {1.6},
		"initdb done":                                  {3.4},
		"PostgreSQL accepts connections":               {4},
		"Patroni made it the primary":                  {4.3},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("A landmark counts the first time it is seen (-want +got):\n%s", diff)
	}
	if _, err := marksIn("2026-01-01T10:00:00Z nothing of it\n"); err == nil {
		t.Error("A step that cannot be timed must not be left out without a word.")
	}
}
