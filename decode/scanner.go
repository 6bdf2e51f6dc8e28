package decode

// Effort says how much work one picture is worth.
type Effort uint8

const (
	// Fast is for camera frames: the next one comes in 33 ms. One full-size
	// search each frame; dearer attempts take turns, one a frame, and only
	// where something looks like a code.
	Fast Effort = iota
	// Thorough is for pictures that come once (files): every attempt is made.
	Thorough
)

// Options set up a Scanner. The zero value scans camera frames.
type Options struct {
	Effort     Effort
	MaxSymbols int // at most so many symbols a picture; 0 means 8
}

// MaxSide is the longest side of a picture that Scan looks at, in pixels.
const MaxSide = 8192

// minSide is the shortest side that can hold a symbol: 21 modules of a pixel.
const minSide = 21

// Stats count what a Scanner did since it was made.
type Stats struct {
	Frames  uint64 // pictures given
	Empty   uint64 // of those, without enough contrast to hold a symbol
	Read    uint64 // of those, with at least one symbol read
	Refused uint64 // of those, not a picture: sides or buffer out of bounds
	Faults  uint64 // faults inside the engine, caught
}

// Scanner reads symbols from the pictures of one camera. It keeps buffers and
// state between frames, so one goroutine at a time may use it.
type Scanner struct {
	opt     Options
	stats   Stats
	engine  engine
	layers  [numTiers]layer
	turn    int // which dearer attempt is next
	symbols []Symbol
	payload []byte
	triples []triple
	coach   coach
}

// layer is one scale of a picture, with the buffers of everything found in it.
type layer struct {
	p           plane
	buf         []byte
	blocks      blocks
	bits        bitmap
	dark, light finders
	framed      bool // three finders belong together
}

// tier is one attempt at a picture.
type tier int

const (
	tierFull   tier = iota
	tierHalf        // a box filter ends moiré, noise and halftones
	tierSharp       // defocus and motion
	tierThird       // large modules with much texture
	tierDouble      // modules below 2.5 pixels
	tierSharp2      // strong defocus
	numTiers
)

// NewScanner returns a Scanner.
func NewScanner(opt Options) *Scanner {
	if opt.MaxSymbols <= 0 {
		opt.MaxSymbols = 8
	}
	return &Scanner{opt: opt}
}

// Stats are the counts so far.
func (s *Scanner) Stats() Stats { return s.stats }

// Scan reads all symbols in img. The result, with its payloads, is valid until
// the next call; img is not kept. A picture whose sides are not in 1..MaxSide
// or whose buffer is too short for them has no symbols.
func (s *Scanner) Scan(img Image) (res Result) {
	s.stats.Frames++
	if !img.valid() {
		s.stats.Refused++
		return Result{}
	}
	defer func() {
		if recover() != nil {
			// The engine is other people's code and gets every picture there is.
			s.stats.Faults++
			s.engine = engine{}
			res = Result{}
		}
	}()
	s.symbols, s.payload = s.symbols[:0], s.payload[:0]
	if img.Width < minSide || img.Height < minSide {
		s.stats.Empty++
		return Result{}
	}
	hint := s.scan(plane{pix: img.Luma, w: img.Width, h: img.Height, stride: img.Stride})
	if len(s.symbols) > 0 {
		s.stats.Read++
	}
	return Result{Symbols: s.symbols, Hint: hint}
}

func (m Image) valid() bool {
	if m.Width < 1 || m.Height < 1 || m.Width > MaxSide || m.Height > MaxSide || m.Stride < m.Width || m.Stride > 4*MaxSide {
		return false
	}
	return int64(len(m.Luma)) >= int64(m.Height-1)*int64(m.Stride)+int64(m.Width)
}

func (s *Scanner) scan(p plane) Hint {
	full := &s.layers[tierFull]
	full.p = p
	full.blocks.measure(p)
	// The smallest symbol has 21×21 modules with edges everywhere; at a size
	// worth reading that is more than a handful of blocks.
	least := 9
	if s.opt.Effort == Thorough {
		least = 3
	}
	if full.blocks.contrast < least {
		s.stats.Empty++
		if full.blocks.dark() {
			return HintDark
		}
		return HintNone
	}
	s.attempt(full, 1, 0, 0)
	if len(s.symbols) > 0 {
		return HintNone
	}
	view := s.coach.look(full)
	if s.opt.Effort == Thorough {
		for t := tierHalf; t < numTiers && len(s.symbols) == 0; t++ {
			s.tier(t, p, view)
		}
	} else if view.code {
		s.turn++
		s.tier(tierHalf+tier(s.turn)%(numTiers-tierHalf), p, view)
	}
	if len(s.symbols) > 0 {
		return HintNone
	}
	return view.hint
}

