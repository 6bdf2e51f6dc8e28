package localdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"checkpoint/record"
)

// eraseRows is how many rows one step looks at.
const eraseRows = 1000

// hole is a run of rows that were erased, and the links between which it stands.
type hole struct {
	span
	before, after record.Link
}

// EraseDay erases all rows that were sealed to this day, which signed trust says
// is destroyed, and their sealing contexts; rows that are not sealed stay. The
// links on both sides of each hole are kept, so the chain can be proven across
// it. Segments of the day that wait, or were set aside, wait no more; rows that
// were not cut yet are cut around the holes. One event row says how many rows
// went. Nothing of them stays in the file; the log is emptied here, or by a
// later Tick when somebody reads it.
//
// It says how many rows went; a day of which nothing is left costs two looks. A
// gate that was killed in the middle goes on when it is asked again.
func (db *DB) EraseDay(ctx context.Context, at record.Stamp, day string) (rows int, err error) {
	if db.closed.Load() {
		return 0, ErrClosed
	}
	db.cutting.Lock()
	defer db.cutting.Unlock()
	due, err := db.erasable(ctx, day)
	if !due || err != nil {
		return 0, db.explain("erase a day", err)
	}
	db.tail, db.made = tail{}, record.Cut{}
	for from, end := uint64(0), false; !end; {
		step := 0
		err := db.exclusive(ctx, "erase a day", func(t *txn) (err error) {
			from, step, end, err = t.eraseStep(at, day, from)
			return err
		})
		if err != nil {
			return rows, err
		}
		rows += step
	}
	if err := db.Checkpoint(ctx); err != nil && !errors.Is(err, ErrBusy) {
		return rows, err
	}
	return rows, nil
}

