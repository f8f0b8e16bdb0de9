// Package monitoring checks the manifests in this folder: that they ask for metrics that agents have, and that every alert
// has a runbook.
package monitoring

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/yaml"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/metrics"
)

const runbooks = "../docs/on-call.md"

// A rule is what is read of an alert.
type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func TestAlerts(t *testing.T) {
	guide, err := os.ReadFile(runbooks)
	if err != nil {
		t.Fatal(err)
	}
	there := served(t)
	for _, r := range alerts(t) {
		checkMetrics(t, r.Alert, r.Expr, there)
		if r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
			t.Errorf("%s lacks a severity or a summary", r.Alert)
		}
		if !strings.Contains(string(guide), "`"+r.Alert+"`") {
			t.Errorf("%s has no runbook in %s", r.Alert, runbooks)
		}
	}
}

func TestDashboard(t *testing.T) {
	there := served(t)
	for _, expression := range questions(t) {
		checkMetrics(t, "A panel", expression, there)
	}
}

// alerts are all there are.
func alerts(t *testing.T) []rule {
	t.Helper()
	manifest := struct {
		Spec struct {
			Groups []struct {
				Rules []rule `json:"rules"`
			} `json:"groups"`
		} `json:"spec"`
	}{}
	raw, err := os.ReadFile("alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, &manifest); err != nil {
		t.Fatal(err)
	}
	var rules []rule
	for _, group := range manifest.Spec.Groups {
		rules = append(rules, group.Rules...)
	}
	if len(rules) == 0 {
		t.Fatal("there are no alerts")
	}
	return rules
}

// questions are what the panels of the dashboard ask.
func questions(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile("grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	dashboard := struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}{}
	if err := json.Unmarshal(raw, &dashboard); err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, p := range dashboard.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			asked = append(asked, target.Expr)
		}
	}
	if len(asked) == 0 {
		t.Fatal("there are no panels")
	}
	return asked
}

func checkMetrics(t *testing.T, where, expression string, there []string) {
	t.Helper()
	asked := regexp.MustCompile(`xdb_[a-z_]+`).FindAllString(expression, -1)
	if len(asked) == 0 {
		t.Errorf("%s asks for no metric", where)
	}
	for _, metric := range asked {
		if !slices.Contains(there, metric) {
			t.Errorf("%s asks for %s, which no agent has", where, metric)
		}
	}
}

// served are the names of the metrics of a primary that has an incident and is backed up.
func served(t *testing.T) []string {
	t.Helper()
	c := metrics.New("db", "db-0")
	c.Report(instance.Report{
		Role: instance.RolePrimary, Incidents: []instance.Incident{{Code: "DataDiskFilling"}},
		Replication: &instance.Replication{Standbys: []instance.Standby{{Name: "db-1"}}},
	}, 0, true)
	now := time.Now()
	c.Archived(&metrics.Backups{Since: now, LastArchived: now, Stops: []time.Time{now}, Verifications: &metrics.Verifications{Sound: now}})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(families))
	for _, f := range families {
		names = append(names, f.GetName())
	}
	return names
}
