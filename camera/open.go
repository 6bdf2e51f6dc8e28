package camera

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// ErrSpec says that the words that name a source cannot be understood.
var ErrSpec = errors.New("no such kind of picture source")

// ErrClosed is what Next returns after Close.
var ErrClosed = errors.New("camera closed")

// Options are settings of any source; a source takes those that concern it.
// The zero value is good for a gate.
type Options struct {
	// Log takes what happens to the source: opened, lost, broken pictures.
	// Nil is silence.
	Log *slog.Logger

	// Width and Height choose the frame size of a camera. Zero: the largest
	// up to 1280×720 that comes at 15 frames a second or more, uncompressed
	// from 640×480 on (unpacking MJPEG costs more than reading a code).
	Width, Height int
	// Format is the V4L2 pixel format of a camera (GREY, YUYV, UYVY, NV12,
	// YU12, MJPG). Empty: the best.
	Format string
	// FPS is the wanted frame rate of a camera (0: up to 30) or the pace of
	// a folder (0: as fast as pictures are asked for).
	FPS float64
	// Stall is how long a started camera may give no picture before it is
	// closed and opened again. Zero: 3 s.
	Stall time.Duration
	// MustOpen makes a camera that is not there, or not to be had, an error
	// at once. Otherwise the source waits for it: Next returns ErrLost, then
	// blocks until it comes.
	MustOpen bool

	// Loop shows a folder again and again.
	Loop bool
}

func (o Options) stall() time.Duration {
	if o.Stall <= 0 {
		return 3 * time.Second
	}
	return o.Stall
}

func (o Options) log() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}

// Stats counts what a source did since it was opened.
type Stats struct {
	Frames  uint64 // lent by Next
	Dropped uint64 // good but never lent: a newer one came
	Corrupt uint64 // broken, cut short, or not a picture
	Reopens uint64 // times that a device or stream was opened again
	Lost    string // what is wrong now, for the operator; "" when all is well
	Is      string // what is read now, such as "/dev/video0 YUYV 640x480 30 fps"
}

// Source is a picture source of any kind, as Open gives it.
type Source struct {
	next  func(context.Context) (Frame, error)
	stats func() Stats
	close func() error
}

// Next lends the next frame. See [V4L2.Next], [Dir.Next] and [Stream.Next]. One
// goroutine at a time may call it.
func (s *Source) Next(ctx context.Context) (Frame, error) { return s.next(ctx) }

// Stats counts what the source did. Any goroutine may call it.
func (s *Source) Stats() Stats { return s.stats() }

// Close ends the source and its goroutines; a waiting Next returns ErrClosed.
func (s *Source) Close() error { return s.close() }

// Open opens the source that spec names: "v4l2:auto", "v4l2:/dev/…",
// "dir:PATH" or "mjpeg:URL". ctx bounds the opening only. The error is one
// line for the operator; ErrSpec when spec is none of these.
func Open(ctx context.Context, spec string, o Options) (*Source, error) {
	kind, rest, _ := strings.Cut(spec, ":")
	if rest == "" {
		return nil, fmt.Errorf("source %q: %w (v4l2:auto, v4l2:/dev/…, dir:PATH, mjpeg:URL)", spec, ErrSpec)
	}
	switch kind {
	case "v4l2":
		v, err := OpenV4L2(ctx, rest, o)
		if err != nil {
			return nil, err
		}
		return &Source{v.Next, v.Stats, v.Close}, nil
	case "dir":
		d, err := OpenDir(rest, o)
		if err != nil {
			return nil, err
		}
		return &Source{d.Next, d.Stats, d.Close}, nil
	case "mjpeg":
		m, err := OpenStream(ctx, rest, o)
		if err != nil {
			return nil, err
		}
		return &Source{m.Next, m.Stats, m.Close}, nil
	}
	return nil, fmt.Errorf("source %q: %w (v4l2:auto, v4l2:/dev/…, dir:PATH, mjpeg:URL)", spec, ErrSpec)
}
