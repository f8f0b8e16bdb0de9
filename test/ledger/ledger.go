// Package ledger tells what became of the rows that a database acknowledged: whether they are all there, and how long
// nobody got a new one acknowledged. The command in ./writer, which runs beside the database as an application would,
// writes the rows and what it was told about each.
package ledger

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"
)

// CreateTable makes the table of rows. The timeline is that of the WAL which the row is written to.
const CreateTable = `CREATE TABLE IF NOT EXISTS ledger (
	client int, row bigint, timeline int DEFAULT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int,
	PRIMARY KEY (client, row))`

// Insert adds a row and returns its timeline.
const Insert = `INSERT INTO ledger (client, row) VALUES ($1, $2) RETURNING timeline`

// A Record is one row that was acknowledged.
type Record struct {
	// Client that wrote it. Clients below the writer's --kept keep their connection; the others make one for every row.
	Client int

	// Row is the client's own number of it.
	Row int64

	// Timeline that it was written on.
	Timeline int

	// Begun is when the row was sent, At when its acknowledgement arrived.
	Begun time.Time
	At    time.Time
}

// Write adds a record to a file.
func Write(w io.Writer, r Record) error {
	_, err := fmt.Fprintln(w, r.Client, r.Row, r.Timeline, r.Begun.UnixMicro(), r.At.UnixMicro())
	return err
}

// Read returns the records in a file, by time. A last line that is half written is left out.
func Read(r io.Reader) ([]Record, error) {
	var records []Record
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		record, begun, at := Record{}, int64(0), int64(0)
		if _, err := fmt.Sscan(scanner.Text(), &record.Client, &record.Row, &record.Timeline, &begun, &at); err != nil {
			break
		}
		record.Begun, record.At = time.UnixMicro(begun), time.UnixMicro(at)
		records = append(records, record)
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("cannot read the ledger: %w", err)
	}
	slices.SortStableFunc(records, func(a, b Record) int { return a.At.Compare(b.At) })
	return records, nil
}

// A Gap is a time in which nobody got a row acknowledged.
type Gap struct {
	From, To Record
}

// Length of the gap.
func (g Gap) Length() time.Duration { return g.To.At.Sub(g.From.At) }

// Longest returns the longest gap after a moment. It is zero when fewer than two rows were acknowledged since.
func Longest(records []Record, since time.Time) Gap {
	longest, last := Gap{}, -1
	for i, r := range records {
		if r.At.Before(since) {
			last = i
			continue
		}
		if last >= 0 {
			if g := (Gap{records[last], r}); g.Length() > longest.Length() {
				longest = g
			}
		}
		last = i
	}
	return longest
}

// A Key identifies a row.
type Key struct {
	Client int
	Row    int64
}

// Missing returns the records whose rows are not in the database.
func Missing(records []Record, there map[Key]bool) []Record {
	missing := slices.DeleteFunc(slices.Clone(records), func(r Record) bool { return there[Key{r.Client, r.Row}] })
	slices.SortFunc(missing, func(a, b Record) int { return cmp.Or(a.Client-b.Client, cmp.Compare(a.Row, b.Row)) })
	return missing
}

// TwoPrimaries returns a pair of records that cannot both be true of a database with one primary at a time: a row that was
// sent after one of a newer timeline had been acknowledged, and was acknowledged on an older one.
func TwoPrimaries(records []Record) (older, newer Record, found bool) {
	sent := slices.SortedStableFunc(slices.Values(records), func(a, b Record) int { return a.Begun.Compare(b.Begun) })
	acknowledged := 0
	for _, r := range sent {
		for ; acknowledged < len(records) && records[acknowledged].At.Before(r.Begun); acknowledged++ {
			if records[acknowledged].Timeline > newer.Timeline {
				newer = records[acknowledged]
			}
		}
		if r.Timeline < newer.Timeline {
			return r, newer, true
		}
	}
	return Record{}, Record{}, false
}
