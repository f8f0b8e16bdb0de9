package health

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

func TestNext(t *testing.T) {
	rules := instance.Health{PeriodSeconds: 5, FailoverThreshold: 2, HealThreshold: 4}
	silent := Sign{Silent: true, Primary: true, CanFailOver: true}
	alone := Sign{Silent: true, Primary: true}
	astray := Sign{Astray: true}
	well := Sign{Primary: true, CanFailOver: true}
	with := func(change func(*instance.Health)) instance.Health {
		changed := rules
		change(&changed)
		return changed
	}
	type args struct {
		rules instance.Health
		signs []Sign
	}
	cases := map[string]struct {
		reason string
		args   args
		want   []Remedy
	}{
		"Well": {
			reason: "Nothing is done about an instance that is well.",
			args:   args{rules, []Sign{well, well, well, well, well}},
			want:   []Remedy{Nothing, Nothing, Nothing, Nothing, Nothing},
		},
		"SilentPrimary": {
			reason: "A standby takes over after as many checks in a row as the claim says.",
			args:   args{rules, []Sign{silent, silent}},
			want:   []Remedy{Nothing, FailOver},
		},
		"SilentForAMoment": {
			reason: "Only checks in a row count: a primary under load may miss one.",
			args:   args{rules, []Sign{silent, well, silent, well, silent}},
			want:   []Remedy{Nothing, Nothing, Nothing, Nothing, Nothing},
		},
		"SilentAlone": {
			reason: "Where nobody could take over the primary is started again in place, and only later.",
			args:   args{rules, []Sign{alone, alone, alone, alone, alone}},
			want:   []Remedy{Nothing, Nothing, Nothing, Restart, Nothing},
		},
		"NoFailover": {
			reason: "Without automatic failover a silent primary is started again in place.",
			args:   args{with(func(h *instance.Health) { h.NoFailover = true }), []Sign{silent, silent, silent, silent}},
			want:   []Remedy{Nothing, Nothing, Nothing, Restart},
		},
		"NeitherFailoverNorHeal": {
			reason: "Where both are off somebody has to look.",
			args: args{
				with(func(h *instance.Health) { h.NoFailover, h.NoHeal = true, true }),
				[]Sign{silent, silent, silent, silent, silent},
			},
			want: []Remedy{Nothing, Nothing, Nothing, Nothing, Nothing},
		},
		"SilentStandby": {
			reason: "A standby that does not answer is started again.",
			args:   args{rules, []Sign{{Silent: true}, {Silent: true}, {Silent: true}, {Silent: true}}},
			want:   []Remedy{Nothing, Nothing, Nothing, Restart},
		},
		"AstrayStandby": {
			reason: "A standby that could follow and does not is copied anew, and is then given time.",
			args:   args{rules, []Sign{astray, astray, astray, astray, astray}},
			want:   []Remedy{Nothing, Nothing, Nothing, CopyAnew, Nothing},
		},
		"StandbyThatMakesProgress": {
			reason: "One that got on in between is left alone.",
			args:   args{rules, []Sign{astray, astray, astray, {}, astray, astray, astray}},
			want:   []Remedy{Nothing, Nothing, Nothing, Nothing, Nothing, Nothing, Nothing},
		},
		"StandbyThatCannotStart": {
			reason: "Patroni does not answer while it tries in vain to start PostgreSQL, which does not mean that the standby is well.",
			args:   args{rules, []Sign{astray, {Unknown: true}, astray, {Unknown: true}, astray, {Unknown: true}, astray}},
			want:   []Remedy{Nothing, Nothing, Nothing, Nothing, Nothing, Nothing, CopyAnew},
		},
		"NoHeal": {
			reason: "Without automatic healing nobody's data is replaced.",
			args:   args{with(func(h *instance.Health) { h.NoHeal = true }), []Sign{astray, astray, astray, astray, astray}},
			want:   []Remedy{Nothing, Nothing, Nothing, Nothing, Nothing},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			judge := Judge{}
			var got []Remedy
			for _, sign := range tc.args.signs {
				got = append(got, judge.Next(sign, tc.args.rules))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nNext(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
