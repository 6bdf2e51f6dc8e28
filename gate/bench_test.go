package gate_test

import (
	"context"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"checkpoint/camera"
	"checkpoint/decode"
	"checkpoint/demo"
	"checkpoint/gate"
	"checkpoint/localdb"
	"checkpoint/record"
	"checkpoint/verify"
)

// synced is the machine's clock, vouched for.
type synced struct{}

func (synced) Now() (time.Time, verify.Quality) { return time.Now(), verify.ClockSynced }

// still shows the frames that it is handed, once each.
type still struct {
	frames chan camera.Frame
	every  time.Duration // pace of its own: the last frame again and again
	last   camera.Frame
}

func (s *still) Next(ctx context.Context) (camera.Frame, error) {
	var again <-chan time.Time
	if s.every > 0 {
		again = time.After(s.every)
	}
	select {
	case f := <-s.frames:
		s.last = f
		return f, nil
	case <-again:
		s.last.Captured = time.Now()
		return s.last, nil
	case <-ctx.Done():
		return camera.Frame{}, ctx.Err()
	}
}

// draw is a VGA frame with a code at px pixels a module.
func draw(tb testing.TB, text []byte, px int) camera.Frame {
	tb.Helper()
	m, err := decode.Encode(text, decode.LevelM)
	if err != nil {
		tb.Fatal(err)
	}
	f := blank()
	left, top := (f.Width-m.Size*px)/2, (f.Height-m.Size*px)/2
	if left < 4*px || top < 2*px {
		tb.Fatalf("a code of %d modules does not fit at %d px", m.Size, px)
	}
	for y := range m.Size * px {
		for x := range m.Size * px {
			if m.Bits[y/px*m.Size+x/px] {
				f.Luma[(top+y)*f.Stride+left+x] = 30
			}
		}
	}
	return f
}

// blank is an even, light VGA frame with the noise of a cheap sensor.
func blank() camera.Frame {
	f := camera.Frame{Luma: make([]byte, 640*480), Width: 640, Height: 480, Stride: 640}
	seed := uint32(1)
	for i := range f.Luma {
		seed = seed*1664525 + 1013904223
		f.Luma[i] = 200 + byte(seed>>29)
	}
	return f
}

// station is a real gate on a real file, in the demo's world.
func station(tb testing.TB, pictures gate.Pictures) (*gate.Gate, *demo.World, *localdb.DB) {
	tb.Helper()
	world, err := demo.New(demo.Config{Seed: 1, Now: time.Now()})
	if err != nil {
		tb.Fatal(err)
	}
	boot := gate.Boot{Since: time.Now()}
	clock := gate.NewClock(synced{}, gate.Floor{}, time.Time{})
	now := func() record.Stamp { return boot.Stamp(clock.At(), time.Now()) }
	db, err := localdb.Open(tb.Context(), filepath.Join(tb.TempDir(), "gate.db"), localdb.Options{Now: now})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close(context.Background(), now()) })
	g, err := gate.New(gate.Config{
		VenueType: world.Venue(), Pictures: []gate.Pictures{pictures}, Clock: clock, Boot: boot, Ledger: db,
		Trust: gate.Trust{Checker: verify.New(world.Snapshot()).At(world.Venue()), Snapshot: world.Snapshot()},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return g, world, db
}

// run starts g and ends it with the test.
func run(tb testing.TB, g *gate.Gate) {
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { g.Run(ctx); close(over) }()
	tb.Cleanup(func() {
		stop()
		for range g.Events() {
		}
		<-over
	})
}

// TestFrameToRow takes one code all the way with every real part: picture,
// reading, signature, sealing, file.
func TestFrameToRow(t *testing.T) {
	eye := &still{frames: make(chan camera.Frame)}
	g, world, db := station(t, eye)
	run(t, g)
	text, want, err := world.Text(1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	f := draw(t, text, 6)
	f.Captured = time.Now()
	go func() { // notes of the start may be under way: a person holds still
		for range 50 {
			select {
			case eye.frames <- f:
			case <-time.After(time.Second):
				return
			}
		}
	}()
	for e := range g.Events() {
		j, ok := e.(gate.Judged)
		if !ok {
			continue
		}
		if j.Verdict.Name != want.Verdict {
			t.Fatalf("got %v/%v, want %v", j.Verdict.Name, j.Verdict.Reason, want.Verdict)
		}
		row, err := db.Row(t.Context(), j.Seq)
		if err != nil {
			t.Fatal(err)
		}
		scan, ok := row.Body.(record.Scan)
		if !ok || scan.Verdict != uint8(want.Verdict) || len(scan.Sealed.Box) == 0 {
			t.Errorf("row %d: %+v, want a sealed scan", j.Seq, row.Body)
		}
		return
	}
}

// BenchmarkFrameToEvent is the whole way without a camera: a VGA frame with a
// new dynamic code, to the verdict whose row is durable.
func BenchmarkFrameToEvent(b *testing.B) {
	eye := &still{frames: make(chan camera.Frame)}
	g, world, _ := station(b, eye)
	run(b, g)
	// The world's morning repeats its acts; the usual passes are what counts.
	next := uint64(40)
	for b.Loop() {
		b.StopTimer()
		var f camera.Frame
		for {
			next++
			text, want, err := world.Text(next, time.Now())
			if err != nil {
				b.Fatal(err)
			}
			if want.Verdict == verify.Pass {
				f = draw(b, text, 5)
				break
			}
		}
		b.StartTimer()
		f.Captured = time.Now()
		for told := false; !told; {
			select {
			case eye.frames <- f:
			case e := <-g.Events():
				_, told = e.(gate.Judged)
			}
		}
	}
}

// BenchmarkIdle is a gate with nobody in front of it: a VGA camera at 30 frames
// a second without a code. cpu-% is of one core.
func BenchmarkIdle(b *testing.B) {
	eye := &still{frames: make(chan camera.Frame, 1), every: time.Second / 30, last: blank()}
	g, _, _ := station(b, eye)
	run(b, g)
	go func() {
		for range g.Events() {
		}
	}()
	const span = 3 * time.Second
	for b.Loop() {
		before := cpu()
		time.Sleep(span)
		b.ReportMetric(100*float64(cpu()-before)/float64(span), "cpu-%")
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
