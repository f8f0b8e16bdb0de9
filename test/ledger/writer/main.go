// Command writer is an application that never stops writing: clients that keep their connection, and clients that make one
// for every row, each a row after the other, reconnecting at once. It writes down every row that was acknowledged.
//
//	writer --records /tmp/records --stop /tmp/stop "host=... user=..."
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/xdbcluster/xdbcluster/test/ledger"
)

type options struct {
	Database string        `arg:""         help:"The connection string. The password comes from PGPASSWORD."`
	Records  string        `required:""    help:"The file that acknowledged rows are written down in. It is added to."`
	Stop     string        `required:""    help:"The file whose appearance ends the writer."`
	Kept     int           `default:"2"    help:"How many clients keep their connection."`
	Fresh    int           `default:"2"    help:"How many clients make a connection for every row."`
	Pause    time.Duration `default:"20ms" help:"How long a client waits between two rows."`
	Patience time.Duration `default:"3s"   help:"How long a client waits for an acknowledgement before it gives its connection up."`
	Direct   []string      `               help:"Hosts of instances. To each a client connects past the Service, and goes on trying to write, whatever the instance is."`
}

func main() {
	o := options{}
	kong.Parse(&o)
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	config, err := pgx.ParseConfig(o.Database)
	if err != nil {
		return fmt.Errorf("cannot read the connection string: %w", err)
	}
	config.ConnectTimeout = time.Second
	// A connection of one row is not worth a prepared statement.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	file, err := os.OpenFile(o.Records, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open the file of records: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for _, err := os.Stat(o.Stop); err != nil; _, err = os.Stat(o.Stop) {
			time.Sleep(50 * time.Millisecond)
		}
		cancel()
	}()

	book := &book{file: file}
	clients := sync.WaitGroup{}
	start := func(number int, config *pgx.ConnConfig, keep bool) {
		// A writer that is started again goes on with numbers that nobody used.
		c := &client{options: o, config: config, book: book, number: number, keep: keep, row: time.Now().UnixMicro()}
		clients.Go(func() { c.run(ctx) })
	}
	for number := range o.Kept + o.Fresh {
		start(number, config, number < o.Kept)
	}
	for i, host := range o.Direct {
		direct := config.Copy()
		// The certificate is for the Service's name, which stays the one that is looked for.
		direct.Host = host
		start(o.Kept+o.Fresh+i, direct, true)
	}
	clients.Wait()
	return errors.Join(book.err, file.Close())
}

// A book is written by all clients.
type book struct {
	sync.Mutex

	file *os.File
	err  error
}

func (b *book) note(r ledger.Record) {
	b.Lock()
	defer b.Unlock()
	b.err = errors.Join(b.err, ledger.Write(b.file, r))
}

// A client writes one row after the other.
type client struct {
	options

	config *pgx.ConnConfig
	book   *book
	number int
	keep   bool
	row    int64
	conn   *pgx.Conn
}

func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		c.row++
		begun := time.Now()
		timeline, err := c.write(ctx, &begun)
		if err == nil {
			c.book.note(ledger.Record{Client: c.number, Row: c.row, Timeline: timeline, Begun: begun, At: time.Now()})
		}
		if err != nil && !isStandby(err) || !c.keep {
			c.close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(c.Pause):
		}
	}
	c.close()
}

// isStandby says whether an instance refused a row because it is a standby. The connection stays: the instance may become
// a primary.
func isStandby(err error) bool {
	const readOnlyTransaction = "25006"
	refusal := (*pgconn.PgError)(nil)
	return errors.As(err, &refusal) && refusal.Code == readOnlyTransaction
}

// write sends a row, and notes when.
func (c *client) write(ctx context.Context, begun *time.Time) (timeline int, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.Patience)
	defer cancel()
	if c.conn == nil {
		if c.conn, err = pgx.ConnectConfig(ctx, c.config); err != nil {
			return 0, err
		}
	}
	*begun = time.Now()
	return timeline, c.conn.QueryRow(ctx, ledger.Insert, c.number, c.row).Scan(&timeline)
}

func (c *client) close() {
	if c.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.conn.Close(ctx) // It may be broken, and is not used again.
	c.conn = nil
}
