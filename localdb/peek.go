package localdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"checkpoint/record"

	"golang.org/x/sys/unix"
	sqlite3 "modernc.org/sqlite/lib"
)

// Peeked is what a gate file held at one instant.
type Peeked struct {
	Trust []Trust // newest first, at most two
	Clock Clock

	Last       uint64 // newest row, 0 none
	Waiting    uint64 // rows that no receipt covers, nor a signed refusal
	Unrecorded uint64 // scans that left no row since the file was born

	Identity  record.Identity // of the rows that are written now; zero: none yet
	Enrolment *Enrolment      // without its private keys; nil: the gate belongs to no hub
	Poison    uint64          // segments that were set aside
	Refused   uint64          // segments that a hub refused for good, ever

	disk disk
}

// Share is how much of the room under a cap, or of the disk when that ends
// sooner, the file takes, and whether that is worth a warning. A cap of 0 is
// the default.
func (p Peeked) Share(most int64) (share float64, warn bool) {
	if most <= 0 {
		most = defaultCap
	}
	return p.disk.share(most)
}

// Accepts says what InstallTrust would say: ErrOlder, ErrConflict, ErrTrust,
// or nil; same when it is installed already.
func (p Peeked) Accepts(n Trust) (same bool, err error) {
	switch {
	case !n.fits():
		return false, ErrTrust
	case len(p.Trust) == 0:
		return false, nil
	}
	return n.after(p.Trust[0].Version, p.Trust[0].Bytes)
}

// A file changes its state while one looks: a gate starts, or ends. Then Peek
// looks again, so often and so long apart.
const (
	peekTries   = 50
	peekDamaged = 3 // as often damage must be seen to be believed
	peekPause   = 20 * time.Millisecond
)

// errMoved says that the file was opened by a gate while it was read.
var errMoved = errors.New("a gate began to use the file")

// Peek reads a gate file without a part in it, whether a gate has it open or
// not. It takes no lock that a gate waits for longer than for any reader,
// writes nothing, and makes no file beside it that was not there; so it does
// not bring an older form up to date either, and reads only what stands in
// every form since the first.
//
// A file that is not there, or is empty, is fs.ErrNotExist. The others are
// ErrForeign, ErrNewer, ErrDamaged, ErrUnreadable for missing rights, and
// ErrUnfinished for a log whose index (-shm) is missing: only a writer can make
// that anew.
//
// It is not for the process that has the file open with Open, nor for several
// goroutines at a time: when Peek closes its descriptor the system drops all
// locks of the process on that file (POSIX record locks).
func Peek(ctx context.Context, path string) (Peeked, error) {
	return peekAt(ctx, path, peekAll)
}

// PeekRepositories reads the trust repository of a gate file as Peek reads the
// rest: newest first, at most two generations.
func PeekRepositories(ctx context.Context, path string) ([]Repository, error) {
	return peekAt(ctx, path, func(ctx context.Context, path string, tx querier, form int, _ bool) ([]Repository, error) {
		if form < withHub {
			return nil, nil
		}
		return readRepositories(ctx, tx)
	})
}

// reading takes from a file, in one transaction, what a peek is for. form is
// the file's; resting says that no log stands beside it.
type reading[T any] func(ctx context.Context, path string, tx querier, form int, resting bool) (T, error)

func peekAt[T any](ctx context.Context, path string, read reading[T]) (T, error) {
	var nothing T
	path, err := filepath.Abs(path)
	if err != nil {
		return nothing, fmt.Errorf("path of the database: %w", err)
	}
	for try := 1; ; try++ {
		p, err := peek(ctx, path, read)
		if err == nil {
			return p, nil
		}
		if try >= peekTries || !passing(err) || damaged(err) && try >= peekDamaged {
			return nothing, unreadable(path, err)
		}
		select {
		case <-time.After(peekPause):
		case <-ctx.Done():
			return nothing, ctx.Err()
		}
	}
}

// passing reports whether it may go well a moment later.
func passing(err error) bool {
	switch sqliteCode(err) & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_READONLY: // the index is just being made
		return true
	}
	return errors.Is(err, errMoved) || errors.Is(err, ErrUnfinished) || damaged(err)
}

func damaged(err error) bool { return errors.Is(err, ErrDamaged) || kindOf(err) == ErrDamaged }

// unreadable puts what went wrong into the words of somebody who only reads.
func unreadable(path string, err error) error {
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return err
	case errors.Is(err, errMoved), sqliteCode(err)&0xff == sqlite3.SQLITE_BUSY, sqliteCode(err)&0xff == sqlite3.SQLITE_LOCKED:
		do := "try again in a moment"
		if free, err := freeBytes(path); err == nil && free < reserve {
			do = "free some room on this disk: a gate that started on a full one lets nobody look until there is room"
		}
		return &Error{Path: path, Is: ErrInUse, Do: do, Err: err}
	case errors.Is(err, fs.ErrPermission), sqliteCode(err)&0xff == sqlite3.SQLITE_READONLY, sqliteCode(err)&0xff == sqlite3.SQLITE_CANTOPEN:
		return failure(path, ErrUnreadable, err)
	}
	return explain(path, "look into it", err)
}

