//go:build e2e

package databases

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/xdbcluster/xdbcluster/test/ledger"
)

// A writer is an application of several clients that writes all the time, through -rw and to every instance itself, and keeps
// which rows PostgreSQL acknowledged.
type writer struct {
	*database
}

// builtWriter returns the program that writes.
var builtWriter = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "ledger")
	if err != nil {
		return "", fmt.Errorf("cannot make a folder: %w", err)
	}
	defer os.RemoveAll(folder) //nolint:errcheck // It is in the folder for temporary files.
	program := filepath.Join(folder, "writer")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "github.com/xdbcluster/xdbcluster/test/ledger/writer") //nolint:noctx // It is short.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build the writer: %w: %s", err, out)
	}
	raw, err := os.ReadFile(program) //nolint:gosec // What was just built.
	return string(raw), err
})

// write starts a writer.
func (d *database) write() *writer {
	d.Helper()
	program, err := builtWriter()
	if err != nil {
		d.Fatal(err)
	}
	d.sql(ledger.CreateTable)
	for _, step := range []struct{ stdin, script string }{
		{program, "cat >/tmp/writer; chmod 700 /tmp/writer"},
		{connectScript(d.connection()) + `touch /tmp/records
export DSN
setsid sh -c '/tmp/writer --kept 2 --fresh 1 --pause 50ms --direct ` + strings.Join(d.hosts(), ",") + ` --records /tmp/records --stop /tmp/stop "$DSN"; touch /tmp/stopped' >/tmp/writer.log 2>&1 </dev/null &
`, "sh -es"},
	} {
		if _, err := d.exec(d.Context(), clientPod, "psql", step.stdin, "sh", "-ec", step.script); err != nil {
			d.Fatalf("cannot start the writer: %v", err)
		}
	}
	w := &writer{database: d}
	w.waitWriting()
	return w
}

// hosts are the names of all instances that the claim asks for.
func (d *database) hosts() []string {
	instances := 1
	if d.spec.Availability != nil {
		instances += int(d.spec.Availability.NumberOfStandbys)
	}
	hosts := make([]string, 0, instances)
	for ordinal := range instances {
		hosts = append(hosts, d.cluster().PodHost(d.cluster().Pod(ordinal)))
	}
	return hosts
}

// records returns the rows that were acknowledged, by time.
func (w *writer) records(ctx context.Context) ([]ledger.Record, error) {
	out, err := w.exec(ctx, clientPod, "psql", "", "cat", "/tmp/records")
	if err != nil {
		return nil, err
	}
	return ledger.Read(strings.NewReader(out))
}

// waitWriting waits until a row is acknowledged that was written from now on.
func (w *writer) waitWriting() {
	w.Helper()
	before := time.Now()
	w.eventually(rolloutLimit, "Rows are written again", func(ctx context.Context) (string, bool) {
		records, err := w.records(ctx)
		said, _ := w.exec(ctx, clientPod, "psql", "", "cat", "/tmp/writer.log")
		count := 0
		for _, r := range records {
			if r.At.After(before) {
				count++
			}
		}
		// One may have been on its way before.
		return fmt.Sprintf("%d rows, %d of them new, %v; the writer says: %s", len(records), count, err, said), count > 10
	})
}

// gap returns the longest time since a moment in which no row was acknowledged.
func (w *writer) gap(since time.Time) time.Duration {
	w.Helper()
	records, err := w.records(w.Context())
	if err != nil {
		w.Fatalf("cannot read what was acknowledged: %v", err)
	}
	return ledger.Longest(records, since).Length().Round(time.Millisecond)
}

// check ends the writer and fails the test for every acknowledged row that is not in the database, and for every sign that
// two instances acknowledged rows at the same time.
func (w *writer) check() {
	w.Helper()
	records, lost := w.end()
	if len(lost) > 0 {
		w.Errorf("%d of %d acknowledged rows are lost: %v", len(lost), len(records), lost)
	}
	if older, newer, found := ledger.TwoPrimaries(records); found {
		w.Errorf("the row %v of an older timeline was sent and acknowledged after %v of a newer one", older, newer)
	}
	w.Logf("%d rows acknowledged, %d lost", len(records), len(lost))
}

// end ends the writer, and returns the rows that were acknowledged and those of them that are not in the database.
func (w *writer) end() (records, lost []ledger.Record) {
	w.Helper()
	if out, err := w.exec(w.Context(), clientPod, "psql", "", "sh", "-ec", "touch /tmp/stop; for i in $(seq 100); do [ ! -e /tmp/stopped ] || exit 0; sleep 0.1; done; echo it goes on; exit 1"); err != nil {
		w.Fatalf("cannot stop the writer: %v: %s", err, out)
	}
	records, err := w.records(w.Context())
	if err != nil {
		w.Fatalf("cannot read what was acknowledged: %v", err)
	}
	there := map[ledger.Key]bool{}
	for line := range bytes.Lines([]byte(w.sql("select client, row from ledger"))) {
		key := ledger.Key{}
		if _, err := fmt.Sscanf(string(line), "%d|%d", &key.Client, &key.Row); err != nil {
			w.Fatalf("cannot read row %q: %v", line, err)
		}
		there[key] = true
	}
	return records, ledger.Missing(records, there)
}
