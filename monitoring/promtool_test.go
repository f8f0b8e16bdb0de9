//go:build promtool

package monitoring

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestAlertsFire lets promtool evaluate every alert over the series in alerts-test.yaml.
func TestAlertsFire(t *testing.T) {
	manifest := struct {
		Spec json.RawMessage `json:"spec"`
	}{}
	readYAML(t, "alerts.yaml", &manifest)
	cases := struct {
		Tests []struct {
			AlertRuleTest []struct {
				AlertName string            `json:"alertname"`
				ExpAlerts []json.RawMessage `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}{}
	raw := readYAML(t, "alerts-test.yaml", &cases)
	fires := map[string]bool{}
	for _, test := range cases.Tests {
		for _, alert := range test.AlertRuleTest {
			fires[alert.AlertName] = fires[alert.AlertName] || len(alert.ExpAlerts) > 0
		}
	}
	for _, r := range alerts(t) {
		if !fires[r.Alert] {
			t.Errorf("nothing in alerts-test.yaml lets %s fire", r.Alert)
		}
	}
	folder := t.TempDir()
	write(t, filepath.Join(folder, "rules.yaml"), manifest.Spec)
	write(t, filepath.Join(folder, "alerts-test.yaml"), raw)
	promtool(t, folder, "test", "rules", "alerts-test.yaml")
}

// TestPanels lets promtool read what every panel of the dashboard asks.
func TestPanels(t *testing.T) {
	lines := &strings.Builder{}
	fmt.Fprintln(lines, "groups:\n- name: panels\n  rules:")
	variables := strings.NewReplacer("$namespace", "shop", "$cluster", "orders", "$__rate_interval", "1m", "$__range", "1h")
	for i, expression := range questions(t) {
		quoted, err := json.Marshal(variables.Replace(expression))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(lines, "  - {record: 'panel:%d', expr: %s}\n", i, quoted)
	}
	folder := t.TempDir()
	write(t, filepath.Join(folder, "panels.yaml"), []byte(lines.String()))
	promtool(t, folder, "check", "rules", "panels.yaml")
}

func promtool(t *testing.T, folder string, args ...string) {
	t.Helper()
	program, err := filepath.Abs(filepath.Join("..", os.Getenv("PROMTOOL")))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...) //nolint:gosec // A program of ours, with arguments of this file.
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func readYAML(t *testing.T, file string, into any) []byte {
	t.Helper()
	raw, err := os.ReadFile(file) //nolint:gosec // A file of this folder.
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
	return raw
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
