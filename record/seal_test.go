package record

import (
	"bytes"
	"crypto/hpke"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
)

var testID = Identity{Device: [16]byte{1}, Epoch: [8]byte{2}}

func newDay(t testing.TB) (private []byte, day DayKey) {
	t.Helper()
	key, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	if private, err = key.Bytes(); err != nil {
		t.Fatal(err)
	}
	return private, DayKey{Day: "2026-11-23", Public: key.PublicKey().Bytes()}
}

func newPair(t testing.TB) (*Sealer, *Opener) {
	t.Helper()
	private, day := newDay(t)
	s, err := NewSealer(testID, day, Stamp{MonoMS: 1000})
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewOpener(private, *s.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, o
}

func rowOf(d Draft) Row { return Row{Identity: testID, Seq: 1, Stamp: d.Stamp, Body: d.Body} }

func mustSeal(t testing.TB, s *Sealer, at Stamp, format uint8, subject []byte) Draft {
	t.Helper()
	d, err := s.Scan(at, Scan{Verdict: 6, Reason: 91, Format: format}, subject)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSealAndOpen(t *testing.T) {
	s, o := newPair(t)
	// Out of order, and over hours that hold no row.
	var drafts []Draft
	for _, hour := range []uint64{0, 0, 1, 5, 5, 30} {
		drafts = append(drafts, mustSeal(t, s, Stamp{WallMS: 7, MonoMS: 1000 + hour*stepMS}, 1, []byte{1, byte(hour)}))
	}
	foreign := mustSeal(t, s, Stamp{MonoMS: 1000 + 30*stepMS}, 2, bytes.Repeat([]byte{7}, SubjectForeign))
	for i, d := range slices.Backward(drafts) {
		scan := d.Body.(Scan)
		if scan.Sealed.Index != uint32(i) {
			t.Errorf("row %d has index %d", i, scan.Sealed.Index)
		}
		got, err := o.Open(rowOf(d))
		want := make([]byte, SubjectNative)
		want[0], want[1] = 1, byte(scan.Sealed.Step)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("row %d: got %x, %v, want %x", i, got, err, want)
		}
	}
	if got, err := o.Open(rowOf(foreign)); err != nil || len(got) != SubjectForeign {
		t.Errorf("foreign: %d bytes, %v", len(got), err)
	}
}

func TestStepNeverTurnsBack(t *testing.T) {
	s, o := newPair(t)
	for i, mono := range []uint64{1000 + 3*stepMS, 1000, 0, math.MaxUint64} {
		d, err := s.Scan(Stamp{MonoMS: mono}, Scan{Verdict: 1, Format: 1}, []byte{1})
		if mono == math.MaxUint64 {
			if !errors.Is(err, ErrContextSpent) {
				t.Errorf("a clock gone mad: %v, want ErrContextSpent", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if step := d.Body.(Scan).Sealed.Step; step != 3 {
			t.Errorf("row %d: step %d, want 3", i, step)
		}
		if _, err := o.Open(rowOf(d)); err != nil {
			t.Error(err)
		}
	}
}

func TestTurnForgetsWithoutAScan(t *testing.T) {
	s, o := newPair(t)
	d, err := s.Scan(Stamp{MonoMS: 1000}, Scan{Verdict: 1, Format: 1}, []byte{1})
	if err != nil {
		t.Fatal(err)
	}
	before := s.chain
	if err := s.Turn(Stamp{MonoMS: 1000 + 2*stepMS}); err != nil {
		t.Fatal(err)
	}
	if s.chain == before || s.step != 2 {
		t.Errorf("step %d: the state that opened the first hour is still there", s.step)
	}
	if _, err := o.Open(rowOf(d)); err != nil {
		t.Errorf("headquarters: %v", err)
	}
	later, err := s.Scan(Stamp{MonoMS: 1000}, Scan{Verdict: 1, Format: 1}, []byte{1})
	if err != nil || later.Body.(Scan).Sealed.Step != 2 || later.Body.(Scan).Sealed.Index != 1 {
		t.Errorf("after it: %+v, %v; want step 2, index 1", later.Body, err)
	}
	if err := s.Turn(Stamp{MonoMS: math.MaxUint64}); !errors.Is(err, ErrContextSpent) {
		t.Errorf("a clock gone mad: %v, want ErrContextSpent", err)
	}
}

// TestSealBinds changes each thing that the seal covers.
func TestSealBinds(t *testing.T) {
	s, o := newPair(t)
	good := rowOf(mustSeal(t, s, Stamp{WallMS: 7, MonoMS: 1000}, 1, []byte{1}))
	if _, err := o.Open(good); err != nil {
		t.Fatal(err)
	}
	scan := good.Body.(Scan)
	for _, tc := range []struct {
		name   string
		change func(r *Row, s *Scan)
	}{
		{"device", func(r *Row, s *Scan) { r.Device[15]++ }},
		{"epoch", func(r *Row, s *Scan) { r.Epoch[7]++ }},
		{"context", func(r *Row, s *Scan) { s.Sealed.Context[0]++ }},
		{"step", func(r *Row, s *Scan) { s.Sealed.Step++ }},
		{"index", func(r *Row, s *Scan) { s.Sealed.Index++ }},
		{"time", func(r *Row, s *Scan) { r.WallMS++ }},
		{"verdict", func(r *Row, s *Scan) { s.Verdict = 1 }},
		{"box", func(r *Row, s *Scan) { s.Sealed.Box = bytes.Clone(s.Sealed.Box); s.Sealed.Box[0]++ }},
		{"tag", func(r *Row, s *Scan) { s.Sealed.Box = bytes.Clone(s.Sealed.Box); s.Sealed.Box[47]++ }},
		{"no box", func(r *Row, s *Scan) { s.Sealed.Box = nil }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, s := good, scan
			tc.change(&r, &s)
			r.Body = s
			if _, err := o.Open(r); !errors.Is(err, ErrOpen) {
				t.Errorf("got %v, want ErrOpen", err)
			}
		})
	}
}

// A row with a step that no gate reaches must not keep headquarters turning.
func TestStepOutOfReach(t *testing.T) {
	s, o := newPair(t)
	row := rowOf(mustSeal(t, s, Stamp{MonoMS: 1000}, 1, []byte{1}))
	for _, step := range []uint32{maxStep + 1, math.MaxUint32} {
		scan := row.Body.(Scan)
		scan.Sealed.Step = step
		far := row
		far.Body = scan
		if _, err := o.Open(far); !errors.Is(err, ErrOpen) || o.step > 0 {
			t.Fatalf("step %d: %v after %d turns", step, err, o.step)
		}
	}
	if _, err := o.Open(row); err != nil {
		t.Error(err)
	}
}

func TestOtherKeysDoNotOpen(t *testing.T) {
	private, day := newDay(t)
	otherPrivate, _ := newDay(t)
	s, err := NewSealer(testID, day, Stamp{})
	if err != nil {
		t.Fatal(err)
	}
	row := rowOf(mustSeal(t, s, Stamp{}, 1, []byte{1}))
	for _, tc := range []struct {
		name    string
		private []byte
		change  func(c *Context)
	}{
		{"another day's key", otherPrivate, func(c *Context) {}},
		{"another day's name", private, func(c *Context) { c.Day = "2026-11-24" }},
		{"another device", private, func(c *Context) { c.Device[0]++ }},
		{"another epoch", private, func(c *Context) { c.Epoch[0]++ }},
		{"another enc", private, func(c *Context) { c.Enc = bytes.Clone(c.Enc); c.Enc[3]++ }},
		{"enc cut off", private, func(c *Context) { c.Enc = c.Enc[:100] }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := *s.Context()
			tc.change(&c)
			o, err := NewOpener(tc.private, c)
			if err == nil {
				_, err = o.Open(row)
			}
			if !errors.Is(err, ErrOpen) {
				t.Errorf("got %v, want ErrOpen", err)
			}
		})
	}
}

func TestIndexIsSpentByFailure(t *testing.T) {
	s, _ := newPair(t)
	for _, subject := range [][]byte{nil, make([]byte, SubjectNative+1)} {
		if _, err := s.Scan(Stamp{}, Scan{Verdict: 1, Format: 1}, subject); !errors.Is(err, ErrSubject) {
			t.Errorf("subject of %d bytes: %v, want ErrSubject", len(subject), err)
		}
	}
	if got := mustSeal(t, s, Stamp{}, 1, []byte{1}).Body.(Scan).Sealed.Index; got != 2 {
		t.Errorf("index %d after two failures, want 2", got)
	}
	s.next = math.MaxUint32
	mustSeal(t, s, Stamp{}, 1, []byte{1})
	if _, err := s.Scan(Stamp{}, Scan{Verdict: 1, Format: 1}, []byte{1}); !errors.Is(err, ErrContextSpent) {
		t.Errorf("after the last index: %v, want ErrContextSpent", err)
	}
}

func TestNoIndexTwice(t *testing.T) {
	s, _ := newPair(t)
	var mu sync.Mutex
	seen := make(map[uint32]bool)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 200 {
				d, err := s.Scan(Stamp{MonoMS: 1000}, Scan{Verdict: 1, Format: 1}, []byte{1})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				index := d.Body.(Scan).Sealed.Index
				if seen[index] {
					t.Errorf("index %d came twice", index)
				}
				seen[index] = true
				mu.Unlock()
			}
		})
	}
	wait.Wait()
}

