package localdb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"checkpoint/record"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// DB is an open gate file. It is safe for use by several goroutines. There is
// one writer: Appends that wait at the same time share one commit.
type DB struct {
	path string
	o    Options
	lock *os.File
	side *side

	writer *sql.DB   // one connection
	conn   *sql.Conn // that one
	stmt   statements
	keeper *sql.DB // one connection, for checkpoints beside the writer

	requests chan *request
	quit     chan struct{}
	ended    chan struct{} // closed when the writer's goroutine is gone
	closing  atomic.Bool
	closed   atomic.Bool

	write sync.Mutex // held for each transaction; guards what follows
	run   uint64     // newest seq at Open
	names names
	now   struct { // the session that rows are written in
		session uint64
		at      record.Stamp
	}
	disk    disk
	commits int    // since the log was emptied
	owed    bool   // rows were purged: the log must be cut
	due     string // why the next transaction begins an epoch; "" it does not
	alone   bool   // the log's index is in memory, as the disk had no room for it
	broken  error  // why there is no connection; nil there is
	sync    string // the synchronous mode

	cutting sync.Mutex // held while segments are cut or rows erased; before write. Guards what follows
	tail    tail
	made    record.Cut // the segment that was made last, with its bytes

	installing sync.Mutex // held while the trust repository is written; before write

	mu      sync.RWMutex // guards what follows, which readers see too
	readers *sql.DB      // mode=ro
	id      record.Identity
	epochs  []epoch
	head    uint64
	link    record.Link
	purged  uint64
	settled ranges // rows that wait no more: a receipt or signed refusal covers them, or they were erased
	box     outbox
	clock   Clock
	ranTo   record.Stamp        // clock.RanMS is counted up to here
	pending map[hourKey]hourSum // not yet in hourly
	flying  map[hourKey]hourSum // on the way there
	flushes uint64
	saved   record.Stamp // of the last flush
	told    int64        // hours before it have their count rows
	looked  disk         // as of the last look
	pace    pace
	oldest  struct {
		seq uint64
		at  int64
	}
}

const (
	applicationID = 0x434b5031 // "CKP1"
	pageSize      = 4096
	defaultCap    = 1 << 30
	// reserve stays free on the disk and under the cap: room for the log to
	// grow and be emptied, for a purge, and for the last event rows.
	reserve = 8 << 20
	// logPages is where Tick empties the log: 4 MiB, of which SQLite uses the
	// same blocks again and again.
	logPages = 1024

	busyMS = 5000
)

// Open opens the gate file at path and makes it when it is not there, brings an
// older form up to date, and locks it against a second program.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	return open(ctx, path, o, "FULL")
}

// open is Open with the synchronous mode as an argument: the durability tests
// have a control with NORMAL, which must lose rows.
func open(ctx context.Context, path string, o Options, synchronous string) (_ *DB, err error) {
	if o.Now == nil {
		return nil, errors.New("localdb: Options.Now is missing")
	}
	if o.Cap <= 0 {
		o.Cap = defaultCap
	}
	if o.Retention <= 0 {
		o.Retention = 14 * 24 * time.Hour
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("path of the database: %w", err)
	}
	db := &DB{
		path: path, o: o, sync: synchronous,
		requests: make(chan *request, maxBatch),
		quit:     make(chan struct{}),
		ended:    make(chan struct{}),
		pending:  make(map[hourKey]hourSum),
	}
	if i, err := os.Stat(filepath.Dir(path)); err != nil || !i.IsDir() {
		return nil, &Error{Path: path, Is: ErrReadOnly, Do: "make the folder " + filepath.Dir(path) + " first", Err: err}
	}
	lock, made, err := lockFile(path + "-lock")
	if err != nil {
		if errors.Is(err, ErrInUse) {
			return nil, db.fail(ErrInUse, nil)
		}
		return nil, db.explain("lock", err)
	}
	db.lock = lock
	defer func() {
		if err != nil {
			db.release()
			if made && errors.Is(err, ErrForeign) {
				os.Remove(path + "-lock") // leave nothing beside what is not ours
			}
			var known *Error
			if errors.As(err, &known) && known.Is == ErrNoSpace {
				known.Do = "free some room on this disk, then start again" // nothing runs that could go on
			}
		}
	}()
	if err := db.bear(ctx); err != nil {
		return nil, db.explain("open", err)
	}
	if err := db.connect(ctx); err != nil {
		return nil, db.explain("open", err)
	}
	if err := db.load(ctx); err != nil {
		return nil, db.explain("open", err)
	}
	go db.serve()
	if err := db.settle(ctx); err != nil {
		close(db.quit)
		<-db.ended
		return nil, err
	}
	return db, nil
}

// inspect looks at the first bytes of an existing file before SQLite does:
// SQLite would take somebody's photo album for its own and add tables to it.
// fresh is true when there is no file, or an empty one.
func (db *DB) inspect() (fresh bool, err error) {
	f, err := openRead(db.path)
	if os.IsNotExist(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if empty, err := ours(f, db.path); empty || err != nil {
		return empty, err
	}
	w, err := os.OpenFile(db.path, os.O_RDWR, 0)
	if err != nil {
		return false, err // before SQLite falls back to reading only
	}
	return false, w.Close()
}

// openRead opens without waiting: at the path may stand a named pipe.
func openRead(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
}

// ours looks at the first bytes of a file: nil for a gate's, else ErrForeign or
// ErrDamaged. empty is true for a file without a byte.
func ours(f *os.File, path string) (empty bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, failure(path, ErrForeign, nil)
	}
	head := make([]byte, 100)
	n, err := io.ReadFull(f, head)
	switch {
	case n == 0 && err == io.EOF:
		return true, nil
	case err == io.ErrUnexpectedEOF:
		return false, failure(path, ErrForeign, nil)
	case err != nil:
		return false, err
	}
	if string(head[:16]) != "SQLite format 3\x00" || binary.BigEndian.Uint32(head[68:]) != applicationID {
		return false, failure(path, ErrForeign, nil)
	}
	if info.Size() < pageSize {
		return false, failure(path, ErrDamaged, nil)
	}
	return false, nil
}