// peek is one look.
func peek[T any](ctx context.Context, path string, read reading[T]) (p T, err error) {
	f, err := openRead(path)
	if err != nil {
		return p, err
	}
	defer f.Close()
	empty, err := ours(f, path)
	if err != nil {
		return p, err
	}
	if empty {
		return p, fmt.Errorf("%s is empty: %w", path, fs.ErrNotExist)
	}
	if err := share(f); err != nil {
		return p, err
	}
	// SQLite's files stand beside the file itself, not beside a link to it.
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return p, err
	}
	before := besides(real)
	options, err := before.options(real)
	if err != nil {
		return p, err
	}
	pool, err := sql.Open("sqlite", dsn(real, "ro", "query_only(ON)")+options)
	if err != nil {
		return p, err
	}
	defer pool.Close()
	pool.SetMaxOpenConns(1)
	seen, err := peekOnce(ctx, path, pool, before.resting(), read)
	if before.resting() && besides(real) != before {
		return p, errMoved
	}
	return seen, err
}

// peekOnce reads in one transaction from a file whose form is known.
func peekOnce[T any](ctx context.Context, path string, pool *sql.DB, resting bool, read reading[T]) (p T, err error) {
	tx, err := pool.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return p, err
	}
	defer tx.Rollback()
	known, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return p, err
	}
	var version int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return p, err
	}
	switch {
	case version > len(known):
		return p, fmt.Errorf("%w: version %d, this program knows %d", ErrNewer, version, len(known))
	case version < 1:
		return p, failure(path, ErrDamaged, nil)
	}
	return read(ctx, path, tx, version, resting)
}

// peekAll reads everything but the repository.
func peekAll(ctx context.Context, path string, tx querier, version int, resting bool) (p Peeked, err error) {
	at, err := readStand(ctx, path, tx, version)
	if err != nil {
		return p, err
	}
	var box outbox
	var settled ranges
	if version >= withHub {
		if box, settled, err = readOutbox(ctx, tx); err != nil {
			return p, err
		}
		if p.Enrolment, err = peekEnrolment(ctx, path, tx); err != nil {
			return p, err
		}
	}
	p.Clock, p.Last = at.clock, at.seq
	p.Waiting, _ = box.waiting(settled, at.purged, at.seq)
	p.Poison, p.Refused = box.poison, box.refused
	if p.Identity, err = readIdentity(ctx, tx); err != nil {
		return p, err
	}
	var pages int64
	if p.disk, pages, err = readDisk(ctx, path, tx); err != nil {
		return p, err
	}
	if resting && fileSize(path) < pages*pageSize {
		return p, failure(path, ErrDamaged, nil)
	}
	if p.Trust, err = readTrust(ctx, tx); err != nil {
		return p, err
	}
	p.Unrecorded, err = peekSide(path+"-side", at.born)
	return p, err
}

// peekEnrolment does not touch the columns of private keys.
func peekEnrolment(ctx context.Context, path string, q querier) (*Enrolment, error) {
	e, err := readEnrolment(ctx, path, q, `NULL, NULL`)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &e, err
}

// readIdentity is the newest one.
func readIdentity(ctx context.Context, q querier) (id record.Identity, err error) {
	var device, name []byte
	err = q.QueryRowContext(ctx, `SELECT device, epoch FROM epoch ORDER BY id DESC LIMIT 1`).Scan(&device, &name)
	if errors.Is(err, sql.ErrNoRows) {
		return id, nil
	}
	copy(id.Device[:], device)
	copy(id.Epoch[:], name)
	return id, err
}

func peekSide(path string, born [8]byte) (unrecorded uint64, err error) {
	f, err := openRead(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	s := side{born: born}
	_, err = s.read(f)
	return s.unrecorded, err
}

// SQLite's shared lock on a database file (os_unix.c, "SHARED_FIRST"): who ends
// as the last one may only remove the log while nobody holds it.
const (
	sharedFirst = 0x40000000 + 2
	sharedSize  = 510
)

// share takes that lock until f is closed. From here on a log that appears
// stays, so what besides says cannot go back and forth unseen.
func share(f *os.File) error {
	err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{
		Type: unix.F_RDLCK, Whence: unix.SEEK_SET, Start: sharedFirst, Len: sharedSize})
	if err == unix.EAGAIN || err == unix.EACCES {
		return errMoved // somebody is just removing it
	}
	return err
}

// company is what stands beside the database.
type company struct {
	log     int64 // bytes of -wal, -1 when it is not there
	index   bool  // -shm
	journal bool  // with something in it
}

func besides(path string) company {
	c := company{log: -1, journal: fileSize(path+"-journal") > 0}
	if i, err := os.Stat(path + "-wal"); err == nil {
		c.log = i.Size()
	}
	_, err := os.Stat(path + "-shm")
	c.index = err == nil
	return c
}

// resting reports that the file alone says everything. A gate that has it open
// has log and index, too.
func (c company) resting() bool {
	return !c.journal && (c.log < 0 || c.log == 0 && !c.index)
}

// options are those of the URI. With mode=ro alone SQLite would make -wal and
// -shm where they are missing.
func (c company) options(path string) (string, error) {
	switch {
	case c.resting():
		return "&immutable=1", nil
	case c.journal, !c.index:
		return "", failure(path, ErrUnfinished, nil)
	}
	for _, end := range []string{"-wal", "-shm"} {
		if err := unix.Access(path+end, unix.R_OK); err != nil {
			return "", &fs.PathError{Op: "read", Path: path + end, Err: err}
		}
	}
	return "&readonly_shm=1", nil
}
