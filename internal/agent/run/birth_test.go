package run

import (
	"testing"

	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
)

func TestBegin(t *testing.T) {
	const born = "7300000000000000000"
	cases := map[string]struct {
		reason  string
		hasData bool
		state   kube.PatroniState
		want    beginning
	}{
		"New": {
			reason: "A leader lock that an earlier cluster of the name left would keep Patroni waiting.",
			want:   beginAnew,
		},
		"LeftByAnother": {
			reason: "An earlier cluster's database went with its volumes.",
			state:  kube.PatroniState{Initialized: true, SystemIdentifier: born},
			want:   beginAnew,
		},
		"DataMissing": {
			reason: "An empty database must not take the place of one that was born.",
			state:  kube.PatroniState{Ours: true, Initialized: true, SystemIdentifier: born},
			want:   beginNever,
		},
		"Interrupted": {
			reason:  "initdb was killed: nobody could log in yet, and Patroni would wait for itself.",
			hasData: true,
			state:   kube.PatroniState{Ours: true, Initialized: true},
			want:    beginAnew,
		},
		"InterruptedBeforeData": {
			reason: "The same, before initdb wrote anything.",
			state:  kube.PatroniState{Ours: true, Initialized: true},
			want:   beginAnew,
		},
		"KilledRightAfterBirth": {
			reason:  "The agent had no time to write the birth down, but somebody may have logged in.",
			hasData: true,
			state:   kube.PatroniState{Ours: true, Initialized: true, SystemIdentifier: born},
			want:    beginAsItIs,
		},
		"DataOfEarlierCluster": {
			reason:  "Data is kept whatever is known of it.",
			hasData: true,
			want:    beginAsItIs,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := begin(tc.hasData, tc.state); got != tc.want {
				t.Errorf("\n%s\nbegin(%t, %+v) = %d, want %d", tc.reason, tc.hasData, tc.state, got, tc.want)
			}
		})
	}
}
