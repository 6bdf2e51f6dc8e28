package camera

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// shot is one frame as a device gave it: grey already, or still JPEG.
type shot struct {
	luma          []byte
	width, height int
	jpeg          []byte
	packed        bool // jpeg holds the frame, luma is room for it
	most          int  // pixels a packed frame may have
	seq           uint64
	at            time.Time
	began         time.Time // start of the stream it came with
	losses        uint64    // before it, see latest.losses
}

// latest passes frames from the goroutine that reads a device to Next. It
// holds three shots: the one being filled, the newest whole one, the one that
// is lent. A put replaces a newest that nobody took, so memory and delay stay
// bounded however slow the reader is.
type latest struct {
	wake chan struct{} // capacity 1: something changed
	done chan struct{} // closed by close

	// filling belongs to the goroutine that puts, lent and unpack to the one
	// that takes; newest is passed under mu.
	filling, lent *shot
	unpack        unpacker
	goodAt        time.Time // when the taker last saw a good frame; taker only
	broken        func()    // asks the device's goroutine to start again; may be nil

	mu      sync.Mutex
	newest  *shot
	have    bool
	down    bool   // no frames since the loss in stats.Lost
	pending error  // a loss that next has not told yet
	losses  uint64 // calls of lose
	closed  bool
	stats   Stats
}

func newLatest() *latest {
	return &latest{
		wake: make(chan struct{}, 1), done: make(chan struct{}),
		filling: new(shot), newest: new(shot), lent: new(shot),
	}
}

func (l *latest) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// put makes the filled shot the newest and gives another one to fill.
func (l *latest) put() {
	l.mu.Lock()
	l.filling, l.newest = l.newest, l.filling
	if l.have {
		l.stats.Dropped++
	}
	l.have = true
	l.newest.losses = l.losses
	if !l.newest.packed { // a packed one must be unpacked before it counts as a picture
		l.up(l.newest)
	}
	l.mu.Unlock()
	l.signal()
}

// up says that s is a good frame: the camera is back, unless it was lost again
// since. mu is held.
func (l *latest) up(s *shot) {
	if s.losses == l.losses {
		l.down = false
		l.stats.Lost = ""
	}
}

// count adds to the counters.
func (l *latest) count(f func(*Stats)) {
	l.mu.Lock()
	f(&l.stats)
	l.mu.Unlock()
}

// lose says that no more frames come for now. Only the first call after a
// good frame becomes an ErrLost; later ones say better what is wrong. A frame that was
// not taken is old by now and goes.
func (l *latest) lose(why error) {
	l.mu.Lock()
	if !l.down {
		l.pending = fmt.Errorf("%w: %w", ErrLost, why)
	}
	l.down = true
	l.losses++
	l.stats.Lost = why.Error()
	if l.have {
		l.have = false
		l.stats.Dropped++
	}
	l.mu.Unlock()
	l.signal()
}

func (l *latest) close() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.closed = true
	close(l.done)
	return true
}

// snapshot gives the counters.
func (l *latest) snapshot() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// take gives the newest shot, or a loss, or says that there is neither.
func (l *latest) take() (ok bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return false, ErrClosed
	case l.pending != nil:
		err, l.pending = l.pending, nil
		return false, err
	case !l.have:
		return false, nil
	}
	l.lent, l.newest, l.have = l.newest, l.lent, false
	return true, nil
}

// next waits for a good frame and lends it. Broken ones are counted; when
// nothing else comes for patience, the device is started again.
func (l *latest) next(ctx context.Context, patience time.Duration) (Frame, error) {
	for {
		ok, err := l.take()
		if err != nil {
			return Frame{}, err
		}
		if !ok {
			select {
			case <-l.wake:
			case <-l.done:
			case <-ctx.Done():
				return Frame{}, ctx.Err()
			}
			continue
		}
		s := l.lent
		if s.packed {
			p, err := l.unpack.grey(s.jpeg, s.luma, s.most)
			if err != nil {
				l.reject(s, patience)
				continue
			}
			s.luma, s.width, s.height = p.Luma, p.Width, p.Height
		}
		l.goodAt = s.at
		l.mu.Lock()
		l.stats.Frames++
		l.up(s)
		l.mu.Unlock()
		return Frame{
			Luma: s.luma, Width: s.width, Height: s.height, Stride: s.width,
			Seq: s.seq, Captured: s.at,
		}, nil
	}
}

// reject counts a broken frame and, after patience without a good one, asks
// for a new start.
func (l *latest) reject(s *shot, patience time.Duration) {
	l.count(func(st *Stats) { st.Corrupt++ })
	since := l.goodAt
	if since.Before(s.began) {
		since = s.began
	}
	if l.broken != nil && s.at.Sub(since) > patience {
		l.broken()
	}
}
