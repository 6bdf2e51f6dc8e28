package decode

import (
	"math"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/common"
	"github.com/makiuchi-d/gozxing/common/reedsolomon"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/detector"
)

// engine turns a triple of finders into a symbol with parts of gozxing: the
// alignment pattern, the sampling, format and version words, Reed-Solomon. Its
// text decoding is not used: it guesses charsets.
type engine struct {
	matrix *gozxing.BitMatrix
	array  *gozxing.BitArray
	rs     *reedsolomon.ReedSolomonDecoder
	grid   grid
}

// load copies m to the form that gozxing samples, with dark and light swapped
// when inverted.
func (e *engine) load(m *bitmap, inverted bool) error {
	if e.matrix == nil || e.matrix.GetWidth() != m.w || e.matrix.GetHeight() != m.h {
		matrix, err := gozxing.NewBitMatrix(m.w, m.h)
		if err != nil {
			return err
		}
		e.matrix, e.array = matrix, gozxing.NewBitArray(m.w)
	}
	var flip uint64
	if inverted {
		flip = ^flip
	}
	for y := range m.h {
		for i, v := range m.words[y*m.row : (y+1)*m.row] {
			v ^= flip
			e.array.SetBulk(64*i, uint32(v))
			if 64*i+32 < m.w {
				e.array.SetBulk(64*i+32, uint32(v>>32))
			}
		}
		e.matrix.SetRow(y, e.array)
	}
	return nil
}

// outcome is how far reading a triple got.
type outcome uint8

const (
	noCode  outcome = iota // not the finders of one symbol
	seen                   // a symbol, not readable here
	reading                // read
)

// read tries to read the symbol that the three finders belong to, in the
// loaded bitmap. Payload bytes are appended to dst.
func (e *engine) read(dst []byte, t triple) (Symbol, []byte, outcome) {
	point := func(f finder) *detector.FinderPattern {
		return detector.NewFinderPattern(f.x, f.y, f.module, f.rows)
	}
	tl, tr, bl := point(t.topLeft), point(t.topRight), point(t.bottomLeft)
	found, err := detector.NewDetector(e.matrix).ProcessFinderPatternInfo(detector.NewFinderPatternInfo(bl, tl, tr))
	var alignment *detector.AlignmentPattern
	estimate := 0
	if err == nil {
		estimate = found.GetBits().GetHeight()
		if p := found.GetPoints(); len(p) > 3 {
			alignment, _ = p[3].(*detector.AlignmentPattern)
		}
	} else {
		estimate = t.dimension()
	}
	got := noCode
	// The spacing of the finders misjudges the version by one now and then;
	// the version words and Reed-Solomon tell which it is.
	for _, dimension := range [...]int{estimate, estimate - 4, estimate + 4} {
		if dimension < 21 || dimension > 177 {
			continue
		}
		for _, align := range [...]*detector.AlignmentPattern{alignment, nil} {
			transform := detector.Detector_createTransform(tl, tr, bl, align, dimension)
			bits, err := detector.Detector_sampleGrid(e.matrix, transform, dimension)
			if err == nil {
				if !framed(bits, 25) {
					// Chance patterns of noise and texture: not worth more.
					if align == nil {
						return Symbol{}, dst, got
					}
					continue
				}
				got = seen
				if sym, out, ok := e.codewords(dst, bits); ok {
					sym.Corners = corners(transform, dimension)
					sym.ModulePx = moduleSize(sym.Corners, dimension)
					return sym, out, reading
				}
			}
			if align == nil {
				break
			}
		}
	}
	return Symbol{}, dst, got
}

// framed reports whether a sampled grid has the three finder patterns with
// their separators (8×8 modules each), all but the given share.
func framed(bits *gozxing.BitMatrix, percent int) bool {
	d := bits.GetHeight()
	wrong := 0
	for y := range 8 {
		for x := range 8 {
			ring := max(abs(x-3), abs(y-3)) // 7 columns around the middle, then the separator
			want := ring != 2 && ring != 4
			if bits.Get(x, y) != want {
				wrong++
			}
			if bits.Get(d-1-x, y) != want {
				wrong++
			}
			if bits.Get(x, d-1-y) != want {
				wrong++
			}
		}
	}
	return wrong <= 3*8*8*percent/100
}

// readGrey tries again from the grey picture: the perspective of the triple is
// fitted to all known modules, for the likely versions, and modules are
// sampled with more than one sharpening.
func (e *engine) readGrey(dst []byte, l *layer, t triple, inverted bool) (Symbol, []byte, bool) {
	tl, tr, bl := t.topLeft, t.topRight, t.bottomLeft
	anchors := [4]Point{{tl.x, tl.y}, {tr.x, tr.y}, {tr.x + bl.x - tl.x, tr.y + bl.y - tl.y}, {bl.x, bl.y}}
	first := t.dimension()
	bestScore, n := 0.0, 0
	var start [4]Point
	for _, dimension := range [...]int{first, first - 4, first + 4} {
		if dimension < 21 || dimension > 177 {
			continue
		}
		version := (dimension - 17) / 4
		c, score := l.tilt(anchors, dimension, e.grid.cells(version), e.grid.far[version], inverted)
		if score > bestScore {
			bestScore, n, start = score, dimension, c
		}
	}
	if n == 0 {
		return Symbol{}, dst, false
	}
	at, ok := l.refine(start, n, e.grid.cells((n-17)/4), inverted)
	if !ok || !e.grid.sample(&l.p, &at, n) {
		return Symbol{}, dst, false
	}
	for _, sharpening := range [...]float32{0.5, 1.5, 0} {
		bits := e.grid.decide(n, sharpening, inverted)
		if bits == nil || !framed(bits, 12) {
			continue
		}
		if sym, out, ok := e.codewords(dst, bits); ok {
			sym.Corners = at.outline(n)
			sym.ModulePx = moduleSize(sym.Corners, n)
			return sym, out, true
		}
	}
	return Symbol{}, dst, false
}

