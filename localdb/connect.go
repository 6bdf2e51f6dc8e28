package localdb

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
)

// On a disk without a free byte SQLite cannot make the index of its log (-shm),
// and without that it opens nothing. A gate must start all the same: it then
// has the index in memory, which keeps every other process out of the file
// (the VFS "unix-excl", sqlite.org/vfs.html). It reads, it says ErrNoSpace to
// every row, and when there is room again it goes over to the ordinary way.
const aloneVFS = "&vfs=unix-excl"

// noRoom reports whether err comes from a disk that is full.
func (db *DB) noRoom(err error) bool {
	return err != nil && errors.Is(db.explain("", err), ErrNoSpace)
}

// connect opens the connections, alone when the disk leaves no other way.
func (db *DB) connect(ctx context.Context) error {
	err := db.attach(ctx, false)
	if db.noRoom(err) {
		db.disconnect()
		if db.attach(ctx, true) == nil {
			return nil
		}
	}
	if err != nil {
		db.disconnect()
	}
	return err
}

// rejoin goes from alone to the ordinary way. Whoever is just reading keeps his
// connection to the end of that. The writer's lock is held.
func (db *DB) rejoin(ctx context.Context) error {
	if err := db.disconnect(); err != nil {
		db.broken = err
	}
	db.broken = db.connect(ctx)
	return db.broken
}

func (db *DB) attach(ctx context.Context, alone bool) error {
	vfs := ""
	if alone {
		vfs = aloneVFS
	}
	pragmas := []string{
		"journal_mode(WAL)", "synchronous(" + db.sync + ")", "foreign_keys(ON)", "secure_delete(ON)",
		// Tick empties the log beside the writer, so that no row has to wait for
		// it. A little later SQLite does it by itself, should nobody tick: what is
		// in the log must always fit into the reserve.
		"wal_autocheckpoint(" + strconv.Itoa(logPages*3/2) + ")",
	}
	var err error
	if db.writer, err = sql.Open("sqlite", dsn(db.path, "rw", pragmas...)+vfs); err != nil {
		return err
	}
	db.writer.SetMaxOpenConns(1)
	if err := migrate(ctx, db.writer); err != nil {
		return err
	}
	if db.conn, err = db.writer.Conn(ctx); err != nil {
		return err
	}
	// An emptied log makes the file's own size tell the truth: a file that was
	// cut off shows here and not in the middle of a shift.
	// Somebody who looks into the file with another tool may prevent it, and so
	// may a full disk.
	err = checkpoint(ctx, db.conn, "TRUNCATE")
	emptied := err == nil
	if err != nil && !errors.Is(err, ErrBusy) && !(alone && db.noRoom(err)) {
		return err
	}
	var pages int64
	if err := db.conn.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
		return err
	}
	if emptied && fileSize(db.path) < pages*pageSize {
		return db.fail(ErrDamaged, nil)
	}
	if err := db.stmt.prepare(ctx, db.conn); err != nil {
		return err
	}
	if db.keeper, err = sql.Open("sqlite", dsn(db.path, "rw", pragmas...)+vfs); err != nil {
		return err
	}
	db.keeper.SetMaxOpenConns(1)
	reader, err := sql.Open("sqlite", dsn(db.path, "ro", "query_only(ON)")+vfs)
	if err != nil {
		return err
	}
	reader.SetMaxOpenConns(4)
	db.mu.Lock()
	db.readers = reader
	db.mu.Unlock()
	db.alone = alone
	return nil
}

// reader is the pool of those who only read.
func (db *DB) reader() *sql.DB {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.readers
}

// disconnect closes what attach opened, as far as it came.
func (db *DB) disconnect() error {
	var errs []error
	if r := db.reader(); r != nil {
		errs = append(errs, r.Close())
	}
	if db.keeper != nil {
		errs = append(errs, db.keeper.Close())
	}
	db.stmt.close()
	if db.conn != nil {
		errs = append(errs, db.conn.Close())
	}
	if db.writer != nil {
		errs = append(errs, db.writer.Close())
	}
	db.keeper, db.conn, db.writer = nil, nil, nil
	return errors.Join(errs...)
}
