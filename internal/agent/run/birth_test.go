package run

import (
	"testing"

	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
)

func TestBegin(t *testing.T) {
	const born = "7300000000000000000"
	ours := kube.PatroniState{Ours: true, Initialized: true, SystemIdentifier: born, Led: true}
	earlier := kube.PatroniState{Initialized: true, SystemIdentifier: born, Led: true}
	interrupted := kube.PatroniState{Initialized: true}

	cases := map[string]struct {
		reason string
		s      situation
		want   beginning
	}{
		"New": {
			reason: "A leader lock that an earlier cluster of the name left would keep Patroni waiting.",
			s:      situation{First: true, Alone: true},
			want:   beginAnew,
		},
		"NewStandby": {
			reason: "Two instances must not make a database each.",
			s:      situation{},
			want:   beginLater,
		},
		"StandbyWhileBorn": {
			reason: "The first instance is still at it.",
			s:      situation{State: interrupted},
			want:   beginLater,
		},
		"StandbyOfEarlierCluster": {
			reason: "Whether that database is still there is for the first instance to find out.",
			s:      situation{State: earlier},
			want:   beginLater,
		},
		"StandbyOfBornCluster": {
			reason: "There is something to copy; what an interrupted copy left is in the way.",
			s:      situation{State: ours},
			want:   beginAsCopy,
		},
		"StandbyKilledRightAfterCopy": {
			reason: "It may have confirmed commits already.",
			s:      situation{HasDatabase: true, State: ours},
			want:   beginAsItIs,
		},
		"LeftByAnother": {
			reason: "An earlier cluster's database went with its volumes.",
			s:      situation{First: true, Alone: true, State: earlier},
			want:   beginAnew,
		},
		"KeptByStandbys": {
			reason: "Only this volume of the earlier cluster is gone: the others have its database.",
			s:      situation{First: true, KeptElsewhere: true, State: earlier},
			want:   beginAsCopy,
		},
		"KeptByNobodyKnown": {
			reason: "There may be data on another volume, and nothing says which instance had every commit.",
			s:      situation{First: true, KeptElsewhere: true},
			want:   beginNever,
		},
		"DataMissing": {
			reason: "An empty database must not take the place of one that was born.",
			s:      situation{First: true, Alone: true, State: ours},
			want:   beginNever,
		},
		"DataMissingWithStandbys": {
			reason: "Patroni copies from the primary, and makes no database where there was one.",
			s:      situation{First: true, State: ours},
			want:   beginAsCopy,
		},
		"Interrupted": {
			reason: "initdb was killed: nobody could log in yet, and Patroni would wait for itself.",
			s:      situation{First: true, HasDatabase: true, State: interrupted},
			want:   beginAnew,
		},
		"InterruptedBeforeData": {
			reason: "The same, before initdb wrote anything.",
			s:      situation{First: true, State: interrupted},
			want:   beginAnew,
		},
		"InterruptedBeforeLed": {
			reason: "There was a database, and Patroni was killed before it took the leader lock: nobody could log in.",
			s:      situation{First: true, HasDatabase: true, State: kube.PatroniState{Initialized: true, SystemIdentifier: born}},
			want:   beginAnew,
		},
		"KilledRightAfterBirth": {
			reason: "The agent had no time to write the birth down, but somebody may have logged in.",
			s:      situation{First: true, HasDatabase: true, State: ours},
			want:   beginAsItIs,
		},
		"DataOfEarlierCluster": {
			reason: "Data is kept whatever is known of it.",
			s:      situation{First: true, HasDatabase: true},
			want:   beginAsItIs,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := begin(tc.s); got != tc.want {
				t.Errorf("\n%s\nbegin(%+v) = %d, want %d", tc.reason, tc.s, got, tc.want)
			}
		})
	}
}
