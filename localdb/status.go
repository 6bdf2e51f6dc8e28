package localdb

import (
	"context"
	"database/sql"
	"errors"
	"strconv"

	"checkpoint/record"
)

// disk is what a look at the room found.
type disk struct {
	used int64 // bytes of the file that hold something
	free int64 // on the file system
	rows int   // written since
}

// left is how many bytes may still come under a cap.
func (d disk) left(most int64) int64 { return max(0, min(most-d.used, d.free-reserve)) }

// share is how much of what there is for it the file takes, and whether that
// is worth a warning.
func (d disk) share(most int64) (share float64, warn bool) {
	share = float64(d.used) / float64(d.used+d.left(most))
	return share, share >= 0.8
}

// lookRows is how many rows may be written between two looks: 512 rows take
// 40 KB, far less than the reserve.
const lookRows = 512

// look finds out how much room there is. The writer's lock is held, or nobody
// else knows db yet.
func (db *DB) look(ctx context.Context) error {
	d, _, err := readDisk(ctx, db.path, db.conn)
	if err != nil {
		return err
	}
	db.disk = d
	db.mu.Lock()
	db.looked = db.disk
	db.mu.Unlock()
	return nil
}

// readDisk measures; pages are those that the file should have.
func readDisk(ctx context.Context, path string, q querier) (d disk, pages int64, err error) {
	var empty int64
	if err := q.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
		return d, 0, err
	}
	if err := q.QueryRowContext(ctx, "PRAGMA freelist_count").Scan(&empty); err != nil {
		return d, 0, err
	}
	d.free, err = freeBytes(path)
	d.used = (pages - empty) * pageSize
	return d, pages, err
}

// noRoom says why there is none; with cap set it is the cap, under which a few
// rows still fit.
type noRoom struct {
	err error
	cap bool
}

// room looks when it is due and says whether n more rows fit; nil is yes.
func (db *DB) room(ctx context.Context, n int) *noRoom {
	db.disk.rows += n
	if db.disk.rows >= lookRows || db.disk.used >= db.o.Cap || db.disk.free < reserve {
		if err := db.look(ctx); err != nil {
			return &noRoom{err: db.explain("look at the disk", err)}
		}
	}
	switch {
	case db.disk.free < reserve:
		return &noRoom{err: db.fail(ErrNoSpace, nil)}
	case db.disk.used >= db.o.Cap:
		return &noRoom{err: db.fail(ErrFull, nil), cap: db.disk.used < db.o.Cap+reserve/8}
	}
	return nil
}

// pace is how many rows a day came lately.
type pace struct {
	known  bool
	perDay float64
	hour   int64 // when it was found
}

// Status is what a header shows. It reads a few hundred small rows at most, and
// those once an hour.
func (db *DB) Status(at record.Stamp) (Status, error) {
	ctx := context.Background() // bounded: a few hundred rows, and readers never wait for the writer
	if db.closed.Load() {
		return Status{}, ErrClosed
	}
	s := Status{Cap: db.o.Cap, DaysLeft: -1}
	s.Unrecorded, _ = db.side.numbers()

	db.mu.RLock()
	s.Last = db.head
	var first uint64
	s.Waiting, first = db.box.waiting(db.settled, db.purged, db.head)
	first = db.settled.firstOutside(first)
	s.Enrolled, s.Poison, s.Refused = db.box.enrolled, db.box.poison, db.box.refused
	disk, p, oldest := db.looked, db.pace, db.oldest
	rows := db.head - db.purged - db.box.erased.within(db.purged, db.head)
	db.mu.RUnlock()

	if s.Waiting > 0 && oldest.seq != first {
		row, err := db.Row(ctx, first)
		if err != nil && !errors.Is(err, ErrNoScan) { // purged a moment ago
			return Status{}, err
		}
		oldest.seq, oldest.at = first, row.WallMS
	}
	if s.Waiting > 0 {
		s.OldestMS = oldest.at
	}
	if hour := hourOf(at.WallMS); !p.known || p.hour != hour {
		var err error
		if p.perDay, err = db.measurePace(ctx, hour); err != nil {
			return Status{}, err
		}
		p.known, p.hour = true, hour
	}
	db.mu.Lock()
	db.pace, db.oldest = p, oldest
	db.mu.Unlock()

	s.Used = disk.used
	left := disk.left(db.o.Cap)
	s.Share, s.Warn = disk.share(db.o.Cap)
	if p.perDay > 0 && rows > 0 {
		perRow := 80.0 // bytes, before there are enough rows to measure
		if rows > 10_000 {
			perRow = float64(disk.used) / float64(rows)
		}
		s.DaysLeft = int(min(float64(left)/(p.perDay*perRow), 36_500))
	}
	return s, nil
}

