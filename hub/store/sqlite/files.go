package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"checkpoint/record"
)

// A segment of 30 to 50 rows is 2 to 4 KiB: in pages of 16 KiB several stand
// together, and none is spread over pages of its own.
const dayPage = 16384

// maxSources is how many sources of a file are remembered.
const maxSources = 1 << 16

// files are the day files that are open: some stay so for the next who needs
// them.
type files struct {
	store *Store

	mu   sync.Mutex
	open []*file // the one used last at the end
}

// file is one open day file. What writes holds Store.put.
type file struct {
	name string // in the folder
	path string

	writer *sql.DB // one connection
	conn   *sql.Conn
	reader *sql.DB
	stmt   statements
	source map[sourceKey]int64

	refs int // guarded by files.mu
	gone bool
}

type sourceKey struct {
	day, venue string
	record.Identity
}

type statements struct {
	segment, stored, known, orphans, context, hourly, notable, tally *sql.Stmt
}

func (f *files) init(s *Store) { f.store = s }

// get lends a day file, which release takes back. make: it may not exist yet.
func (f *files) get(ctx context.Context, name string, make bool) (*file, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.open, func(d *file) bool { return d.name == name })
	if i >= 0 {
		d := f.open[i]
		f.open = append(slices.Delete(f.open, i, i+1), d)
		d.refs++
		return d, nil
	}
	if err := f.store.alive(); err != nil {
		return nil, err
	}
	d := &file{name: name, path: filepath.Join(f.store.dir, name), source: map[sourceKey]int64{}, refs: 1}
	if make {
		if err := bear(ctx, d.path, "day", dayID, dayPage); err != nil {
			return nil, err
		}
	}
	// The caller's context ends no connection that others will use.
	if err := d.connect(context.WithoutCancel(ctx)); err != nil {
		return nil, errors.Join(err, d.close())
	}
	f.open = append(f.open, d)
	return d, f.trim()
}

// trim closes what was not used for longest. f.mu is held.
func (f *files) trim() error {
	var errs []error
	for i := 0; i < len(f.open) && len(f.open) > f.store.o.OpenDays; {
		if d := f.open[i]; d.refs == 0 {
			f.open = slices.Delete(f.open, i, i+1)
			errs = append(errs, d.close())
		} else {
			i++
		}
	}
	return errors.Join(errs...)
}

func (f *files) release(d *file) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	d.refs--
	if d.gone && d.refs == 0 {
		return d.close()
	}
	return f.trim()
}

// remove takes a file out of the folder. Who reads it now reads on to the end;
// nobody else sees it.
func (f *files) remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	if i := slices.IndexFunc(f.open, func(d *file) bool { return d.name == name }); i >= 0 {
		d := f.open[i]
		f.open = slices.Delete(f.open, i, i+1)
		if d.gone = true; d.refs == 0 {
			errs = append(errs, d.close())
		}
	}
	for _, suffix := range []string{"", "-wal", "-shm", "-journal", "-new", "-new-journal"} {
		if err := os.Remove(filepath.Join(f.store.dir, name+suffix)); err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, syncFolder(f.store.dir))...)
}

func (f *files) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, d := range f.open {
		if d.gone = true; d.refs == 0 { // else its reader closes it
			errs = append(errs, d.close())
		}
	}
	f.open = nil
	return errors.Join(errs...)
}

func (d *file) connect(ctx context.Context) (err error) {
	fresh, err := ours(d.path, dayID)
	if fresh {
		err = os.ErrNotExist
	}
	if err != nil {
		return err
	}
	if d.writer, err = sql.Open("sqlite", dsn(d.path, "rw", pragmas()...)); err != nil {
		return err
	}
	d.writer.SetMaxOpenConns(1)
	if d.conn, err = d.writer.Conn(ctx); err != nil {
		return err
	}
	if err := migrate(ctx, d.conn, "day"); err != nil {
		return err
	}
	if err := d.prepare(ctx); err != nil {
		return err
	}
	d.reader, err = sql.Open("sqlite", dsn(d.path, "ro", "query_only(ON)"))
	if err == nil {
		d.reader.SetMaxOpenConns(4)
	}
	return err
}

func (d *file) prepare(ctx context.Context) error {
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&d.stmt.segment, sqlSegment}, {&d.stmt.stored, sqlStored}, {&d.stmt.known, sqlKnown}, {&d.stmt.orphans, sqlOrphans},
		{&d.stmt.context, sqlContext}, {&d.stmt.hourly, sqlHourly}, {&d.stmt.notable, sqlNotable}, {&d.stmt.tally, sqlTally},
	} {
		stmt, err := d.conn.PrepareContext(ctx, p.text)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", p.text, err)
		}
		*p.stmt = stmt
	}
	return nil
}

// close closes what connect opened, as far as it came.
func (d *file) close() error {
	var errs []error
	if d.reader != nil {
		errs = append(errs, d.reader.Close())
	}
	for _, stmt := range []*sql.Stmt{d.stmt.segment, d.stmt.stored, d.stmt.known, d.stmt.orphans, d.stmt.context, d.stmt.hourly, d.stmt.notable, d.stmt.tally} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	if d.conn != nil {
		errs = append(errs, d.conn.Close())
	}
	if d.writer != nil {
		errs = append(errs, d.writer.Close())
	}
	return errors.Join(errs...)
}

// sourceOf is the number of a source, which it gets when it has none. It is
// called in a transaction.
func (d *file) sourceOf(ctx context.Context, key sourceKey) (int64, error) {
	if id, ok := d.source[key]; ok {
		return id, nil
	}
	var id int64
	err := d.conn.QueryRowContext(ctx, `INSERT INTO source (day, venue, device, epoch) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET day = day RETURNING id`, key.day, key.venue, key.Device[:], key.Epoch[:]).Scan(&id)
	if err != nil {
		return 0, err
	}
	if len(d.source) >= maxSources {
		clear(d.source)
	}
	d.source[key] = id
	return id, nil
}

// fileName is the file of a day.
func fileName(day string, own bool) string {
	if own {
		return "day-" + day + ".db"
	}
	return otherFile
}
