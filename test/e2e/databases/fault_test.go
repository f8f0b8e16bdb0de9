//go:build e2e

package databases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
	"github.com/xdbcluster/xdbcluster/test/cluster/local"
	"github.com/xdbcluster/xdbcluster/test/cluster/network"
	"github.com/xdbcluster/xdbcluster/test/cluster/process"
	"github.com/xdbcluster/xdbcluster/test/progress"
)

// More scripts for the database's container.
const (
	stallPostmaster = `kill -STOP $(head -1 /var/lib/xdbcluster/*/pgdata/postmaster.pid)`
	wakePostmaster  = `kill -CONT $(head -1 /var/lib/xdbcluster/*/pgdata/postmaster.pid)`

	// keepFromFollowing gives Patroni, when it is started anew, passwords with which no other instance lets it in. mayFollow ends that.
	keepFromFollowing = `cp /run/xdbcluster/patroni.yml /run/xdbcluster/patroni.yml.right; sed -i 's/password: .*/password: wrong/' /run/xdbcluster/patroni.yml`
	mayFollow         = `cp /run/xdbcluster/patroni.yml.right /run/xdbcluster/patroni.yml; kill -HUP $(` + patroniPID + `)`

	// killAhead lets the primary write WAL that no standby receives, more than another one writes soon after it, and kills it.
	killAhead = `for p in $(psql -XqAt -c "select pid from pg_stat_replication"); do kill -STOP $p; done; psql -XqAt -c "select pg_switch_wal()"; ` + killPostmaster

	// stallPatroniWhenPromoted waits for the instance's promotion, and stops its Patroni right then.
	stallPatroniWhenPromoted = `cat > /run/xdbcluster/stall <<'EOF'
for i in $(seq 600); do
	test "$(psql -XqAt -c 'select pg_is_in_recovery()' 2>/dev/null)" = f && kill -STOP $(` + patroniPID + `) && exit
	sleep 0.02
done
EOF
setsid sh /run/xdbcluster/stall >/dev/null 2>&1 </dev/null & true`

	// hangPatroniLoop stops the thread in which Patroni renews its lock, as a debugger would, for two minutes. The threads of its REST server go
	// on: it tries again when it has stopped that thread while all others waited for it.
	hangPatroniLoop = `cat > /run/xdbcluster/hang.py <<'EOF'
import ctypes, os, ssl, sys, time, urllib.request

SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
pid = int(sys.argv[1])

def trace(request):
    if libc.ptrace(request, pid, None, None) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))

def answers():
    try:
        return urllib.request.urlopen("https://localhost:8008/patroni", timeout=2, context=ssl._create_unverified_context())
    except OSError:
        return None

while True:
    trace(SEIZE)
    trace(INTERRUPT)
    os.waitpid(pid, WALL)
    if answers():
        break
    trace(DETACH)
    time.sleep(0.5)
print("hangs", flush=True)
time.sleep(120)
EOF
setsid python3 /run/xdbcluster/hang.py $(` + patroniPID + `) >/run/xdbcluster/hangs 2>&1 </dev/null &
for i in $(seq 30); do sleep 1; test -s /run/xdbcluster/hangs && break; done
grep hangs /run/xdbcluster/hangs`

	// Patroni and all of PostgreSQL, whose backends may end meanwhile.
	killAll  = `for p in /proc/[0-9]*; do case "$(cat $p/comm 2>/dev/null)" in patroni|postgres) kill -9 ${p#/proc/} || true;; esac; done`
	stallAll = `for p in /proc/[0-9]*; do case "$(cat $p/comm 2>/dev/null)" in patroni|postgres) kill -STOP ${p#/proc/} || true;; esac; done`
	wakeAll  = `for p in /proc/[0-9]*; do case "$(cat $p/comm 2>/dev/null)" in patroni|postgres) kill -CONT ${p#/proc/} || true;; esac; done`

	fillDisk  = `fallocate -l $(df -B1 --output=avail /var/lib/xdbcluster | tail -1) /var/lib/xdbcluster/filler 2>/dev/null || true; dd if=/dev/zero of=/var/lib/xdbcluster/filler.rest bs=8k 2>/dev/null || true; df --output=avail /var/lib/xdbcluster | tail -1`
	emptyDisk = `rm -f /var/lib/xdbcluster/filler /var/lib/xdbcluster/filler.rest`
)

