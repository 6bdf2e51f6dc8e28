// Package sqlite keeps what a hub keeps in the files of one folder: nothing to
// install, for one hub.
//
//	lock              held by the hub that runs
//	main.db           streams, gates, tokens, people, trust, alarms, acts, days, quarantine
//	day-2026-11-23.db segments, hourly counts, notable rows and contexts of a day
//	other.db          the same of days whose name is no date, or is one far off
//
// Each file is an SQLite database in WAL mode with synchronous=FULL. A batch of
// segments is committed to its day files first, then to main.db, which says how
// far each stream is. When the hub ends in between, the day file holds segments
// that no stream knows of: they come again, as nobody got a receipt, are found
// to be the same bytes, and are counted once.
//
// A day is dropped by removing its file. Days that share other.db are deleted
// row by row, and overwritten.
package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"checkpoint/hub/store"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Options are what can be chosen; the zero value is good.
type Options struct {
	OpenDays int              // day files kept open; 0: 16
	Reserve  int64            // bytes that segments leave free on the disk, for what people do; 0: 64 MiB
	Now      func() time.Time // nil: time.Now
}

// Store is an open folder. It is safe for use by several goroutines.
type Store struct {
	dir  string
	o    Options
	lock *os.File

	main *sql.DB // one connection, which writes
	read *sql.DB // read only

	put     sync.Mutex // held for a batch and for a drop; guards streams
	streams streams

	files files

	mu     sync.Mutex // guards days and closed; after put
	days   map[string]*day
	closed bool

	step func(at string) error // tests stop a batch at a step; nil else
}

var _ store.Store = (*Store)(nil)

var errClosed = errors.New("store is closed")

const (
	mainID = 0x434b4831 // "CKH1"
	dayID  = 0x434b4431 // "CKD1"

	busyMS = 10_000

	mainFile  = "main.db"
	otherFile = "other.db"
)

// Migrate makes the folder and its main.db, or brings main.db up to date. Day
// files follow when they are opened. It returns store.ErrInUse while a hub runs.
func Migrate(ctx context.Context, dir string) (err error) {
	s := &Store{dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return s.explain("make the folder", err)
	}
	if s.lock, err = lockFolder(dir); err != nil {
		return s.explain("lock", err)
	}
	defer s.lock.Close()
	path := filepath.Join(dir, mainFile)
	if err := bear(ctx, path, "main", mainID, 4096); err != nil {
		return s.explain("make main.db", err)
	}
	pool, err := sql.Open("sqlite", dsn(path, "rw", pragmas()...))
	if err != nil {
		return s.explain("open main.db", err)
	}
	pool.SetMaxOpenConns(1)
	err = migrate(ctx, pool, "main")
	return s.explain("bring main.db up to date", errors.Join(err, pool.Close()))
}

