package localdb

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"checkpoint/record"
)

// cutForm is the byte form of the segments that are cut now.
const cutForm = 1

// cutSpare is more than the header of a segment takes beside its rows, whose
// columns are never longer than their canonical forms.
const cutSpare = 4096

// tail is the segment that is cut next, as far as its rows have been read: so
// asking again reads what came since.
type tail struct {
	first        uint64 // 0: nothing is known
	before, head record.Link
	rows         []record.Row
	size         int      // at most so many bytes of a segment
	context      [16]byte // zero: no row is sealed yet
	full         []byte
}

// grow reads on and says whether the segment is complete: with all, as soon as
// it holds a row.
func (t *tail) grow(ctx context.Context, db *DB, q querier, v view, all bool) (complete bool, err error) {
	first, ok := v.uncut()
	if !ok {
		return false, nil
	}
	if t.first != first {
		before, err := db.linkBefore(ctx, q, v.epochs, first)
		if err != nil {
			return false, err
		}
		*t = tail{first: first, before: before, head: before, size: cutSpare, full: t.full}
	}
	last, ends := v.reach(first)
	for len(t.rows) < record.MaxSegmentRows {
		next := first + uint64(len(t.rows))
		if next > last {
			return ends || all, nil
		}
		rows, err := db.span(ctx, q, v.epochs, span{next, min(last, first+record.MaxSegmentRows-1)})
		if err != nil {
			return false, err
		}
		for _, r := range rows {
			fits, err := t.take(r)
			if err != nil {
				return false, db.fail(ErrDamaged, fmt.Errorf("row %d: %w", r.Seq, err))
			}
			if !fits {
				return true, nil
			}
		}
	}
	return true, nil
}

// take puts the next row in, unless it begins another segment.
func (t *tail) take(r record.Row) (fits bool, err error) {
	scan, _ := r.Body.(record.Scan)
	sealed := len(scan.Sealed.Box) > 0
	switch {
	case len(t.rows) > 0 && record.SegmentHour(r.WallMS) != record.SegmentHour(t.rows[0].WallMS):
		return false, nil
	case sealed && t.context != [16]byte{} && scan.Sealed.Context != t.context:
		return false, nil
	}
	if t.full, err = record.AppendRow(t.full[:0], r); err != nil {
		return false, err
	}
	if t.size+len(t.full) > record.MaxSegment {
		return false, nil
	}
	t.size += len(t.full)
	t.head = t.head.Next(t.full)
	t.rows = append(t.rows, r)
	if sealed {
		t.context = scan.Sealed.Context
	}
	return true, nil
}

// span reads rows that must all be there.
func (db *DB) span(ctx context.Context, q querier, epochs []epoch, s span) ([]record.Row, error) {
	rows, err := q.QueryContext(ctx, `SELECT seq, body FROM row WHERE seq BETWEEN ? AND ? ORDER BY seq`, int64(s.first), int64(s.last))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := make([]record.Row, 0, s.last-s.first+1)
	next := s.first
	var raw sql.RawBytes
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq, &raw); err != nil {
			return nil, err
		}
		if uint64(seq) != next {
			break
		}
		r, err := db.wholeOf(epochs, next, raw)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
		next++
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if next != s.last+1 {
		return nil, db.fail(ErrDamaged, fmt.Errorf("row %d is missing", next))
	}
	return all, nil
}

// linkBefore is the link of the row before seq, whether that row is there or
// not, as long as it can be told.
func (db *DB) linkBefore(ctx context.Context, q querier, epochs []epoch, seq uint64) (link record.Link, err error) {
	var from int64
	stored := make([]byte, len(link))
	err = q.QueryRowContext(ctx, `SELECT seq, link FROM (
		SELECT * FROM (SELECT seq, link FROM link WHERE seq < ?1 ORDER BY seq DESC LIMIT 1)
		UNION ALL SELECT * FROM (SELECT last, after FROM erased WHERE last < ?1 ORDER BY first DESC LIMIT 1)
		UNION ALL SELECT 0, zeroblob(16)) ORDER BY seq DESC LIMIT 1`, int64(seq)).Scan(&from, &stored)
	if err != nil {
		return link, err
	}
	copy(link[:], stored)
	if uint64(from)+1 == seq {
		return link, nil
	}
	rows, err := db.span(ctx, q, epochs, span{uint64(from) + 1, seq - 1})
	if err != nil {
		return link, err
	}
	full := make([]byte, 0, 512)
	for _, r := range rows {
		if full, err = record.AppendRow(full[:0], r); err != nil {
			return link, db.fail(ErrDamaged, err)
		}
		link = link.Next(full)
	}
	return link, nil
}

// cutRow is one line of the table.
type cutRow struct {
	record.Cut // without Bytes
	context    [16]byte
	carries    bool
	before     record.Link
	form       int
	signature  [ed25519.SignatureSize]byte
	state      int
}

