//go:build e2e

package databases

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// stallAtServer stops Patroni when the PostgreSQL of the database that it is at making has started, and stallAtUsers when that has the
	// system's own users, right before Patroni takes the leader lock.
	stallAtServer = `until [ -s "$(echo /var/lib/xdbcluster/*/pgdata/postmaster.pid)" ]; do sleep 0.01; done; ` + stallPatroni
	stallAtUsers  = `until psql -XqAt -c "select 1" >/dev/null 2>&1; do true; done
patroni=$(` + patroniPID + `)
psql -XqAt -v ON_ERROR_STOP=1 <<'SQL'
do $$ begin
	while not exists (select from pg_roles where rolname = 'xdb_rewind') loop perform pg_sleep(0.001); end loop;
end $$
SQL
kill -STOP $patroni`
)

// TestInterruptedBirth stalls what makes a database, and kills its Pod, at the moments at which one is half there. The database is made
// again, and nobody has to do anything about it.
func TestInterruptedBirth(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, birth := range []struct {
		name, version, stall string
		kill                 bool
	}{
		{"server-stalls", "17", stallAtServer, false},
		{"server-killed", "15", stallAtServer, true},
		{"users-stall", "15", stallAtUsers, false},
		{"users-killed", "17", stallAtUsers, true},
	} {
		d := s.start(birth.name, smallSpec(birth.version))
		d.eventually(rolloutLimit, birth.name+": Patroni is stalled", func(context.Context) (string, bool) {
			_, err := d.inDatabase(birth.stall)
			return fmt.Sprint(err), err == nil
		})
		if err := s.kube.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: d.cluster().PatroniLeader()}, &corev1.ConfigMap{}); err == nil {
			t.Logf("%s: Patroni had taken the leader lock already", birth.name)
		}
		if birth.kill {
			d.deletePod(client.GracePeriodSeconds(0))
		}
		d.waitRolledOut()
		if got := d.sql("create table kept (n int); insert into kept values (1) returning n"); !strings.HasSuffix(got, "1") {
			t.Errorf("%s: the insert returned %q", birth.name, got)
		}
	}
}