// TestStalls stops processes of the primary without ending them: for a moment, which must change nothing, and for good.
func TestStalls(t *testing.T) {
	t.Parallel()
	d := newScene(t).create("stalled", clusterSpec("17", 2))
	w := d.write()
	first := d.waitPrimary("")

	for name, scripts := range map[string][2]string{
		"the postmaster":                {stallPostmaster, wakePostmaster},
		"Patroni and all of PostgreSQL": {stallAll, wakeAll},
		"Patroni":                       {stallPatroni, `kill -CONT $(` + patroniPID + `)`},
	} {
		since := time.Now()
		d.mustInInstance(first, scripts[0]+"; sleep 4; "+scripts[1])
		w.waitWriting()
		t.Logf("%s stalls for 4 s: no row was acknowledged for %s", name, w.gap(since))
	}
	t.Log("Patroni of a standby stalls for good")
	d.waitRollout(v1alpha1.RolloutComplete)
	d.mustInInstance(d.standby(), stallPatroni)
	d.eventually(rolloutLimit, "The claim says that not all instances serve", func(ctx context.Context) (string, bool) {
		state, said := d.rollout(ctx)
		return said, state != v1alpha1.RolloutComplete
	})
	d.waitRollout(v1alpha1.RolloutComplete)
	if now := d.waitPrimary(""); now != first {
		t.Errorf("after stalls of a moment the primary is %s; want %s as before", now, first)
	}

	for name, script := range map[string]string{
		"the postmaster": stallPostmaster, "Patroni and all of PostgreSQL": stallAll,
	} {
		before, since := d.waitPrimary(""), time.Now()
		d.mustInInstance(before, script)
		d.waitPrimary(before)
		w.waitWriting()
		t.Logf("%s stalls for good: no row was acknowledged for %s", name, w.gap(since))
		d.waitRollout(v1alpha1.RolloutComplete)
		d.checkWhole(3)
	}
	w.check()
}

// TestPatroniLoopHangs lets the primary's Patroni renew nothing any more, and answer all the same: to whoever asks it, its agent among
// them, it looks well. PostgreSQL must be gone before the lock is.
func TestPatroniLoopHangs(t *testing.T) {
	t.Parallel()
	d := newScene(t).create("hung", clusterSpec("17", 2))
	w := d.write()
	before := d.waitPrimary("")
	d.mustInInstance(before, hangPatroniLoop)
	since := time.Now()
	d.waitKilled(before)
	fenced := ago(since)
	d.waitPrimary(before)
	w.waitWriting()
	t.Logf("fenced after %s, and no row was acknowledged for %s", fenced, w.gap(since))
	d.waitRollout(v1alpha1.RolloutComplete)
	d.checkWhole(3)
	w.check()
}