// NextCut gives the oldest segment of this device that is neither settled nor
// set aside; ok is false when there is none. When none waits it cuts one: rows
// in order, of one epoch, hour, venue and sealing context, 256 at most. Without
// all it cuts only what is complete, as something follows that ends it; with
// all also the unfinished tail. A gate that belongs to no hub cuts nothing.
//
// The same segment has the same bytes each time, after restarts and with newer
// programs. When its rows do not give them any more the error is ErrDamaged, and
// the Cut names the segment, without bytes: it must not be sent, and may be set
// aside.
func (db *DB) NextCut(ctx context.Context, all bool, sign record.Signer) (c record.Cut, ok bool, err error) {
	if db.closed.Load() {
		return c, false, ErrClosed
	}
	db.cutting.Lock()
	defer db.cutting.Unlock()
	v := db.view()
	if !v.box.enrolled {
		return c, false, nil
	}
	if v.box.open > 0 {
		row, err := readCut(ctx, db.reader(), `state IN (0, 3) AND state = 0 AND first >= ? ORDER BY first LIMIT 1`, int64(v.since()))
		if err == nil {
			c, err = db.rebuild(ctx, row)
			return c, true, db.explain("make a segment again", err)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return c, false, db.explain("find a segment", err)
		}
	}
	return db.cutOne(ctx, all, sign)
}

// CutAll cuts everything that can be cut, the tail too: what Cuts then gives is
// all there is to send.
func (db *DB) CutAll(ctx context.Context, sign record.Signer) error {
	if db.closed.Load() {
		return ErrClosed
	}
	db.cutting.Lock()
	defer db.cutting.Unlock()
	return db.cutAll(ctx, sign)
}

func (db *DB) cutAll(ctx context.Context, sign record.Signer) error {
	if v := db.view(); !v.box.enrolled {
		return nil
	}
	for {
		if _, ok, err := db.cutOne(ctx, true, sign); !ok || err != nil {
			return err
		}
	}
}

// cutOne cuts the next segment, if it is complete. The rows are read beside the
// writer; only the line about the segment is written in its way. db.cutting is
// held, and the gate is enrolled.
func (db *DB) cutOne(ctx context.Context, all bool, sign record.Signer) (c record.Cut, ok bool, err error) {
	v := db.view()
	ok, err = db.tail.grow(ctx, db, db.reader(), v, all)
	if !ok || err != nil {
		return c, false, db.explain("cut a segment", err)
	}
	row, err := db.tail.segment(ctx, db, db.reader(), v, sign)
	if err != nil {
		return c, false, db.explain("cut a segment", err)
	}
	err = db.exclusive(ctx, "cut a segment", func(t *txn) error {
		if db.disk.free < reserve/2 {
			return db.fail(ErrNoSpace, nil)
		}
		return t.keepCut(row)
	})
	if err != nil {
		return c, false, err
	}
	db.tail.next()
	db.made = row.Cut
	return row.Cut, true, nil
}

// next begins the segment after the one that was cut.
func (t *tail) next() {
	*t = tail{first: t.first + uint64(len(t.rows)), before: t.head, head: t.head, size: cutSpare, rows: t.rows[:0], full: t.full}
}

// segment makes the rows of the tail into a signed segment.
func (t *tail) segment(ctx context.Context, db *DB, q querier, v view, sign record.Signer) (c cutRow, err error) {
	e := v.epochs[v.epochOf(t.first)]
	c = cutRow{form: cutForm, context: t.context, before: t.before}
	c.SegmentKey = record.SegmentKey{Identity: e.identity, Number: e.cuts + 1, Venue: v.box.venueAt(t.first),
		Hour: record.SegmentHour(t.rows[0].WallMS)}
	c.First, c.Last = t.first, t.rows[len(t.rows)-1].Seq
	c.Day = record.DayOf(c.Hour)
	if t.context != [16]byte{} {
		context, err := readContext(ctx, q, t.context)
		if err != nil {
			return c, err
		}
		c.Day = context.Day
		// A segment that was set aside or refused has not brought it up.
		err = q.QueryRowContext(ctx, `SELECT NOT EXISTS (SELECT 1 FROM cut WHERE carries = 1 AND context = ? AND hour = ? AND state IN (0, 1))`,
			t.context[:], c.Hour).Scan(&c.carries)
		if err != nil {
			return c, err
		}
	}
	c.Bytes, err = db.form(ctx, q, c, t.rows, t.head, func(digest [32]byte) [ed25519.SignatureSize]byte {
		c.signature = sign(digest)
		return c.signature
	})
	c.SHA256 = record.SegmentDigest(c.Bytes)
	return c, err
}

// form makes the bytes of a segment of its rows.
func (db *DB) form(ctx context.Context, q querier, c cutRow, rows []record.Row, head record.Link, sign record.Signer) ([]byte, error) {
	if c.form != cutForm {
		return nil, db.fail(ErrDamaged, fmt.Errorf("segment %d has form %d", c.Number, c.form))
	}
	s := record.Segment{SegmentKey: c.SegmentKey, First: c.First, Last: c.Last, Before: c.before, Head: head, ContextID: c.context, Rows: rows}
	if c.carries {
		context, err := readContext(ctx, q, c.context)
		if err != nil {
			return nil, err
		}
		s.Context = &context
	}
	return record.AppendSegment(nil, s, sign)
}

