// Package addons holds the manifests of what every cluster needs beside its control plane: access, names and volumes.
package addons

import (
	_ "embed"
	"strings"

	"github.com/xdbcluster/xdbcluster/test/cluster/layout"
)

//go:embed access.yaml
var access string //nolint:gochecknoglobals // Embedding needs a variable.

//go:embed coredns.yaml
var coredns string //nolint:gochecknoglobals // Embedding needs a variable.

//go:embed storage.yaml
var storage string //nolint:gochecknoglobals // Embedding needs a variable.

// Manifests returns what to apply to a new cluster.
func Manifests(corednsImage string) string {
	dns := strings.NewReplacer(
		"COREDNS_IMAGE", corednsImage, "DNS_SERVICE", layout.DNSService, "CLUSTER_DOMAIN", layout.ClusterDomain,
		"FIRST_NODE", layout.ControlPlane().Name(),
	).Replace(coredns)
	return strings.Join([]string{access, dns, storage}, "---\n")
}
