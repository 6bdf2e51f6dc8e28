package localdb

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"slices"
	"time"

	"checkpoint/record"
)

const (
	hourMS  = 60 * 60 * 1000
	flushMS = 10_000 // counts wait this long at most for the disk
	ranMS   = 60_000 // and the time that ran this long
)

type hourKey struct {
	hour            int64 // since 1970, UTC
	verdict, reason uint8
}

type hourSum struct{ rows, counted uint64 }

func hourOf(wallMS int64) int64 {
	h := wallMS / hourMS
	if wallMS%hourMS < 0 {
		h--
	}
	return h
}

func random(b []byte) { rand.Read(b) }

// Count counts a verdict that leaves no row of its own. The number is on the
// disk at the latest 10 s later, at a Tick, or at Close; a power cut loses at
// most what came since. Hours that ended become count rows.
func (db *DB) Count(at record.Stamp, verdict, reason uint8) {
	db.mu.Lock()
	defer db.mu.Unlock()
	key := hourKey{hourOf(at.WallMS), verdict, reason}
	sum := db.pending[key]
	sum.counted++
	db.pending[key] = sum
}

// replay counts the rows that were written after the last flush before a crash.
func (db *DB) replay(ctx context.Context) error {
	var counted int64
	if err := db.conn.QueryRowContext(ctx, `SELECT counted FROM gate`).Scan(&counted); err != nil {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	clear(db.pending)
	rows, err := db.conn.QueryContext(ctx, `SELECT body FROM row WHERE seq > ?`, counted)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return err
		}
		r, err := db.names.parseShort(body)
		if err != nil {
			return db.fail(ErrDamaged, err)
		}
		if scan, ok := r.Body.(record.Scan); ok {
			key := hourKey{hourOf(r.WallMS), scan.Verdict, scan.Reason}
			sum := db.pending[key]
			sum.rows++
			db.pending[key] = sum
		}
	}
	return rows.Err()
}

// flush writes the pending counts and the time that ran.
func (db *DB) flush(ctx context.Context, at record.Stamp) error {
	return db.exclusive(ctx, "write counts", func(t *txn) error { return db.flushIn(t, at) })
}

// flushIn is flush inside a transaction. While it runs the counts are "flying":
// the number of the flush, which is in the file too, tells a reader whether the
// file has them yet. A transaction that fails gives them back.
func (db *DB) flushIn(t *txn, at record.Stamp) error {
	db.mu.Lock()
	db.flushes++
	db.flying, db.pending = db.pending, make(map[hourKey]hourSum)
	flying, number, ran := db.flying, db.flushes, db.clock.RanMS
	db.mu.Unlock()
	t.undo = append(t.undo, func() {
		for key, sum := range flying {
			p := db.pending[key]
			db.pending[key] = hourSum{p.rows + sum.rows, p.counted + sum.counted}
		}
		db.flying = nil
	})
	t.done = append(t.done, func() { db.flying, db.saved = nil, at })
	for key, sum := range flying {
		_, err := db.conn.ExecContext(t.ctx, `INSERT INTO hourly (hour, verdict, reason, rows, counted) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET rows = rows + excluded.rows, counted = counted + excluded.counted`,
			key.hour, key.verdict, key.reason, int64(sum.rows), int64(sum.counted))
		if err != nil {
			return err
		}
	}
	// Rows of this transaction itself are not among them: they count from here.
	_, err := db.conn.ExecContext(t.ctx, `UPDATE gate SET counted = ?, ran = ?, flushes = ?`,
		int64(t.start), int64(ran), int64(number))
	return err
}

// tellCounts appends the count rows of hours that ended, or with all set of
// every hour, together with the scans that left no row.
func (db *DB) tellCounts(ctx context.Context, at record.Stamp, all bool) error {
	before := hourOf(at.WallMS)
	if all {
		before = 1<<62 - 1
	}
	return db.exclusive(ctx, "write hourly counts", func(t *txn) error {
		if err := db.flushIn(t, at); err != nil {
			return err
		}
		counts, err := db.untold(t.ctx, before)
		if err != nil {
			return err
		}
		var told int64
		if err := db.conn.QueryRowContext(t.ctx, `SELECT unrecorded FROM gate`).Scan(&told); err != nil {
			return err
		}
		unrecorded, _ := db.side.numbers()
		if unrecorded > uint64(told) {
			if len(counts) == 0 {
				counts = []record.Count{{Hour: hourOf(at.WallMS) * hourMS}}
			}
			counts[len(counts)-1].Unrecorded = unrecorded - uint64(told)
			if _, err := db.conn.ExecContext(t.ctx, `UPDATE gate SET unrecorded = ?`, int64(unrecorded)); err != nil {
				return err
			}
		}
		for _, c := range counts {
			if err := t.add(record.Draft{Stamp: at, Body: c}); err != nil {
				return err
			}
		}
		_, err = db.conn.ExecContext(t.ctx, `UPDATE hourly SET told = counted WHERE counted > told AND hour < ?`, before)
		return err
	})
}

