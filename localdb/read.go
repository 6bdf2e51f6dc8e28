package localdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"checkpoint/record"
)

// Row reads one row. It returns ErrNoScan when it is not there.
func (db *DB) Row(ctx context.Context, seq uint64) (record.Row, error) {
	if db.closed.Load() {
		return record.Row{}, ErrClosed
	}
	var body []byte
	err := db.reader().QueryRowContext(ctx, `SELECT body FROM row WHERE seq = ?`, int64(seq)).Scan(&body)
	if err == sql.ErrNoRows {
		return record.Row{}, fmt.Errorf("%w: row %d", ErrNoScan, seq)
	}
	if err != nil {
		return record.Row{}, db.explain("read a row", err)
	}
	return db.whole(seq, body)
}

// whole makes a row of its number and short form.
func (db *DB) whole(seq uint64, body []byte) (record.Row, error) {
	r, err := db.names.parseShort(body)
	if err != nil {
		return r, db.fail(ErrDamaged, fmt.Errorf("row %d: %w", seq, err))
	}
	r.Seq = seq
	db.mu.RLock()
	r.Identity = identityAt(db.epochs, seq)
	db.mu.RUnlock()
	return r, nil
}

// wholeOf is whole by epochs that a transaction may just have begun.
func (db *DB) wholeOf(epochs []epoch, seq uint64, body []byte) (record.Row, error) {
	r, err := db.whole(seq, body)
	r.Identity = identityAt(epochs, seq)
	return r, err
}

// readRows is how many rows are read at once: while the caller looks at them no
// reader holds the log, and no connection is taken.
const readRows = 1000

// Rows reads rows in order from the number on, to the newest when it began; what
// is purged meanwhile is left out. It ends at the first error, which it yields.
func (db *DB) Rows(ctx context.Context, from uint64) iter.Seq2[record.Row, error] {
	return func(yield func(record.Row, error) bool) {
		last, _ := db.Head()
		for from <= last {
			rows, err := db.some(ctx, from, last)
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
			if err != nil {
				yield(record.Row{}, err)
				return
			}
			if len(rows) == 0 {
				return
			}
			from = rows[len(rows)-1].Seq + 1
		}
	}
}

func (db *DB) some(ctx context.Context, from, last uint64) (some []record.Row, err error) {
	if db.closed.Load() {
		return nil, ErrClosed
	}
	rows, err := db.reader().QueryContext(ctx, `SELECT seq, body FROM row WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?`,
		int64(from), int64(last), readRows)
	if err != nil {
		return nil, db.explain("read rows", err)
	}
	defer rows.Close()
	var raw sql.RawBytes
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq, &raw); err != nil {
			return some, db.explain("read rows", err)
		}
		r, err := db.whole(uint64(seq), raw)
		if err != nil {
			return some, err
		}
		some = append(some, r)
	}
	return some, db.explain("read rows", rows.Err())
}

// Context finds a sealing context by its name: what headquarters needs to open
// its rows. It returns ErrNoScan when it is not there.
func (db *DB) Context(ctx context.Context, name [16]byte) (record.Context, error) {
	if db.closed.Load() {
		return record.Context{}, ErrClosed
	}
	c, err := readContext(ctx, db.reader(), name)
	return c, db.explain("read a sealing context", err)
}

func readContext(ctx context.Context, q querier, name [16]byte) (record.Context, error) {
	c := record.Context{ID: name}
	var device, ep []byte
	var began int64
	err := q.QueryRowContext(ctx, `SELECT e.device, e.epoch, c.day, c.enc, c.began
		FROM context c JOIN epoch e ON e.id = c.epoch WHERE c.name = ?`, name[:]).Scan(&device, &ep, &c.Day, &c.Enc, &began)
	if err == sql.ErrNoRows {
		return c, fmt.Errorf("%w: sealing context %x", ErrNoScan, name)
	}
	if err != nil {
		return c, err
	}
	copy(c.Device[:], device)
	copy(c.Epoch[:], ep)
	c.BeganMS = uint64(began)
	return c, nil
}

// Chain is what VerifyChain has proven: rows First to Last are there, each
// once, but for those erased with their day, and end in Head. First is 1 until
// rows were purged.
type Chain struct {
	First, Last uint64
	Erased      uint64 // of them; the rows on both sides are tied to each other by stored links
	Head        record.Link
}

// VerifyChain reads all rows and computes their links anew. ErrDamaged says
// where the chain breaks. The file may be written to meanwhile.
func (db *DB) VerifyChain(ctx context.Context) (Chain, error) {
	if db.closed.Load() {
		return Chain{}, ErrClosed
	}
	c, err := db.verifyChain(ctx)
	return c, db.explain("prove the chain", err)
}

