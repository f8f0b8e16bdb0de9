package supervise

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"time"
)

const (
	// longestLine is how much of a line is looked at, and longestCause how much of one is shown to people.
	longestLine  = 4 << 10
	longestCause = 300
)

// A Journal passes on what PostgreSQL and Patroni write, and remembers why PostgreSQL ended last.
type Journal struct {
	mu     sync.Mutex
	line   []byte // As far as it was written.
	before string // The line before.
	cause  string
	at     time.Time
}

// Cause returns what a PostgreSQL said last before it ended by itself, and when. Empty when none has.
func (j *Journal) Cause() (cause string, at time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.cause, j.at
}

// copy passes everything on until there is no more. Whoever writes waits meanwhile, as if it wrote there itself.
func (j *Journal) copy(to io.Writer, from io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			_, _ = to.Write(buffer[:n]) // There is nobody to tell, and PostgreSQL must not wait for ever.
			j.note(buffer[:n], time.Now())
		}
		if err != nil {
			return
		}
	}
}

func (j *Journal) note(written []byte, now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(written) > 0 {
		part, rest, ended := bytes.Cut(written, []byte("\n"))
		if room := longestLine - len(j.line); room > 0 {
			j.line = append(j.line, part[:min(len(part), room)]...)
		}
		if !ended {
			return
		}
		j.noteLine(string(j.line), now)
		j.line, written = j.line[:0], rest
	}
}

// ofSession says whether what a line begins with names a user and a database, as log_line_prefix has it: that one ended is no reason for
// PostgreSQL to.
func ofSession(prefix string) bool { return strings.Contains(prefix, "@") }

// noteLine keeps the line with which a process of PostgreSQL's ended. What is wrong with its configuration stands in the line before.
func (j *Journal) noteLine(line string, now time.Time) {
	for _, severity := range []string{"FATAL:  ", "PANIC:  "} {
		prefix, text, found := strings.Cut(line, severity)
		if !found || ofSession(prefix) || strings.HasPrefix(text, "the database system is ") { // A client came too early, or too late.
			continue
		}
		if _, said, ok := strings.Cut(j.before, "LOG:  "); ok && strings.Contains(text, "contains errors") {
			text = said
		}
		j.cause, j.at = strings.ToValidUTF8(text[:min(len(text), longestCause)], ""), now
	}
	j.before = line
}
