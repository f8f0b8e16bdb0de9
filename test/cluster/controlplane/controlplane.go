// Package controlplane runs etcd and Kubernetes' own servers in the first node's network namespace.
package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
	"github.com/xdbcluster/xdbcluster/test/cluster/process"
)

// Programs of the control plane.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kubeadm           = "kubeadm"
)

// A ControlPlane starts the servers with the binaries of a folder.
type ControlPlane struct {
	Binaries   string
	Version    string
	Supervisor process.Supervisor
}

// Up makes certificates and kubeconfigs, starts the servers and waits until they are ready.
func (c ControlPlane) Up(ctx context.Context) error {
	if err := c.credentials(ctx); err != nil {
		return err
	}
	for _, p := range c.processes() {
		if err := c.Supervisor.Start(ctx, p); err != nil {
			return err
		}
	}
	return c.waitReady(ctx)
}

// Kubeconfig returns the file that a user or a component of the cluster connects with.
func Kubeconfig(name string) string {
	return filepath.Join(layout.State, "kubeconfig", name)
}

func (c ControlPlane) credentials(ctx context.Context) error {
	if err := os.MkdirAll(layout.Etcd(), 0o700); err != nil {
		return fmt.Errorf("cannot create etcd's folder: %w", err)
	}
	certificates := []string{
		"init", "phase", "certs", "all", "--cert-dir", layout.PKI(), "--kubernetes-version", c.Version,
		"--apiserver-advertise-address", layout.ControlPlane().Address(),
		"--service-cidr", layout.ServicePrefix, "--service-dns-domain", layout.ClusterDomain,
	}
	if err := c.once(ctx, filepath.Join(layout.PKI(), "sa.pub"), certificates); err != nil {
		return err
	}
	return c.once(ctx, Kubeconfig("super-admin.conf"), []string{
		"init", "phase", "kubeconfig", "all", "--cert-dir", layout.PKI(), "--kubernetes-version", c.Version,
		"--kubeconfig-dir", filepath.Join(layout.State, "kubeconfig"), "--node-name", layout.ControlPlane().Name(),
		"--apiserver-advertise-address", layout.ControlPlane().Address(),
	})
}

// NodeKubeconfig makes the kubeconfig of a node's kubelet and returns its file.
func (c ControlPlane) NodeKubeconfig(ctx context.Context, n layout.Node) (string, error) {
	folder := filepath.Join(n.Folder(), "kubeconfig")
	file := filepath.Join(folder, "kubelet.conf")
	return file, c.once(ctx, file, []string{
		"init", "phase", "kubeconfig", "kubelet", "--cert-dir", layout.PKI(), "--kubernetes-version", c.Version,
		"--kubeconfig-dir", folder, "--node-name", n.Name(),
		"--apiserver-advertise-address", layout.ControlPlane().Address(),
	})
}

// once runs kubeadm unless the file that it makes last is there.
func (c ControlPlane) once(ctx context.Context, file string, args []string) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	cmd := exec.CommandContext(ctx, filepath.Join(c.Binaries, Kubeadm), args...) //nolint:gosec // The cluster's own arguments.
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot make %q with kubeadm: %w: %s", file, err, out)
	}
	return nil
}

