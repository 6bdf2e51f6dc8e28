package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// maxLog is what a log file and its predecessor (path.1) never pass together.
const maxLog = 64 << 20

// openLog opens the log: JSON records, one a line. A standard error that a
// service manager keeps needs no cap of ours.
func (a *app) openLog(path string) (*slog.Logger, io.Closer, error) {
	if path == "-" {
		return slog.New(slog.NewJSONHandler(a.err, nil)), io.NopCloser(nil), nil
	}
	f, err := openCapped(path, maxLog)
	if err != nil {
		return nil, nil, faultf("open the log: %w", err)
	}
	return slog.New(slog.NewJSONHandler(f, nil)), f, nil
}

// cappedFile appends to a file and starts it anew, keeping one predecessor,
// before it would pass half of its limit. It may be used by several
// goroutines; each Write is one record.
type cappedFile struct {
	path  string
	limit int64 // of one file, bytes

	mu   sync.Mutex
	file *os.File
	size int64
}

func openCapped(path string, limit int64) (*cappedFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	c := &cappedFile{path: path, limit: limit / 2}
	if err := c.open(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *cappedFile) open() error {
	// O_NONBLOCK: a named pipe at that path must not stop the hub.
	f, err := os.OpenFile(c.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", c.path)
	}
	if err != nil {
		f.Close()
		return err
	}
	c.file, c.size = f, info.Size()
	return nil
}

// Write appends one record. A record longer than a whole file is dropped: the
// cap holds whatever is written.
func (c *cappedFile) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == nil {
		return 0, os.ErrClosed
	}
	if int64(len(p)) > c.limit {
		return len(p), nil
	}
	if c.size+int64(len(p)) > c.limit {
		if err := c.turn(); err != nil {
			return 0, err
		}
	}
	n, err := c.file.Write(p)
	c.size += int64(n)
	return n, err
}

func (c *cappedFile) turn() error {
	err := c.file.Close()
	c.file = nil
	if err != nil {
		return err
	}
	if err := os.Rename(c.path, c.path+".1"); err != nil {
		return err
	}
	return c.open()
}

// Close ends the log.
func (c *cappedFile) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	return err
}