func abs(v int) int { return max(v, -v) }

// dimension is the number of modules a side by the distance of the finders,
// rounded to one that exists (17 + 4·version).
func (t triple) dimension() int {
	module := (t.topLeft.module + t.topRight.module + t.bottomLeft.module) / 3
	version := int(math.Round((t.side()/module + 7 - 17) / 4))
	return 17 + 4*min(max(version, 1), 40)
}

// codewords reads a sampled grid: format and version words, mask, blocks,
// correction, bit stream; as it stands, then mirrored.
func (e *engine) codewords(dst []byte, bits *gozxing.BitMatrix) (Symbol, []byte, bool) {
	parser, err := decoder.NewBitMatrixParser(bits)
	if err != nil {
		return Symbol{}, dst, false
	}
	if sym, out, ok := e.correct(dst, parser); ok {
		return sym, out, true
	}
	parser.Remask()
	parser.SetMirror(true)
	if _, err := parser.ReadVersion(); err != nil {
		return Symbol{}, dst, false
	}
	if _, err := parser.ReadFormatInformation(); err != nil {
		return Symbol{}, dst, false
	}
	parser.Mirror()
	return e.correct(dst, parser)
}

func (e *engine) correct(dst []byte, parser *decoder.BitMatrixParser) (Symbol, []byte, bool) {
	none := Symbol{}
	version, err := parser.ReadVersion()
	if err != nil || version == nil {
		return none, dst, false
	}
	format, err := parser.ReadFormatInformation()
	if err != nil || format == nil {
		return none, dst, false
	}
	words, err := parser.ReadCodewords()
	if err != nil {
		return none, dst, false
	}
	blocks, err := decoder.DataBlock_GetDataBlocks(words, version, format.GetErrorCorrectionLevel())
	if err != nil {
		return none, dst, false
	}
	if e.rs == nil {
		e.rs = reedsolomon.NewReedSolomonDecoder(reedsolomon.GenericGF_QR_CODE_FIELD_256)
	}
	data := make([]byte, 0, len(words))
	ints := make([]int, 0, 256)
	for _, b := range blocks {
		ints = ints[:0]
		for _, c := range b.GetCodewords() {
			ints = append(ints, int(c))
		}
		check := len(ints) - b.GetNumDataCodewords()
		if err := e.rs.Decode(ints, check); err != nil {
			return none, dst, false
		}
		wrong := 0
		for i, c := range b.GetCodewords() {
			if ints[i] != int(c) {
				wrong++
			}
		}
		if 2*wrong > check-spare(version.GetVersionNumber(), format.GetErrorCorrectionLevel()) {
			return none, dst, false
		}
		for _, c := range ints[:b.GetNumDataCodewords()] {
			data = append(data, byte(c))
		}
	}
	sym := Symbol{Version: version.GetVersionNumber(), Level: level(format.GetErrorCorrectionLevel())}
	before := len(dst)
	out, part, err := parseSegments(dst, data, sym.Version)
	if err != nil {
		return none, dst, false
	}
	sym.Part = part
	sym.Payload = out[before:len(out):len(out)]
	return sym, out, true
}

// spare is the number of check codewords that must not be used up in
// correcting, lest a grid of nonsense becomes a message (ISO/IEC 18004 §7.5.1,
// table 9, misdecode protection).
func spare(version int, l decoder.ErrorCorrectionLevel) int {
	switch {
	case version == 1 && l == decoder.ErrorCorrectionLevel_L:
		return 3
	case version == 1 && l == decoder.ErrorCorrectionLevel_M, version == 2 && l == decoder.ErrorCorrectionLevel_L:
		return 2
	case version == 1, version == 3 && l == decoder.ErrorCorrectionLevel_L:
		return 1
	}
	return 0
}

func level(l decoder.ErrorCorrectionLevel) Level {
	switch l {
	case decoder.ErrorCorrectionLevel_L:
		return LevelL
	case decoder.ErrorCorrectionLevel_M:
		return LevelM
	case decoder.ErrorCorrectionLevel_Q:
		return LevelQ
	case decoder.ErrorCorrectionLevel_H:
		return LevelH
	}
	return LevelUnknown
}

func corners(t *common.PerspectiveTransform, dimension int) [4]Point {
	d := float64(dimension)
	p := []float64{0, 0, d, 0, d, d, 0, d}
	t.TransformPoints(p)
	return [4]Point{{p[0], p[1]}, {p[2], p[3]}, {p[4], p[5]}, {p[6], p[7]}}
}

// moduleSize is the mean side of the quadrilateral over the modules a side.
func moduleSize(c [4]Point, dimension int) float64 {
	sum := 0.0
	for i := range c {
		a, b := c[i], c[(i+1)%4]
		sum += math.Hypot(a.X-b.X, a.Y-b.Y)
	}
	return sum / 4 / float64(dimension)
}
