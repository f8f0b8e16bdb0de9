//go:build e2e

package databases

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
	"github.com/xdbcluster/xdbcluster/test/cluster/network"
)

const (
	// randomFaults is how many there are when no duration is asked for.
	randomFaults = 50

	// defaultSeed is as good as any: that it stays the same makes a failure come again.
	defaultSeed = 20260917

	// longCut is longer than the leader lock lasts, shortCut is not.
	longCut, shortCut = 26 * time.Second, 6 * time.Second
)

// A randomFault disturbs a cluster. Its target is an instance, which is the primary more often than not.
type randomFault struct {
	name string
	do   func(c *chaos, target string)
}

func faults() []randomFault {
	script := func(name, script string) randomFault {
		return randomFault{name, func(c *chaos, target string) { c.attempt(target, script) }}
	}
	cut := func(name string, cut, restore func(context.Context, layout.Node) error, duration time.Duration) randomFault {
		return randomFault{name, func(c *chaos, target string) { c.cut(target, cut, restore, duration) }}
	}
	return []randomFault{
		script("SIGKILL of the postmaster", killPostmaster),
		script("SIGKILL of Patroni", killPatroni),
		script("SIGKILL of Patroni and all of PostgreSQL", killAll),
		script("SIGSTOP of Patroni", stallPatroni),
		script("SIGSTOP of the postmaster", stallPostmaster),
		script("SIGSTOP of Patroni and all of PostgreSQL", stallAll),
		script("SIGSTOP of Patroni and all of PostgreSQL for 5 s", stallAll+"; sleep 5; "+wakeAll),
		{"its Pod is deleted", func(c *chaos, target string) { c.deleteNow(target) }},
		{"its Pod is deleted without grace", func(c *chaos, target string) { c.deleteNow(target, client.GracePeriodSeconds(0)) }},
		{"SIGKILL of all postmasters", func(c *chaos, _ string) {
			for _, i := range c.status().Instances {
				c.attempt(i.Name, killPostmaster)
			}
		}},
		{"a Switchover", func(c *chaos, _ string) { c.operateNow(v1alpha1.KindSwitchover) }},
		{"a Failover", func(c *chaos, _ string) { c.operateNow(v1alpha1.KindFailover) }},
		{"a rolling restart", func(c *chaos, _ string) {
			c.change(func(spec *v1alpha1.DBClusterSpec) {
				spec.PrimarySpec.Parameters = map[string]string{"max_connections": strconv.Itoa(50 + c.random.IntN(40))}
			})
		}},
		cut("its node is cut off for long", network.Cut, network.Restore, longCut),
		cut("its node is cut off for a moment", network.Cut, network.Restore, shortCut),
		cut("nothing arrives at its node", network.CutIncoming, network.RestoreIncoming, longCut),
		cut("nothing leaves its node", network.CutOutgoing, network.RestoreOutgoing, longCut),
	}
}

// chaos is a database that is disturbed at random.
type chaos struct {
	*database

	random *rand.Rand
	number int
}

// TestChaos disturbs a database 50 times at random, or for as many minutes as CHAOS_MINUTES says, and looks for every row that
// was acknowledged, and for two instances that acknowledged at the same time. CHAOS_SEED makes the same faults come again.
func TestChaos(t *testing.T) {
	seed, minutes := environment(t, "CHAOS_SEED", defaultSeed), environment(t, "CHAOS_MINUTES", 0)
	t.Logf("the seed is %d", seed)
	s := newScene(t)
	s.controllersToFirstNode()
	d := s.create("chaos", clusterSpec("17", 2))
	w := d.write()
	c := &chaos{database: d, random: rand.New(rand.NewPCG(uint64(seed), 0))} //nolint:gosec // It is to come again.
	began, worst := time.Now(), time.Duration(0)
	for c.more(began, minutes) {
		c.number++
		fault, target := c.draw()
		since := time.Now()
		fault.do(c, target)
		w.waitWriting()
		gap := w.gap(since)
		worst = max(worst, gap)
		t.Logf("%3d %s of %s: no row was acknowledged for %s", c.number, fault.name, target, gap)
		// Half of all faults meet a cluster that has not recovered from the one before.
		if c.random.IntN(2) == 0 {
			d.waitRollout(v1alpha1.RolloutComplete)
		}
	}
	d.waitRollout(v1alpha1.RolloutComplete)
	d.checkWhole(3)
	t.Logf("%d faults in %s, seed %d: at the worst no row was acknowledged for %s", c.number, ago(began), seed, worst)
	w.check()
}

func (c *chaos) more(began time.Time, minutes int) bool {
	if minutes > 0 {
		return time.Since(began) < time.Duration(minutes)*time.Minute
	}
	return c.number < randomFaults
}

// draw picks a fault and an instance: the primary two times of three.
func (c *chaos) draw() (randomFault, string) {
	c.Helper()
	all := faults()
	fault := all[c.random.IntN(len(all))]
	target := c.cluster().Pod(c.random.IntN(3))
	if c.random.IntN(3) > 0 {
		target = c.waitPrimary("")
	}
	return fault, target
}

// attempt runs a script in an instance that may be down already.
func (c *chaos) attempt(target, script string) {
	c.Helper()
	if _, err := c.inInstance(target, script); err != nil {
		c.Logf("    %s is not there to be disturbed: %v", target, err)
	}
}

func (c *chaos) deleteNow(target string, options ...client.DeleteOption) {
	c.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: target}}
	if err := c.kube.Delete(c.Context(), pod, options...); client.IgnoreNotFound(err) != nil {
		c.Fatalf("cannot delete Pod %q: %v", target, err)
	}
}

// operateNow asks for an operation and lets it come to whichever end: the cluster may be in no state for it.
func (c *chaos) operateNow(kind string) {
	c.Helper()
	name := fmt.Sprintf("random-%d", c.number)
	c.operate(kind, name, c.operation(time.Now()))
	status := v1alpha1.OperationStatus{}
	c.eventually(5*time.Minute, kind+" "+name+" has come to its end", func(ctx context.Context) (string, bool) {
		var err error
		status, err = c.readOperation(ctx, kind, name)
		return fmt.Sprint(status.Phase, status.Message, err), err == nil && status.Phase.Final()
	})
	c.Logf("    %s is %s: %s", kind, status.Phase, status.Message)
}

// cut disturbs the network of an instance's node. The first node holds the application and the control plane: its cable
// stays where it is.
func (c *chaos) cut(target string, cut, restore func(context.Context, layout.Node) error, duration time.Duration) {
	c.Helper()
	node, err := layout.Find(c.node(target))
	if err != nil || node == layout.ControlPlane() {
		c.attempt(target, killPostmaster)
		return
	}
	if err := cut(c.Context(), node); err != nil {
		c.Fatal(err)
	}
	time.Sleep(duration)
	if err := restore(context.WithoutCancel(c.Context()), node); err != nil {
		c.Fatal(err)
	}
}

func environment(t *testing.T, name string, otherwise int) int {
	t.Helper()
	said := os.Getenv(name)
	if said == "" {
		return otherwise
	}
	number, err := strconv.Atoi(said)
	if err != nil {
		t.Fatalf("%s is %q; want a number", name, said)
	}
	return number
}
