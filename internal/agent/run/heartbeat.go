package run

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
)

// stale is how old the last beat may be for the agent to be called alive. It is long: a restart of the container costs
// more than a slow turn.
const stale = 40 * time.Second

// A heartbeat lets the kubelet see that the agent's loop goes on.
type heartbeat struct {
	last atomic.Int64
}

func (h *heartbeat) beat(now time.Time) { h.last.Store(now.UnixNano()) }

// keep beats while the agent waits for something that is not its own to hurry. It returns what ends that.
func (h *heartbeat) keep(ctx context.Context) context.CancelFunc {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for ctx.Err() == nil {
			h.beat(time.Now())
			time.Sleep(time.Second)
		}
	}()
	return cancel
}

// serve answers the kubelet, Prometheus, and what Patroni runs before it promotes this instance.
func (h *heartbeat) serve(ctx context.Context, collector prometheus.Collector, ready, mayPromote func(context.Context) error, log *slog.Logger) {
	server := &http.Server{Addr: ":" + strconv.Itoa(instance.PortAgent), Handler: h.handler(collector, ready, mayPromote), ReadHeaderTimeout: time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() }) // The process ends; whoever still asks gets no answer.
	if err := server.ListenAndServe(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		log.Error("Cannot serve the agent's health", "error", err.Error())
	}
}

func (h *heartbeat) handler(collector prometheus.Collector, ready, mayPromote func(context.Context) error) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET "+instance.PathAlive, func(w http.ResponseWriter, _ *http.Request) {
		if time.Since(time.Unix(0, h.last.Load())) > stale {
			http.Error(w, "the agent's loop does not go on", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET "+instance.PathReady, func(w http.ResponseWriter, r *http.Request) {
		if err := ready(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET "+patroni.PathMayPromote, func(w http.ResponseWriter, r *http.Request) {
		if !isLocal(r.RemoteAddr) { // To answer it asks every other instance.
			http.Error(w, "only this container's own processes may ask", http.StatusForbidden)
			return
		}
		if err := mayPromote(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	})
	return mux
}

// isLocal says whether an address is one of this container's own processes, or of its Pod's.
func isLocal(address string) bool {
	from, err := netip.ParseAddrPort(address)
	return err == nil && from.Addr().Unmap().IsLoopback()
}
