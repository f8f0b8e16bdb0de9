package local

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// packages are what the cluster needs of Debian, and what the images are built with.
func packages() []string {
	return []string{
		"containerd", "runc", "containernetworking-plugins", "iptables", "ipset", "iproute2", "conntrack", "socat",
		"util-linux", "mount", "xfsprogs", "procps", "mmdebstrap", "buildah", "git", "ca-certificates",
	}
}

// installPackages installs what is missing, and nothing else.
func (c Cluster) installPackages(ctx context.Context) error {
	missing := []string{}
	for _, p := range packages() {
		out, err := exec.CommandContext(ctx, "dpkg-query", "--show", "--showformat=${db:Status-Status}", p).Output() //nolint:gosec // A name from the list above.
		if err != nil || string(out) != "installed" {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return c.Progress.Step("Debian packages: "+strings.Join(missing, " "), func() error {
		if err := apt(ctx, "update", "--quiet"); err != nil {
			return err
		}
		return apt(ctx, append([]string{"install", "--quiet", "--yes", "--no-install-recommends"}, missing...)...)
	})
}

func apt(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...) //nolint:gosec // Arguments from this file.
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot run apt-get %s: %w: %s", args[0], err, out)
	}
	return nil
}