func (db *DB) verifyChain(ctx context.Context) (c Chain, err error) {
	tx, err := db.reader().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return c, err
	}
	defer tx.Rollback()
	var purged, head int64
	var want, base []byte
	if err := tx.QueryRowContext(ctx, `SELECT seq, link FROM head`).Scan(&head, &want); err != nil {
		return c, err
	}
	if err := tx.QueryRowContext(ctx, `SELECT purged FROM gate`).Scan(&purged); err != nil {
		return c, err
	}
	var link record.Link
	if purged > 0 {
		if err := tx.QueryRowContext(ctx, `SELECT link FROM link WHERE seq = ?`, purged).Scan(&base); err != nil {
			return c, err
		}
		link = record.Link(base)
	}
	holes, err := readHoles(ctx, tx)
	if err != nil {
		return c, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT r.seq, r.body, l.link FROM row r LEFT JOIN link l ON l.seq = r.seq ORDER BY r.seq`)
	if err != nil {
		return c, err
	}
	defer rows.Close()
	next := uint64(purged) + 1
	// cross goes over the holes that begin here.
	cross := func() error {
		for len(holes) > 0 && holes[0].first == next {
			h := holes[0]
			if h.before != link {
				return db.fail(ErrDamaged, fmt.Errorf("the chain breaks before row %d, from which on rows were erased", next))
			}
			c.Erased += h.last - h.first + 1
			link, next, holes = h.after, h.last+1, holes[1:]
		}
		return nil
	}
	full := make([]byte, 0, 512)
	var body, stored sql.RawBytes
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq, &body, &stored); err != nil {
			return c, err
		}
		if err := cross(); err != nil {
			return c, err
		}
		if uint64(seq) != next {
			return c, db.fail(ErrDamaged, fmt.Errorf("row %d is missing", next))
		}
		r, err := db.whole(next, body)
		if err != nil {
			return c, err
		}
		if full, err = record.AppendRow(full[:0], r); err != nil {
			return c, db.fail(ErrDamaged, err)
		}
		link = link.Next(full)
		if next%linkEvery == 0 && string(stored) != string(link[:]) {
			return c, db.fail(ErrDamaged, fmt.Errorf("the chain breaks between rows %d and %d", next-linkEvery+1, next))
		}
		next++
	}
	if err := errors.Join(rows.Err(), cross()); err != nil {
		return c, err
	}
	if len(holes) > 0 || next-1 != uint64(head) || string(want) != string(link[:]) {
		return c, db.fail(ErrDamaged, fmt.Errorf("the chain ends at row %d in %x, expected row %d and %x", next-1, link, head, want))
	}
	c.First, c.Last, c.Head = uint64(purged)+1, uint64(head), link
	return c, nil
}

// readHoles are the runs of erased rows, in order.
func readHoles(ctx context.Context, q querier) (holes []hole, err error) {
	rows, err := q.QueryContext(ctx, `SELECT first, last, before, after FROM erased ORDER BY first`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var first, last int64
		var before, after []byte
		if err := rows.Scan(&first, &last, &before, &after); err != nil {
			return nil, err
		}
		h := hole{span: span{uint64(first), uint64(last)}}
		copy(h.before[:], before)
		copy(h.after[:], after)
		holes = append(holes, h)
	}
	return holes, rows.Err()
}

// lastRows is how many rows LastScan looks back over at most: those of the
// guard's choices and the events of a minute.
const lastRows = 1000

// LastScan is the newest scan that is not voided, if it is at most within old:
// by monotonic time of the same boot, after a restart by wall time. ok is false
// when there is none.
func (db *DB) LastScan(ctx context.Context, at record.Stamp, within time.Duration) (s LastScan, ok bool, err error) {
	if db.closed.Load() {
		return s, false, ErrClosed
	}
	rows, err := db.reader().QueryContext(ctx, `SELECT r.seq, r.body FROM row r
		WHERE NOT EXISTS (SELECT 1 FROM voided v WHERE v.seq = r.seq) ORDER BY r.seq DESC LIMIT ?`, lastRows)
	if err != nil {
		return s, false, db.explain("find the last scan", err)
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		var body []byte
		if err := rows.Scan(&seq, &body); err != nil {
			return s, false, db.explain("find the last scan", err)
		}
		r, err := db.whole(uint64(seq), body)
		if err != nil {
			return s, false, err
		}
		age := at.WallMS - r.WallMS
		if r.Boot == at.Boot {
			age = int64(at.MonoMS - r.MonoMS)
		}
		if age > within.Milliseconds() {
			return s, false, nil
		}
		if scan, isScan := r.Body.(record.Scan); isScan {
			return LastScan{Seq: r.Seq, Stamp: r.Stamp, Verdict: scan.Verdict, Reason: scan.Reason}, true, nil
		}
	}
	return s, false, db.explain("find the last scan", rows.Err())
}
