package dbcluster

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/functiontest"
	"github.com/xdbcluster/xdbcluster/functions/instance"
)

func TestFollow(t *testing.T) {
	now := functiontest.Now()
	known := func(name string, timeline int) *v1alpha1.KnownPrimary {
		return &v1alpha1.KnownPrimary{Name: name, Timeline: timeline}
	}
	leader := func(name string, timeline int) *reported {
		return &reported{Name: name, Report: instance.Report{Timeline: timeline}}
	}
	earlier := &v1alpha1.FailoverRecord{OldPrimary: "db-2", NewPrimary: "db-0", Timeline: 2, Time: metav1.NewTime(now.Add(-time.Hour))}
	cases := map[string]struct {
		reason string
		before succession
		leader *reported
		want   succession
	}{
		"First": {
			reason: "The first primary takes nobody's place.",
			leader: leader("db-0", 1),
			want:   succession{Known: known("db-0", 1)},
		},
		"Same": {
			reason: "A primary that goes on is no news.",
			before: succession{Known: known("db-0", 2), Last: earlier},
			leader: leader("db-0", 2),
			want:   succession{Known: known("db-0", 2), Last: earlier},
		},
		"None": {
			reason: "That there is none now is not forgetting who was.",
			before: succession{Known: known("db-0", 2), Last: earlier},
			want:   succession{Known: known("db-0", 2), Last: earlier},
		},
		"Another": {
			reason: "Another instance on a newer timeline has taken over.",
			before: succession{Known: known("db-0", 2), Last: earlier},
			leader: leader("db-1", 3),
			want: succession{
				Known: known("db-1", 3), Changed: true,
				Last: &v1alpha1.FailoverRecord{OldPrimary: "db-0", NewPrimary: "db-1", Timeline: 3, Time: metav1.NewTime(now)},
			},
		},
		"Stale": {
			reason: "The last report of an instance that was lost is older than what is known.",
			before: succession{Known: known("db-1", 3), Last: earlier},
			leader: leader("db-0", 2),
			want:   succession{Known: known("db-1", 3), Last: earlier},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.before.follow(tc.leader, now)); diff != "" {
				t.Errorf("\n%s\nfollow(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