// TestSecondCrash kills the primary, and keeps it from following the next one, which then fails, too. What was acknowledged in between is
// on the third instance, and the first, which is back, has more WAL than that, of an older timeline. It must not become the primary.
func TestSecondCrash(t *testing.T) {
	t.Parallel()
	spec := clusterSpec("17", 2)
	// The leader lock lives for three periods. That is time for the first to recover, and less than the half minute after which the agent
	// starts a Patroni anew that hangs.
	spec.Availability.HealthcheckPeriodSeconds = 10
	d := newScene(t).create("twice", spec)
	w := d.write()
	for _, c := range []struct {
		name   string
		before string // What is run in the standbys before the primary is killed.
		fail   func(instance string)
	}{
		{
			name: "the next one is killed", before: "true",
			fail: func(second string) { d.mustInInstance(second, killPostmaster) },
		},
		{
			name: "Patroni of the next one stalls before it has written anything down", before: stallPatroniWhenPromoted,
			fail: d.waitKilled,
		},
	} {
		d.waitRollout(v1alpha1.RolloutComplete)
		d.waitCandidates()
		first := d.waitPrimary("")
		standbys := d.standbys()
		for _, standby := range standbys {
			d.mustInInstance(standby, c.before)
		}
		d.mustInInstance(first, keepFromFollowing)
		d.mustInInstance(first, killAhead)
		d.waitLabelled(first)
		second := d.labelled()[0]
		third := otherThan(second, standbys)
		w.waitWriting()
		d.waitAhead(first, third)
		w.waitWriting()
		if now := d.labelled(); len(now) != 1 || now[0] != second {
			t.Fatalf("the primary is %v; want %s until that fails: the test comes too late", now, second)
		}
		t.Logf("%s: %s has followed %s, and %s has not, and has more WAL", c.name, third, second, first)

		since := time.Now()
		c.fail(second)
		w.waitWriting()
		if now := d.labelled(); slices.Contains(now, first) {
			t.Errorf("%v is the primary; want %s or %s", now, second, third)
		}
		t.Logf("%v is the primary, and no row was acknowledged for %s", d.labelled(), w.gap(since))
		d.mustInInstance(first, mayFollow)
		d.waitRollout(v1alpha1.RolloutComplete)
		d.waitNoIncident("TimelineMissing")
		d.checkWhole(3)
	}
	w.check()
}

// waitKilled waits until an instance's PostgreSQL does not answer as a primary's any more.
func (d *database) waitKilled(instance string) {
	d.Helper()
	d.eventually(time.Minute, "PostgreSQL of "+instance+" is fenced", func(context.Context) (string, bool) {
		out, err := d.inInstance(instance, "psql -XqAt -c 'select pg_is_in_recovery()'")
		return fmt.Sprint(out, err), strings.TrimSpace(out) != "f"
	})
}

// otherThan returns the first of the names that is another one.
func otherThan(name string, names []string) string {
	return names[slices.IndexFunc(names, func(n string) bool { return n != name })]
}

// waitAhead waits until an instance recovers, and has more WAL than another one.
func (d *database) waitAhead(instance, than string) {
	d.Helper()
	const received = "select greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0' where pg_is_in_recovery()"
	d.eventually(time.Minute, instance+" has more WAL than "+than, func(context.Context) (string, bool) {
		more, err := d.inInstance(instance, "psql -XqAt -c "+quote(received))
		less, errLess := d.inInstance(than, "psql -XqAt -c "+quote(received))
		a, errA := strconv.ParseInt(strings.TrimSpace(more), 10, 64)
		b, errB := strconv.ParseInt(strings.TrimSpace(less), 10, 64)
		err = errors.Join(err, errLess, errA, errB)
		return fmt.Sprintf("%d, %d, %v", a, b, err), err == nil && a > b
	})
}

// waitCandidates waits until Patroni has written down that both standbys of a primary may take over.
func (d *database) waitCandidates() {
	d.Helper()
	d.eventually(rolloutLimit, "Two standbys may take over", func(ctx context.Context) (string, bool) {
		m := &corev1.ConfigMap{}
		err := d.kube.Get(ctx, client.ObjectKey{Namespace: d.namespace, Name: d.cluster().PatroniSync()}, m)
		named := strings.Split(m.Annotations["sync_standby"], ",")
		return fmt.Sprint(m.Annotations, err), err == nil && len(named) == 2 && m.Annotations["leader"] == d.labelled()[0]
	})
}

