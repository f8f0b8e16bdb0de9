package fence

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTake(t *testing.T) {
	start := time.Now()
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }

	cases := map[string]struct {
		reason  string
		written []string // One a second, from the start.
		want    WatchdogState
	}{
		"Nothing": {
			reason: "A standby's Patroni does not open the device.",
		},
		"Armed": {
			reason:  "Patroni sets the timeout right after it has got the lock, before it promotes.",
			written: []string{"", "Ctimeout=17\n"},
			want:    WatchdogState{Armed: true, Confirmed: at(1)},
		},
		"Renewed": {
			reason:  "Every renewal of the lock confirms the primary.",
			written: []string{"Ctimeout=17\n", "1", "1"},
			want:    WatchdogState{Armed: true, Confirmed: at(2)},
		},
		"CommandInPieces": {
			reason:  "A command may be read in pieces; what is in it is no renewal.",
			written: []string{"Ctime", "out=11", "1\n"},
			want:    WatchdogState{Armed: true, Confirmed: at(0)},
		},
		"RenewedAfterCommand": {
			reason:  "What follows a command counts.",
			written: []string{"Ctimeout=17\n", "1Ctimeout=87\n"},
			want:    WatchdogState{Armed: true, Confirmed: at(1)},
		},
		"Demoted": {
			reason:  "Patroni takes it back when nobody can write any more.",
			written: []string{"Ctimeout=17\n", "1", "V"},
			want:    WatchdogState{Confirmed: at(1)},
		},
		"PromotedAgain": {
			reason:  "The next promotion arms it again.",
			written: []string{"Ctimeout=17\n", "1", "V", "Ctimeout=17\n"},
			want:    WatchdogState{Armed: true, Confirmed: at(3)},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := &Watchdog{}
			for i, written := range tc.written {
				w.take([]byte(written), at(i))
			}
			if diff := cmp.Diff(tc.want, w.State()); diff != "" {
				t.Errorf("\n%s\ntake(%q): -want, +got:\n%s", tc.reason, tc.written, diff)
			}
		})
	}
}

// TestListen goes through a real pipe, with writers that end with and without a word.
func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "watchdog")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := NewWatchdog(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		reason, written string
		want            WatchdogState
	}{
		{"A Patroni that is killed has not disarmed its watchdog.", "Ctimeout=17\n1", WatchdogState{Armed: true, Orphaned: true}},
		{"The next one takes it over with the lock.", "Ctimeout=17\n1V", WatchdogState{}},
		{"One that is killed in the middle of a command leaves nothing to the next.", "Ctime", WatchdogState{Armed: true, Orphaned: true}},
		{"What it writes counts from the first byte.", "1V", WatchdogState{}},
	} {
		written := make(chan error, 1)
		go func() { written <- writeOnce(path, tc.written) }()
		if err := w.listen(); err != nil {
			t.Fatal(err)
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		got := w.State()
		if got.Confirmed.IsZero() {
			t.Errorf("%s: it was not confirmed", tc.reason)
		}
		got.Confirmed = time.Time{}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("\n%s\nlisten() after %q: -want, +got:\n%s", tc.reason, tc.written, diff)
		}
	}
	w.take([]byte("1"), time.Now())
	w.Disarm()
	if w.State().Armed {
		t.Error("Disarm() left it armed")
	}
}

// writeOnce opens the device as Patroni does, which waits for a listener, writes, and closes it as the kernel does for a process that ends.
func writeOnce(path, text string) error {
	device, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = device.WriteString(text)
	return errors.Join(err, device.Close())
}
