// Package network gives every node of the local cluster a network namespace of its own, joined by a bridge. There is no
// default route in any of them and no address translation, so nothing can leave the machine.
package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
)

// Up creates the bridge and the nodes' namespaces, and repairs what is there in part.
func Up(ctx context.Context, nodes []layout.Node) error {
	if !exists(ctx, "link", "show", layout.Bridge) {
		if err := ip(ctx, "link", "add", layout.Bridge, "type", "bridge"); err != nil {
			return err
		}
	}
	if err := ip(ctx, "address", "replace", layout.BridgeAddress+"/24", "dev", layout.Bridge); err != nil {
		return err
	}
	if err := ip(ctx, "link", "set", layout.Bridge, "up"); err != nil {
		return err
	}
	for _, n := range nodes {
		if err := nodeUp(ctx, n); err != nil {
			return fmt.Errorf("cannot make the network of node %q: %w", n.Name(), err)
		}
	}
	for _, n := range nodes {
		// Pods ask the machine for packages and commits, and the answers must find their way back.
		if err := ip(ctx, "route", "replace", n.PodPrefix(), "via", n.Address(), "dev", layout.Bridge); err != nil {
			return err
		}
		if err := routes(ctx, n, nodes); err != nil {
			return fmt.Errorf("cannot make the routes of node %q: %w", n.Name(), err)
		}
	}
	return nil
}

// Down removes the namespaces and the bridge.
func Down(ctx context.Context) error {
	var errs []error
	for _, n := range layout.Nodes(layout.MaxNodes) {
		errs = append(errs, Remove(ctx, n))
	}
	if exists(ctx, "link", "show", layout.Bridge) {
		errs = append(errs, ip(ctx, "link", "delete", layout.Bridge))
	}
	return errors.Join(errs...)
}

// Remove removes a node's namespace, and with it the node's addresses, rules and connections.
func Remove(ctx context.Context, n layout.Node) error {
	var errs []error
	if exists(ctx, "link", "show", n.Link()) {
		errs = append(errs, ip(ctx, "link", "delete", n.Link()))
	}
	if namespaceExists(n) {
		errs = append(errs, ip(ctx, "netns", "delete", n.Name()))
	}
	return errors.Join(errs...)
}

// Cut takes a node off the network, as a pulled cable would.
func Cut(ctx context.Context, n layout.Node) error {
	return ip(ctx, "link", "set", n.Link(), "down")
}

// Restore puts a node back on the network.
func Restore(ctx context.Context, n layout.Node) error {
	return ip(ctx, "link", "set", n.Link(), "up")
}

// CutIncoming drops what arrives at a node, its Pods included, and lets what it sends go out.
func CutIncoming(ctx context.Context, n layout.Node) error {
	return inNode(ctx, n, incoming("--insert"))
}

// RestoreIncoming lets it arrive again.
func RestoreIncoming(ctx context.Context, n layout.Node) error {
	return inNode(ctx, n, incoming("--delete"))
}

// CutOutgoing drops what a node sends, its Pods included, and lets arrive what is sent to it.
func CutOutgoing(ctx context.Context, n layout.Node) error {
	return inNode(ctx, n, outgoing("--insert"))
}

// RestoreOutgoing lets it go out again.
func RestoreOutgoing(ctx context.Context, n layout.Node) error {
	return inNode(ctx, n, outgoing("--delete"))
}

// The tables are those that come first and last on a packet's way, and that nothing else in the cluster uses.
func incoming(change string) []string {
	return []string{"iptables", "--wait", "--table", "raw", change, "PREROUTING", "--in-interface", "eth0", "--jump", "DROP"}
}

func outgoing(change string) []string {
	return []string{"iptables", "--wait", "--table", "mangle", change, "POSTROUTING", "--out-interface", "eth0", "--jump", "DROP"}
}

// apiPort is where the API server listens. NetworkPolicies let Pods reach it at any address.
const apiPort = "6443"