// bear makes a file when there is none: complete under another name, on the
// disk, then renamed. So a file under this name is never half made.
func bear(ctx context.Context, path, kind string, id uint32, page int) error {
	fresh, err := ours(path, id)
	if err != nil || !fresh {
		return err
	}
	young := path + "-new"
	for _, old := range []string{young, young + "-journal", path, path + "-wal", path + "-shm"} {
		if err := os.Remove(old); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	pool, err := sql.Open("sqlite", dsn(young, "rwc", "journal_mode(DELETE)", "synchronous(FULL)"))
	if err != nil {
		return err
	}
	pool.SetMaxOpenConns(1)
	// By hand and in this order: the driver sorts the pragmas of an address, and
	// the first that writes settles the size of the pages.
	_, err = pool.ExecContext(ctx, fmt.Sprintf("PRAGMA page_size = %d; PRAGMA application_id = %d", page, id))
	if err == nil {
		err = migrate(ctx, pool, kind)
	}
	if err := errors.Join(err, pool.Close()); err != nil {
		return errors.Join(err, os.Remove(young))
	}
	f, err := os.OpenFile(young, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(young, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// Open opens a folder that Migrate has made. It returns store.ErrInUse,
// store.ErrOlder, store.ErrNewer and store.ErrUnfinished.
func Open(ctx context.Context, dir string, o Options) (_ *Store, err error) {
	if o.OpenDays <= 0 {
		o.OpenDays = 16
	}
	if o.Reserve <= 0 {
		o.Reserve = 64 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("path of the store: %w", err)
	}
	s := &Store{dir: dir, o: o, days: map[string]*day{}}
	s.files.init(s)
	s.streams.init()
	path := filepath.Join(dir, mainFile)
	fresh, err := ours(path, mainID)
	switch {
	case err != nil:
		return nil, s.explain("look at "+path, err)
	case fresh:
		return nil, fmt.Errorf("open %s: %w: there is no main.db", dir, store.ErrOlder)
	}
	if s.lock, err = lockFolder(dir); err != nil {
		return nil, s.explain("lock", err)
	}
	defer func() {
		if err != nil {
			_ = s.release()
		}
	}()
	if err := s.connect(ctx, path); err != nil {
		return nil, s.explain("open main.db", err)
	}
	return s, s.explain("read the days", s.loadDays(ctx))
}

func (s *Store) connect(ctx context.Context, path string) (err error) {
	if s.main, err = sql.Open("sqlite", dsn(path, "rw", pragmas()...)); err != nil {
		return err
	}
	s.main.SetMaxOpenConns(1)
	if err := current(ctx, s.main, "main"); err != nil {
		return err
	}
	if s.read, err = sql.Open("sqlite", dsn(path, "ro", "query_only(ON)")); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(8)
	s.read.SetMaxIdleConns(8)
	var loading bool
	if err := s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM loading)`).Scan(&loading); err != nil {
		return err
	}
	if loading {
		return fmt.Errorf("%w: empty the folder", store.ErrUnfinished)
	}
	return nil
}

// Close closes all files. Methods that come later give store.ErrUnavailable.
func (s *Store) Close() error {
	s.put.Lock()
	defer s.put.Unlock()
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	return s.explain("close", s.release())
}

// release gives everything back, the lock last.
func (s *Store) release() error {
	errs := []error{s.files.close()}
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.main != nil {
		errs = append(errs, s.main.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// alive returns errClosed after Close.
func (s *Store) alive() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	return nil
}

// Ready reports whether the store can be written to now.
func (s *Store) Ready(ctx context.Context) error {
	if err := s.alive(); err != nil {
		return s.explain("store", err)
	}
	if err := s.room(); err != nil {
		return err
	}
	var one int
	return s.explain("read main.db", s.read.QueryRowContext(ctx, `SELECT generation >= 0 FROM trust_generation`).Scan(&one))
}

// room returns store.ErrFull when segments would take the disk's last room: it
// is for what people do, and for the logs of the files.
func (s *Store) room() error {
	free, err := freeBytes(s.dir)
	if err != nil {
		return s.explain("look at the disk", err)
	}
	if free < s.o.Reserve {
		return fmt.Errorf("%w: %d MiB are free in %s, %d are kept for other than segments", store.ErrFull, free>>20, s.dir, s.o.Reserve>>20)
	}
	return nil
}

// Now is this machine's clock: there is one hub.
func (s *Store) Now(context.Context) (time.Time, error) { return s.o.Now(), nil }

// write does f in a transaction of main.db.
func (s *Store) write(ctx context.Context, op string, f func(q querier) error) error {
	if err := s.alive(); err != nil {
		return s.explain(op, err)
	}
	conn, err := s.main.Conn(ctx)
	if err != nil {
		return s.explain(op, err)
	}
	defer conn.Close()
	return s.explain(op, transact(ctx, conn, func() error { return f(conn) }))
}

// lockFolder keeps a second program away. The lock is a file of its own:
// SQLite's locks on a database would be lost if this process closed another
// descriptor of it (POSIX record locks).
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		if err == unix.EWOULDBLOCK {
			return nil, fmt.Errorf("%w: %s", store.ErrInUse, dir)
		}
		return nil, err
	}
	return f, nil
}

// ours looks at the first bytes of a file before SQLite does, which would take
// any database for its own. fresh: there is nothing.
func ours(path string, id uint32) (fresh bool, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // it may be a named pipe
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, 100)
	n, _ := f.ReadAt(head, 0)
	switch {
	case n == 0:
		return true, nil
	case n < len(head) || !strings.HasPrefix(string(head), "SQLite format 3\x00"):
		return false, errors.New("not a file of a hub")
	}
	if binary.BigEndian.Uint32(head[68:]) != id { // sqlite.org/fileformat.html §1.3
		return false, errors.New("not a file of a hub")
	}
	return false, nil
}

// pragmas of a connection that writes.
func pragmas() []string {
	return []string{"journal_mode(WAL)", "synchronous(FULL)", "secure_delete(ON)", "cache_size(-8192)",
		// Emptying the log costs two waits for the disk: not so often. It is cut
		// back when it has grown further than this.
		"wal_autocheckpoint(4000)", "journal_size_limit(67108864)"}
}

// dsn is a SQLite URI with pragmas; busy_timeout always comes first.
func dsn(path, mode string, pragmas ...string) string {
	q := url.Values{"mode": {mode}, "_pragma": {"busy_timeout(" + strconv.Itoa(busyMS) + ")"}}
	q["_pragma"] = append(q["_pragma"], pragmas...)
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
