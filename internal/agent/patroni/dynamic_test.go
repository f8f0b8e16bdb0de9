package patroni

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

func TestChanges(t *testing.T) {
	config := instance.Config{
		Version:    "17",
		Parameters: map[string]string{"work_mem": "16MB"},
		Patroni:    instance.Patroni{TTL: 20, LoopWait: 5, RetryTimeout: 5},
	}
	const asWanted = `{"ttl":20,"loop_wait":5,"retry_timeout":5,"failsafe_mode":true,"check_timeline":true,"synchronous_mode":"quorum","synchronous_mode_strict":false,"primary_start_timeout":0,"maximum_lag_on_failover":1125899906842624,
		"postgresql":{"use_slots":true,"use_pg_rewind":true,"parameters":{"work_mem":"16MB"}}}`

	cases := map[string]struct {
		reason  string
		current string
		want    map[string]any
	}{
		"AsWanted": {
			reason:  "What is as it should be is not written again.",
			current: asWanted,
			want:    map[string]any{},
		},
		"OtherValue": {
			reason: "A parameter with another value is set, and nothing else.",
			current: `{"ttl":20,"loop_wait":5,"retry_timeout":5,"failsafe_mode":true,"check_timeline":true,"synchronous_mode":"quorum","synchronous_mode_strict":false,"primary_start_timeout":0,"maximum_lag_on_failover":1125899906842624,
				"postgresql":{"parameters":{"work_mem":"4MB"}}}`,
			want: map[string]any{"postgresql": map[string]any{"parameters": map[string]any{"work_mem": "16MB"}}},
		},
		"Removed": {
			reason: "A parameter that the claim no longer has goes back to PostgreSQL's own value.",
			current: `{"ttl":20,"loop_wait":5,"retry_timeout":5,"failsafe_mode":true,"check_timeline":true,"synchronous_mode":"quorum","synchronous_mode_strict":false,"primary_start_timeout":0,"maximum_lag_on_failover":1125899906842624,
				"postgresql":{"parameters":{"work_mem":"16MB","jit":"off"}}}`,
			want: map[string]any{"postgresql": map[string]any{"parameters": map[string]any{"jit": nil}}},
		},
		"Timing": {
			reason: "Timing that somebody changed by hand is set back.",
			current: `{"ttl":90,"loop_wait":5,"retry_timeout":5,"failsafe_mode":true,"check_timeline":true,"synchronous_mode":"quorum","synchronous_mode_strict":false,"primary_start_timeout":0,"maximum_lag_on_failover":1125899906842624,
				"postgresql":{"parameters":{"work_mem":"16MB"}}}`,
			want: map[string]any{"ttl": 20},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			current := map[string]any{}
			if err := json.Unmarshal([]byte(tc.current), &current); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, Changes(config, current)); diff != "" {
				t.Errorf("\n%s\nChanges(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestDurability(t *testing.T) {
	type want struct {
		Mode    any
		Strict  bool
		Timeout int
	}
	cases := map[string]struct {
		reason string
		config instance.Config
		want   want
	}{
		"15": {
			reason: "Patroni 3.0.2, which comes with PostgreSQL 15, has no quorum commit.",
			config: instance.Config{Version: "15", Synchronous: "Preferred"},
			want:   want{Mode: true},
		},
		"17": {
			reason: "Patroni 4 has quorum commit.",
			config: instance.Config{Version: "17", Synchronous: "Preferred"},
			want:   want{Mode: "quorum"},
		},
		"Required": {
			reason: "Writes block rather than become asynchronous.",
			config: instance.Config{Version: "17", Synchronous: "Required"},
			want:   want{Mode: "quorum", Strict: true},
		},
		"Off": {
			reason: "A failover would lose what only the primary has: it is given time to come back.",
			config: instance.Config{Version: "17", Synchronous: "Off"},
			want:   want{Mode: false, Timeout: restartInPlace},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := dynamic(tc.config)
			got := want{Mode: d["synchronous_mode"], Strict: d["synchronous_mode_strict"] == true, Timeout: d["primary_start_timeout"].(int)}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\ndynamic(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestMaximumLag(t *testing.T) {
	for synchronous, want := range map[string]int{"Preferred": anyLag, synchronyRequired: anyLag, synchronyOff: tolerableLag} {
		if got := maximumLag(instance.Config{Synchronous: synchronous}); got != want {
			t.Errorf("maximumLag of %s = %d, want %d: how far a standby is behind counts only where nothing else says what it lacks", synchronous, got, want)
		}
	}
}
