package platform

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/xdbcluster/xdbcluster/tools/program"
)

// crossplaneManifests renders Crossplane's chart, which is a folder of Crossplane's module, with the image from the local
// registry.
func (p *Platform) crossplaneManifests(ctx context.Context, builder program.Builder) ([]byte, error) {
	helm, err := p.build(ctx, builder, "helm")
	if err != nil {
		return nil, err
	}
	dir, version, err := builder.Source(ctx, "crossplane-core")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, helm, "template", "crossplane", filepath.Join(dir, "cluster", "charts", "crossplane"), //nolint:gosec // A program of ours.
		"--namespace", "crossplane-system",
		"--values", p.path("gitops", "platform", "local", "values.yaml"),
		"--set", "image.repository="+p.localImage("crossplane"),
		"--set", "image.tag="+version)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot render Crossplane's chart: %w%s", err, stderr(err))
	}
	return out, nil
}