func (c ControlPlane) processes() []process.Process {
	pki := func(name string) string { return filepath.Join(layout.PKI(), name) }
	address := layout.ControlPlane().Address()
	return []process.Process{
		c.process(
			Etcd,
			"--data-dir="+layout.Etcd(), "--unsafe-no-fsync", "--name="+layout.ControlPlane().Name(),
			"--listen-client-urls=https://127.0.0.1:2379", "--advertise-client-urls=https://127.0.0.1:2379",
			"--listen-peer-urls=https://127.0.0.1:2380", "--initial-advertise-peer-urls=https://127.0.0.1:2380",
			"--initial-cluster="+layout.ControlPlane().Name()+"=https://127.0.0.1:2380",
			"--cert-file="+pki("etcd/server.crt"), "--key-file="+pki("etcd/server.key"),
			"--trusted-ca-file="+pki("etcd/ca.crt"), "--client-cert-auth",
			"--peer-cert-file="+pki("etcd/peer.crt"), "--peer-key-file="+pki("etcd/peer.key"),
			"--peer-trusted-ca-file="+pki("etcd/ca.crt"), "--peer-client-cert-auth",
			"--auto-compaction-retention=5m",
		),
		c.process(
			APIServer,
			"--advertise-address="+address, "--bind-address=0.0.0.0", "--secure-port=6443",
			"--allow-privileged=true", "--authorization-mode=Node,RBAC", "--client-ca-file="+pki("ca.crt"),
			"--enable-admission-plugins=NodeRestriction", "--enable-bootstrap-token-auth=false",
			"--etcd-servers=https://127.0.0.1:2379", "--etcd-cafile="+pki("etcd/ca.crt"),
			"--etcd-certfile="+pki("apiserver-etcd-client.crt"), "--etcd-keyfile="+pki("apiserver-etcd-client.key"),
			"--kubelet-client-certificate="+pki("apiserver-kubelet-client.crt"),
			"--kubelet-client-key="+pki("apiserver-kubelet-client.key"),
			"--kubelet-preferred-address-types=InternalIP",
			"--proxy-client-cert-file="+pki("front-proxy-client.crt"), "--proxy-client-key-file="+pki("front-proxy-client.key"),
			"--requestheader-client-ca-file="+pki("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
			"--requestheader-username-headers=X-Remote-User",
			"--service-account-issuer=https://kubernetes.default.svc."+layout.ClusterDomain,
			"--service-account-key-file="+pki("sa.pub"), "--service-account-signing-key-file="+pki("sa.key"),
			"--service-cluster-ip-range="+layout.ServicePrefix,
			"--tls-cert-file="+pki("apiserver.crt"), "--tls-private-key-file="+pki("apiserver.key"),
		),
		c.process(
			ControllerManager,
			"--kubeconfig="+Kubeconfig("controller-manager.conf"), "--authentication-kubeconfig="+Kubeconfig("controller-manager.conf"),
			"--authorization-kubeconfig="+Kubeconfig("controller-manager.conf"), "--bind-address=127.0.0.1",
			"--client-ca-file="+pki("ca.crt"), "--cluster-signing-cert-file="+pki("ca.crt"), "--cluster-signing-key-file="+pki("ca.key"),
			"--requestheader-client-ca-file="+pki("front-proxy-ca.crt"), "--root-ca-file="+pki("ca.crt"),
			"--service-account-private-key-file="+pki("sa.key"), "--use-service-account-credentials=true",
			"--leader-elect=false", "--controllers=*", "--allocate-node-cidrs=false",
		),
		c.process(
			Scheduler,
			"--kubeconfig="+Kubeconfig("scheduler.conf"), "--authentication-kubeconfig="+Kubeconfig("scheduler.conf"),
			"--authorization-kubeconfig="+Kubeconfig("scheduler.conf"), "--bind-address=127.0.0.1", "--leader-elect=false",
		),
	}
}

func (c ControlPlane) process(program string, args ...string) process.Process {
	return process.Process{
		Name:      program,
		Namespace: layout.ControlPlane().Name(),
		Command:   append([]string{filepath.Join(c.Binaries, program)}, args...),
		// Processors are short here and memory is not: the API server spends a seventh of its time on garbage otherwise.
		Env: []string{"GOGC=400", "GOMEMLIMIT=2GiB"},
	}
}

func (c ControlPlane) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client, err := client()
	if err != nil {
		return err
	}
	for ; ; time.Sleep(100 * time.Millisecond) {
		err := ready(ctx, client)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the API server is not ready: %w; see %s", err, c.Supervisor.LogFile(APIServer))
		}
		for _, p := range c.processes() {
			if !c.Supervisor.Running(p.Name) {
				return fmt.Errorf("%s ended at once; see %s", p.Name, c.Supervisor.LogFile(p.Name))
			}
		}
	}
}

func client() (*http.Client, error) {
	ca, err := os.ReadFile(filepath.Join(layout.PKI(), "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("cannot read the cluster's certificate authority: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("cannot parse the cluster's certificate authority")
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}, nil
}

func ready(ctx context.Context, client *http.Client) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, layout.APIServer()+"/readyz", nil)
	if err != nil {
		return err
	}
	rsp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer rsp.Body.Close() //nolint:errcheck // Nothing is read from it.
	if rsp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", rsp.Status)
	}
	return nil
}