// untold are the counts of hours before the given one that stand in no count
// row yet, one Count an hour unless an hour holds more than fit.
func (db *DB) untold(ctx context.Context, before int64) ([]record.Count, error) {
	rows, err := db.conn.QueryContext(ctx, `SELECT hour, verdict, reason, counted - told FROM hourly
		WHERE counted > told AND hour < ? ORDER BY hour, verdict, reason`, before)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var counts []record.Count
	for rows.Next() {
		var hour, n int64
		var tally record.Tally
		if err := rows.Scan(&hour, &tally.Verdict, &tally.Reason, &n); err != nil {
			return nil, err
		}
		tally.N = uint32(min(n, 1<<32-1))
		last := len(counts) - 1
		if last < 0 || counts[last].Hour != hour*hourMS || len(counts[last].Tallies) == record.MaxTallies {
			counts = append(counts, record.Count{Hour: hour * hourMS})
			last++
		}
		counts[last].Tallies = append(counts[last].Tallies, tally)
	}
	return counts, rows.Err()
}

// Counts are the verdicts, with and without rows, of each hour from the one in
// which from falls to the one in which to falls, oldest first. For "today" from
// is the local midnight.
func (db *DB) Counts(ctx context.Context, from, to time.Time) ([]HourCount, error) {
	if db.closed.Load() {
		return nil, ErrClosed
	}
	first, last := hourOf(from.UnixMilli()), hourOf(to.UnixMilli())
	sums := make(map[hourKey]uint64)
	add := func(counts map[hourKey]hourSum) {
		for key, sum := range counts {
			if key.hour >= first && key.hour <= last {
				sums[key] += sum.rows + sum.counted
			}
		}
	}
	tx, err := db.reader().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, db.explain("count", err)
	}
	defer tx.Rollback()
	if err := db.beside(ctx, tx, add); err != nil {
		return nil, db.explain("count", err)
	}
	rows, err := tx.QueryContext(ctx, `SELECT hour, verdict, reason, rows + counted FROM hourly
		WHERE hour BETWEEN ? AND ?`, first, last)
	if err != nil {
		return nil, db.explain("count", err)
	}
	defer rows.Close()
	for rows.Next() {
		var key hourKey
		var n int64
		if err := rows.Scan(&key.hour, &key.verdict, &key.reason, &n); err != nil {
			return nil, db.explain("count", err)
		}
		sums[key] += uint64(n)
	}
	if err := rows.Err(); err != nil {
		return nil, db.explain("count", err)
	}
	counts := make([]HourCount, 0, len(sums))
	for key, n := range sums {
		counts = append(counts, HourCount{HourMS: key.hour * hourMS, Verdict: key.verdict, Reason: key.reason, N: n})
	}
	slices.SortFunc(counts, func(a, b HourCount) int {
		return cmp.Or(cmp.Compare(a.HourMS, b.HourMS), cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Reason, b.Reason))
	})
	return counts, nil
}

// beside gives the counts that the file, as tx sees it, does not have yet. The
// lock is held over tx's first read, which fixes what it sees: no flush may
// begin in between. It is never held while waiting for a connection.
func (db *DB) beside(ctx context.Context, tx *sql.Tx, add func(map[hourKey]hourSum)) error {
	db.mu.RLock()
	defer db.mu.RUnlock()
	var flushes int64
	if err := tx.QueryRowContext(ctx, `SELECT flushes FROM gate`).Scan(&flushes); err != nil {
		return err
	}
	add(db.pending)
	if uint64(flushes) < db.flushes {
		add(db.flying)
	}
	return nil
}
