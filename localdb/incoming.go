package localdb

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// A gate that runs keeps its file to itself. Trust for it is left beside the
// file: LeaveTrust puts it there whole, the gate claims it by renaming it, so
// that one left a moment later is never lost, and removes it when it is
// installed, or sets it aside when it is refused.
const (
	incomingEnd = "-incoming"
	claimedEnd  = "-claimed"
	refusedEnd  = "-refused"
)

// LeaveTrust leaves a signed snapshot for the gate that has the file at path
// open. It is on the disk when LeaveTrust returns, and replaces one that the
// gate has not claimed yet. Root leaves it in the name of the file's owner.
func LeaveTrust(path string, signed []byte) error {
	if len(signed) == 0 || len(signed) > MaxTrust {
		return ErrTrust
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	return explain(path, "leave trust beside it", leave(path, signed))
}

func leave(path string, signed []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+incomingEnd+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := f.Chmod(0o640); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
				return err
			}
		}
	}
	if _, err := f.Write(signed); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path+incomingEnd); err != nil {
		return err
	}
	return syncFolder(path)
}

// LeftTrust reports whether a snapshot that was left at path is still waiting:
// for a gate, or for the end of its installation.
func LeftTrust(path string) bool {
	return there(path+incomingEnd) || there(path+claimedEnd)
}

// RefusedTrust is where the snapshot lies that the gate at path refused last,
// if nobody has taken it away since.
func RefusedTrust(path string) (file string, ok bool) {
	return path + refusedEnd, there(path + refusedEnd)
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// IncomingTrust claims the snapshot that was left for this gate and reads it;
// most bounds its bytes. Whoever left it is not to be believed: the caller
// checks it as any other. It costs two looks at the folder when there is none,
// which is fs.ErrNotExist. ErrTrust says that what was left is no file, empty
// or too large. The claim stays until DropIncoming or RefuseIncoming.
func (db *DB) IncomingTrust(most int64) ([]byte, error) {
	if db.closed.Load() {
		return nil, ErrClosed
	}
	claimed := db.path + claimedEnd
	if !there(claimed) {
		if !there(db.path + incomingEnd) {
			return nil, fs.ErrNotExist
		}
		if err := os.Rename(db.path+incomingEnd, claimed); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(claimed, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, ErrTrust
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	most = min(most, MaxTrust)
	if !info.Mode().IsRegular() || info.Size() == 0 || info.Size() > most {
		return nil, ErrTrust
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = ErrTrust
	}
	return data, err
}

// DropIncoming removes what IncomingTrust claimed.
func (db *DB) DropIncoming() error { return os.Remove(db.path + claimedEnd) }

// RefuseIncoming sets what IncomingTrust claimed aside, in place of the one
// refused before, for the technician to look at.
func (db *DB) RefuseIncoming() error {
	err := os.Rename(db.path+claimedEnd, db.path+refusedEnd)
	if err == nil {
		return nil
	}
	// One of the two is a folder.
	if os.Remove(db.path+refusedEnd) == nil {
		return os.Rename(db.path+claimedEnd, db.path+refusedEnd)
	}
	return err
}
