package synth

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"checkpoint/camera"
	"checkpoint/decode"
)

var morning = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// clock is a time that only moves when somebody sleeps.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func (c *clock) sleep(ctx context.Context, d time.Duration) error {
	c.t = c.t.Add(d)
	return ctx.Err()
}

func text(n uint64) []byte {
	b := []byte("GHC1:")
	for i := range 329 {
		b = append(b, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"[(uint64(i)*7919+n*104729+uint64(i*i)*31)%45])
	}
	return b
}

// prop n: a native pass, all kinds and difficulties in turn.
func prop(t testing.TB, n uint64) Prop {
	m, err := decode.Encode(text(n), decode.LevelM)
	if err != nil {
		t.Fatal(err)
	}
	p := Prop{Size: m.Size, Bits: m.Bits, Header: 120, Difficulty: Difficulty(n % 3)}
	if n%4 == 3 {
		p.Kind = Paper
	} else {
		p.Inverted = n%7 == 5
	}
	return p
}

func newTest(t testing.TB, seed uint64) (*Camera, *clock) { return newSized(t, seed, 640, 480) }

// newSized makes a camera of another size: small where nobody reads the codes.
func newSized(t testing.TB, seed uint64, w, h int) (*Camera, *clock) {
	c := &clock{morning}
	cam, err := New(Config{Width: w, Height: h, Seed: seed, Next: func(n uint64, at time.Time) Prop { return prop(t, n) }, Now: c.now, Sleep: c.sleep})
	if err != nil {
		t.Fatal(err)
	}
	return cam, c
}

func next(t testing.TB, cam *Camera) camera.Frame {
	t.Helper()
	f, err := cam.Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestDump writes frames as PNG to the folder SYNTH_DUMP, for people to look at.
func TestDump(t *testing.T) {
	dir := os.Getenv("SYNTH_DUMP")
	if dir == "" {
		t.Skip("set SYNTH_DUMP to a folder to get pictures")
	}
	cam, _ := newTest(t, 1)
	last, seen := uint64(0), 0
	for last < 8 {
		f := next(t, cam)
		if n := f.Truth.Presentation; n != last {
			last, seen = n, 0
		}
		seen++
		if seen == 6 || seen == 45 {
			out, err := os.Create(filepath.Join(dir, time.Duration(f.Seq).String()+".png"))
			if err != nil {
				t.Fatal(err)
			}
			img := &image.Gray{Pix: f.Luma, Stride: f.Stride, Rect: image.Rect(0, 0, f.Width, f.Height)}
			if err := png.Encode(out, img); err != nil {
				t.Fatal(err)
			}
			out.Close()
		}
		if seen == 60 {
			cam.Taken(last)
		}
	}
}

func TestSameSeedSameFrames(t *testing.T) {
	a, _ := newTest(t, 5)
	b, _ := newTest(t, 5)
	other, _ := newTest(t, 6)
	differs := false
	for range 20 {
		fa, fb, fo := next(t, a), next(t, b), next(t, other)
		if !bytes.Equal(fa.Luma, fb.Luma) || fa.Truth != fb.Truth {
			t.Fatalf("frame %d differs between two cameras of one seed", fa.Seq)
		}
		differs = differs || !bytes.Equal(fa.Luma, fo.Luma)
	}
	if !differs {
		t.Error("another seed gives the same frames")
	}
}

// TestCodesAreThere reads what is drawn: every easy and normal presentation
// within two seconds of its code being whole in view, and the truth says when
// that was.
func TestCodesAreThere(t *testing.T) {
	cam, _ := newTest(t, 11)
	s := decode.NewScanner(decode.Options{})
	type seen struct{ whole, read time.Time }
	all := map[uint64]*seen{}
	for cam.Shown() < 10 {
		f := next(t, cam)
		n := f.Truth.Presentation
		res := s.Scan(decode.Image{Luma: f.Luma, Width: f.Width, Height: f.Height, Stride: f.Stride})
		if n == 0 {
			if len(res.Symbols) > 0 {
				t.Fatalf("frame %d: read a code and nobody is there", f.Seq)
			}
			continue
		}
		if all[n] == nil {
			all[n] = &seen{}
		}
		p := all[n]
		if !f.Truth.WholeSince.IsZero() {
			p.whole = f.Truth.WholeSince
		}
		for _, sym := range res.Symbols {
			if !bytes.Equal(sym.Payload, text(n)) {
				t.Fatalf("presentation %d: read another code", n)
			}
			if p.read.IsZero() {
				drawn := cam.now.scene(f.Captured, f.Width, f.Height).code
				for i, c := range sym.Corners {
					if d := math.Hypot(c.X-drawn[i][0], c.Y-drawn[i][1]); d > 6 {
						t.Errorf("presentation %d: corner %d read at %.1f, drawn at %.1f", n, i, c, drawn[i])
					}
				}
				p.read = f.Captured
				cam.Taken(n)
			}
		}
	}
	read, hard := 0, 0
	for n, p := range all {
		if n == cam.Shown() {
			continue // still coming in
		}
		d := Difficulty(n % 3)
		if p.whole.IsZero() {
			t.Errorf("presentation %d: never whole in view", n)
			continue
		}
		if d == Hard {
			hard++
			if !p.read.IsZero() {
				read++
			}
			continue
		}
		if p.read.IsZero() {
			t.Errorf("presentation %d (difficulty %d): not read", n, d)
		} else if wait := p.read.Sub(p.whole); wait > 2*time.Second {
			t.Errorf("presentation %d (difficulty %d): read %v after it was whole", n, d, wait)
		}
	}
	t.Logf("hard ones read: %d of %d", read, hard)
}

func TestOtherSizes(t *testing.T) {
	for _, size := range [][2]int{{320, 240}, {1280, 720}} {
		c := &clock{morning}
		cam, err := New(Config{
			Width: size[0], Height: size[1], FPS: 15, Seed: 2, Now: c.now, Sleep: c.sleep,
			Next: func(n uint64, at time.Time) Prop { p := prop(t, n); p.Difficulty = Easy; return p },
		})
		if err != nil {
			t.Fatal(err)
		}
		s, read := decode.NewScanner(decode.Options{}), false
		for i := 0; i < 30 && !read; i++ {
			f := next(t, cam)
			if f.Width != size[0] || f.Height != size[1] || len(f.Luma) != size[0]*size[1] {
				t.Fatalf("a frame of %d×%d with %d bytes", f.Width, f.Height, len(f.Luma))
			}
			res := s.Scan(decode.Image{Luma: f.Luma, Width: f.Width, Height: f.Height, Stride: f.Stride})
			read = len(res.Symbols) == 1 && bytes.Equal(res.Symbols[0].Payload, text(1))
		}
		if !read {
			t.Errorf("%v: an easy code is not read within 2 s", size)
		}
	}
}

func TestPeopleLeave(t *testing.T) {
	gone := func(cam *Camera, frames int) bool {
		for range frames {
			if next(t, cam).Truth.Presentation != 1 {
				return true
			}
		}
		return false
	}
	t.Run("without an answer after their patience", func(t *testing.T) {
		cam, _ := newSized(t, 1, 160, 120)
		if gone(cam, 5*30) {
			t.Fatal("left too early")
		}
		if !gone(cam, 12) {
			t.Fatal("did not leave")
		}
	})
	t.Run("after an answer", func(t *testing.T) {
		cam, _ := newSized(t, 1, 160, 120)
		gone(cam, 40)
		cam.Taken(1)
		if !gone(cam, 26) {
			t.Fatal("did not leave")
		}
	})
	t.Run("an answer to somebody else is not theirs", func(t *testing.T) {
		cam, _ := newSized(t, 1, 160, 120)
		gone(cam, 40)
		cam.Taken(2)
		if gone(cam, 60) {
			t.Fatal("left")
		}
	})
	t.Run("kept until the guard is done", func(t *testing.T) {
		cam, _ := newSized(t, 1, 160, 120)
		gone(cam, 40)
		cam.Keep(1)
		if gone(cam, 30*30) {
			t.Fatal("left while the guard was not done")
		}
		cam.Advance()
		if !gone(cam, 12) {
			t.Fatal("did not leave")
		}
	})
	t.Run("unread, advance does nothing", func(t *testing.T) {
		cam, _ := newSized(t, 1, 160, 120)
		gone(cam, 40)
		cam.Advance()
		if gone(cam, 30) {
			t.Fatal("left")
		}
	})
}

func TestSlowCallerMissesFrames(t *testing.T) {
	cam, c := newTest(t, 1)
	first := next(t, cam)
	c.t = c.t.Add(time.Second)
	f := next(t, cam)
	if got := f.Captured.Sub(first.Captured); got < 950*time.Millisecond || got > 1050*time.Millisecond {
		t.Errorf("after a second the next frame is %v later", got)
	}
	if f.Seq < 29 || f.Seq > 32 {
		t.Errorf("frame number %d, want about 31", f.Seq)
	}
	g := next(t, cam)
	if g.Seq != f.Seq+1 {
		t.Errorf("frame number %d after %d", g.Seq, f.Seq)
	}
}

func TestNextStops(t *testing.T) {
	cam, err := New(Config{Next: func(n uint64, at time.Time) Prop { return prop(t, n) }, FPS: 1})
	if err != nil {
		t.Fatal(err)
	}
	next(t, cam)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := cam.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	end := make(chan error)
	go func() {
		for {
			if _, err := cam.Next(context.Background()); err != nil {
				end <- err
				return
			}
		}
	}()
	cam.Close()
	if err := <-end; !errors.Is(err, camera.ErrEnd) {
		t.Errorf("closed: %v", err)
	}
}

func TestRefusesNonsense(t *testing.T) {
	ok := func(n uint64, at time.Time) Prop { return Prop{} }
	for name, cfg := range map[string]Config{
		"no props":    {},
		"tiny":        {Next: ok, Width: 10, Height: 10},
		"huge":        {Next: ok, Width: 100000, Height: 100},
		"too fast":    {Next: ok, FPS: 1000},
		"no patience": {Next: ok, Patience: -1},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	cam, err := New(Config{Next: ok})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cam.Next(context.Background()); err == nil {
		t.Error("an empty prop is drawn")
	}
}

// BenchmarkFrame is one VGA frame with somebody in view.
func BenchmarkFrame(b *testing.B) {
	cam, _ := newTest(b, 1)
	for range 45 {
		next(b, cam)
	}
	b.ReportAllocs()
	for b.Loop() {
		cam.mu.Lock()
		s := cam.now.scene(cam.at, 640, 480)
		cam.draw.frame(s, 1)
		cam.mu.Unlock()
	}
}

// BenchmarkSheet is what a new presentation costs once.
func BenchmarkSheet(b *testing.B) {
	cam, _ := newTest(b, 1)
	p := prop(b, 1)
	l := newLook(cam.rng, p, 640, 480)
	b.ReportAllocs()
	for b.Loop() {
		cam.draw.newSheet(p, l, 1).level(2)
	}
}
