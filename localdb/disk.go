package localdb

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockFile takes the lock that keeps a second program away from the database.
// It is a file of its own: SQLite's locks on the database would be lost if this
// process closed another descriptor of it (POSIX record locks).
func lockFile(path string) (f *os.File, made bool, err error) {
	if _, err := os.Lstat(path); os.IsNotExist(err) {
		made = true
	}
	f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, err
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
			return nil, false, ErrInUse
		}
		return nil, false, err
	}
	return f, made, nil
}

// syncFolder makes the names in path's folder durable: a new file is lost at a
// power cut as long as its name is not on the disk.
func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// freeBytes is the room that this user has on path's disk.
func freeBytes(path string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

// fileSize is 0 for a file that is not there.
func fileSize(path string) int64 {
	i, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return i.Size()
}