// tier makes one of the dearer attempts.
func (s *Scanner) tier(t tier, p plane, v view) {
	l := &s.layers[t]
	scale, x, y := 1.0, 0, 0
	if s.opt.Effort == Fast && t != tierHalf && t != tierThird {
		x, y = v.x, v.y
		p = crop(p, v.x, v.y, v.w, v.h)
	}
	switch t {
	case tierHalf, tierThird:
		n := 2
		if t == tierThird {
			n = 3
		}
		if p.w/n < 2*minSide || p.h/n < 2*minSide {
			return
		}
		l.p, scale = shrink(l.buf, p, n), 1/float64(n)
	case tierDouble:
		if p.w*p.h > 2<<20 || s.opt.Effort == Fast && p.w*p.h > 450*450 {
			return
		}
		l.p, scale = double(l.buf, p), 2
	case tierSharp, tierSharp2:
		if p.w*p.h > 16<<20 {
			return // such pictures are not short of pixels
		}
		amount := 4
		if t == tierSharp2 {
			amount = 12
		}
		l.p = sharpen(l.buf, p, amount)
	}
	l.buf = l.p.pix
	if l.p.w < minSide || l.p.h < minSide {
		return
	}
	l.blocks.measure(l.p)
	s.attempt(l, scale, float64(x), float64(y))
}

// attempt searches one layer and adds what it reads, with corners in the
// picture's own pixels: place = layer place/scale + (x, y).
func (s *Scanner) attempt(l *layer, scale, x, y float64) {
	b := &l.blocks
	if b.contrast == 0 {
		return
	}
	b.thresholds()
	l.bits.pack(l.p, b)
	l.framed = false
	step := 3
	if s.opt.Effort == Fast {
		step = max(3, l.p.h*3/1080)
	}
	x0, y0 := max(b.fromX-1, 0)*block, max(b.fromY-1, 0)*block
	x1, y1 := min((b.toX+1)*block, l.p.w), min((b.toY+1)*block, l.p.h)
	l.bits.find(x0, y0, x1, y1, step, &l.dark, &l.light)
	for _, inverted := range [...]bool{false, true} {
		f := &l.dark
		if inverted {
			f = &l.light
		}
		if len(f.list) < 3 {
			continue
		}
		s.triples = triples(s.triples, f.list)
		if len(s.triples) == 0 {
			continue
		}
		if s.engine.load(&l.bits, inverted) != nil {
			return
		}
		tries, grey, area := 5, 1, 1e9
		if s.opt.Effort == Thorough {
			tries, grey = 80, 8
		}
		done := len(s.symbols)
		for _, t := range s.triples {
			if tries == 0 || area < 0 || len(s.symbols) >= s.opt.MaxSymbols {
				break
			}
			if covered(s.symbols[done:], t, scale, x, y) {
				continue
			}
			tries--
			// The engine looks for the alignment pattern in up to 32×32 modules.
			area -= min(1024*t.topLeft.module*t.topLeft.module, float64(l.p.w*l.p.h))
			sym, out, got := s.engine.read(s.payload, t)
			if got != noCode {
				l.framed = true
			}
			if got == seen && grey > 0 {
				grey--
				var ok bool
				if sym, out, ok = s.engine.readGrey(s.payload, l, t, inverted); ok {
					got = reading
				}
			}
			if got != reading {
				continue
			}
			s.payload = out
			sym.Inverted = inverted
			sym.ModulePx /= scale
			for i := range sym.Corners {
				sym.Corners[i].X = sym.Corners[i].X/scale + x
				sym.Corners[i].Y = sym.Corners[i].Y/scale + y
			}
			s.symbols = append(s.symbols, sym)
		}
	}
}

// covered reports whether a finder of t belongs to a symbol that was read.
func covered(read []Symbol, t triple, scale, x, y float64) bool {
	for _, sym := range read {
		for _, f := range [...]finder{t.topLeft, t.topRight, t.bottomLeft} {
			if inside(sym.Corners, Point{f.x/scale + x, f.y/scale + y}) {
				return true
			}
		}
	}
	return false
}

// inside reports whether p lies in the convex quadrilateral c.
func inside(c [4]Point, p Point) bool {
	left, right := false, false
	for i := range c {
		a, b := c[i], c[(i+1)%4]
		if cross := (b.X-a.X)*(p.Y-a.Y) - (b.Y-a.Y)*(p.X-a.X); cross < 0 {
			left = true
		} else if cross > 0 {
			right = true
		}
	}
	return !(left && right)
}
