//go:build e2e

package databases

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/parameters"
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

// checkCatalog compares what the function believes about the version's settings with what PostgreSQL says.
func checkCatalog(d *database, version string) {
	d.Helper()
	rows := d.local("select name, coalesce(unit, ''), context, vartype, coalesce(min_val, ''), coalesce(max_val, ''), coalesce(array_to_string(enumvals, ' '), '') from pg_settings where name not like '%.%'")
	live := map[string]string{}
	for row := range strings.Lines(rows) {
		name, rest, _ := strings.Cut(strings.TrimRight(row, "\n"), "|")
		live[name] = rest
	}
	names, err := parameters.Names(version)
	if err != nil {
		d.Fatal(err)
	}
	for _, name := range names {
		setting, _, err := parameters.Lookup(version, name)
		if err != nil {
			d.Fatal(err)
		}
		believed := strings.Join([]string{setting.Unit, setting.Context, setting.Type, setting.Min, setting.Max, strings.Join(setting.Enum, " ")}, "|")
		if said, there := live[name]; !there {
			d.Errorf("the catalog of PostgreSQL %s has %q, which the live one does not", version, name)
		} else if said != believed {
			d.Errorf("setting %q of PostgreSQL %s: the catalog says %q, the live one %q", name, version, believed, said)
		}
		delete(live, name)
	}
	if len(live) > 0 {
		d.Errorf("the catalog of PostgreSQL %s lacks %s", version, strings.Join(slices.Sorted(maps.Keys(live)), ", "))
	}
}
