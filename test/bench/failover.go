package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/test/ledger"
)

const (
	// calm is how long a cluster that is whole again is left alone before the next fault.
	calm = 3 * time.Second

	// clock is how a moment is written, to be looked for in logs.
	clock = "15:04:05.000"
)

type failoverCommand struct {
	repeated

	Faults  []string `default:"postmaster,patroni,pod,switchover,update" help:"Which faults: postmaster, patroni, pod, switchover, update."`
	Version string   `default:"17" help:"PostgreSQL's major version."`
}

// A fault is what befalls a primary.
type fault struct {
	what, atMost string
	moves        bool // There is another timeline afterwards: another primary, or the same that was promoted again.
	do           func(ctx context.Context, f *failovers, primary client.ObjectKey) error
}

func faults() map[string]fault {
	kill := func(script string) func(context.Context, *failovers, client.ObjectKey) error {
		return func(ctx context.Context, f *failovers, primary client.ObjectKey) error {
			_, err := f.exec(ctx, primary, "database", script, "sh", "-es")
			return err
		}
	}
	return map[string]fault{
		"postmaster": {"SIGKILL of the primary's postmaster", "2 s", true, kill("kill -9 $(head -1 /var/lib/xdbcluster/*/pgdata/postmaster.pid)")},
		"patroni": {
			"SIGKILL of the primary's Patroni", "2.5 s", false,
			kill(`for p in /proc/[0-9]*; do if [ "$(cat $p/comm 2>/dev/null)" = patroni ]; then kill -9 ${p#/proc/}; fi; done`),
		},
		"pod": {"primary's Pod deleted without grace", "1 s", true, func(ctx context.Context, f *failovers, primary client.ObjectKey) error {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: primary.Namespace, Name: primary.Name}}
			return f.Client.Delete(ctx, pod, client.GracePeriodSeconds(0))
		}},
		"switchover": {"planned switchover", "1 s", true, func(ctx context.Context, f *failovers, primary client.ObjectKey) error {
			said, err := f.exec(ctx, primary, "database", "patronictl -c /run/xdbcluster/patroni.yml switchover --force --leader "+primary.Name, "sh", "-es")
			if err == nil && !strings.Contains(said, "Successfully") {
				return fmt.Errorf("cannot switch over: Patroni says %s", said)
			}
			return err
		}},
		"update": {"rolling update of all Pods", "1 s", true, func(ctx context.Context, f *failovers, _ client.ObjectKey) error {
			f.updates++
			f.spec.PrimarySpec.Resources.CPU = *resource.NewMilliQuantity(100+f.updates, resource.DecimalSI)
			return f.apply(ctx, f.key, f.spec)
		}},
	}
}

// failovers are those of one cluster.
type failovers struct {
	application

	key     client.ObjectKey
	spec    v1alpha1.DBClusterSpec
	updates int64
}

// Run measures how long no client got a row acknowledged.
func (c failoverCommand) Run(ctx context.Context, b *bench, r *report) error {
	f := &failovers{key: client.ObjectKey{Namespace: namespace, Name: "bench-failover"}, spec: smallSpec()}
	f.spec.PrimarySpec.Version = c.Version
	f.spec.Availability = &v1alpha1.AvailabilitySpec{NumberOfStandbys: 2}
	return b.inNamespace(ctx, func(ctx context.Context) error {
		return b.withApplication(ctx, namespace, func(ctx context.Context, a application) error {
			f.application = a
			return f.run(ctx, c, r)
		})
	})
}

func (f *failovers) run(ctx context.Context, c failoverCommand, r *report) error {
	if err := f.apply(ctx, f.key, f.spec); err != nil {
		return err
	}
	if _, err := f.whole(ctx); err != nil {
		return err
	}
	if err := f.startWriter(ctx); err != nil {
		return err
	}
	for _, name := range c.Faults {
		fault, ok := faults()[name]
		if !ok {
			return fmt.Errorf("there is no fault %q", name)
		}
		gap := &measurement{what: fault.what + ": no row acknowledged for", atMost: fault.atMost, unit: milliseconds}
		shown := &measurement{what: fault.what + ": from the first row on the new timeline until the claim names its primary", atMost: "2 s", unit: milliseconds}
		healed := &measurement{what: fault.what + ": until all instances are well again", unit: seconds}
		for i := range c.Runs {
			if err := f.Progress.Step(fmt.Sprintf("%s, %d of %d", fault.what, i+1, c.Runs), func() error {
				return f.once(ctx, fault, gap, shown, healed)
			}); err != nil {
				return err
			}
		}
		table := []*measurement{gap, healed}
		if fault.moves {
			table = append(table, shown)
		}
		if err := r.table(table...); err != nil {
			return err
		}
	}
	return f.check(ctx, r)
}

