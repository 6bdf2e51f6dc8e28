package camera

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// firstRetry to lastRetry: the pause between attempts to find a camera
	// doubles. A look costs some reads of sysfs.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 500 * time.Millisecond
	// loyalty is how long v4l2:auto waits for the camera it had before it
	// takes another one: a loose plug must not move the gate to a camera that
	// looks elsewhere.
	loyalty = 5 * time.Second
)

// V4L2 reads a camera of the Linux kernel. One goroutine owns the device and
// keeps the newest frame; it ends with Close.
type V4L2 struct {
	*latest
	target string
	o      Options
	where  places
	wake   int // eventfd that ends a wait for frames; under latest.mu
	stop   context.CancelFunc
	ended  chan struct{} // the goroutine has returned
	once   sync.Once

	// The goroutine's own.
	seq    uint64
	was    identity       // the camera that gave frames last
	lostAt time.Time      // when it stopped
	bad    map[string]int // attempts by node that gave no frame
	kick   chan struct{}  // capacity 1: Next saw only broken frames
}

// OpenV4L2 opens the camera that target names: "auto" for any, or the path of
// a node or of a link to one (/dev/v4l/by-id/… keeps naming the same camera).
// A camera that is not there, busy or refuses to start is waited for, unless
// o.MustOpen is set. A target that can never be a camera, such as a file, is
// ErrNotCamera.
func OpenV4L2(ctx context.Context, target string, o Options) (*V4L2, error) {
	return openV4L2(ctx, target, o, system)
}

