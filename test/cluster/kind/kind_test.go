package kind

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConfiguration(t *testing.T) {
	cases := map[string]struct {
		reason string
		nodes  int
		want   []string
	}{
		"One":   {reason: "A single node is a control plane that takes Pods.", nodes: 1, want: []string{"control-plane"}},
		"Three": {reason: "All further nodes are workers.", nodes: 3, want: []string{"control-plane", "worker", "worker"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			raw, err := configuration(tc.nodes)
			if err != nil {
				t.Fatal(err)
			}
			config := struct {
				Nodes []struct {
					Role string `json:"role"`
				} `json:"nodes"`
			}{}
			if err := json.Unmarshal([]byte(raw), &config); err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, n := range config.Nodes {
				got = append(got, n.Role)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nconfiguration(%d): -want, +got:\n%s", tc.reason, tc.nodes, diff)
			}
		})
	}
}
