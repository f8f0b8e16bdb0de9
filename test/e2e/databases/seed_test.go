//go:build e2e

package databases

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// TestSeedManifest shows that a manifest of AlloyDB Omni's works as it is, but for its apiVersion, and with version 17 too.
// It asks for a whole CPU, so the two take turns.
func TestSeedManifest(t *testing.T) {
	for _, version := range []string{"15", "17"} {
		t.Run(version, func(t *testing.T) {
			s := newScene(t)
			d := s.example("alloydb-omni.yaml", func(spec map[string]any) {
				spec["primarySpec"].(map[string]any)["version"] = version
			})
			d.waitRolledOut()

			// The password in the Secret ends in a newline. Whoever types it leaves that out.
			said := d.condition(v1alpha1.ConditionCredentialsReady)
			if said.Status != "True" || said.Reason != v1alpha1.ReasonNewlineTrimmed {
				t.Errorf("CredentialsReady is %s, %s (%s); want True, %s", said.Status, said.Reason, said.Message, v1alpha1.ReasonNewlineTrimmed)
			}
			const asTheUserDid = `PGPASSWORD=test_password psql -h localhost -U postgres -XqAt -c "select version from pg_stat_ssl where pid = pg_backend_pid()"`
			if got := d.mustInDatabase(asTheUserDid); got != "TLSv1.3" {
				t.Errorf("psql -h localhost -U postgres in the database's container got %q; want a connection over TLSv1.3", got)
			}
			if got := d.sql("show server_version_num"); !strings.HasPrefix(got, version) {
				t.Errorf("server_version_num is %q; want it to begin with %s", got, version)
			}
			if status := d.status(); !strings.HasPrefix(status.CurrentVersion, version+".") || status.Phase != v1alpha1.PhaseRunning {
				t.Errorf("status: version %q, phase %q; want %s.x and Running", status.CurrentVersion, status.Phase, version)
			}
			checkCatalog(d, version)
		})
	}
}

// checkCatalog compares what the function believes about the version's settings with what PostgreSQL says. Debian's next
// minor release can bring settings that the catalog does not have yet, and that is told; it must not lack or change any.
func checkCatalog(d *database, version string) {
	d.Helper()
	folder := project("functions", "parameters", "catalog")
	statement, err := os.ReadFile(filepath.Join(folder, "catalog.sql"))
	if err != nil {
		d.Fatal(err)
	}
	believed, err := os.ReadFile(filepath.Join(folder, version+".csv"))
	if err != nil {
		d.Fatal(err)
	}
	live := map[string]bool{}
	for line := range strings.Lines(d.local(string(statement)) + "\n") {
		live[line] = true
	}
	for line := range strings.Lines(string(believed)) {
		if !live[line] {
			d.Errorf("the catalog of PostgreSQL %s says what the live one does not: %s", version, line)
		}
		delete(live, line)
	}
	for line := range live {
		d.Logf("The catalog of PostgreSQL %s lacks %s", version, line)
	}
}