func openV4L2(ctx context.Context, target string, o Options, where places) (*V4L2, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.Width < 0 || o.Height < 0 || o.Width > maxSide || o.Height > maxSide || o.FPS < 0 || o.FPS > 1000 {
		return nil, fmt.Errorf("camera: %d×%d at %g frames a second is not possible", o.Width, o.Height, o.FPS)
	}
	if o.Format != "" && !knownFormat(o.Format) {
		return nil, fmt.Errorf("camera: frame format %q is not one of %s", o.Format, strings.Join(formats[:], ", "))
	}
	if target != "auto" {
		if !filepath.IsAbs(target) {
			return nil, fmt.Errorf("camera %q: want auto or the full path of a device", target)
		}
		if err := checkNode(target); err != nil {
			return nil, err
		}
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("camera: %w", err)
	}
	v := &V4L2{
		latest: newLatest(), target: target, o: o, where: where, wake: wake,
		ended: make(chan struct{}), bad: make(map[string]int), kick: make(chan struct{}, 1),
	}
	v.broken = v.restart
	d, id, err := v.connect()
	if err != nil && o.MustOpen {
		_ = unix.Close(wake)
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	v.stop = stop
	go v.run(run, d, id, err)
	return v, nil
}

// Next waits for a frame newer than the last one and lends it until the next
// call. It returns ErrLost once for each loss of the camera, with one line on
// what is wrong; later calls wait until frames are back. One goroutine at a
// time may call it.
func (v *V4L2) Next(ctx context.Context) (Frame, error) { return v.next(ctx, v.o.stall()) }

// Stats counts; any goroutine may call it.
func (v *V4L2) Stats() Stats { return v.snapshot() }

// Close ends the goroutine and closes the device. A waiting Next returns
// ErrClosed.
func (v *V4L2) Close() error {
	v.once.Do(func() {
		v.latest.close() // from here on nobody else pokes
		v.stop()
		v.poke()
		<-v.ended
		_ = unix.Close(v.wake)
	})
	return nil
}

func (v *V4L2) poke() { _, _ = unix.Write(v.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// restart asks the goroutine to open the device again.
func (v *V4L2) restart() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return
	}
	select {
	case v.kick <- struct{}{}:
	default:
	}
	v.poke()
}

var errBroken = errors.New("only broken pictures")

// run reads the camera, and finds it again, until ctx ends. d is started, or
// nil when err says why not.
func (v *V4L2) run(ctx context.Context, d *device, id identity, err error) {
	defer close(v.ended)
	pause, told := firstRetry, ""
	for first := true; ; first = false {
		frames := 0
		if d != nil {
			if !first {
				v.count(func(s *Stats) { s.Reopens++ })
			}
			path := d.path
			frames, err = v.read(ctx, d, id)
			d.close()
			if ctx.Err() != nil {
				return
			}
			v.lostAt = time.Now()
			if frames > 0 {
				pause, told = firstRetry, ""
			} else {
				v.bad[path]++
			}
			gone := errors.Is(err, unix.ENODEV) || errors.Is(err, errHangUp)
			if gone {
				err = fmt.Errorf("%s: unplugged: %w", path, err)
			} else {
				err = explain(path, err)
			}
			if frames > 0 && !gone && !errors.Is(err, errStall) && !errors.Is(err, errBroken) {
				// A hiccup of the driver is no loss when the camera comes
				// back at once: the guard need not see it.
				v.o.log().Warn("camera opened again", "error", err)
				if d, id, err = v.connect(); d != nil {
					continue
				}
			}
		}
		v.lose(err)
		if s := err.Error(); s != told { // not the same line each second
			told = s
			v.o.log().Warn("camera lost", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, lastRetry)
		d, id, err = v.connect()
	}
}

// connect makes one attempt at each node that may be the camera.
func (v *V4L2) connect() (*device, identity, error) {
	only := time.Since(v.lostAt) < loyalty
	nodes, err := v.where.candidates(v.target, v.was, only)
	if err != nil {
		return nil, identity{}, err
	}
	if v.target == "auto" {
		// One that never gives a picture must not be the only one tried.
		slices.SortStableFunc(nodes, func(a, b node) int { return cmp.Compare(v.bad[a.path]/3, v.bad[b.path]/3) })
	}
	for _, n := range nodes {
		d, e := openDevice(n.path, v.o)
		if e == nil {
			return d, n.id, nil
		}
		if err == nil || errors.Is(err, errNotCapture) {
			err = e
		}
	}
	switch {
	case v.target == "auto" && (err == nil || errors.Is(err, errNotCapture)):
		err = errors.New("no camera found")
	case err == nil:
		err = explain(v.target, unix.ENODEV)
	}
	return nil, identity{}, err
}

// read passes frames on until the device fails or ctx ends. It says how many
// there were.
func (v *V4L2) read(ctx context.Context, d *device, id identity) (frames int, err error) {
	select {
	case <-v.kick: // meant for the stream before this one
	default:
	}
	began := time.Now()
	last, empty := began, 0
	for {
		left := v.o.stall() - time.Since(last)
		if left <= 0 {
			return frames, errStall
		}
		ready, err := d.wait(v.wake, left)
		if err != nil {
			return frames, err
		}
		if !ready {
			var b [8]byte
			_, _ = unix.Read(v.wake, b[:])
			select {
			case <-v.kick:
				return frames, errBroken
			case <-ctx.Done():
				return frames, ctx.Err()
			default:
				continue
			}
		}
		b, index, n, err := d.newest()
		if err != nil {
			return frames, err
		}
		if n == 0 {
			// Ready, and then nothing: for ever, with some drivers.
			if empty++; empty > 100 {
				return frames, errHangUp
			}
			continue
		}
		empty = 0
		at := time.Now()
		v.seq += uint64(n)
		ok := v.filling.fill(b, d.layout)
		if err := d.release(index); err != nil {
			return frames, err
		}
		v.count(func(s *Stats) {
			s.Dropped += uint64(n - 1)
			if !ok {
				s.Corrupt++
			}
		})
		if !ok {
			continue
		}
		v.filling.seq, v.filling.at, v.filling.began = v.seq, at, began
		last = at
		if frames++; frames == 1 {
			v.was = id
			clear(v.bad)
			is := d.path + " " + d.mode.String()
			v.count(func(s *Stats) { s.Is = is })
			v.o.log().Info("camera opened", "node", d.path, "mode", d.mode.String(), "name", id.name)
		}
		v.put()
	}
}

// fill copies a frame out of the driver's buffer. It reports false when it is
// cut short.
func (s *shot) fill(b []byte, l layout) (ok bool) {
	s.width, s.height, s.packed = l.Width, l.Height, l.Format.packed()
	if s.packed {
		s.most = (l.Width + 15) * (l.Height + 15) // some round up to whole blocks
		s.jpeg = append(s.jpeg[:0], b...)
		return len(b) > 0
	}
	s.luma, ok = unpack(s.luma, b, l)
	return ok
}
