// Package node runs what makes a network namespace a node of Kubernetes: containerd, kubelet and kube-proxy.
package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/xdbcluster/xdbcluster/test/cluster/controlplane"
	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
	"github.com/xdbcluster/xdbcluster/test/cluster/process"
	"github.com/xdbcluster/xdbcluster/test/cluster/storage"
)

// Programs of a node.
const (
	Containerd = "containerd"
	Kubelet    = "kubelet"
	KubeProxy  = "kube-proxy"
	KubeRouter = "kube-router"

	// Driver, Provisioner and Resizer give volumes. The last two work for all nodes, beside the control plane.
	Driver      = "csi-driver"
	Provisioner = "csi-provisioner"
	Resizer     = "csi-resizer"
)

// cgroups is where the version 1 hierarchies are mounted.
const cgroups = "/sys/fs/cgroup"

// kubeletHealthPort is where a kubelet says whether it works.
const kubeletHealthPort = 10248

// startTimeout bounds how long containerd and a kubelet may take to answer.
const startTimeout = 30 * time.Second

// podLogs is where kubelets keep what containers print.
const podLogs = "/var/log/pods"

// A Runner starts nodes with the binaries of a folder.
type Runner struct {
	Binaries   string
	PauseImage string
	Supervisor process.Supervisor
}

