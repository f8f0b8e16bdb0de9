package local

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"

	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
)

// Status writes which processes run, which have died, and what the cluster says of its nodes.
func (c Cluster) Status(ctx context.Context, out io.Writer) error {
	supervisor := c.supervisor()
	names, err := supervisor.Names()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		_, err := fmt.Fprintln(out, "There is no local cluster on this machine. Start one: go run ./test/cluster up")
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, name := range names {
		state := "running"
		if !supervisor.Running(name) {
			state = "dead"
		}
		if _, err := fmt.Fprintf(table, "%s\t%s\t%s\n", name, state, supervisor.LogFile(name)); err != nil {
			return err
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "\nregistry: http://%s\nstate:    %s\n\n", layout.Registry, layout.State); err != nil {
		return err
	}
	nodes := exec.CommandContext(ctx, filepath.Join(c.binaries(), "kubectl"), "--kubeconfig", c.Kubeconfig(), "get", "nodes") //nolint:gosec // The cluster's own arguments.
	nodes.Stdout, nodes.Stderr = out, os.Stderr
	if err := nodes.Run(); err != nil {
		return fmt.Errorf("the API server does not answer (go run ./test/cluster up starts what is dead): %w", err)
	}
	return nil
}
