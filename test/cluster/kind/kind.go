// Package kind brings up the same kind of cluster as package local with kind, beside a registry, for people who have a
// container engine. It needs docker and kind in the PATH and images from their public registries.
//
// It has not been run by those who wrote it: their machines have no container engine.
package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/xdbcluster/xdbcluster/test/progress"
)

const (
	name          = "xdbcluster"
	registry      = "xdbcluster-registry"
	registryImage = "registry:2"
	network       = "kind"
)

// A Cluster is a Kubernetes cluster in containers.
type Cluster struct {
	// Project is this project's folder.
	Project string

	// Nodes is how many nodes a new cluster gets.
	Nodes int

	// Progress tells what is done.
	Progress *progress.Reporter
}

// An Environment is what programs that use the cluster need to know.
type Environment struct {
	// Kubeconfig is the file to connect with.
	Kubeconfig string

	// Registry is where to push images, and what the cluster pulls them from: one address for both, because Crossplane
	// and containerd must agree on it.
	Registry string

	// Gateway is this machine's address as the cluster sees it.
	Gateway string
}

// Up creates the cluster and the registry unless they are there.
func (c Cluster) Up(ctx context.Context) (Environment, error) {
	for _, program := range []string{"docker", "kind"} {
		if _, err := exec.LookPath(program); err != nil {
			return Environment{}, fmt.Errorf("cannot find %s, which CLUSTER=kind needs (without a container engine: CLUSTER=local): %w", program, err)
		}
	}
	e := Environment{Kubeconfig: filepath.Join(c.Project, ".cluster", "kubeconfig-kind")}
	if err := c.Progress.Step("Kind cluster", func() error { return c.create(ctx, e.Kubeconfig) }); err != nil {
		return Environment{}, err
	}
	err := c.Progress.Step("Registry", func() (err error) {
		e.Registry, e.Gateway, err = startRegistry(ctx)
		if err != nil {
			return err
		}
		return trustRegistry(ctx, e.Registry)
	})
	return e, err
}

// Down removes the cluster and the registry.
func (c Cluster) Down(ctx context.Context) error {
	_, clusterErr := output(ctx, "", "kind", "delete", "cluster", "--name", name)
	_, registryErr := output(ctx, "", "docker", "rm", "--force", "--volumes", registry)
	return errors.Join(clusterErr, registryErr)
}

func (c Cluster) create(ctx context.Context, kubeconfig string) error {
	there, err := output(ctx, "", "kind", "get", "clusters")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(kubeconfig), 0o700); err != nil {
		return fmt.Errorf("cannot create the folder of the kubeconfig: %w", err)
	}
	for _, line := range strings.Fields(there) {
		if line == name {
			_, err := output(ctx, "", "kind", "export", "kubeconfig", "--name", name, "--kubeconfig", kubeconfig)
			return err
		}
	}
	config, err := configuration(c.Nodes)
	if err != nil {
		return err
	}
	_, err = output(ctx, config, "kind", "create", "cluster", "--name", name, "--kubeconfig", kubeconfig, "--config", "-", "--wait", "3m")
	return err
}

// configuration returns kind's own, as JSON: containerd must look for registries in a folder, see trustRegistry.
func configuration(nodes int) (string, error) {
	roles := []map[string]string{{"role": "control-plane"}}
	for range nodes - 1 {
		roles = append(roles, map[string]string{"role": "worker"})
	}
	raw, err := json.Marshal(map[string]any{
		"apiVersion": "kind.x-k8s.io/v1alpha4",
		"kind":       "Cluster",
		"nodes":      roles,
		"containerdConfigPatches": []string{
			"[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"/etc/containerd/certs.d\"\n",
		},
	})
	if err != nil {
		return "", fmt.Errorf("cannot write kind's configuration: %w", err)
	}
	return string(raw), nil
}

// startRegistry runs the registry in the cluster's network and returns its address there and that of this machine.
func startRegistry(ctx context.Context) (address, gateway string, err error) {
	if _, err := output(ctx, "", "docker", "inspect", registry); err != nil {
		if _, err := output(ctx, "", "docker", "run", "--detach", "--restart=always", "--network", network, "--name", registry, registryImage); err != nil {
			return "", "", err
		}
	}
	settings := func(field string) (string, error) {
		return output(ctx, "", "docker", "inspect", "--format", "{{(index .NetworkSettings.Networks \""+network+"\")."+field+"}}", registry)
	}
	ip, err := settings("IPAddress")
	if err != nil {
		return "", "", err
	}
	gateway, err = settings("Gateway")
	return ip + ":5000", gateway, err
}

// trustRegistry lets every node's containerd pull from the registry without TLS.
func trustRegistry(ctx context.Context, address string) error {
	nodes, err := output(ctx, "", "kind", "get", "nodes", "--name", name)
	if err != nil {
		return err
	}
	hosts := fmt.Sprintf("[host.%q]\n", "http://"+address)
	folder := "/etc/containerd/certs.d/" + address
	for _, node := range strings.Fields(nodes) {
		if _, err := output(ctx, hosts, "docker", "exec", "--interactive", node, "sh", "-c", "mkdir -p "+folder+" && cat > "+folder+"/hosts.toml"); err != nil {
			return err
		}
	}
	return nil
}

func output(ctx context.Context, input, command string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command, args...) //nolint:gosec // Arguments of this package's own.
	cmd.Stdin = strings.NewReader(input)
	errs := &strings.Builder{}
	cmd.Stderr = errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("cannot run %s %s: %w: %s", command, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
