// Package evidence keeps what a person needs to see why an end-to-end test failed: what the cluster said at that moment.
package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// timeout bounds one question to a cluster that may not answer any more.
const timeout = 30 * time.Second

// A Collector asks a cluster with kubectl.
type Collector struct {
	// Kubectl is the program.
	Kubectl string

	// Kubeconfig names the cluster.
	Kubeconfig string
}

// A question is what is asked, and the file that the answer goes to.
type question struct {
	file string
	args []string
}

// questions are asked about the namespaces of a scope, given as kubectl takes it. No Secret is among them.
func questions(scope ...string) []question {
	ask := func(file string, args ...string) question {
		return question{file: file, args: append(args, scope...)}
	}
	return []question{
		ask("overview.txt", "get", "dbclusters,xdbclusters,statefulsets,pods,persistentvolumeclaims,services,configmaps", "-o", "wide"),
		ask("events.txt", "get", "events", "--sort-by=.lastTimestamp"),
		ask("pods.txt", "describe", "pods"),
		ask("volumes.txt", "describe", "persistentvolumeclaims"),
		ask("claims.yaml", "get", "dbclusters", "-o", "yaml"),
		ask("statefulsets.yaml", "get", "statefulsets", "-o", "yaml"),
		ask("configmaps.yaml", "get", "configmaps", "-l", "xdbcluster.io/cluster", "-o", "yaml"),
		ask("usages.yaml", "get", "usages.protection.crossplane.io", "-o", "yaml"),
		{"composites.yaml", []string{"get", "xdbclusters", "-o", "yaml"}},
		{"cluster-usages.yaml", []string{"get", "clusterusages.protection.crossplane.io", "-o", "yaml"}},
		{"packages.yaml", []string{"get", "configurations,configurationrevisions,functions.pkg.crossplane.io,functionrevisions,providers.pkg.crossplane.io,providerrevisions,compositeresourcedefinitions,compositions", "-o", "yaml"}},
		{"flux.yaml", []string{"get", "gitrepositories,kustomizations", "-A", "-o", "yaml"}},
		{"nodes.txt", []string{"describe", "nodes"}},
		{"volumes-of-cluster.txt", []string{"get", "persistentvolumes,storageclasses", "-o", "wide"}},
	}
}

// platformNamespaces hold what may be to blame beside the database itself.
func platformNamespaces() []string {
	return []string{"crossplane-system", "flux-system"}
}

// Namespace keeps what there is to see of a namespace, and of the platform.
func (c Collector) Namespace(ctx context.Context, folder, namespace string) error {
	errs := []error{c.ask(ctx, folder, questions("-n", namespace)), c.logs(ctx, folder, namespace)}
	for _, name := range platformNamespaces() {
		errs = append(errs, c.logs(ctx, folder, name))
	}
	return errors.Join(errs...)
}

// Cluster keeps what there is to see of all namespaces and the nodes.
func (c Collector) Cluster(ctx context.Context, folder string) error {
	errs := []error{c.ask(ctx, folder, questions("-A")), c.kubelets(ctx, folder)}
	namespaces, err := c.lines(ctx, "get", "namespaces", "-o", "name")
	errs = append(errs, err)
	for _, name := range namespaces {
		errs = append(errs, c.logs(ctx, folder, strings.TrimPrefix(name, "namespace/")))
	}
	return errors.Join(errs...)
}

func (c Collector) ask(ctx context.Context, folder string, questions []question) error {
	errs := make([]error, 0, len(questions))
	for _, q := range questions {
		answer, err := c.kubectl(ctx, q.args...)
		if err != nil {
			answer = append(answer, []byte("\n"+err.Error()+"\n")...) // What cannot be asked is part of the picture.
		}
		errs = append(errs, write(filepath.Join(folder, q.file), answer))
	}
	return errors.Join(errs...)
}

// logs keeps what every container of a namespace printed, in its life and in the one before.
func (c Collector) logs(ctx context.Context, folder, namespace string) error {
	const format = `jsonpath={range .items[*]}{.metadata.name}{" "}{range .spec.initContainers[*]}{.name}{" "}{end}{range .spec.containers[*]}{.name}{" "}{end}{"\n"}{end}`
	pods, err := c.lines(ctx, "get", "pods", "-n", namespace, "-o", format)
	errs := []error{err}
	for _, line := range pods {
		fields := strings.Fields(line)
		for _, container := range fields[1:] {
			for suffix, previous := range map[string]string{"": "--previous=false", ".previous": "--previous=true"} {
				out, err := c.kubectl(ctx, "logs", "-n", namespace, fields[0], "-c", container, "--timestamps", previous)
				if err != nil || len(out) == 0 {
					continue // Most containers have no life before this one.
				}
				name := fmt.Sprintf("%s.%s%s.log", fields[0], container, suffix)
				errs = append(errs, write(filepath.Join(folder, "logs", namespace, name), out))
			}
		}
	}
	return errors.Join(errs...)
}

// kubelets keeps what each node's kubelet says about itself and its Pods.
func (c Collector) kubelets(ctx context.Context, folder string) error {
	nodes, err := c.lines(ctx, "get", "nodes", "-o", "name")
	errs := []error{err}
	for _, node := range nodes {
		name := strings.TrimPrefix(node, "node/")
		for file, path := range map[string]string{"health.txt": "healthz?verbose", "stats.json": "stats/summary"} {
			out, err := c.kubectl(ctx, "get", "--raw", "/api/v1/nodes/"+name+"/proxy/"+path)
			if err != nil {
				out = append(out, []byte(err.Error())...)
			}
			errs = append(errs, write(filepath.Join(folder, "kubelets", name+"."+file), out))
		}
	}
	return errors.Join(errs...)
}

func (c Collector) lines(ctx context.Context, args ...string) ([]string, error) {
	out, err := c.kubectl(ctx, args...)
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' }), nil
}

func (c Collector) kubectl(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Kubectl, append([]string{"--kubeconfig", c.Kubeconfig}, args...)...) //nolint:gosec // Arguments are ours.
	errs := &bytes.Buffer{}
	cmd.Stderr = errs
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("cannot run kubectl %s: %w: %s", args[0], err, strings.TrimSpace(errs.String()))
	}
	return out, nil
}

func write(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return fmt.Errorf("cannot create the folder of %q: %w", file, err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return fmt.Errorf("cannot write %q: %w", file, err)
	}
	return nil
}

// tail is how much of a log is kept: the end, which is about what failed.
const tail = 2 << 20

// Tails keeps the ends of log files.
func Tails(folder string, logs []string) error {
	errs := make([]error, 0, len(logs))
	for _, log := range logs {
		content, err := readTail(log)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, write(filepath.Join(folder, filepath.Base(log)), content))
	}
	return errors.Join(errs...)
}

func readTail(name string) ([]byte, error) {
	file, err := os.Open(name) //nolint:gosec // A log of the local cluster.
	if err != nil {
		return nil, fmt.Errorf("cannot open log: %w", err)
	}
	defer file.Close() //nolint:errcheck // It was only read.
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot look at log %q: %w", name, err)
	}
	content := make([]byte, min(info.Size(), tail))
	if _, err := file.ReadAt(content, info.Size()-int64(len(content))); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("cannot read log %q: %w", name, err)
	}
	return content, nil
}
