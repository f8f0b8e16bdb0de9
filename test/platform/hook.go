package platform

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/xdbcluster/xdbcluster/tools/program"
)

// tellOfPushes makes the repository tell Flux of every push, with the annotation that Flux's own webhook receiver sets. Flux goes on
// looking by itself, so a push neither waits for this nor fails with it.
func (p *Platform) tellOfPushes(ctx context.Context, builder program.Builder) error {
	kubectl, err := p.build(ctx, builder, "kubectl")
	if err != nil {
		return err
	}
	kubeconfig, err := filepath.Abs(p.Kubeconfig)
	if err != nil {
		return fmt.Errorf("cannot find the kubeconfig: %w", err)
	}
	hook := filepath.Join(p.Repository.Bare, "hooks", "post-receive")
	if err := os.MkdirAll(filepath.Dir(hook), 0o750); err != nil {
		return fmt.Errorf("cannot create the folder of the repository's hooks: %w", err)
	}
	script := fmt.Sprintf(`#!/bin/sh
%q --kubeconfig %q --request-timeout 10s --namespace %s annotate --overwrite \
  gitrepositories.source.toolkit.fluxcd.io/%s "%s=$(date +%%s.%%N)" </dev/null >/dev/null 2>&1 &
`, kubectl, kubeconfig, fluxNamespace, fluxNamespace, annotationRequested)
	if err := os.WriteFile(hook, []byte(script), 0o700); err != nil { //nolint:gosec // Git runs it.
		return fmt.Errorf("cannot write the repository's hook: %w", err)
	}
	return nil
}
