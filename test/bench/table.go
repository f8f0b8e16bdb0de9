package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/xdbcluster/xdbcluster/test/platform"
)

// A measurement is something that was measured again and again.
type measurement struct {
	what    string
	atMost  string // The limit that was set for the median. Empty for none.
	unit    unit
	samples []float64
}

// A unit writes a number as a person reads it.
type unit func(float64) string

func seconds(v float64) string { return fmt.Sprintf("%.1f s", v) }

func milliseconds(v float64) string { return fmt.Sprintf("%.2f ms", v*1000) }

func mebibytes(v float64) string { return fmt.Sprintf("%.1f MiB", v/(1<<20)) }

func megabytes(v float64) string { return fmt.Sprintf("%.2f MB", v/1e6) }

func ratio(v float64) string { return fmt.Sprintf("%.2f", v) }

func count(v float64) string { return fmt.Sprintf("%.0f", v) }

func (m *measurement) add(v float64) { m.samples = append(m.samples, v) }

func (m *measurement) took(d time.Duration) { m.add(d.Seconds()) }

// last returns what was measured last.
func (m *measurement) last() float64 { return m.samples[len(m.samples)-1] }

// spread returns the cells for median, least, most and how many. The last says how much the others are worth.
func spread(samples []float64, u unit) string {
	if len(samples) == 0 {
		return "| | | | 0 |"
	}
	return fmt.Sprintf("| %s | %s | %s | %d |", u(median(samples)), u(slices.Min(samples)), u(slices.Max(samples)), len(samples))
}

func median(samples []float64) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// table writes measurements as a table of Markdown.
func (r *report) table(measurements ...*measurement) error {
	rows := &strings.Builder{}
	rows.WriteString("| what | at most | median | min | max | n |\n|---|---|---:|---:|---:|---:|\n")
	for _, m := range measurements {
		fmt.Fprintf(rows, "| %s | %s %s\n", m.what, m.atMost, spread(m.samples, m.unit))
	}
	_, err := fmt.Fprintf(r.out, "%s\n", rows)
	return err
}

// steps are those of a way that was gone again and again, by when each was reached since the start.
type steps map[string][]float64

func (s steps) add(start time.Time, marks ...platform.Mark) {
	for _, m := range marks {
		s[m.What] = append(s[m.What], m.At.Sub(start).Seconds())
	}
}

// table writes the steps in the order of their medians, and how much each adds to the median before it.
func (s steps) table(r *report, way string) error {
	rows := &strings.Builder{}
	fmt.Fprintf(rows, "| %s, step by step | adds | reached after | min | max | n |\n|---|---:|---:|---:|---:|---:|\n", way)
	names := slices.SortedFunc(maps.Keys(s), func(a, b string) int {
		if order := int((median(s[a]) - median(s[b])) * 1e6); order != 0 {
			return order
		}
		return strings.Compare(a, b)
	})
	before := 0.0
	for _, name := range names {
		at := median(s[name])
		fmt.Fprintf(rows, "| %s | %s %s\n", name, seconds(at-before), spread(s[name], seconds))
		before = at
	}
	_, err := fmt.Fprintf(r.out, "%s\n", rows)
	return err
}
