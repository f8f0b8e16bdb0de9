// Package progress tells a person at a terminal what is being done and how long it took.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// A Reporter writes a line per step.
type Reporter struct {
	out io.Writer
	now func() time.Time

	mu    sync.Mutex
	notes map[string]string
}

// To returns a Reporter that writes to out.
func To(out io.Writer) *Reporter {
	return &Reporter{out: out, now: time.Now, notes: map[string]string{}}
}

// Step does one step, and says its name before and how long it took after. Steps may be nested.
func (r *Reporter) Step(name string, do func() error) error {
	start := r.now()
	r.Say("%s ...\n", name)
	if err := do(); err != nil {
		r.Say("%s: failed after %s\n", name, Duration(r.now().Sub(start)))
		return err
	}
	r.Say("%s: done in %s\n", name, Duration(r.now().Sub(start)))
	return nil
}

// Note says what a step waits for, or what it found, once for as long as it stays the same.
func (r *Reporter) Note(about, text string) {
	r.mu.Lock()
	said := r.notes[about] == text
	r.notes[about] = text
	r.mu.Unlock()
	if !said {
		r.Say("  %s: %s\n", about, text)
	}
}

// Say writes what is neither a step nor a note, such as a result.
func (r *Reporter) Say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = fmt.Fprintf(r.out, format, args...) // A terminal that is gone stops nothing.
}

// Duration rounds to what a person cares for.
func Duration(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}
