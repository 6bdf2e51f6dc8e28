package localdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// The side file holds the numbers that must be writable when the database is
// not. Its 4 KiB are written when it is born, so counting takes no new room on
// a full disk. Two slots are written in turn, so a power cut in the middle of
// one leaves the other (docs/formats.md, "Database file").
const (
	sideSize  = 4096
	slotAway  = 2048
	sideMagic = "ckside01"
	slotSize  = 8 + 8 + 8 + 8 + 8 + 4
)

type side struct {
	mu         sync.Mutex
	file       *os.File
	whole      bool // its 4 KiB are on the disk
	born       [8]byte
	generation uint64
	unrecorded uint64 // scans without a row, ever
	seen       uint64 // rows up to here were on the disk: a database with fewer is an older copy
}

// openSide opens the side file of the database that was born with this id, or
// makes it. A side file of another database, or one that is broken, begins
// anew: it is only ever a count.
func openSide(path string, born [8]byte) (*side, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	s := &side{file: f, born: born}
	if found, err := s.read(f); found || err != nil {
		if err != nil {
			f.Close()
			return nil, err
		}
		s.whole = true
		return s, nil
	}
	// On a full disk it stays in memory until a store finds room.
	if err := s.store(); err != nil && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		f.Close()
		return nil, err
	}
	return s, nil
}

// read takes the newer slot of a file, if there is one.
func (s *side) read(f io.Reader) (found bool, err error) {
	buf := make([]byte, sideSize)
	n, err := io.ReadFull(f, buf)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return false, err
	}
	if n < sideSize {
		return false, nil
	}
	first, second := s.load(buf[:slotSize]), s.load(buf[slotAway:][:slotSize])
	return first || second, nil
}

// load takes the slot if it is whole, of this database, and the newest so far.
func (s *side) load(b []byte) bool {
	if string(b[:8]) != sideMagic || !bytes.Equal(b[8:16], s.born[:]) {
		return false
	}
	if crc32.Checksum(b[:slotSize-4], castagnoli()) != binary.BigEndian.Uint32(b[slotSize-4:]) {
		return false
	}
	if g := binary.BigEndian.Uint64(b[16:]); g > s.generation {
		s.generation = g
		s.unrecorded = binary.BigEndian.Uint64(b[24:])
		s.seen = binary.BigEndian.Uint64(b[32:])
	}
	return true
}

// store writes the numbers to the slot whose turn it is, and to the disk.
func (s *side) store() error {
	if !s.whole {
		if _, err := s.file.WriteAt(make([]byte, sideSize), 0); err != nil {
			return err
		}
		if err := syncFolder(s.file.Name()); err != nil {
			return err
		}
		s.whole = true
	}
	generation := s.generation + 1
	b := make([]byte, 0, slotSize)
	b = append(b, sideMagic...)
	b = append(b, s.born[:]...)
	b = binary.BigEndian.AppendUint64(b, generation)
	b = binary.BigEndian.AppendUint64(b, s.unrecorded)
	b = binary.BigEndian.AppendUint64(b, s.seen)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
	if _, err := s.file.WriteAt(b, int64(generation%2)*slotAway); err != nil {
		return err
	}
	if err := unix.Fdatasync(int(s.file.Fd())); err != nil {
		return err
	}
	s.generation = generation
	return nil
}

// count adds one scan without a row. Should the write fail, the number stays in
// memory and goes out with the next.
func (s *side) count() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unrecorded++
	return s.store()
}

// saw says that all rows up to seq are on the disk.
func (s *side) saw(seq uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq == s.seen {
		return nil
	}
	s.seen = seq
	return s.store()
}

func (s *side) numbers() (unrecorded, seen uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unrecorded, s.seen
}

func (s *side) close() error { return s.file.Close() }

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Unrecorded counts one scan whose row could not be written, on the disk when
// it returns, even if the disk is full.
func (db *DB) Unrecorded() error {
	if db.closed.Load() {
		return ErrClosed
	}
	if err := db.side.count(); err != nil {
		return fmt.Errorf("%s: count an unrecorded scan: %w", db.path, err)
	}
	return nil
}