func TestNewSealerRefuses(t *testing.T) {
	_, day := newDay(t)
	for _, tc := range []struct {
		name string
		day  DayKey
	}{
		{"no day", DayKey{Public: day.Public}},
		{"day too long", DayKey{Day: string(make([]byte, 33)), Public: day.Public}},
		{"no key", DayKey{Day: "x"}},
		{"key cut off", DayKey{Day: "x", Public: day.Public[:1000]}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := NewSealer(testID, tc.day, Stamp{}); !errors.Is(err, ErrDayKey) {
				t.Errorf("got %v, want ErrDayKey", err)
			}
		})
	}
}

func BenchmarkSeal(b *testing.B) {
	s, _ := newPair(b)
	subject := make([]byte, SubjectNative)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Scan(Stamp{MonoMS: 1000}, Scan{Verdict: 1, Format: 1}, subject); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	s, o := newPair(b)
	row := rowOf(mustSeal(b, s, Stamp{MonoMS: 1000}, 1, []byte{1}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := o.Open(row); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewSealer(b *testing.B) {
	_, day := newDay(b)
	for b.Loop() {
		if _, err := NewSealer(testID, day, Stamp{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkChain(b *testing.B) {
	s, _ := newPair(b)
	row := rowOf(mustSeal(b, s, Stamp{MonoMS: 1000}, 1, []byte{1}))
	var link Link
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = AppendRow(buf[:0], row); err != nil {
			b.Fatal(err)
		}
		link = link.Next(buf)
	}
}
