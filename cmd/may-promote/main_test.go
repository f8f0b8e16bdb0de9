package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAsk(t *testing.T) {
	cases := map[string]struct {
		reason string
		answer http.HandlerFunc
		want   string
	}{
		"May": {
			reason: "Patroni goes on with the promotion.",
			answer: func(http.ResponseWriter, *http.Request) {},
		},
		"MayNot": {
			reason: "Patroni gives the lock back, and its log says why.",
			answer: func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "timeline 3 is missing", http.StatusConflict)
			},
			want: "timeline 3 is missing",
		},
		"NotSaid": {
			reason: "An agent that says no without a reason says no.",
			answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
			want:   "the agent says no: 500 Internal Server Error",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			agent := httptest.NewServer(tc.answer)
			defer agent.Close()
			got := ""
			if err := ask(t.Context(), agent.URL); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nask(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestAskNobody(t *testing.T) {
	agent := httptest.NewServer(http.NotFoundHandler())
	agent.Close()
	if err := ask(t.Context(), agent.URL); err == nil {
		t.Error("ask(...): an agent that is not there does not let its instance be promoted")
	}
}
