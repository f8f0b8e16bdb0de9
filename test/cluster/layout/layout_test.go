package layout

import (
	"net/netip"
	"testing"
)

func TestAddressesOfNodesAreApart(t *testing.T) {
	bridge := netip.MustParsePrefix(BridgePrefix)
	pods := netip.MustParsePrefix(PodPrefix)
	seen := map[netip.Prefix]string{}
	for _, n := range Nodes(MaxNodes) {
		if address := netip.MustParseAddr(n.Address()); !bridge.Contains(address) || n.Address() == BridgeAddress {
			t.Errorf("Node %q has address %s, which is not a free one of %s.", n.Name(), address, bridge)
		}
		own := netip.MustParsePrefix(n.PodPrefix())
		if !pods.Overlaps(own) || own.Bits() < pods.Bits() {
			t.Errorf("Pods of node %q have addresses in %s, which is not in %s.", n.Name(), own, pods)
		}
		if other, ok := seen[own]; ok {
			t.Errorf("Pods of nodes %q and %q share %s.", n.Name(), other, own)
		}
		seen[own] = n.Name()
		if len(n.Link()) > 15 {
			t.Errorf("The kernel takes no network interface called %q: it has more than 15 characters.", n.Link())
		}
	}
	if netip.MustParsePrefix(ServicePrefix).Overlaps(pods) {
		t.Error("Services and Pods share addresses.")
	}
}

func TestFind(t *testing.T) {
	for _, n := range Nodes(MaxNodes) {
		if got, err := Find(n.Name()); err != nil || got != n {
			t.Errorf("Find(%q): got %v, %v", n.Name(), got, err)
		}
	}
	if _, err := Find("xdb-node-0"); err == nil {
		t.Error("Find finds a node that cannot be.")
	}
}