// StandIn is an address of this machine that can stand in for the API server.
func StandIn() string { return net.JoinHostPort(layout.BridgeAddress, apiPort) }

// LeadAPI leads what the Pods of a node send to the API server to what stands in for it. Connections that there are already are reset.
func LeadAPI(ctx context.Context, n layout.Node) error { return changeAPI(ctx, n, "--insert") }

// RestoreAPI lets it go to the API server again.
func RestoreAPI(ctx context.Context, n layout.Node) error { return changeAPI(ctx, n, "--delete") }

func changeAPI(ctx context.Context, n layout.Node, change string) error {
	fromPods := func(table, chain, to, port string, action ...string) error {
		return inNode(ctx, n, append([]string{
			"iptables", "--wait", "--table", table, change, chain, "--source", n.PodPrefix(), "--destination", to,
			"--protocol", "tcp", "--dport", port, "--jump",
		}, action...))
	}
	reset := []string{"REJECT", "--reject-with", "tcp-reset"}
	return errors.Join(
		fromPods("nat", "PREROUTING", layout.APIServerService, "443", "DNAT", "--to-destination", StandIn()),
		// What was led to the API server before still is.
		fromPods("filter", "INPUT", layout.ControlPlane().Address(), apiPort, reset...),
		fromPods("filter", "FORWARD", layout.ControlPlane().Address(), apiPort, reset...),
	)
}

func inNode(ctx context.Context, n layout.Node, command []string) error {
	return run(ctx, [][]string{append([]string{"nsenter", "--net=/run/netns/" + n.Name()}, command...)})
}

func nodeUp(ctx context.Context, n layout.Node) error {
	if !namespaceExists(n) {
		if err := ip(ctx, "netns", "add", n.Name()); err != nil {
			return err
		}
	}
	if !exists(ctx, "link", "show", n.Link()) {
		if err := ip(ctx, "link", "add", n.Link(), "type", "veth", "peer", "name", "eth0", "netns", n.Name()); err != nil {
			return err
		}
	}
	return run(ctx, [][]string{
		{"ip", "link", "set", n.Link(), "master", layout.Bridge, "up"},
		{"ip", "-n", n.Name(), "link", "set", "lo", "up"},
		{"ip", "-n", n.Name(), "address", "replace", n.Address() + "/24", "dev", "eth0"},
		{"ip", "-n", n.Name(), "link", "set", "eth0", "up"},
		{"nsenter", "--net=/run/netns/" + n.Name(), "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"},
	})
}

// routes leads the pod ranges of all other nodes to those nodes. The range of Services needs a route too, or a packet for
// one has nowhere to go before kube-proxy's rules give it another destination.
func routes(ctx context.Context, n layout.Node, nodes []layout.Node) error {
	for _, other := range nodes {
		if other == n {
			continue
		}
		if err := ip(ctx, "-n", n.Name(), "route", "replace", other.PodPrefix(), "via", other.Address()); err != nil {
			return err
		}
	}
	return ip(ctx, "-n", n.Name(), "route", "replace", layout.ServicePrefix, "dev", "eth0")
}

func namespaceExists(n layout.Node) bool {
	_, err := os.Stat("/run/netns/" + n.Name())
	return err == nil
}

func exists(ctx context.Context, args ...string) bool {
	return exec.CommandContext(ctx, "ip", args...).Run() == nil //nolint:gosec // The cluster's own names.
}

func ip(ctx context.Context, args ...string) error {
	return run(ctx, [][]string{append([]string{"ip"}, args...)})
}

func run(ctx context.Context, commands [][]string) error {
	for _, c := range commands {
		if out, err := exec.CommandContext(ctx, c[0], c[1:]...).CombinedOutput(); err != nil { //nolint:gosec // The cluster's own names.
			return fmt.Errorf("cannot run %q: %w: %s", strings.Join(c, " "), err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
