//go:build e2e

package databases

import (
	"strings"
	"testing"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// TestParameters follows the settings of one database: by reload, by restart, refused, corrected, and taken back.
func TestParameters(t *testing.T) {
	t.Parallel()
	spec := smallSpec("17")
	spec.PrimarySpec.Parameters = map[string]string{"work_mem": "5MB"}
	d := newScene(t).create("tuned", spec)
	if got := d.show("work_mem"); got != "5MB" {
		t.Errorf("work_mem is %s from the start; want 5MB", got)
	}
	const started = "select pg_postmaster_start_time()"
	set := func(name, value string) func(*v1alpha1.DBClusterSpec) {
		return func(spec *v1alpha1.DBClusterSpec) { spec.PrimarySpec.Parameters[name] = value }
	}

	t.Log("Settings that PostgreSQL can reload, one of them for sessions that begin later")
	before, since := d.local(started), time.Now()
	d.roll(func(spec *v1alpha1.DBClusterSpec) {
		spec.PrimarySpec.Parameters["work_mem"], spec.PrimarySpec.Parameters["log_connections"] = "7MB", "on"
	})
	t.Logf("in force and shown after %s", ago(since))
	if got := d.show("work_mem"); got != "7MB" {
		t.Errorf("work_mem is %s after the rollout; want 7MB", got)
	}
	status := d.status().Parameters
	if status.LastChange != "Reload" || status.InForce["work_mem"] != "7MB" || status.InForce["log_connections"] != "on" {
		t.Errorf("status says %q, work_mem %q, log_connections %q; want Reload, 7MB, on", status.LastChange, status.InForce["work_mem"], status.InForce["log_connections"])
	}
	if after := d.local(started); after != before {
		t.Error("PostgreSQL was restarted for a setting that it can reload")
	}

	t.Log("A setting that needs a restart")
	since = time.Now()
	d.roll(set("max_connections", "47"))
	t.Logf("in force and shown after %s", ago(since))
	if got := d.show("max_connections"); got != "47" {
		t.Errorf("max_connections is %s after the rollout; want 47", got)
	}
	status = d.status().Parameters
	if status.LastChange != "Restart" || status.InForce["max_connections"] != "47" {
		t.Errorf("status says %q, max_connections %q; want Restart, 47", status.LastChange, status.InForce["max_connections"])
	}
	if after := d.local(started); after == before {
		t.Error("PostgreSQL was not restarted for a setting that needs it")
	}

	t.Log("A setting that this PostgreSQL does not have, beside a good one")
	before = d.local(started)
	d.change(func(spec *v1alpha1.DBClusterSpec) {
		spec.PrimarySpec.Parameters["work_mem"] = "9MB"
		spec.PrimarySpec.Parameters["wrok_mem"] = "9MB"
	})
	d.waitRollout(v1alpha1.RolloutFailed)
	d.checkRefused("wrok_mem")
	if work, connections := d.show("work_mem"), d.show("max_connections"); work != "7MB" || connections != "47" || d.local(started) != before {
		t.Errorf("work_mem is %s, max_connections %s; want the last accepted, 7MB and 47, without a restart", work, connections)
	}

	t.Log("A value out of range")
	d.change(func(spec *v1alpha1.DBClusterSpec) {
		delete(spec.PrimarySpec.Parameters, "wrok_mem")
		spec.PrimarySpec.Parameters["work_mem"] = "1kB"
	})
	d.waitRollout(v1alpha1.RolloutFailed)
	d.checkRefused("work_mem")

	t.Log("Corrected, and one taken back")
	d.roll(func(spec *v1alpha1.DBClusterSpec) {
		spec.PrimarySpec.Parameters = map[string]string{"max_connections": "47"}
	})
	if got := d.show("work_mem"); got == "7MB" || got == "1kB" {
		t.Errorf("work_mem is still %s after it was taken out of the claim", got)
	}
	if stalled := d.condition(v1alpha1.ConditionStalled); stalled.Status != "False" {
		t.Errorf("Stalled is %s after the correction: %s", stalled.Status, stalled.Message)
	}

	t.Log("Settings that the system owns")
	if said := d.refused(set("archive_command", "true")); !strings.Contains(said, "archive_command") {
		t.Errorf("the refusal does not name archive_command: %s", said)
	}
}

// checkRefused checks that the claim says which parameter is in the way, everywhere a person or a tool looks.
func (d *database) checkRefused(parameter string) {
	d.Helper()
	accepted, stalled := d.condition(v1alpha1.ConditionParametersAccepted), d.condition(v1alpha1.ConditionStalled)
	if accepted.Status != "False" || accepted.Reason != v1alpha1.ReasonRefused || !strings.Contains(accepted.Message, parameter) {
		d.Errorf("ParametersAccepted is %s, %s (%s); want False, Refused and a message with %q", accepted.Status, accepted.Reason, accepted.Message, parameter)
	}
	if stalled.Status != "True" || !strings.Contains(stalled.Message, parameter) {
		d.Errorf("Stalled is %s (%s); want True and a message with %q", stalled.Status, stalled.Message, parameter)
	}
	if phase := d.status().Phase; phase != v1alpha1.PhaseRunning {
		d.Errorf("phase is %q; want %q: the database serves", phase, v1alpha1.PhaseRunning)
	}
}

// TestParametersOfNewDatabase shows that a database whose first parameters are refused is not made, and is when they are
// corrected.
func TestParametersOfNewDatabase(t *testing.T) {
	t.Parallel()
	spec := smallSpec("15")
	spec.PrimarySpec.Parameters = map[string]string{"summarize_wal": "on"} // Since PostgreSQL 17.
	d := newScene(t).start("early", spec)
	d.waitRollout(v1alpha1.RolloutFailed)
	if phase := d.status().Phase; phase != v1alpha1.PhaseFailed {
		t.Errorf("phase is %q; want %q", phase, v1alpha1.PhaseFailed)
	}
	if accepted := d.condition(v1alpha1.ConditionParametersAccepted); !strings.Contains(accepted.Message, "summarize_wal") {
		t.Errorf("ParametersAccepted does not name summarize_wal: %s", accepted.Message)
	}

	d.roll(func(spec *v1alpha1.DBClusterSpec) { spec.PrimarySpec.Parameters = nil })
	if got := d.sql("select 1"); got != "1" {
		t.Errorf("select 1 gave %q", got)
	}
}

// TestParametersThatKeepFromStarting gives PostgreSQL a library that its image does not have, which it sees when it starts: with that it does
// not, until it is taken out of the claim. Nothing is lost.
func TestParametersThatKeepFromStarting(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	missing := map[string]string{"shared_preload_libraries": "missing"}

	spec := smallSpec("17")
	d := s.create("running", spec)
	d.sql("create table kept as select generate_series(1, 1000) as n")
	d.change(func(spec *v1alpha1.DBClusterSpec) { spec.PrimarySpec.Parameters = missing })
	d.waitIncident("PostgreSQLDoesNotStart", "missing")
	d.roll(func(spec *v1alpha1.DBClusterSpec) { spec.PrimarySpec.Parameters = nil })
	if got := d.sql("select count(*) from kept"); got != "1000" {
		t.Errorf("%s of 1000 rows are there", got)
	}

	spec.PrimarySpec.Parameters = missing
	born := s.start("born", spec)
	born.waitIncident("PostgreSQLDoesNotStart", "missing")
	born.roll(func(spec *v1alpha1.DBClusterSpec) { spec.PrimarySpec.Parameters = nil })
	if got := born.sql("select 1"); got != "1" {
		t.Errorf("select 1 gave %q", got)
	}
}
