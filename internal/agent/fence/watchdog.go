package fence

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"
)

// openRetry is how long to wait before a pipe that could not be opened is opened again.
const openRetry = time.Second

// What Patroni writes to its watchdog, as linux.py of its package watchdog has it. A command ends with a line feed.
const (
	byteCommand   = 'C'
	byteEnd       = '\n'
	byteKeepalive = '1'
	byteDisarm    = 'V'
)

// A Watchdog is what Patroni takes for a watchdog device: a named pipe, for which it has a driver. It writes to that whenever it
// has got or renewed the leader lock, or all members have confirmed the primary in failsafe mode, and when it has made a new database, which
// nobody else can have.
type Watchdog struct {
	path string

	mu        sync.Mutex
	state     WatchdogState
	inCommand bool
}

// A WatchdogState is what Patroni has said to its watchdog.
type WatchdogState struct {
	// Armed says that Patroni has the lock and promotes its PostgreSQL, or has, and has not taken that back.
	Armed bool

	// Orphaned says that the Patroni which has armed the watchdog ended without taking that back.
	Orphaned bool

	// Confirmed is when the lock was last known to have been renewed just before. Zero when it never was.
	Confirmed time.Time
}

// NewWatchdog makes the device. Patroni must not run yet.
func NewWatchdog(path string) (*Watchdog, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot remove the watchdog of an earlier container: %w", err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return nil, fmt.Errorf("cannot make the watchdog %q: %w", path, err)
	}
	return &Watchdog{path: path}, nil
}

// Run listens until the context ends and Patroni has closed the device. One that opens it waits until it is listened to.
func (w *Watchdog) Run(ctx context.Context, log *slog.Logger) {
	for ctx.Err() == nil {
		if err := w.listen(); err != nil {
			log.Error("Cannot listen to Patroni's watchdog; it is tried again", "error", err.Error())
			time.Sleep(openRetry)
		}
	}
}

// listen takes what one Patroni writes, until that closes the device or ends.
func (w *Watchdog) listen() error {
	pipe, err := os.Open(w.path)
	if err != nil {
		return fmt.Errorf("cannot open the watchdog: %w", err)
	}
	defer pipe.Close() //nolint:errcheck // Nothing was written.
	buffer := make([]byte, 64)
	for {
		n, err := pipe.Read(buffer)
		w.take(buffer[:n], time.Now())
		if err != nil {
			w.abandon()
			return nil //nolint:nilerr // That it was closed is the end of it.
		}
	}
}

// take notes what Patroni wrote. It sets the timeout, a command, right after it has got or renewed the lock.
func (w *Watchdog) take(written []byte, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range written {
		switch {
		case w.inCommand:
			w.inCommand = b != byteEnd
		case b == byteDisarm:
			w.state.Armed, w.state.Orphaned = false, false
		case b == byteCommand, b == byteKeepalive:
			w.inCommand = b == byteCommand
			w.state = WatchdogState{Armed: true, Confirmed: at}
		}
	}
}

func (w *Watchdog) abandon() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inCommand = false
	w.state.Orphaned = w.state.Armed
}

// State returns what Patroni has said up to now.
func (w *Watchdog) State() WatchdogState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// Disarm says that PostgreSQL is no primary's any more, though the Patroni that has promoted it did not live to say so.
func (w *Watchdog) Disarm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.Armed, w.state.Orphaned = false, false
}
