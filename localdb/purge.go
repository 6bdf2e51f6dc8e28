package localdb

import (
	"context"

	"checkpoint/record"
)

// purgeRows is how many rows one step removes at most: a multiple of linkEvery,
// because the chain goes on from a stored link.
const purgeRows = 1000

// span is rows first to last.
type span struct{ first, last uint64 }

// ranges are spans in order that neither touch nor overlap.
type ranges []span

// add puts a span in.
func (r ranges) add(s span) ranges {
	out := make(ranges, 0, len(r)+1)
	for i, x := range r {
		switch {
		case x.last+1 < s.first:
			out = append(out, x)
		case s.last+1 < x.first:
			return append(append(out, s), r[i:]...)
		default:
			s = span{min(s.first, x.first), max(s.last, x.last)}
		}
	}
	return append(out, s)
}

// within is how many numbers after "after" up to last are in r.
func (r ranges) within(after, last uint64) (n uint64) {
	for _, s := range r {
		if from, to := max(s.first, after+1), min(s.last, last); from <= to {
			n += to - from + 1
		}
	}
	return n
}

// firstOutside is the first number from "from" on that is not in r.
func (r ranges) firstOutside(from uint64) uint64 {
	for _, s := range r {
		if s.first <= from && from <= s.last {
			from = s.last + 1
		}
	}
	return from
}

// after is r without the numbers up to last.
func (r ranges) after(last uint64) (out ranges) {
	for _, s := range r {
		if s.last > last {
			out = append(out, span{max(s.first, last+1), s.last})
		}
	}
	return out
}

// Purge removes at most 1 000 of the oldest rows, as far as they are older than
// the retention and, where a hub waits for them, settled. It says how many
// numbers went, those erased before among them: call it again while it is not 0, then Checkpoint, and nothing of them stays in the
// file or its log; a Checkpoint that found the log in use is done by a later
// Tick. With a clock of unknown quality nothing goes.
func (db *DB) Purge(ctx context.Context, at record.Stamp) (gone int, err error) {
	if at.Quality == 0 {
		return 0, nil
	}
	err = db.exclusive(ctx, "purge", func(t *txn) error {
		through, err := db.purgeable(t, at.WallMS-db.o.Retention.Milliseconds())
		if err != nil || through == t.purged {
			return err
		}
		gone = int(through - t.purged)
		for _, q := range []string{
			`DELETE FROM row WHERE seq <= ?`,
			`DELETE FROM link WHERE seq < ?`,
			`DELETE FROM voided WHERE seq <= ?`,
			`DELETE FROM cut WHERE last <= ? AND state NOT IN (0, 3)`,
			`DELETE FROM erased WHERE last <= ?`,
			// A hole of which the front goes begins behind it.
			`UPDATE erased SET before = (SELECT link FROM link WHERE seq = ?1), first = ?1 + 1 WHERE first <= ?1`,
			// No run after the one that made a name uses it: with all rows of that
			// run the name can go.
			`DELETE FROM context WHERE run < (SELECT max(run) FROM session WHERE run <= ?)`,
			`DELETE FROM judge WHERE run < (SELECT max(run) FROM session WHERE run <= ?)`,
			`DELETE FROM session WHERE run < (SELECT max(run) FROM session WHERE run <= ?)`,
			`UPDATE gate SET purged = ?`,
		} {
			if _, err := db.conn.ExecContext(t.ctx, q, int64(through)); err != nil {
				return err
			}
		}
		// Hours tell nothing of a person; a year of them is for comparing.
		keep := max(db.o.Retention.Milliseconds()/hourMS, 400*24)
		if _, err := db.conn.ExecContext(t.ctx, `DELETE FROM hourly WHERE hour < ? AND counted = told`, hourOf(at.WallMS)-keep); err != nil {
			return err
		}
		t.purged = through
		t.box.erased = t.box.erased.after(through)
		t.box.cut = max(t.box.cut, through)
		db.owed = true
		return nil
	})
	if err != nil {
		return 0, err
	}
	return gone, nil
}

// purgeable is the last row that may go in this step: the end of a whole number
// of links, of which every row is older than the time and, where a hub waits for
// it, settled.
func (db *DB) purgeable(t *txn, olderThan int64) (uint64, error) {
	limit := min((t.purged+purgeRows)/linkEvery*linkEvery, t.seq/linkEvery*linkEvery)
	limit = min(limit, (t.box.held(t.settled, t.purged, t.seq)-1)/linkEvery*linkEvery)
	if limit <= t.purged {
		return t.purged, nil
	}
	rows, err := db.conn.QueryContext(t.ctx, `SELECT seq, body FROM row WHERE seq <= ? ORDER BY seq`, int64(limit))
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		var body []byte
		if err := rows.Scan(&seq, &body); err != nil {
			return 0, err
		}
		r, err := db.names.parseShort(body)
		if err != nil {
			return 0, db.fail(ErrDamaged, err)
		}
		if r.WallMS >= olderThan {
			return max(t.purged, uint64(seq-1)/linkEvery*linkEvery), nil
		}
	}
	return limit, rows.Err()
}
