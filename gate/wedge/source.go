package wedge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Text is one text of a hand scanner. The receiver owns Bytes.
type Text struct {
	Bytes []byte
	At    time.Time // when its end was read, with a monotonic reading
}

// Errors that callers branch on.
var (
	ErrEnd  = errors.New("no more texts")        // the stream has ended
	ErrLost = errors.New("hand scanner is gone") // the device is not there for now; call Next again
)

// reader is one of the two ways to read texts out of what a device gives.
type reader interface {
	feed(data []byte, at time.Time, text func([]byte))
	end(text func([]byte)) // the device is gone, or the stream has ended
	dropped() uint64
}

// Source gives the texts of one scanner. Next is for one goroutine; Close and
// Dropped may be called from any.
type Source struct {
	name string
	open func() (int, error) // a new descriptor of the device
	once bool                // a stream: its end is the end
	now  func() time.Time

	wake   [2]int     // pipe: what is written to [1] ends a wait
	waking sync.Mutex // held around writing to wake and closing it
	closed atomic.Bool
	lost   atomic.Uint64 // copy of reader.dropped for other goroutines

	mu      sync.Mutex // held by Next and by the second half of Close
	fd      int        // -1: not open
	again   bool       // the device was tried; pause before the next try
	said    bool       // ErrLost was returned since anything was last read
	ended   bool
	read    reader
	pending []Text
	buffer  []byte
}

// retryEvery is how long a Next waits before it looks for a lost device again.
const retryEvery = 500 * time.Millisecond

func newSource(name string, once bool, r reader, now func() time.Time, open func() (int, error)) (*Source, error) {
	s := &Source{name: name, open: open, once: once, read: r, now: now, fd: -1, buffer: make([]byte, 4096)}
	if err := unix.Pipe2(s.wake[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return s, nil
}

// OpenLines reads the lines of a file, usually standard input. Its end is
// ErrEnd; a last line needs no line feed. The file stays the caller's and must
// stay open until Close has returned.
func OpenLines(f *os.File, now func() time.Time) (*Source, error) {
	return newSource(f.Name(), true, &byteReader{whole: true}, now, func() (int, error) {
		return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	})
}

// Next waits for the next text. Its errors are ErrEnd (for good), ErrLost with
// the reason (once each time; the following call waits until the device is
// back), os.ErrClosed after Close, and the cause of ctx.
func (s *Source) Next(ctx context.Context) (Text, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stop := context.AfterFunc(ctx, s.rouse)
	defer stop()
	for {
		switch {
		case s.closed.Load():
			return Text{}, os.ErrClosed
		case ctx.Err() != nil:
			return Text{}, context.Cause(ctx)
		case len(s.pending) > 0:
			t := s.pending[0]
			s.pending[0] = Text{}
			s.pending = s.pending[1:]
			return t, nil
		case s.ended:
			return Text{}, ErrEnd
		}
		if err := s.step(); err != nil {
			return Text{}, err
		}
	}
}

// step opens the device, or waits for it once and reads what is there.
func (s *Source) step() error {
	if s.fd < 0 {
		if s.again {
			s.again = false
			return s.wait(-1, retryEvery)
		}
		fd, err := s.open()
		if err != nil {
			return s.gone(err)
		}
		s.fd = fd
	}
	if err := s.wait(s.fd, -1); err != nil {
		return err
	}
	if s.closed.Load() {
		return nil
	}
	n, err := unix.Read(s.fd, s.buffer)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return s.gone(err)
	case n <= 0:
		return s.gone(io.EOF)
	}
	s.said = false
	s.read.feed(s.buffer[:n], s.now(), s.keep)
	clear(s.buffer[:n])
	s.lost.Store(s.read.dropped())
	return nil
}

// wait blocks until fd can be read or has gone away, until rouse, or until the
// time is over (negative: never).
func (s *Source) wait(fd int, most time.Duration) error {
	timeout := -1
	if most >= 0 {
		timeout = int(most / time.Millisecond)
	}
	// poll ignores a negative descriptor (poll(2)).
	fds := []unix.PollFd{{Fd: int32(s.wake[0]), Events: unix.POLLIN}, {Fd: int32(fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds, timeout); err != nil && err != unix.EINTR {
		return fmt.Errorf("wait for %s: %w", s.name, err)
	}
	if fds[0].Revents != 0 {
		var drain [16]byte
		for {
			if n, _ := unix.Read(s.wake[0], drain[:]); n < len(drain) {
				break
			}
		}
	}
	return nil
}

// gone ends a stream, or says that the device was lost.
func (s *Source) gone(why error) error {
	s.read.end(s.keep)
	s.lost.Store(s.read.dropped())
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
	if s.once {
		s.ended = true
		if why != io.EOF {
			return fmt.Errorf("read %s: %w", s.name, why)
		}
		return nil
	}
	s.again = true
	if s.said {
		return nil
	}
	s.said = true
	return fmt.Errorf("%w: %s: %w", ErrLost, s.name, why)
}

func (s *Source) keep(text []byte) { s.pending = append(s.pending, Text{Bytes: text, At: s.now()}) }

// rouse ends a wait of Next, now or the next one.
func (s *Source) rouse() {
	s.waking.Lock()
	defer s.waking.Unlock()
	if s.wake[1] >= 0 {
		unix.Write(s.wake[1], []byte{0})
	}
}

// Dropped counts the lines that were longer than MaxText, came in pieces with a
// pause between, or were cut off when the device went away.
func (s *Source) Dropped() uint64 { return s.lost.Load() }

// Close ends a waiting Next and gives the device back.
func (s *Source) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.rouse()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
	s.waking.Lock()
	defer s.waking.Unlock()
	unix.Close(s.wake[0])
	unix.Close(s.wake[1])
	s.wake[1] = -1
	return nil
}
