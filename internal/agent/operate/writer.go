package operate

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
)

const (
	// writeInterval is how often the writer commits.
	writeInterval = 20 * time.Millisecond

	// reconnectInterval is how often it connects while nobody takes commits. Each attempt costs the instances, which have better to do
	// then, a process and a handshake.
	reconnectInterval = 50 * time.Millisecond

	// writeTimeout is how long it waits for a commit before it takes the connection for broken.
	writeTimeout = 2 * time.Second
)

// A writer commits through the Service all the time, as a client does that reconnects at once, and knows the longest time
// for which no commit was acknowledged.
type writer struct {
	remote postgres.Remote
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu      sync.Mutex
	last    time.Time
	longest time.Duration
}

func (o *Operator) startWriter(ctx context.Context) *writer {
	ctx, cancel := context.WithCancel(ctx)
	w := &writer{remote: o.remote(o.cluster.Host()), cancel: cancel}
	w.ended.Go(func() { w.run(ctx) })
	return w
}

// awaitFirst waits until a commit was acknowledged, so that the pause is seen from its beginning; but not for long.
func (w *writer) awaitFirst(ctx context.Context) {
	for deadline := time.Now().Add(writeTimeout); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(writeInterval) {
		w.mu.Lock()
		begun := !w.last.IsZero()
		w.mu.Unlock()
		if begun {
			return
		}
	}
}

// stop returns the longest pause.
func (w *writer) stop() time.Duration {
	w.cancel()
	w.ended.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.longest
}

func (w *writer) run(ctx context.Context) {
	var c *pgx.Conn
	for ctx.Err() == nil {
		pause := writeInterval
		if c == nil {
			c, _ = w.remote.Connect(ctx) // It is tried again.
		}
		if c != nil && !w.write(ctx, c) {
			go c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // The connection is broken.
			c = nil
		}
		if c == nil {
			pause = reconnectInterval
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	if c != nil {
		_ = c.Close(context.WithoutCancel(ctx))
	}
}

// write commits once, and says whether the connection can be used again.
func (w *writer) write(ctx context.Context, c *pgx.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if err := postgres.Write(ctx, c); err != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if !w.last.IsZero() {
		w.longest = max(w.longest, now.Sub(w.last))
	}
	w.last = now
	return true
}
