// Package layout says where everything of the local cluster is: addresses, namespaces and folders. There is one local
// cluster a machine, under fixed names, so that any checkout finds and replaces it.
package layout

import (
	"fmt"
	"path/filepath"
)

// Addresses of the local cluster. Nothing in it has a route to anywhere else.
const (
	Bridge           = "xdb0"
	BridgeAddress    = "10.89.0.1"
	BridgePrefix     = "10.89.0.0/24"
	PodPrefix        = "10.90.0.0/16"
	ServicePrefix    = "10.91.0.0/16"
	APIServerService = "10.91.0.1"
	DNSService       = "10.91.0.10"
	ClusterDomain    = "cluster.local"
	Registry         = BridgeAddress + ":5000"
)

// State is the folder that holds all the cluster keeps: certificates, etcd, containers, volumes, logs.
const State = "/var/lib/xdbcluster-cluster"

// LockFile is held by a command while it brings the cluster up or takes it down.
const LockFile = "/run/xdbcluster-cluster.lock"

// MaxNodes is how many nodes a cluster can have: the machine has two cores.
const MaxNodes = 9

// A Node is a machine of the cluster: a network namespace with a container runtime and a kubelet of its own.
type Node struct {
	// Number counts from 1. The first node holds the control plane.
	Number int
}

// Name of the node and of its network namespace.
func (n Node) Name() string { return fmt.Sprintf("xdb-node-%d", n.Number) }

// Address of the node.
func (n Node) Address() string { return fmt.Sprintf("10.89.0.%d", 10+n.Number) }

// PodPrefix is the range of the node's pods.
func (n Node) PodPrefix() string { return fmt.Sprintf("10.90.%d.0/24", n.Number) }

// Link is the node's network interface on the machine's side.
func (n Node) Link() string { return fmt.Sprintf("xdb-veth-%d", n.Number) }

// Folder holds what the node keeps.
func (n Node) Folder() string { return filepath.Join(State, n.Name()) }

// ContainerdSocket is where the node's container runtime listens.
func (n Node) ContainerdSocket() string { return filepath.Join(n.Folder(), "containerd.sock") }

// KubeletFolder is the kubelet's root.
func (n Node) KubeletFolder() string { return filepath.Join(n.Folder(), "kubelet") }

// Process names a process of the node.
func (n Node) Process(program string) string { return fmt.Sprintf("%s-%d", program, n.Number) }

// Find returns the node of a name.
func Find(name string) (Node, error) {
	for _, n := range Nodes(MaxNodes) {
		if n.Name() == name {
			return n, nil
		}
	}
	return Node{}, fmt.Errorf("there is no node %q: nodes are called %s to %s", name, Node{Number: 1}.Name(), Node{Number: MaxNodes}.Name())
}

// Nodes returns the first count nodes.
func Nodes(count int) []Node {
	nodes := make([]Node, 0, count)
	for i := range count {
		nodes = append(nodes, Node{Number: i + 1})
	}
	return nodes
}

// ControlPlane returns the node that holds the control plane.
func ControlPlane() Node { return Node{Number: 1} }

// APIServer returns the API server's address.
func APIServer() string { return "https://" + ControlPlane().Address() + ":6443" }

// PKI is the folder of the cluster's certificates.
func PKI() string { return filepath.Join(State, "pki") }

// Processes is the folder of pid files and logs.
func Processes() string { return filepath.Join(State, "processes") }

// Etcd is the folder of etcd's data.
func Etcd() string { return filepath.Join(State, "etcd") }

// Git is the folder of the Git server's repositories.
func Git() string { return filepath.Join(State, "git") }

// Volumes is the folder of the volumes' files.
func Volumes() string { return filepath.Join(State, "volumes") }
