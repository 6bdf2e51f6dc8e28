package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"syscall"

	"checkpoint/hub/store"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// explain says what was tried, and turns an error of SQLite or of the system
// into one of the store's where there is one.
func (s *Store) explain(op string, err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{store.ErrNotFound, store.ErrExists, store.ErrStale, store.ErrState, store.ErrNewer, store.ErrOlder,
		store.ErrInUse, store.ErrFull, store.ErrUnavailable, store.ErrUnfinished, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
	if is := kindOf(err); is != nil {
		return fmt.Errorf("%s: %w (%w)", op, is, err)
	}
	// A full disk shows in many ways: the log's index cannot grow, a file cannot
	// be made. Ask the disk itself.
	if c := code(err) & 0xff; c == sqlite3.SQLITE_IOERR || c == sqlite3.SQLITE_CANTOPEN {
		if free, freeErr := freeBytes(s.dir); freeErr == nil && free < 256<<10 {
			return fmt.Errorf("%s: %w (%w)", op, store.ErrFull, err)
		}
	}
	return fmt.Errorf("%s in %s: %w", op, s.dir, err)
}

func kindOf(err error) error {
	switch code(err) & 0xff {
	case sqlite3.SQLITE_FULL:
		return store.ErrFull
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return store.ErrUnavailable
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return store.ErrFull
	case errors.Is(err, sql.ErrConnDone), errors.Is(err, errClosed):
		return store.ErrUnavailable
	}
	return nil
}

// unique reports whether a key was there already.
func unique(err error) bool {
	c := code(err)
	return c == sqlite3.SQLITE_CONSTRAINT_UNIQUE || c == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY || c == sqlite3.SQLITE_CONSTRAINT_ROWID
}

func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// freeBytes is the room that this user has on the disk of a folder.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // the types differ by platform
}