// measurePace is the number of scan rows a day over the last seven days, of
// which the current hour is left out.
func (db *DB) measurePace(ctx context.Context, hour int64) (float64, error) {
	var sum, first sql.NullInt64
	err := db.reader().QueryRowContext(ctx, `SELECT sum(rows), min(hour) FROM hourly WHERE hour >= ? AND hour < ?`,
		hour-7*24, hour).Scan(&sum, &first)
	if err != nil {
		return 0, db.explain("measure the pace", err)
	}
	if !sum.Valid || hour <= first.Int64 {
		return 0, nil
	}
	// Less than a day is taken as a day: a gate opens for some hours of each.
	hours := max(24, hour-first.Int64)
	return float64(sum.Int64) * 24 / float64(hours), nil
}

// Tick is to be called about once a second: it writes counts that wait for 10 s,
// appends the count rows of hours that ended, keeps the time that ran, and
// empties the log now and then. It does little when there is little.
func (db *DB) Tick(ctx context.Context, at record.Stamp) error {
	if db.closed.Load() {
		return ErrClosed
	}
	db.mu.Lock()
	if at.Boot == db.ranTo.Boot && at.MonoMS > db.ranTo.MonoMS {
		db.clock.RanMS += at.MonoMS - db.ranTo.MonoMS
	}
	db.ranTo = at
	waited := int64(at.MonoMS - db.saved.MonoMS)
	if at.Boot != db.saved.Boot || waited < 0 {
		db.saved, waited = at, 0 // the first Tick of this run
	}
	due := len(db.pending) > 0 && waited >= flushMS || waited >= ranMS
	hour := hourOf(at.WallMS)
	tell := hour > db.told
	if tell {
		db.told = hour
	}
	db.mu.Unlock()
	if tell {
		if err := db.tellCounts(ctx, at, false); err != nil {
			return err
		}
	} else if due {
		if err := db.flush(ctx, at); err != nil {
			return err
		}
	}
	return db.sweep(ctx, due)
}

// sweep empties the log beside the writer when there is enough in it, and looks
// at the disk.
func (db *DB) sweep(ctx context.Context, look bool) error {
	db.write.Lock()
	full := db.commits >= logPages/3 // a commit is two or three pages
	if full {
		db.commits = 0
	}
	var err error
	if db.broken != nil && !db.closed.Load() {
		db.broken = db.connect(ctx)
	}
	if look && !db.closed.Load() && db.broken == nil {
		err = db.look(ctx)
		if err == nil && db.alone && db.disk.free >= reserve {
			err = db.rejoin(ctx)
		}
	}
	if err == nil {
		err = db.broken
	}
	head, cut, keeper := db.head, look && db.owed, db.keeper
	db.write.Unlock()
	if cut {
		if err := db.Checkpoint(ctx); err != nil && !errors.Is(err, ErrBusy) {
			return err
		}
	}
	if err != nil || !full {
		return db.explain("look at the disk", err)
	}
	if err := checkpoint(ctx, keeper, "PASSIVE"); err != nil {
		return db.explain("empty the log", err)
	}
	return db.explain("write the side file", db.side.saw(head))
}

// Checkpoint empties the log into the file and cuts it to nothing. While
// somebody reads the whole file (VerifyChain) it returns ErrBusy soon, rather
// than keep rows waiting: try again later.
func (db *DB) Checkpoint(ctx context.Context) error {
	db.write.Lock()
	defer db.write.Unlock()
	if db.closed.Load() {
		return ErrClosed
	}
	if db.broken != nil {
		return db.explain("empty the log", db.broken)
	}
	if err := db.patience(ctx, 50); err != nil {
		return db.explain("empty the log", err)
	}
	err := checkpoint(ctx, db.conn, "TRUNCATE")
	db.owed = db.owed && err != nil
	if again := db.patience(context.WithoutCancel(ctx), busyMS); err == nil {
		err = again
	}
	return db.explain("empty the log", err)
}

// patience sets how long the writer waits for others.
func (db *DB) patience(ctx context.Context, ms int) error {
	_, err := db.conn.ExecContext(ctx, "PRAGMA busy_timeout = "+strconv.Itoa(ms))
	return err
}

// querier asks: a pool, a connection or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// checkpoint moves the log into the file. With TRUNCATE it returns ErrBusy when
// that was not possible to the end; PASSIVE does what it can.
func checkpoint(ctx context.Context, q querier, mode string) error {
	var busy, frames, moved int
	if err := q.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &frames, &moved); err != nil {
		return err
	}
	if mode == "TRUNCATE" && busy != 0 {
		return ErrBusy
	}
	return nil
}