// erasable reports whether anything of a day is left.
func (db *DB) erasable(ctx context.Context, day string) (due bool, err error) {
	err = db.reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM context WHERE day = ?1)
		OR EXISTS (SELECT 1 FROM cut WHERE state IN (0, 3) AND day = ?1)
		OR EXISTS (SELECT 1 FROM erased_day WHERE day = ?1 AND rows > told)`, day).Scan(&due)
	return due, err
}

// eraseStep erases what it finds in the next rows from a number on; the last
// step, which finds none behind it, ends the day.
func (t *txn) eraseStep(at record.Stamp, day string, from uint64) (next uint64, gone int, end bool, err error) {
	db := t.db
	// A count that only memory holds would be made again of rows, were there a
	// power cut; those rows are going.
	if err := db.flushIn(t, at); err != nil {
		return 0, 0, false, err
	}
	contexts, first, last, err := t.contextsOf(day)
	if err != nil {
		return 0, 0, false, err
	}
	from = max(from, first, t.purged+1)
	last = min(last, t.seq)
	through := min(last, from+eraseRows-1)
	if len(contexts) > 0 && from <= last {
		holes, err := t.find(span{from, through}, contexts)
		if err != nil {
			return 0, 0, false, err
		}
		for _, h := range holes {
			if err := t.dig(h); err != nil {
				return 0, 0, false, err
			}
			gone += int(h.last - h.first + 1)
		}
	}
	if gone > 0 {
		db.owed = true
		_, err := db.conn.ExecContext(t.ctx, `INSERT INTO erased_day (day, rows) VALUES (?, ?)
			ON CONFLICT DO UPDATE SET rows = rows + excluded.rows`, day, gone)
		if err != nil {
			return 0, 0, false, err
		}
	}
	if through < last {
		return through + 1, gone, false, nil
	}
	return 0, gone, true, t.endDay(at, day, contexts)
}

// contextsOf are the sealing contexts of a day, and the rows among which theirs
// are: those from the start of their run to the start of the next.
func (t *txn) contextsOf(day string) (names map[[16]byte]bool, first, last uint64, err error) {
	rows, err := t.db.conn.QueryContext(t.ctx, `SELECT name, run, coalesce((SELECT min(s.run) FROM session s WHERE s.run > c.run), ?)
		FROM context c WHERE day = ?`, int64(t.seq), day)
	if err != nil {
		return nil, 0, 0, err
	}
	defer rows.Close()
	names, first = make(map[[16]byte]bool), t.seq+1
	for rows.Next() {
		var name []byte
		var run, until int64
		if err := rows.Scan(&name, &run, &until); err != nil {
			return nil, 0, 0, err
		}
		if len(name) != 16 {
			return nil, 0, 0, t.db.fail(ErrDamaged, nil)
		}
		names[[16]byte(name)] = true
		first, last = min(first, uint64(run)+1), max(last, uint64(until))
	}
	return names, first, last, rows.Err()
}

// find looks for rows sealed in one of the contexts.
func (t *txn) find(among span, contexts map[[16]byte]bool) (holes []hole, err error) {
	db := t.db
	rows, err := db.conn.QueryContext(t.ctx, `SELECT seq, body FROM row WHERE seq BETWEEN ? AND ? ORDER BY seq`,
		int64(among.first), int64(among.last))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var link record.Link
	known := uint64(0) // link is this row's; 0: not known
	full := make([]byte, 0, 512)
	var raw sql.RawBytes
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq, &raw); err != nil {
			return nil, err
		}
		r, err := db.wholeOf(t.epochs, uint64(seq), raw)
		if err != nil {
			return nil, err
		}
		if known == 0 || known+1 != r.Seq {
			if link, err = db.linkBefore(t.ctx, db.conn, t.epochs, r.Seq); err != nil {
				return nil, err
			}
		}
		before := link
		if full, err = record.AppendRow(full[:0], r); err != nil {
			return nil, db.fail(ErrDamaged, fmt.Errorf("row %d: %w", r.Seq, err))
		}
		link, known = link.Next(full), r.Seq
		scan, ok := r.Body.(record.Scan)
		if !ok || len(scan.Sealed.Box) == 0 || !contexts[scan.Sealed.Context] {
			continue
		}
		if n := len(holes); n > 0 && holes[n-1].last+1 == r.Seq {
			holes[n-1].last, holes[n-1].after = r.Seq, link
		} else {
			holes = append(holes, hole{span{r.Seq, r.Seq}, before, link})
		}
	}
	return holes, rows.Err()
}

// dig erases the rows of a hole and puts it together with those it touches.
func (t *txn) dig(h hole) error {
	conn := t.db.conn
	if _, err := conn.ExecContext(t.ctx, `DELETE FROM row WHERE seq BETWEEN ? AND ?`, int64(h.first), int64(h.last)); err != nil {
		return err
	}
	t.settled, t.box.erased = t.settled.add(h.span), t.box.erased.add(h.span)
	var first, last int64
	var link []byte
	err := conn.QueryRowContext(t.ctx, `DELETE FROM erased WHERE last = ? RETURNING first, before`, int64(h.first)-1).Scan(&first, &link)
	switch {
	case err == nil:
		h.first = uint64(first)
		copy(h.before[:], link)
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	err = conn.QueryRowContext(t.ctx, `DELETE FROM erased WHERE first = ? RETURNING last, after`, int64(h.last)+1).Scan(&last, &link)
	switch {
	case err == nil:
		h.last = uint64(last)
		copy(h.after[:], link)
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	_, err = conn.ExecContext(t.ctx, `INSERT INTO erased (first, last, before, after) VALUES (?, ?, ?, ?)`,
		int64(h.first), int64(h.last), h.before[:], h.after[:])
	return err
}

// endDay does what is to be done once, when the rows have gone.
func (t *txn) endDay(at record.Stamp, day string, contexts map[[16]byte]bool) error {
	conn := t.db.conn
	for {
		c, err := readCut(t.ctx, conn, `state IN (0, 3) AND day = ? LIMIT 1`, day)
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err != nil {
			return err
		}
		if _, err := conn.ExecContext(t.ctx, `UPDATE cut SET state = 4 WHERE first = ?`, int64(c.First)); err != nil {
			return err
		}
		t.closed(c)
	}
	if _, err := conn.ExecContext(t.ctx, `DELETE FROM context WHERE day = ?`, day); err != nil {
		return err
	}
	t.done = append(t.done, func() { t.db.names.drop(contexts) })
	var untold int64
	err := conn.QueryRowContext(t.ctx, `SELECT rows - told FROM erased_day WHERE day = ? AND rows > told`, day).Scan(&untold)
	if errors.Is(err, sql.ErrNoRows) {
		// No row, no event: an event of this very day would be cut into a segment
		// of it, for which a hub asks to erase the day again.
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(t.ctx, `UPDATE erased_day SET told = rows WHERE day = ?`, day); err != nil {
		return err
	}
	return t.add(record.Draft{Stamp: at, Body: record.Event{Code: record.EventErased, Value: untold, Text: record.CutText(day)}})
}
