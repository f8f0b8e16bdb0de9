package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// functionCount is how often the Go benchmark is run.
const functionCount = 6

type functionCommand struct{}

// Run measures one call of the function for a full DBCluster, in process.
func (functionCommand) Run(ctx context.Context, r *report) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-run=^$", "-bench=^BenchmarkRunFunction$", "-benchmem", //nolint:gosec // Arguments are ours.
		fmt.Sprintf("-count=%d", functionCount), "./functions/runner")
	cmd.Dir = r.project
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = r.log
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("cannot run the function's benchmark: %w\n%s", err, out)
	}
	duration := &measurement{what: "one RunFunction call for a full DBCluster, in process", atMost: "1 ms", unit: milliseconds}
	memory := &measurement{what: "allocated by it", atMost: "2 MB", unit: megabytes}
	objects := &measurement{what: "in as many pieces", unit: count}
	for line := range strings.Lines(string(out)) {
		result := parseBenchmark(line)
		if result == nil {
			continue
		}
		duration.add(result["ns/op"] / 1e9)
		memory.add(result["B/op"])
		objects.add(result["allocs/op"])
	}
	if len(duration.samples) != functionCount {
		return fmt.Errorf("the function's benchmark gave %d results, not %d:\n%s", len(duration.samples), functionCount, out)
	}
	return r.table(duration, memory, objects)
}

// parseBenchmark reads a result of "go test -bench": a name, how often it ran, and then numbers with their units. It returns
// nothing for other lines.
func parseBenchmark(line string) map[string]float64 {
	fields := strings.Fields(line)
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
		return nil
	}
	result := map[string]float64{}
	for i := 2; i+1 < len(fields); i += 2 {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return nil
		}
		result[fields[i+1]] = v
	}
	return result
}
