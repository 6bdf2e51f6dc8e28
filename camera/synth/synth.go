package synth

import (
	"context"
	"time"

	"checkpoint/camera"
)

// Kind is what a code is shown on.
type Kind uint8

// The kinds.
const (
	Phone Kind = iota
	Paper
)

// Difficulty says how well a thing is held up and lit.
type Difficulty uint8

// The difficulties: modules of 5–6, 4–5 and 3–4 pixels at 640×480, with more
// turn, tilt, glare, blur and noise from one to the next.
const (
	Easy Difficulty = iota
	Normal
	Hard
)

// Prop is one thing to hold up: a module pattern on a phone or a paper.
type Prop struct {
	Size       int    // modules a side, without quiet zone
	Bits       []bool // Size×Size, row by row, true is dark
	Kind       Kind
	Header     uint8 // luma of the app's header band or the paper's heading
	Difficulty Difficulty
	Inverted   bool // a phone in dark mode: light modules on dark ground
}

// Config sets up a Camera.
type Config struct {
	Width, Height int    // 0: 640×480
	FPS           int    // 0: 30
	Seed          uint64 // same seed, same props, same calls: same frames

	// Next gives the thing that presentation n (from 1) holds up, asked at the
	// capture time of the frame in which it begins to come into view.
	Next func(n uint64, at time.Time) Prop

	// Patience is how long a person waits for an answer before leaving; 0: 5 s.
	Patience time.Duration

	// Now and Sleep are the clock; nil: the machine's. Sleep returns ctx.Err()
	// when ctx ends first.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// Camera draws what a camera at a gate would see. Next belongs to one
// goroutine; Taken, Keep, Advance and Close may be called from others.
type Camera struct{ cfg Config }

// New returns a Camera; the error says which field of cfg makes no sense.
func New(cfg Config) (*Camera, error) { return &Camera{cfg: cfg}, nil }

// Next waits for the next frame and draws it. A slow caller misses frames, it
// never gets old ones. The frame's pixels are valid until the next call.
func (c *Camera) Next(ctx context.Context) (camera.Frame, error) {
	return camera.Frame{}, camera.ErrEnd
}

// Taken says that presentation n got its answer: the person lowers the phone a
// moment later and the next one steps up. Calls about another presentation
// than the one in view do nothing.
func (c *Camera) Taken(n uint64) {}

// Keep says that presentation n was read but waits for the guard: the person
// stays, however long, until Advance.
func (c *Camera) Keep(n uint64) {}

// Advance sends the person in view away now, if the gate read the code.
func (c *Camera) Advance() {}

// Close ends a waiting Next, which then returns camera.ErrEnd.
func (c *Camera) Close() error { return nil }
