package localdb

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Error is a failure of the file as a whole: Is one of the package's errors,
// Do what the person in front of it can do.
type Error struct {
	Path string
	Is   error
	Do   string
	Err  error // what the system said; may be nil
}

// Error is one line.
func (e *Error) Error() string {
	s := e.Path + ": " + e.Is.Error() + "; " + e.Do
	if e.Err != nil {
		s += " (" + e.Err.Error() + ")"
	}
	return s
}

// Unwrap gives both the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Is}
	}
	return []error{e.Is, e.Err}
}

// advice is what can be done about each kind.
func advice(kind error) string {
	switch kind {
	case ErrForeign:
		return "give the path of a gate's own file, or of one that does not exist yet"
	case ErrNewer:
		return "install the newer checkpoint again, or use another file"
	case ErrDamaged:
		return "move the file and those with its name and -wal or -side away, keep them for the technician, and start again"
	case ErrReadOnly:
		return "make the file and its folder writable for the user that runs checkpoint"
	case ErrUnreadable:
		return "run this as the user that runs the gate"
	case ErrUnfinished:
		return "start the gate once: it puts the file in order"
	case ErrInUse:
		return "stop the other one, or give this one a file of its own"
	case ErrNoSpace:
		return "free some room on this disk; a gate that runs goes on by itself"
	case ErrFull:
		return "connect the gate so that rows can go up, or raise the cap"
	}
	return "call the technician"
}

func (db *DB) fail(kind, cause error) error { return failure(db.path, kind, cause) }

func failure(path string, kind, cause error) error {
	return &Error{Path: path, Is: kind, Do: advice(kind), Err: cause}
}

// explain turns an error of SQLite or the system into one of ours where the
// person can do something about it; op says what was tried.
func (db *DB) explain(op string, err error) error { return explain(db.path, op, err) }

func explain(path, op string, err error) error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	if kind := kindOf(err); kind != nil {
		return failure(path, kind, err)
	}
	// A full disk shows in many ways: the index of the log cannot grow, a
	// journal cannot be made. Ask the disk itself.
	if sqliteCode(err)&0xff == sqlite3.SQLITE_IOERR || sqliteCode(err)&0xff == sqlite3.SQLITE_CANTOPEN {
		if free, freeErr := freeBytes(path); freeErr == nil && free < 64<<10 {
			return failure(path, ErrNoSpace, err)
		}
	}
	return fmt.Errorf("%s: %s: %w", path, op, err)
}

func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

func kindOf(err error) error {
	if errors.Is(err, ErrNewer) {
		return ErrNewer
	}
	switch sqliteCode(err) & 0xff {
	case sqlite3.SQLITE_FULL:
		return ErrNoSpace
	case sqlite3.SQLITE_CORRUPT:
		return ErrDamaged
	case sqlite3.SQLITE_NOTADB:
		return ErrDamaged // the header was ours, or Open would have said ErrForeign
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return ErrReadOnly
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return ErrInUse
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return ErrNoSpace
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return ErrReadOnly
	}
	return nil
}
