package patroni

import (
	"testing"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

func TestTiming(t *testing.T) {
	timing := Timing(instance.Health{PeriodSeconds: 5, FailoverThreshold: 3})
	if timing.LoopWait+2*timing.RetryTimeout > timing.TTL {
		t.Errorf("%+v: a primary that cannot reach the API server would outlive its lock", timing)
	}
	if timing.TTL < MinimumTTL {
		t.Errorf("%+v: Patroni takes no ttl below %d", timing, MinimumTTL)
	}
}

func TestPrimaryLabel(t *testing.T) {
	for version, want := range map[string]string{"15": "master", "17": "primary"} {
		if got := PrimaryLabel(version); got != want {
			t.Errorf("the Service of PostgreSQL %s must select %q, got %q", version, want, got)
		}
	}
}
