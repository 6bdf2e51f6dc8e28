package decode

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/makiuchi-d/gozxing/common/reedsolomon"
)

// TestEncodeSizes: the versions of the native codes' sizes.
func TestEncodeSizes(t *testing.T) {
	for _, tc := range []struct {
		chars   int
		level   Level
		version int
	}{{334, LevelM, 11}, {341, LevelM, 11}, {266, LevelM, 10}, {266, LevelQ, 12}, {466, LevelM, 13}} {
		m, err := Encode(passText(tc.chars, 1), tc.level)
		if err != nil {
			t.Fatal(err)
		}
		if m.Version != tc.version || m.Size != 17+4*tc.version || len(m.Bits) != m.Size*m.Size {
			t.Errorf("%d characters at %v: version %d, %d modules, want version %d", tc.chars, tc.level, m.Version, m.Size, tc.version)
		}
	}
	if _, err := Encode(passText(5000, 1), LevelM); !errors.Is(err, ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
	if _, err := Encode(nil, LevelM); err == nil {
		t.Error("an empty payload is encoded")
	}
	if _, err := Encode([]byte("x"), Level(9)); err == nil {
		t.Error("level 9 is encoded")
	}
}

func TestScanReadsBytesAndPlace(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for name, payload := range map[string][]byte{
		"pass": passText(334, 3), "digits": []byte("0123456789012345"), "utf-8": []byte("健康码 – café"), "every byte": every,
	} {
		for _, inverted := range []bool{false, true} {
			code, err := Encode(payload, LevelM)
			if err != nil {
				t.Fatal(err)
			}
			dark, light := byte(25), byte(225)
			if inverted {
				dark, light = light, dark
			}
			img := paper(640, 480, 140, 2, 1)
			// A stride of its own: no room may be taken for granted.
			wide := Image{Width: 640, Height: 480, Stride: 700, Luma: make([]byte, 700*480-60)}
			put(img, code, 120, 70, 4, dark, light)
			for y := range 480 {
				copy(wide.Luma[y*700:], img.Luma[y*640:(y+1)*640])
			}
			s := NewScanner(Options{})
			res := s.Scan(wide)
			if len(res.Symbols) != 1 {
				t.Fatalf("%s, inverted %v: %d symbols, hint %v", name, inverted, len(res.Symbols), res.Hint)
			}
			sym := res.Symbols[0]
			if !bytes.Equal(sym.Payload, payload) {
				t.Errorf("%s: read %q", name, sym.Payload)
			}
			if sym.Inverted != inverted || sym.Version != code.Version || sym.Level != LevelM || math.Abs(sym.ModulePx-4) > 0.1 || sym.Part != (Part{}) {
				t.Errorf("%s: %+v", name, sym)
			}
			far := float64(code.Size * 4)
			for i, want := range [4]Point{{120, 70}, {120 + far, 70}, {120 + far, 70 + far}, {120, 70 + far}} {
				if got := sym.Corners[i]; math.Hypot(got.X-want.X, got.Y-want.Y) > 2 {
					t.Errorf("%s: corner %d at %.1f, want %.1f", name, i, got, want)
				}
			}
			if res.Hint != HintNone {
				t.Errorf("%s: hint %v on a code that was read", name, res.Hint)
			}
		}
	}
}

func TestScanReadsSeveral(t *testing.T) {
	img := paper(1280, 720, 140, 2, 1)
	want := map[string]bool{}
	for i, at := range [][2]int{{60, 60}, {460, 80}, {880, 300}} {
		text := passText(266, uint64(i))
		code, err := Encode(text, LevelM)
		if err != nil {
			t.Fatal(err)
		}
		dark, light := byte(25), byte(225)
		if i == 1 {
			dark, light = light, dark
		}
		put(img, code, at[0], at[1], 5, dark, light)
		want[string(text)] = true
	}
	s := NewScanner(Options{})
	for _, sym := range s.Scan(img).Symbols {
		if !want[string(sym.Payload)] {
			t.Errorf("read %q, twice or not there", sym.Payload)
		}
		delete(want, string(sym.Payload))
	}
	if len(want) > 0 {
		t.Errorf("%d codes not read", len(want))
	}
	one := NewScanner(Options{MaxSymbols: 1})
	if n := len(one.Scan(img).Symbols); n != 1 {
		t.Errorf("%d symbols, at most 1 was asked for", n)
	}
}

func TestScanRefusesWhatIsNoPicture(t *testing.T) {
	s := NewScanner(Options{Effort: Thorough})
	luma := make([]byte, 100*100)
	for name, img := range map[string]Image{
		"nothing":         {},
		"short buffer":    {Luma: luma, Width: 101, Height: 100, Stride: 101},
		"stride too low":  {Luma: luma, Width: 100, Height: 50, Stride: 99},
		"negative":        {Luma: luma, Width: -100, Height: 100, Stride: 100},
		"too wide":        {Luma: luma, Width: MaxSide + 1, Height: 1, Stride: MaxSide + 1},
		"overflow":        {Luma: luma, Width: 8000, Height: 8000, Stride: math.MaxInt32},
		"negative stride": {Luma: luma, Width: 100, Height: 100, Stride: -100},
	} {
		if res := s.Scan(img); len(res.Symbols) != 0 || res.Hint != HintNone {
			t.Errorf("%s: %+v", name, res)
		}
	}
	if st := s.Stats(); st.Refused != st.Frames || st.Frames == 0 {
		t.Errorf("counted %+v", st)
	}
}

func TestStats(t *testing.T) {
	_, code := passCode(t, 1)
	img := paper(640, 480, 150, 2, 1)
	s := NewScanner(Options{})
	s.Scan(img)
	put(img, code, 100, 80, 5, 20, 220)
	s.Scan(img)
	if got, want := s.Stats(), (Stats{Frames: 2, Empty: 1, Read: 1}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

// TestFaultIsAPictureWithoutASymbol breaks the engine; the next picture must be
// read again.
func TestFaultIsAPictureWithoutASymbol(t *testing.T) {
	_, code := passCode(t, 1)
	img := paper(640, 480, 150, 2, 1)
	put(img, code, 100, 80, 5, 20, 220)
	s := NewScanner(Options{})
	s.engine.rs = &reedsolomon.ReedSolomonDecoder{} // without a field: panics when asked
	if res := s.Scan(img); len(res.Symbols) != 0 {
		t.Fatal("read with a broken engine")
	}
	if n := s.Stats().Faults; n != 1 {
		t.Fatalf("%d faults counted", n)
	}
	if res := s.Scan(img); len(res.Symbols) != 1 {
		t.Error("not read after a fault")
	}
}

// TestEmptyFramesAllocateNothing: the common frame leaves no garbage.
func TestEmptyFramesAllocateNothing(t *testing.T) {
	s := NewScanner(Options{})
	img := paper(640, 480, 150, 3, 1)
	s.Scan(img)
	if n := testing.AllocsPerRun(20, func() { s.Scan(img) }); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

// TestNoPictureHoldsTheScannerUp gives pictures that are full of candidates.
// The test's own time limit is the judge.
func TestNoPictureHoldsTheScannerUp(t *testing.T) {
	const w, h = 2000, 1500
	stripes := Image{Luma: make([]byte, w*h), Width: w, Height: h, Stride: w}
	grid := Image{Luma: make([]byte, w*h), Width: w, Height: h, Stride: w}
	row := []byte{0, 255, 0, 0, 0, 255, 0, 255}
	for y := range h {
		for x := range w {
			stripes.Luma[y*w+x] = row[x/3%8]
			grid.Luma[y*w+x] = row[x/3%8] | row[y/3%8]
		}
	}
	for _, effort := range []Effort{Fast, Thorough} {
		s := NewScanner(Options{Effort: effort})
		for name, img := range map[string]Image{"stripes": stripes, "grid": grid, "noise": paper(w, h, 128, 80, 5)} {
			if res := s.Scan(img); len(res.Symbols) > 0 {
				t.Errorf("%s: read %q", name, res.Symbols[0].Payload)
			}
		}
		if s.Stats().Faults > 0 {
			t.Errorf("%d faults", s.Stats().Faults)
		}
	}
}

// FuzzScan draws small pictures out of a few bytes: a symbol with damage, or
// noise.
func FuzzScan(f *testing.F) {
	f.Add(uint16(60), uint16(60), byte(2), uint64(1), uint16(0))
	f.Add(uint16(200), uint16(90), byte(3), uint64(2), uint16(500))
	f.Add(uint16(21), uint16(300), byte(1), uint64(3), uint16(9))
	f.Fuzz(func(t *testing.T, w, h uint16, px byte, seed uint64, damage uint16) {
		width, height := 1+int(w%256), 1+int(h%256)
		img := paper(width, height, 150, int(seed%70), seed)
		payload := passText(20, seed)
		code, err := Encode(payload, Level(1+seed%4))
		if err != nil {
			t.Fatal(err)
		}
		put(img, code, int(seed%17), int(seed%13), 1+int(px%6), byte(seed), byte(seed>>8))
		r := rand.New(rand.NewPCG(seed, 5))
		for range damage {
			img.Luma[r.IntN(len(img.Luma))] = byte(r.IntN(256))
		}
		for _, effort := range []Effort{Fast, Thorough} {
			s := NewScanner(Options{Effort: effort})
			for _, sym := range s.Scan(img).Symbols {
				if !bytes.Equal(sym.Payload, payload) {
					t.Errorf("false read %q", sym.Payload)
				}
			}
			if s.Stats().Faults > 0 {
				t.Error("a fault inside the engine")
			}
		}
	})
}

// A drawn picture may have modules that are exactly the blocks that thresholds
// are made of: no block then holds an edge of its own.
func TestModulesOfWholeBlocks(t *testing.T) {
	m, err := Encode([]byte("MODULES OF WHOLE BLOCKS"), LevelM)
	if err != nil {
		t.Fatal(err)
	}
	for px := 2; px <= 3*block; px++ {
		for margin := range 5 {
			n := (m.Size + 2*margin) * px
			img := Image{Width: n, Height: n, Stride: n, Luma: make([]byte, n*n)}
			for y := range n {
				for x := range n {
					if !m.Dark(x/px-margin, y/px-margin) || x < margin*px || y < margin*px {
						img.Luma[y*n+x] = 255
					}
				}
			}
			if got := NewScanner(Options{}).Scan(img); len(got.Symbols) != 1 {
				t.Errorf("%d pixels a module, margin of %d: %d symbols", px, margin, len(got.Symbols))
			}
		}
	}
}
