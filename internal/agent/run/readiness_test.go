package run

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadiness(t *testing.T) {
	silent := errors.New("connection refused")

	cases := map[string]struct {
		reason  string
		answers []error // Of PostgreSQL, a second apart.
		leads   bool
		want    []bool
	}{
		"Standby": {
			reason:  "A standby is ready while its PostgreSQL answers.",
			answers: []error{silent, nil, silent, nil},
			want:    []bool{false, true, false, true},
		},
		"Primary": {
			reason:  "A primary that has served stays where clients find it while it starts again.",
			answers: []error{nil, silent, nil},
			leads:   true,
			want:    []bool{true, true, true},
		},
		"PrimaryBegins": {
			reason:  "A container that begins is not ready before it serves, though the lock names its Pod.",
			answers: []error{silent, silent, nil},
			leads:   true,
			want:    []bool{false, false, true},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				turn := 0
				r := &readiness{answers: func(context.Context) error { return tc.answers[turn] }}
				r.leads.Store(tc.leads)
				var got []bool
				for ; turn < len(tc.answers); turn++ {
					got = append(got, r.check(t.Context()) == nil)
					time.Sleep(time.Second)
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("\n%s\ncheck(...): -want, +got:\n%s", tc.reason, diff)
				}
			})
		})
	}
}

// TestReadinessAsksSeldom shows that whoever asks all the time does not keep PostgreSQL busy.
func TestReadinessAsksSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		r := &readiness{answers: func(context.Context) error { asked++; return nil }}
		for range 1000 {
			if err := r.check(t.Context()); err != nil {
				t.Fatalf("check(...): %v", err)
			}
			time.Sleep(time.Millisecond)
		}
		if asked > 2 {
			t.Errorf("PostgreSQL was asked %d times in a second, want at most 2", asked)
		}
	})
}