func (f *failovers) once(ctx context.Context, fault fault, gap, shown, healed *measurement) error {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	primary, err := f.whole(ctx)
	if err != nil {
		return err
	}
	if err := pause(ctx, calm); err != nil {
		return err
	}
	claim, err := f.Claim(ctx, f.key)
	if err != nil {
		return err
	}
	since := time.Now()
	if err := fault.do(ctx, f, client.ObjectKey{Namespace: f.key.Namespace, Name: primary}); err != nil {
		return err
	}
	named := time.Time{}
	if fault.moves {
		if named, err = f.promotion(ctx, timeline(claim)); err != nil {
			return err
		}
	}
	// What is noticed late must not be taken for nothing.
	if err := pause(ctx, calm); err != nil {
		return err
	}
	if _, err := f.whole(ctx); err != nil {
		return err
	}
	healed.took(time.Since(since))
	if err := pause(ctx, time.Second); err != nil {
		return err
	}
	records, err := f.records(ctx)
	if err != nil {
		return err
	}
	longest := ledger.Longest(records, since)
	gap.took(longest.Length())
	f.Progress.Note("No row acknowledged", fmt.Sprintf("from %s to %s", longest.From.At.UTC().Format(clock), longest.To.At.UTC().Format(clock)))
	if fault.moves {
		shown.took(max(0, named.Sub(longest.To.At)))
	}
	return nil
}

// promotion waits until the claim names a primary of a later timeline, and returns when it did.
func (f *failovers) promotion(ctx context.Context, before int64) (time.Time, error) {
	err := until(ctx, interval, fmt.Sprintf("a primary of a timeline after %d is named", before), func(ctx context.Context) (string, bool) {
		claim, err := f.Claim(ctx, f.key)
		if err != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("%s, timeline %d", text(&claim, "status", "primary"), timeline(claim)), text(&claim, "status", "primary") != "" && timeline(claim) > before
	})
	return time.Now(), err
}

// timeline returns that of the primary that a claim names or has named last.
func timeline(claim unstructured.Unstructured) int64 {
	last, _, _ := unstructured.NestedInt64(claim.Object, "status", "lastKnownPrimary", "timeline")
	return last
}

// whole waits until the claim says that all is well, and returns the name of the primary.
func (f *failovers) whole(ctx context.Context) (string, error) {
	primary := ""
	err := until(ctx, 4*interval, "all instances of "+f.key.Name+" are well", func(ctx context.Context) (string, bool) {
		claim, err := f.Claim(ctx, f.key)
		if err != nil {
			return err.Error(), false
		}
		primary = text(&claim, "status", "primary")
		observed := []string{"status", "rollout", "observedSpec"}
		cpu := text(&claim, append(observed, "primarySpec", "resources", "cpu")...)
		standbys, _, _ := unstructured.NestedInt64(claim.Object, append(observed, "availability", "numberOfStandbys")...)
		said := text(&claim, "status", "rollout", "message")
		return said, primary != "" && text(&claim, "status", "rollout", "state") == string(v1alpha1.RolloutComplete) &&
			cpu == f.spec.PrimarySpec.Resources.CPU.String() && standbys == int64(f.spec.Availability.NumberOfStandbys)
	})
	return primary, err
}

// startWriter builds the writer, takes it into the application's container and starts it there.
func (f *failovers) startWriter(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "ledger")
	if err != nil {
		return fmt.Errorf("cannot make a folder: %w", err)
	}
	defer os.RemoveAll(folder) //nolint:errcheck // It is in the folder for temporary files.
	program := filepath.Join(folder, "writer")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./test/ledger/writer") //nolint:gosec // Ours.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the writer: %w: %s", err, out)
	}
	binary, err := os.ReadFile(program) //nolint:gosec // What was just built.
	if err != nil {
		return fmt.Errorf("cannot read the writer: %w", err)
	}
	if _, err := f.exec(ctx, client.ObjectKeyFromObject(f.pod), "psql", string(binary), "sh", "-ec", "cat >/tmp/writer; chmod 700 /tmp/writer"); err != nil {
		return err
	}
	if _, err := f.sql(ctx, f.key, ledger.CreateTable); err != nil {
		return err
	}
	connection, err := f.connection(ctx, f.key)
	if err != nil {
		return err
	}
	_, err = f.shell(ctx, fmt.Sprintf(`export PGPASSWORD=%s
setsid /tmp/writer --records /tmp/records --stop /tmp/stop "host=%s port=%s user=%s dbname=%s sslmode=verify-full sslrootcert=/tmp/ca.crt" >/tmp/writer.log 2>&1 </dev/null &
`, quote(string(connection["password"])), connection["host"], connection["port"], connection["username"], connection["database"]))
	return err
}

func (f *failovers) records(ctx context.Context) ([]ledger.Record, error) {
	out, err := f.shell(ctx, "cat /tmp/records")
	if err != nil {
		return nil, err
	}
	return ledger.Read(strings.NewReader(out))
}

// check counts what was acknowledged and is not there.
func (f *failovers) check(ctx context.Context, r *report) error {
	if _, err := f.shell(ctx, "touch /tmp/stop; sleep 5"); err != nil {
		return err
	}
	records, err := f.records(ctx)
	if err != nil {
		return err
	}
	rows, err := f.sql(ctx, f.key, "select client, row from ledger")
	if err != nil {
		return err
	}
	there := map[ledger.Key]bool{}
	for line := range strings.Lines(rows) {
		key := ledger.Key{}
		if _, err := fmt.Sscanf(line, "%d|%d", &key.Client, &key.Row); err != nil {
			return fmt.Errorf("cannot read row %q: %w", line, err)
		}
		there[key] = true
	}
	lost := ledger.Missing(records, there)
	if _, err := fmt.Fprintf(r.out, "%d rows acknowledged, %d of them lost.\n\n", len(records), len(lost)); err != nil {
		return err
	}
	if len(lost) > 0 {
		return errors.New("acknowledged rows are lost")
	}
	return nil
}