// rebuild makes a segment's bytes again and compares them with those that were
// signed. db.cutting is held.
func (db *DB) rebuild(ctx context.Context, c cutRow) (record.Cut, error) {
	if db.made.SegmentKey == c.SegmentKey && db.made.SHA256 == c.SHA256 {
		return db.made, nil
	}
	q := db.reader()
	rows, err := db.span(ctx, q, db.view().epochs, span{c.First, c.Last})
	if err != nil {
		return c.Cut, err
	}
	head, full := c.before, make([]byte, 0, 512)
	for _, r := range rows {
		if full, err = record.AppendRow(full[:0], r); err != nil {
			return c.Cut, db.fail(ErrDamaged, err)
		}
		head = head.Next(full)
	}
	b, err := db.form(ctx, q, c, rows, head, func([32]byte) [ed25519.SignatureSize]byte { return c.signature })
	switch {
	case errors.Is(err, record.ErrSegment), errors.Is(err, ErrNoScan):
		return c.Cut, db.fail(ErrDamaged, err)
	case err != nil:
		return c.Cut, err
	case record.SegmentDigest(b) != c.SHA256:
		return c.Cut, db.fail(ErrDamaged, fmt.Errorf("segment %d is not what was signed any more", c.Number))
	}
	c.Bytes = b
	db.made = c.Cut
	return c.Cut, nil
}

// keepCut writes the line about a segment.
func (t *txn) keepCut(c cutRow) error {
	v := t.view()
	i := v.epochOf(c.First)
	var context []byte
	if c.context != [16]byte{} {
		context = c.context[:]
	}
	_, err := t.db.conn.ExecContext(t.ctx, `INSERT INTO cut
		(first, last, epoch, number, form, hour, day, venue, context, carries, before, sha256, signature)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, coalesce(?, x''), ?, ?, ?, ?)`,
		int64(c.First), int64(c.Last), t.epochs[i].id, int64(c.Number), c.form, c.Hour, c.Day, c.Venue, context, c.carries,
		c.before[:], c.SHA256[:], c.signature[:])
	if err != nil {
		return err
	}
	if _, err := t.db.conn.ExecContext(t.ctx, `UPDATE epoch SET cuts = ? WHERE id = ?`, int64(c.Number), t.epochs[i].id); err != nil {
		return err
	}
	t.epochs = append([]epoch(nil), t.epochs...) // readers have the other
	t.epochs[i].cuts = c.Number
	t.box.cut = c.Last
	t.box.open++
	return nil
}

// readCut finds one segment; sql.ErrNoRows when there is none.
func readCut(ctx context.Context, q querier, where string, args ...any) (c cutRow, err error) {
	var first, last, number int64
	var device, name, context, before, sum, signature []byte
	err = q.QueryRowContext(ctx, `SELECT c.first, c.last, c.number, c.form, c.hour, c.day, c.venue, c.context, c.carries,
		c.before, c.sha256, c.signature, c.state, e.device, e.epoch
		FROM (SELECT * FROM cut WHERE `+where+`) c JOIN epoch e ON e.id = c.epoch`, args...).
		Scan(&first, &last, &number, &c.form, &c.Hour, &c.Day, &c.Venue, &context, &c.carries,
			&before, &sum, &signature, &c.state, &device, &name)
	if err != nil {
		return c, err
	}
	c.First, c.Last, c.Number = uint64(first), uint64(last), uint64(number)
	copy(c.Device[:], device)
	copy(c.Epoch[:], name)
	copy(c.context[:], context)
	copy(c.before[:], before)
	copy(c.SHA256[:], sum)
	copy(c.signature[:], signature)
	return c, nil
}

// Cuts gives all segments that are not settled, oldest first: those that were
// set aside and those of an earlier device, too. It is for a stick; CutAll comes
// before it. A segment that cannot be made again is yielded with ErrDamaged and
// without bytes, and the next ones follow; any other error ends it.
func (db *DB) Cuts(ctx context.Context) iter.Seq2[record.Cut, error] {
	return func(yield func(record.Cut, error) bool) {
		from := uint64(0)
		for {
			c, err := db.cutFrom(ctx, from)
			if errors.Is(err, sql.ErrNoRows) {
				return
			}
			if !yield(c, err) || err != nil && !errors.Is(err, ErrDamaged) {
				return
			}
			from = c.Last + 1
		}
	}
}

func (db *DB) cutFrom(ctx context.Context, from uint64) (record.Cut, error) {
	if db.closed.Load() {
		return record.Cut{}, ErrClosed
	}
	db.cutting.Lock()
	defer db.cutting.Unlock()
	row, err := readCut(ctx, db.reader(), `state IN (0, 3) AND first >= ? ORDER BY first LIMIT 1`, int64(from))
	if errors.Is(err, sql.ErrNoRows) {
		return row.Cut, err
	}
	if err == nil {
		row.Cut, err = db.rebuild(ctx, row)
	}
	return row.Cut, db.explain("make a segment again", err)
}