// bear makes the file when there is none: complete under another name, on the
// disk, then renamed. So a file under this name is never half made.
func (db *DB) bear(ctx context.Context) error {
	fresh, err := db.inspect()
	if err != nil || !fresh {
		return err
	}
	young := db.path + "-new"
	for _, old := range []string{young, young + "-journal", db.path + "-wal", db.path + "-shm", db.path + "-journal"} {
		if err := os.Remove(old); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	pool, err := sql.Open("sqlite", dsn(young, "rwc",
		"page_size("+strconv.Itoa(pageSize)+")", "journal_mode(DELETE)", "synchronous(FULL)",
		"application_id("+strconv.Itoa(applicationID)+")"))
	if err != nil {
		return err
	}
	pool.SetMaxOpenConns(1)
	err = migrate(ctx, pool)
	if closeErr := pool.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(young)
		os.Remove(young + "-journal")
		return err
	}
	f, err := os.OpenFile(young, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = errors.Join(f.Chmod(0o600), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(young, db.path); err != nil {
		return err
	}
	return syncFolder(db.path)
}

// dsn is a SQLite URI with pragmas; busy_timeout always comes first.
func dsn(path, mode string, pragmas ...string) string {
	q := url.Values{"mode": {mode}, "_pragma": {"busy_timeout(" + strconv.Itoa(busyMS) + ")"}}
	if mode != "ro" {
		q.Set("_txlock", "immediate")
	}
	q["_pragma"] = append(q["_pragma"], pragmas...)
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// settle finishes opening with rows of its own where they are due: the first of
// an epoch, and the counts of hours that ended while the gate was off.
func (db *DB) settle(ctx context.Context) error {
	at := db.o.Now()
	hardware := hardwareSum(db.o.HardwareID)
	_, seen := db.side.numbers()
	why := ""
	switch {
	case len(db.epochs) == 0:
		why = "new file"
	case len(hardware) > 0 && len(db.epochs[len(db.epochs)-1].hardware) > 0 &&
		string(hardware) != string(db.epochs[len(db.epochs)-1].hardware):
		why = "other hardware"
	case seen > db.head:
		// Rows that were on the disk are gone: this is an older copy, and their
		// numbers must not come twice under one epoch.
		why = "older copy of the file"
	}
	if why != "" {
		if err := db.NewEpoch(ctx, at, why); db.noRoom(err) {
			db.due = why // the first transaction that finds room does it
		} else if err != nil {
			return err
		}
	}
	if n := len(db.epochs); n > 0 && db.due == "" && len(db.epochs[n-1].hardware) == 0 && len(hardware) > 0 {
		last := &db.epochs[n-1]
		_, err := db.conn.ExecContext(ctx, `UPDATE epoch SET hardware = ? WHERE id = ?`, hardware, last.id)
		switch {
		case err == nil:
			last.hardware = hardware
		case !db.noRoom(err): // or the next start does it
			return db.explain("keep the hardware id", err)
		}
	}
	if err := db.replay(ctx); err != nil {
		return db.explain("count again", err)
	}
	if err := db.look(ctx); err != nil {
		return db.explain("look at the disk", err)
	}
	db.told = hourOf(at.WallMS)
	err := db.tellCounts(ctx, at, false)
	if db.noRoom(err) {
		db.told-- // Tick does it when there is room
		err = nil
	}
	return err
}

func hardwareSum(id string) []byte {
	if id == "" {
		return []byte{}
	}
	sum := sha256.Sum256([]byte("checkpoint hardware 1\x00" + id))
	return sum[:]
}

// release gives everything back, in the order that keeps the lock last.
func (db *DB) release() error {
	errs := []error{db.disconnect()}
	if db.side != nil {
		errs = append(errs, db.side.close())
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
	}
	return errors.Join(errs...)
}

// Close writes what is pending (the counts of the hour as a row), empties the
// log into the file and lets the lock go. A second Close gives ErrClosed.
func (db *DB) Close(ctx context.Context, at record.Stamp) error {
	if !db.closing.CompareAndSwap(false, true) {
		return ErrClosed
	}
	tellErr := db.tellCounts(ctx, at, true)
	close(db.quit)
	<-db.ended
	db.closed.Store(true)
	db.write.Lock() // whoever is in a transaction finishes it
	defer db.write.Unlock()
	head, _ := db.Head()
	sawErr := db.side.saw(head)
	emptyErr := db.broken
	if emptyErr == nil {
		emptyErr = checkpoint(context.WithoutCancel(ctx), db.conn, "TRUNCATE")
	}
	if errors.Is(emptyErr, ErrBusy) {
		emptyErr = nil // the log is as good as the file; the next Open empties it
	}
	return db.explain("close", errors.Join(tellErr, sawErr, emptyErr, db.release()))
}