// TestNoAutoFailover shows that with enableAutoFailover: false a primary that failed is started again in place, that nobody
// takes over from one that is lost, and that a Failover makes somebody. It disturbs every other test, so it runs alone.
func TestNoAutoFailover(t *testing.T) {
	s := newScene(t)
	s.controllersToFirstNode()
	spec := clusterSpec("17", 2)
	no := false
	spec.Availability.EnableAutoFailover = &no
	d := s.create("manual", spec)
	w := d.write()
	primary := d.primaryAwayFromFirstNode()

	t.Log("The postmaster is killed")
	since := time.Now()
	timeline := d.status().Instances[0].Timeline
	d.mustInInstance(primary, killPostmaster)
	w.waitWriting()
	t.Logf("no row was acknowledged for %s", w.gap(since))
	d.waitRollout(v1alpha1.RolloutComplete)
	if now := d.waitPrimary(""); now != primary {
		t.Errorf("the primary is %s; want %s, started again in place (timeline %d before, %+v now)", now, primary, timeline, d.status().Instances)
	}

	t.Log("Its node is cut off")
	node := d.cutOff(primary)
	time.Sleep(50 * time.Second) // The lock runs out after 20 s, and every standby has tried twice by then.
	if labelled := d.labelled(); len(labelled) > 1 || len(labelled) == 1 && labelled[0] != primary {
		t.Errorf("%v took over by themselves", labelled)
	}
	d.operate(v1alpha1.KindFailover, "by-hand", d.operation(time.Now()))
	status := d.waitOperation(v1alpha1.KindFailover, "by-hand", v1alpha1.OperationSucceeded)
	if status.NewPrimary == primary || status.DataLoss != "none" {
		t.Errorf("the Failover says %+v; want another primary than %s, and no loss", status, primary)
	}
	w.waitWriting()
	if err := network.Restore(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	d.waitRollout(v1alpha1.RolloutComplete)
	d.checkWhole(3)

	t.Log("A Pod that ends in order hands over, and so does an update")
	before := d.waitPrimary("")
	d.deleteInstance(before, nil)
	d.waitPrimary(before)
	d.waitRollout(v1alpha1.RolloutComplete)
	d.roll(func(spec *v1alpha1.DBClusterSpec) {
		spec.PrimarySpec.Parameters = map[string]string{"max_connections": "80"}
	})
	d.checkEverywhere("show max_connections", "80")
	d.checkWhole(3)
	w.check()
}

// TestAutoHeal damages standbys so that they cannot follow, and shows that they are copied anew by themselves.
func TestAutoHeal(t *testing.T) {
	t.Parallel()
	spec := clusterSpec("17", 2)
	spec.Availability.HealthcheckPeriodSeconds, spec.Availability.AutoHealTriggerThreshold = 1, 5
	d := newScene(t).create("healing", spec)
	w := d.write()
	for name, damage := range map[string]string{
		"its WAL is lost":      `rm -f /var/lib/xdbcluster/*/pgdata/pg_wal/0*; ` + killPostmaster,
		"its control file is":  `truncate -s 0 /var/lib/xdbcluster/*/pgdata/global/pg_control; ` + killPostmaster,
		"its postmaster hangs": stallPostmaster,
	} {
		t.Log(name)
		standby := d.standby()
		d.mustInInstance(standby, damage)
		d.eventually(time.Minute, "The claim says that "+standby+" does not follow", func(context.Context) (string, bool) {
			status := d.status()
			state, _ := d.rollout(t.Context())
			return fmt.Sprint(status.Instances, status.CriticalIncidents), state != v1alpha1.RolloutComplete || len(status.CriticalIncidents) > 0
		})
		d.waitRollout(v1alpha1.RolloutComplete)
		d.checkWhole(3)
	}
	w.check()
}

// TestDiskFull fills the volume of a standby, and that of the primary.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	d := newScene(t).create("full", clusterSpec("17", 2))
	w := d.write()

	t.Log("The volume of a standby is full")
	standby, since := d.standby(), time.Now()
	t.Logf("%s KiB are left", d.mustInInstance(standby, fillDisk))
	d.sql("create table filling as select repeat('x', 500) from generate_series(1, 100000)")
	d.waitIncident("DataDiskFilling", "full")
	w.waitWriting()
	t.Logf("no row was acknowledged for %s", w.gap(since))
	d.mustInInstance(standby, emptyDisk)
	d.waitRollout(v1alpha1.RolloutComplete)
	d.checkWhole(3)

	t.Log("The volume of the primary is full")
	primary, since := d.waitPrimary(""), time.Now()
	t.Logf("%s KiB are left", d.mustInInstance(primary, fillDisk))
	if _, err := d.psql(d.connection(), "select count(pg_logical_emit_message(false, 'filling', repeat('x', 1000000))) from generate_series(1, 400)"); err != nil {
		t.Logf("what does not fit ends with the primary: %v", err)
	}
	w.waitWriting()
	t.Logf("no row was acknowledged for %s; the primary is %s, and was %s", w.gap(since), d.waitPrimary(""), primary)
	d.mustInInstance(primary, emptyDisk)
	d.waitRollout(v1alpha1.RolloutComplete)
	d.checkWhole(3)
	w.check()
}

