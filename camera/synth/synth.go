package synth

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
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

// maxSize is the most modules a side that are drawn (QR version 40).
const maxSize = 177

func (p Prop) check() error {
	if p.Size < 1 || p.Size > maxSize || len(p.Bits) != p.Size*p.Size {
		return fmt.Errorf("prop of %d modules a side with %d bits", p.Size, len(p.Bits))
	}
	return nil
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

// How long the steps of a presentation take.
const (
	comeIn   = 450 * time.Millisecond
	linger   = 500 * time.Millisecond // from Taken to leaving
	goOut    = 320 * time.Millisecond
	between  = 150 * time.Millisecond // shortest pause, up to twice as long
	catchUp  = 300                    // frames that are stepped through after a pause of the caller
	noFrames = -1
)

// Camera draws what a camera at a gate would see. Next belongs to one
// goroutine; Taken, Keep, Advance, Shown and Close may be called from others.
type Camera struct {
	cfg    Config
	period time.Duration
	start  time.Time
	index  int64 // of the last frame
	done   chan struct{}
	once   sync.Once
	draw   *painter

	mu     sync.Mutex
	rng    *rand.Rand
	at     time.Time // capture time of the last frame
	shown  uint64
	nextAt time.Time
	now    *presentation // nil: nobody in view
}

// New returns a Camera; the error says which field of cfg makes no sense.
func New(cfg Config) (*Camera, error) {
	if cfg.Width == 0 && cfg.Height == 0 {
		cfg.Width, cfg.Height = 640, 480
	}
	if cfg.FPS == 0 {
		cfg.FPS = 30
	}
	if cfg.Patience == 0 {
		cfg.Patience = 5 * time.Second
	}
	switch {
	case cfg.Next == nil:
		return nil, errors.New("synthetic camera: no props (Next is nil)")
	case cfg.Width < 160 || cfg.Height < 120 || cfg.Width > 1920 || cfg.Height > 1080:
		return nil, fmt.Errorf("synthetic camera: %d×%d is not between 160×120 and 1920×1080", cfg.Width, cfg.Height)
	case cfg.FPS < 1 || cfg.FPS > 120:
		return nil, fmt.Errorf("synthetic camera: %d frames a second is not between 1 and 120", cfg.FPS)
	case cfg.Patience < 0:
		return nil, fmt.Errorf("synthetic camera: patience of %v", cfg.Patience)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Camera{
		cfg:    cfg,
		period: time.Second / time.Duration(cfg.FPS),
		index:  noFrames,
		done:   make(chan struct{}),
		draw:   newPainter(cfg.Width, cfg.Height, cfg.Seed),
		rng:    rand.New(rand.NewPCG(cfg.Seed, 0x67617465)),
	}, nil
}

// Next waits for the next frame and draws it. A slow caller misses frames, it
// never gets old ones. The frame's pixels are valid until the next call.
func (c *Camera) Next(ctx context.Context) (camera.Frame, error) {
	if err := c.wait(ctx); err != nil {
		return camera.Frame{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	scene, err := c.step(c.index)
	if err != nil {
		return camera.Frame{}, err
	}
	f := camera.Frame{
		Luma: c.draw.frame(scene, uint64(c.index)), Width: c.cfg.Width, Height: c.cfg.Height, Stride: c.cfg.Width,
		Seq: uint64(c.index) + 1, Captured: c.at,
	}
	if c.now != nil {
		f.Truth = camera.Truth{Presentation: c.now.n, WholeSince: c.now.whole}
	}
	return f, nil
}

// wait sleeps until the next frame is due and makes it the current one. Frames
// that the caller was too late for happen undrawn.
func (c *Camera) wait(ctx context.Context) error {
	now := c.cfg.Now()
	if c.index == noFrames && c.start.IsZero() {
		c.start = now
	}
	due := c.index + 1
	if late := int64(now.Sub(c.start) / c.period); late > due {
		from := max(due, late-catchUp)
		c.mu.Lock()
		for i := from; i < late; i++ {
			if _, err := c.step(i); err != nil {
				c.mu.Unlock()
				return err
			}
		}
		c.mu.Unlock()
		due = late
	}
	d := c.start.Add(time.Duration(due) * c.period).Sub(now)
	if err := c.sleep(ctx, d); err != nil {
		return err
	}
	c.index = due
	return nil
}

func (c *Camera) sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-c.done:
		return camera.ErrEnd
	case <-ctx.Done():
		return ctx.Err()
	default:
	}
	if d <= 0 {
		return nil
	}
	if c.cfg.Sleep != nil {
		return c.cfg.Sleep(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return camera.ErrEnd
	}
}

// Taken says that presentation n got its answer: the person lowers the phone a
// moment later and the next one steps up. Calls about another presentation
// than the one in view do nothing.
func (c *Camera) Taken(n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.now; p != nil && p.n == n && p.taken.IsZero() {
		p.taken, p.keep = c.at, false
	}
}

// Keep says that presentation n was read but waits for the guard: the person
// stays, however long, until Advance.
func (c *Camera) Keep(n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.now; p != nil && p.n == n && p.leaving.IsZero() {
		p.taken, p.keep = c.at, true
	}
}

// Advance sends the person in view away now, if the gate read the code.
func (c *Camera) Advance() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.now; p != nil && !p.taken.IsZero() && p.leaving.IsZero() {
		p.leaving = c.at
	}
}

// Shown is the number of presentations so far.
func (c *Camera) Shown() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown
}

// Close ends a waiting Next, which then returns camera.ErrEnd.
func (c *Camera) Close() error {
	c.once.Do(func() { close(c.done) })
	return nil
}