// Up starts a node. The kubeconfig is that of its kubelet.
func (r Runner) Up(ctx context.Context, n layout.Node, kubeconfig string) error {
	if err := makeCgroups(n); err != nil {
		return err
	}
	if err := r.configure(n); err != nil {
		return err
	}
	for _, p := range r.processes(n, kubeconfig) {
		if err := r.Supervisor.Start(ctx, p); err != nil {
			return err
		}
		if strings.HasPrefix(p.Name, Containerd) {
			if err := r.wait(ctx, p.Name, func(ctx context.Context) error { return askRuntime(ctx, n.ContainerdSocket()) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// configure writes the files that a node's programs read.
func (r Runner) configure(n layout.Node) error {
	files := []file{
		{path: filepath.Join(n.Folder(), "containerd.toml"), content: containerdConfig(n, r.PauseImage)},
		{path: filepath.Join(n.Folder(), "registries", layout.Registry, "hosts.toml"), content: registryConfig()},
	}
	for _, build := range []func(layout.Node) (file, error){cniConfig, kubeletConfig, proxyConfig} {
		f, err := build(n)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	for _, f := range files {
		if err := f.write(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(podLogs, 0o755); err != nil { //nolint:gosec // As the kubelet makes it.
		return fmt.Errorf("cannot create the folder of pods' logs: %w", err)
	}
	return nil
}

// Wait returns when a node's kubelet works.
func (r Runner) Wait(ctx context.Context, n layout.Node) error {
	return r.wait(ctx, n.Process(Kubelet), func(ctx context.Context) error { return askKubelet(ctx, n) })
}

// Enforce starts what enforces NetworkPolicies on a node. It ends at once unless the cluster knows the node by then.
func (r Runner) Enforce(ctx context.Context, n layout.Node) error {
	return r.Supervisor.Start(ctx, process.Process{
		Name: n.Process(KubeRouter), Namespace: n.Name(),
		Command: []string{
			filepath.Join(r.Binaries, KubeRouter),
			"--kubeconfig=" + controlplane.Kubeconfig("super-admin.conf"), "--hostname-override=" + n.Name(),
			"--run-firewall=true", "--run-router=false", "--run-service-proxy=false", "--run-loadbalancer=false",
			"--service-cluster-ip-range=" + layout.ServicePrefix, "--health-port=0", "--metrics-port=0",
		},
	})
}

func (r Runner) processes(n layout.Node, kubeconfig string) []process.Process {
	inNode := func(program string, argv ...string) process.Process {
		return process.Process{Name: n.Process(program), Namespace: n.Name(), Command: argv}
	}
	configured := func(program, config string, argv ...string) process.Process {
		p := inNode(program, argv...)
		p.Config = []string{filepath.Join(n.Folder(), config)}
		return p
	}
	binary := func(program string) string { return filepath.Join(r.Binaries, program) }
	administrator := controlplane.Kubeconfig("super-admin.conf")
	processes := []process.Process{
		configured(Containerd, "containerd.toml", "containerd", "--config", filepath.Join(n.Folder(), "containerd.toml")),
		configured(
			Kubelet, "kubelet.json", binary(Kubelet),
			"--config="+filepath.Join(n.Folder(), "kubelet.json"), "--kubeconfig="+kubeconfig,
			"--hostname-override="+n.Name(), "--node-ip="+n.Address(), "--root-dir="+n.KubeletFolder(),
			"--cert-dir="+filepath.Join(n.KubeletFolder(), "pki"),
		),
		configured(KubeProxy, "kube-proxy.json", binary(KubeProxy), "--config="+filepath.Join(n.Folder(), "kube-proxy.json"), "--hostname-override="+n.Name()),
		inNode(Driver, binary(Driver), "--node="+n.Name(), "--volumes="+layout.Volumes(), "--kubelet="+n.KubeletFolder()),
	}
	if n != layout.ControlPlane() {
		return processes
	}
	socket := storage.Socket(n.KubeletFolder())
	return append(
		processes,
		inNode(
			Provisioner, binary(Provisioner), "--csi-address="+socket, "--kubeconfig="+administrator,
			"--feature-gates=Topology=true", "--strict-topology", "--kube-api-qps=100", "--kube-api-burst=200",
		),
		inNode(
			Resizer, binary(Resizer), "--csi-address="+socket, "--kubeconfig="+administrator,
			"--kube-api-qps=100", "--kube-api-burst=200",
		),
	)
}

// makeCgroups creates the node's cgroup in every hierarchy. A new cpuset has no processors until it is given some.
func makeCgroups(n layout.Node) error {
	hierarchies, err := filepath.Glob(cgroups + "/*/cgroup.procs")
	if err != nil {
		return fmt.Errorf("cannot list cgroup hierarchies: %w", err)
	}
	for _, h := range hierarchies {
		parent := filepath.Dir(h)
		if filepath.Base(parent) == "unified" {
			continue
		}
		dir := filepath.Join(parent, n.Name())
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // As the kernel has it.
			return fmt.Errorf("cannot create a cgroup of node %q: %w", n.Name(), err)
		}
		for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
			if err := copyIfThere(filepath.Join(parent, f), filepath.Join(dir, f)); err != nil {
				return err
			}
		}
	}
	return nil
}

func copyIfThere(from, to string) error {
	raw, err := os.ReadFile(from) //nolint:gosec // A file of the cgroup file system.
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read %q: %w", from, err)
	}
	if err := os.WriteFile(to, raw, 0o644); err != nil { //nolint:gosec // As the kernel has it.
		return fmt.Errorf("cannot write %q: %w", to, err)
	}
	return nil
}

type file struct {
	path    string
	content string
}

// write leaves a file alone that is as it should be: kube-proxy ends when its configuration is written.
func (f file) write() error {
	if now, err := os.ReadFile(f.path); err == nil && string(now) == f.content {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil { //nolint:gosec // Nothing secret.
		return fmt.Errorf("cannot create the folder of %q: %w", f.path, err)
	}
	if err := os.WriteFile(f.path, []byte(f.content), 0o644); err != nil { //nolint:gosec // Nothing secret.
		return fmt.Errorf("cannot write %q: %w", f.path, err)
	}
	return nil
}

// containerdConfig restricts the out-of-memory score because root need not have CAP_SYS_RESOURCE, without which runc
// cannot lower it.
func containerdConfig(n layout.Node, pause string) string {
	return fmt.Sprintf(`version = 2
root = %q
state = %q

[grpc]
  address = %q

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_apparmor = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = %q

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = %q

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
  Root = %q
`, filepath.Join(n.Folder(), "containerd"), filepath.Join(runFolder(n), "containerd"), n.ContainerdSocket(), pause,
		filepath.Join(n.Folder(), "cni"), filepath.Join(n.Folder(), "registries"), filepath.Join(runFolder(n), "runc"))
}

func registryConfig() string {
	return fmt.Sprintf("server = \"http://%[1]s\"\n\n[host.\"http://%[1]s\"]\n  capabilities = [\"pull\", \"resolve\"]\n", layout.Registry)
}

func cniConfig(n layout.Node) (file, error) {
	return jsonFile(filepath.Join(n.Folder(), "cni", "10-bridge.conflist"), map[string]any{
		"cniVersion": "1.0.0",
		"name":       "xdb",
		"plugins": []map[string]any{
			{
				"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
				"ipam": map[string]any{
					"type": "host-local", "dataDir": filepath.Join(n.Folder(), "ipam"),
					"ranges": [][]map[string]string{{{"subnet": n.PodPrefix()}}},
					"routes": []map[string]string{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}},
		},
	})
}

func kubeletConfig(n layout.Node) (file, error) {
	return jsonFile(filepath.Join(n.Folder(), "kubelet.json"), map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"address":                      n.Address(),
		"authentication":               map[string]any{"x509": map[string]string{"clientCAFile": filepath.Join(layout.PKI(), "ca.crt")}, "webhook": map[string]bool{"enabled": true}, "anonymous": map[string]bool{"enabled": false}},
		"authorization":                map[string]string{"mode": "Webhook"},
		"cgroupDriver":                 "cgroupfs",
		"cgroupRoot":                   "/" + n.Name(),
		"failCgroupV1":                 false,
		"failSwapOn":                   false,
		"clusterDNS":                   []string{layout.DNSService},
		"clusterDomain":                layout.ClusterDomain,
		"containerRuntimeEndpoint":     "unix://" + n.ContainerdSocket(),
		"podLogsDir":                   logFolder(n),
		"resolvConf":                   "",
		"imageGCHighThresholdPercent":  100,
		"evictionHard":                 map[string]string{"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
		"maxPods":                      200,
		"serializeImagePulls":          false,
		"healthzBindAddress":           n.Address(),
		"healthzPort":                  kubeletHealthPort,
		"enableControllerAttachDetach": true,
		"syncFrequency":                "10s", // A file system grows at its Pod's next synchronisation, by default a minute apart.
		"kubeAPIQPS":                   100,
		"kubeAPIBurst":                 200,
	})
}

func proxyConfig(n layout.Node) (file, error) {
	return jsonFile(filepath.Join(n.Folder(), "kube-proxy.json"), map[string]any{
		"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
		"clientConnection":   map[string]string{"kubeconfig": controlplane.Kubeconfig("super-admin.conf")},
		"clusterCIDR":        layout.PodPrefix,
		"mode":               "iptables",
		"hostnameOverride":   n.Name(),
		"conntrack":          map[string]any{"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
		"healthzBindAddress": "127.0.0.1:10256",
		"metricsBindAddress": "127.0.0.1:10249",
		"iptables":           map[string]string{"minSyncPeriod": "100ms"},
	})
}

func jsonFile(path string, content any) (file, error) {
	raw, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return file{}, fmt.Errorf("cannot write %q as JSON: %w", path, err)
	}
	return file{path: path, content: string(raw) + "\n"}, nil
}

// askRuntime asks containerd what the kubelet asks first, and ends when it gets no answer. The socket answers earlier.
func askRuntime(ctx context.Context, socket string) error {
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close() //nolint:errcheck // It was only asked.
	_, err = runtimeapi.NewRuntimeServiceClient(connection).Version(ctx, &runtimeapi.VersionRequest{})
	return err
}

func askKubelet(ctx context.Context, n layout.Node) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(n.Address(), strconv.Itoa(kubeletHealthPort))+"/healthz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // Only the status counts.
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// wait asks a process until it answers, and gives up when the process ends.
func (r Runner) wait(ctx context.Context, name string, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for ; ; time.Sleep(50 * time.Millisecond) {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || !r.Supervisor.Running(name) {
			return fmt.Errorf("%s did not start: %w; see %s", name, err, r.Supervisor.LogFile(name))
		}
	}
}