// TestPrimaryAndStandbyLost stops the nodes of the primary and of a standby at the same moment. Whether the last standby has
// every commit cannot be known: writes wait, and a Failover is refused that may lose something, unless it says that it may.
// It disturbs every other test, so it runs alone.
func TestPrimaryAndStandbyLost(t *testing.T) {
	s := newScene(t)
	s.controllersToFirstNode()
	d := s.create("two", clusterSpec("17", 2))
	w := d.write()
	cluster := localCluster()
	d.primaryAwayFromFirstNode()
	lost := []string{}
	for _, i := range d.status().Instances {
		if d.node(i.Name) != layout.ControlPlane().Name() {
			lost = append(lost, d.node(i.Name))
		}
	}
	if len(lost) != 2 {
		t.Fatalf("the test needs the local cluster with three nodes, and an instance on each; got %v", lost)
	}
	stop := func() {
		for _, node := range lost {
			if err := cluster.Stop(t.Context(), node); err != nil {
				t.Fatal(err)
			}
		}
	}
	start := func() {
		for _, node := range lost {
			if err := cluster.Start(context.WithoutCancel(t.Context()), node); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(start)

	stop()
	since := time.Now()
	d.operate(v1alpha1.KindFailover, "careful", d.operation(time.Now()))
	d.checkReason(v1alpha1.KindFailover, "careful", v1alpha1.OperationRejected, "WouldLoseData")
	if records, err := w.records(t.Context()); err != nil || records[len(records)-1].At.After(since.Add(5*time.Second)) {
		t.Errorf("rows are acknowledged though nobody can know what was lost (%v)", err)
	}
	start()
	w.waitWriting()
	d.waitRollout(v1alpha1.RolloutComplete)
	t.Logf("primary and standby were lost: no row was acknowledged for %s", w.gap(since))
	d.checkWhole(3)
	w.check()

	t.Log("The same, and a Failover that may lose something")
	primary := d.primaryAwayFromFirstNode()
	d.waitConfirming(2)
	stop()
	spec := d.operation(time.Now())
	spec["allowDataLoss"] = true
	d.operate(v1alpha1.KindFailover, "forced", spec)
	status := d.waitOperation(v1alpha1.KindFailover, "forced", v1alpha1.OperationSucceeded)
	if !strings.Contains(status.DataLoss, "bytes") || status.NewPrimary == primary {
		t.Errorf("the Failover says %+v; want a bound of what was lost, and another primary than %s", status, primary)
	}
	t.Logf("it says what may be lost: %s", status.DataLoss)
	d.sql("create table afterwards as select 1")
	start()
	d.waitRollout(v1alpha1.RolloutComplete)
	d.checkWhole(3)
	d.checkEverywhere("select count(*) from afterwards", "1")

	t.Log("The same, and the only one that is left has not followed the last primary")
	first := d.primaryOnFirstNode()
	d.waitCandidates()
	standbys := d.standbys()
	d.mustInInstance(first, keepFromFollowing)
	d.mustInInstance(first, killAhead)
	d.waitLabelled(first)
	d.eventually(rolloutLimit, "The next primary, which has the label before it is promoted, is written to", func(context.Context) (string, bool) {
		_, err := d.psql(d.connection(), "create table if not exists unfollowed as select 1")
		return fmt.Sprint(err), err == nil
	})
	d.waitAhead(first, otherThan(d.labelled()[0], standbys))
	stop()
	d.waitIncident("TimelineMissing", "has not followed the last primary")
	d.operate(v1alpha1.KindFailover, "careful-again", d.operation(time.Now()))
	d.checkReason(v1alpha1.KindFailover, "careful-again", v1alpha1.OperationRejected, "WouldLoseData")
	spec = d.operation(time.Now())
	spec["allowDataLoss"] = true
	d.operate(v1alpha1.KindFailover, "forced-again", spec)
	status = d.waitOperation(v1alpha1.KindFailover, "forced-again", v1alpha1.OperationSucceeded)
	if !strings.Contains(status.DataLoss, "has not followed the last primary") || status.NewPrimary != first {
		t.Errorf("the Failover says %+v; want what was lost, and the primary %s", status, first)
	}
	t.Logf("it says what is lost: %s", status.DataLoss)
	d.sql("create table at_last as select 1")
	start()
	d.waitRollout(v1alpha1.RolloutComplete)
	d.checkWhole(3)
	d.checkEverywhere("select count(*) from at_last", "1")
}

// TestNodeLost stops the primary's node, as a power failure does. It disturbs every other test, so it runs alone.
func TestNodeLost(t *testing.T) {
	s := newScene(t)
	s.controllersToFirstNode()
	d := s.create("dark", clusterSpec("17", 2))
	w := d.write()
	cluster := localCluster()
	primary := d.primaryAwayFromFirstNode()
	node, since := d.node(primary), time.Now()
	t.Cleanup(func() {
		if err := cluster.Start(context.WithoutCancel(t.Context()), node); err != nil {
			t.Error(err)
		}
	})
	if err := cluster.Stop(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	d.waitLabelled(primary)
	w.waitWriting()
	t.Logf("the primary's node is lost: no row was acknowledged for %s", w.gap(since))
	if err := cluster.Start(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	d.waitRollout(v1alpha1.RolloutComplete)
	d.checkWhole(3)
	w.check()
}

// TestOneWay cuts the network of the primary's node in one direction. It disturbs every other test, so it runs alone.
func TestOneWay(t *testing.T) {
	s := newScene(t)
	s.controllersToFirstNode()
	d := s.create("oneway", clusterSpec("17", 2))
	w := d.write()
	for _, direction := range []struct {
		name         string
		cut, restore func(context.Context, layout.Node) error
	}{
		{"nothing arrives at", network.CutIncoming, network.RestoreIncoming},
		{"nothing leaves", network.CutOutgoing, network.RestoreOutgoing},
	} {
		primary := d.primaryAwayFromFirstNode()
		node, err := layout.Find(d.node(primary))
		if err != nil {
			t.Fatalf("the test needs the local cluster with three nodes: %v", err)
		}
		since := time.Now()
		if err := direction.cut(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		restored := false
		restore := func() {
			if restored {
				return
			}
			restored = true
			if err := direction.restore(context.WithoutCancel(t.Context()), node); err != nil {
				t.Error(err)
			}
		}
		t.Cleanup(restore)
		d.waitLabelled(primary)
		w.waitWriting()
		t.Logf("%s %s, the node of the primary %s: no row was acknowledged for %s", direction.name, node.Name(), primary, w.gap(since))
		restore()
		d.waitRollout(v1alpha1.RolloutComplete)
		d.checkWhole(3)
	}
	w.check()
}

// TestControlPlaneAway kills the API server for two minutes: the primary goes on, and nobody is restarted. It disturbs every
// other test, so it runs alone.
func TestControlPlaneAway(t *testing.T) {
	s := newScene(t)
	d := s.create("alone", clusterSpec("17", 2))
	w := d.write()
	primary := d.waitPrimary("")
	const started = "select pg_postmaster_start_time()"
	before := map[string]string{}
	for _, i := range d.status().Instances {
		before[i.Name] = d.mustInInstance(i.Name, "psql -XqAt -c "+quote(started))
	}
	cluster := localCluster()
	t.Cleanup(func() {
		if err := cluster.Up(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	since := time.Now()
	if err := (process.Supervisor{Folder: layout.Processes()}).Kill("kube-apiserver"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Minute)
	if err := cluster.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.eventually(rolloutLimit, "The cluster answers again", func(ctx context.Context) (string, bool) {
		_, err := d.claim(ctx)
		return fmt.Sprint(err), err == nil
	})
	w.waitWriting()
	t.Logf("no API server for two minutes: no row was acknowledged for %s", w.gap(since))
	if gap := w.gap(since); gap > 10*time.Second {
		t.Errorf("no row was acknowledged for %s; want that the primary goes on", gap)
	}
	d.waitRollout(v1alpha1.RolloutComplete)
	if now := d.waitPrimary(""); now != primary {
		t.Errorf("the primary is %s; want %s as before", now, primary)
	}
	for name, want := range before {
		if got := d.mustInInstance(name, "psql -XqAt -c "+quote(started)); got != want {
			t.Errorf("PostgreSQL of %s was started at %s; want %s, when it was before", name, got, want)
		}
	}
	d.checkWhole(3)
	w.check()
}

// TestAsynchronous shows what synchronous: Off means: a primary that crashed is started again in place and loses nothing; from
// one that was lost another takes over, and what was lost is what nobody had.
func TestAsynchronous(t *testing.T) {
	s := newScene(t)
	spec := clusterSpec("17", 2)
	spec.Availability.Synchronous = v1alpha1.SynchronyOff
	d := s.create("fast", spec)
	w := d.write()
	primary, since := d.primaryAwayFromFirstNode(), time.Now()
	d.mustInInstance(primary, killPostmaster)
	w.waitWriting()
	t.Logf("the postmaster is killed: no row was acknowledged for %s", w.gap(since))
	d.waitRollout(v1alpha1.RolloutComplete)
	if now := d.waitPrimary(""); now != primary {
		t.Errorf("the primary is %s; want %s, started again in place", now, primary)
	}

	t.Log("Its node is cut off")
	since = time.Now()
	node := d.cutOff(primary)
	d.waitLabelled(primary)
	w.waitWriting()
	t.Logf("another one serves: no row was acknowledged for %s", w.gap(since))
	records, lost := w.end()
	for _, r := range lost {
		if r.At.Before(since.Add(-time.Second)) {
			t.Errorf("row %v was acknowledged more than a second before the node was cut off, and is lost", r)
		}
	}
	t.Logf("%d rows acknowledged, %d lost", len(records), len(lost))
	if err := network.Restore(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	d.waitRollout(v1alpha1.RolloutComplete)
	d.checkEverywhere("select count(*) > 0 from ledger", "t")
}

// TestFailoverDuringChanges kills the primary in the middle of what changes the cluster.
func TestFailoverDuringChanges(t *testing.T) {
	t.Parallel()
	d := newScene(t).create("busy", clusterSpec("17", 1))
	w := d.write()
	for _, change := range []struct {
		name string
		make func()
		wait time.Duration
	}{
		{"a standby is added", func() {
			d.change(func(spec *v1alpha1.DBClusterSpec) { spec.Availability.NumberOfStandbys = 2 })
		}, 4 * time.Second},
		{"a rolling update", func() {
			d.change(func(spec *v1alpha1.DBClusterSpec) { spec.PrimarySpec.Resources.CPU.Add(spec.PrimarySpec.Resources.CPU) })
		}, 8 * time.Second},
		{"a rolling restart", func() {
			d.change(func(spec *v1alpha1.DBClusterSpec) {
				spec.PrimarySpec.Parameters = map[string]string{"max_connections": "70"}
			})
		}, 3 * time.Second},
		{"a standby is copied anew", func() {
			standby := d.standby()
			d.mustInInstance(standby, "rm -rf /var/lib/xdbcluster/*/pgdata; "+killAll)
		}, 2 * time.Second},
	} {
		since := time.Now()
		change.make()
		time.Sleep(change.wait)
		primary := d.waitPrimary("")
		d.mustInInstance(primary, killPostmaster)
		w.waitWriting()
		t.Logf("the primary is killed while %s: no row was acknowledged for %s", change.name, w.gap(since))
		d.waitRollout(v1alpha1.RolloutComplete)
		d.checkWhole(3)
	}
	w.check()
}

// primaryAwayFromFirstNode moves the primary to a node that can be disturbed: the first one holds the control plane and the
// application.
func (d *database) primaryAwayFromFirstNode() string {
	d.Helper()
	primary := d.waitPrimary("")
	for d.node(primary) == layout.ControlPlane().Name() {
		d.deleteInstance(primary, nil)
		primary = d.waitPrimary(primary)
		d.waitRollout(v1alpha1.RolloutComplete)
	}
	return primary
}

// primaryOnFirstNode moves the primary to the node that is not disturbed.
func (d *database) primaryOnFirstNode() string {
	d.Helper()
	primary := d.waitPrimary("")
	for d.node(primary) != layout.ControlPlane().Name() {
		d.deleteInstance(primary, nil)
		primary = d.waitPrimary(primary)
		d.waitRollout(v1alpha1.RolloutComplete)
	}
	return primary
}

// cutOff takes an instance's node off the network, until the end of the test at the latest.
func (d *database) cutOff(name string) layout.Node {
	d.Helper()
	node, err := layout.Find(d.node(name))
	if err != nil {
		d.Fatalf("the test needs the local cluster with three nodes: %v", err)
	}
	d.Cleanup(func() {
		if err := network.Restore(context.WithoutCancel(d.Context()), node); err != nil {
			d.Error(err)
		}
	})
	if err := network.Cut(d.Context(), node); err != nil {
		d.Fatal(err)
	}
	return node
}

// controllersToFirstNode moves Crossplane, the function and Flux off the nodes that a test takes away: Kubernetes would do it
// only after five minutes.
func (s *scene) controllersToFirstNode() {
	s.Helper()
	s.cordon(true)
	defer s.cordon(false)
	s.killControllers()
}

// cordon keeps Pods off all nodes but the first, or lets them in again.
func (s *scene) cordon(closed bool) {
	s.Helper()
	nodes := &corev1.NodeList{}
	if err := s.kube.List(s.Context(), nodes); err != nil {
		s.Fatalf("cannot list nodes: %v", err)
	}
	for i := range nodes.Items {
		node := &nodes.Items[i]
		if node.Name == layout.ControlPlane().Name() {
			continue
		}
		before := node.DeepCopy()
		node.Spec.Unschedulable = closed
		if err := s.kube.Patch(s.Context(), node, client.MergeFrom(before)); err != nil {
			s.Fatalf("cannot change node %q: %v", node.Name, err)
		}
	}
}

// localCluster is the one that the tests disturb.
func localCluster() local.Cluster {
	root, err := filepath.Abs(project())
	if err != nil {
		root = project()
	}
	return local.Cluster{Project: root, Nodes: 1, Progress: progress.To(os.Stdout)}
}
