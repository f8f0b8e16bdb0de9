package run

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/xdbcluster/xdbcluster/internal/agent/metrics"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
)

// TestMayPromote shows what the command that Patroni runs is told, and that nobody else is.
func TestMayPromote(t *testing.T) {
	cases := map[string]struct {
		reason string
		from   string
		refuse error
		want   int
		says   string
	}{
		"May": {
			reason: "An instance that lacks nothing may be promoted.",
			from:   "127.0.0.1:40000",
			want:   http.StatusOK,
		},
		"MayNot": {
			reason: "Patroni's log says why an instance is not promoted.",
			from:   "[::1]:40000",
			refuse: errors.New("this instance has timeline 15, and the last one is 16"),
			want:   http.StatusConflict,
			says:   "this instance has timeline 15, and the last one is 16",
		},
		"MappedAddress": {
			reason: "A listener on all addresses shows one of the older kind in that of the newer.",
			from:   "[::ffff:127.0.0.1]:40000",
			want:   http.StatusOK,
		},
		"FromElsewhere": {
			reason: "Every other instance is asked for the answer, which is not for whoever reaches the port.",
			from:   "10.90.1.7:40000",
			want:   http.StatusForbidden,
			says:   "only this container's own processes may ask",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			handler := (&heartbeat{}).handler(metrics.New("db", "db-0"), nil, func(context.Context) error { return tc.refuse })
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, patroni.PathMayPromote, nil)
			request.RemoteAddr = tc.from
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			if said := strings.TrimSpace(answer.Body.String()); answer.Code != tc.want || said != tc.says {
				t.Errorf("\n%s\nGET %s from %s: got %d %q, want %d %q", tc.reason, patroni.PathMayPromote, tc.from, answer.Code, said, tc.want, tc.says)
			}
		})
	}
}
