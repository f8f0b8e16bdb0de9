// Command function serves the composition function that turns xdbcluster's claims into databases.
package main

import (
	"github.com/alecthomas/kong"
	"github.com/crossplane/function-sdk-go"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/xdbcluster/xdbcluster/functions/runner"
)

// cli holds the flags. They are the ones that Crossplane's package manager and its render command give every function.
type cli struct {
	Debug              bool   `help:"Write debug messages to the log." short:"d"`
	Network            string `help:"Network to listen on." default:"tcp"`
	Address            string `help:"Address to listen on for Crossplane's calls." default:":9443"`
	TLSCertsDir        string `help:"Folder with tls.crt, tls.key and the ca.crt that clients are checked against." env:"TLS_SERVER_CERTS_DIR"`
	Insecure           bool   `help:"Serve without TLS. For development only: it ignores --tls-certs-dir."`
	MaxRecvMessageSize int    `help:"Largest request in MB." default:"4"`
	MetricsAddress     string `help:"Address of Prometheus metrics, at /metrics. Empty for none." default:":8080"`
}

// Run serves the function until it fails.
func (c *cli) Run() error {
	log, err := function.NewLogger(c.Debug)
	if err != nil {
		return err
	}

	healthy := health.NewServer()
	healthy.SetServingStatus("", healthgrpc.HealthCheckResponse_SERVING)

	return function.Serve(runner.New(log),
		function.Listen(c.Network, c.Address),
		function.MTLSCertificates(c.TLSCertsDir),
		function.Insecure(c.Insecure),
		function.MaxRecvMessageSize(c.MaxRecvMessageSize*1024*1024),
		function.WithHealthServer(healthy),
		function.WithMetricsServer(c.MetricsAddress))
}

func main() {
	ctx := kong.Parse(&cli{}, kong.Description("Crossplane composition function of xdbcluster."))
	ctx.FatalIfErrorf(ctx.Run())
}
