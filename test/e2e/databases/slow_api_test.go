//go:build e2e

package databases

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
	"github.com/xdbcluster/xdbcluster/test/cluster/network"
)

// A delay stands between Pods and the API server, and lets everything that goes through it wait.
type delay struct {
	net.Listener

	wait atomic.Int64 // Nanoseconds, each way.
}

// newDelay returns one that lets nothing wait yet. It ends with the test.
func (s *scene) newDelay() *delay {
	s.Helper()
	listener, err := net.Listen("tcp", network.StandIn()) //nolint:noctx // It is closed.
	if err != nil {
		s.Fatalf("cannot stand in for the API server: %v", err)
	}
	d := &delay{Listener: listener}
	s.afterwards = append(s.afterwards, d.Close)
	go d.serve()
	return d
}

func (d *delay) serve() {
	for {
		client, err := d.Accept()
		if err != nil {
			return
		}
		go func() {
			defer client.Close()                                                               //nolint:errcheck // The other side has ended.
			server, err := net.Dial("tcp", strings.TrimPrefix(layout.APIServer(), "https://")) //nolint:noctx // It is on this machine.
			if err != nil {
				return
			}
			defer server.Close() //nolint:errcheck // The other side has ended.
			ended := make(chan struct{}, 2)
			go d.pass(server, client, ended)
			go d.pass(client, server, ended)
			<-ended
		}()
	}
}

// A part of what is passed on, and when it is due.
type part struct {
	content []byte
	due     time.Time
}

// pass passes on what it reads, in order and as late as it is to be, however much is on its way.
func (d *delay) pass(to io.Writer, from io.Reader, ended chan<- struct{}) {
	parts := make(chan part, 4096)
	go func() {
		defer func() { ended <- struct{}{} }()
		for p := range parts {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.content); err != nil {
				return
			}
		}
	}()
	defer close(parts)
	for buffer := make([]byte, 32<<10); ; {
		n, err := from.Read(buffer)
		if n > 0 {
			parts <- part{content: append([]byte(nil), buffer[:n]...), due: time.Now().Add(time.Duration(d.wait.Load()))}
		}
		if err != nil {
			return
		}
	}
}

// TestSlowAPI lets all instances reach the API server only after a while: nobody takes over from a primary that is well, and from one that
// is not another one does, with every row. It lets all Pods of the nodes wait, so it runs alone.
func TestSlowAPI(t *testing.T) {
	s := newScene(t)
	s.controllersToFirstNode()
	d := s.create("slow", clusterSpec("17", 2))
	slow := s.newDelay()
	w := d.write()
	primary := d.primaryAwayFromFirstNode()
	for _, node := range d.nodes() {
		s.leadAPI(node)
	}

	for _, c := range []struct {
		wait   time.Duration
		usable bool // Otherwise the API server is as good as away: nobody is promoted, and the primary goes on while all confirm it.
	}{
		{100 * time.Millisecond, true}, {500 * time.Millisecond, true}, {1500 * time.Millisecond, false},
	} {
		slow.wait.Store(int64(c.wait))
		since := time.Now()
		time.Sleep(45 * time.Second)
		w.waitWriting()
		gap := w.gap(since)
		t.Logf("every request to the API server takes %s more: no row was acknowledged for %s", 2*c.wait, gap)
		if labelled := d.labelled(); len(labelled) != 1 || labelled[0] != primary || gap > 5*time.Second {
			t.Errorf("the primary is %v, and no row was acknowledged for %s; want that %s goes on", labelled, gap, primary)
		}
		if !c.usable {
			continue
		}
		since = time.Now()
		d.mustInInstance(primary, killPostmaster)
		primary = d.waitPrimary(primary)
		w.waitWriting()
		t.Logf("the postmaster is killed: no row was acknowledged for %s", w.gap(since))
	}
	slow.wait.Store(0)
	d.waitRollout(v1alpha1.RolloutComplete)
	d.checkWhole(3)
	w.check()
}

// nodes are those that instances are on.
func (d *database) nodes() []string {
	d.Helper()
	names := []string{}
	for _, i := range d.status().Instances {
		names = append(names, d.node(i.Name))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// leadAPI leads the Pods of a node to what stands in for the API server, until the test ends.
func (s *scene) leadAPI(node string) {
	s.Helper()
	n, err := layout.Find(node)
	if err != nil {
		s.Fatalf("the test needs the local cluster: %v", err)
	}
	s.Cleanup(func() {
		if err := network.RestoreAPI(context.WithoutCancel(s.Context()), n); err != nil {
			s.Error(err)
		}
	})
	if err := network.LeadAPI(s.Context(), n); err != nil {
		s.Fatal(err)
	}
}
