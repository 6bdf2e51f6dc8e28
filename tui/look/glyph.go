package look

import (
	_ "embed"
	"strings"
	"unicode/utf8"
)

// Bitmap is a picture of ink and no ink.
type Bitmap struct {
	W, H int
	ink  []bool
}

// On reports ink at a place; there is none outside.
func (b Bitmap) On(x, y int) bool {
	return x >= 0 && y >= 0 && x < b.W && y < b.H && b.ink[y*b.W+x]
}

// Scale makes every pixel kx by ky.
func (b Bitmap) Scale(kx, ky int) Bitmap {
	if kx == 1 && ky == 1 {
		return b
	}
	s := Bitmap{W: b.W * kx, H: b.H * ky, ink: make([]bool, b.W*kx*b.H*ky)}
	for y := range s.H {
		for x := range s.W {
			s.ink[y*s.W+x] = b.ink[y/ky*b.W+x/kx]
		}
	}
	return s
}

// Beside is b with o to its right, gap pixels between, both centred in height.
func (b Bitmap) Beside(o Bitmap, gap int) Bitmap {
	if b.W == 0 {
		return o
	}
	s := Bitmap{W: b.W + gap + o.W, H: max(b.H, o.H)}
	s.ink = make([]bool, s.W*s.H)
	s.paste(b, 0, (s.H-b.H)/2)
	s.paste(o, b.W+gap, (s.H-o.H)/2)
	return s
}

// Above is b with o below it, gap pixels between, both centred in width.
func (b Bitmap) Above(o Bitmap, gap int) Bitmap {
	s := Bitmap{W: max(b.W, o.W), H: b.H + gap + o.H}
	s.ink = make([]bool, s.W*s.H)
	s.paste(b, (s.W-b.W)/2, 0)
	s.paste(o, (s.W-o.W)/2, b.H+gap)
	return s
}

func (b Bitmap) paste(o Bitmap, x, y int) {
	for j := range o.H {
		copy(b.ink[(y+j)*b.W+x:], o.ink[j*o.W:(j+1)*o.W])
	}
}

// The tables: one glyph a block, drawn with # and dots.
var (
	//go:embed glyphs/han16.txt
	han16 string
	//go:embed glyphs/han24.txt
	han24 string
	//go:embed glyphs/latin12.txt
	latin12 string
	//go:embed glyphs/latin14.txt
	latin14 string
	//go:embed glyphs/latin20.txt
	latin20 string
	//go:embed glyphs/symbols12.txt
	symbols12 string
	//go:embed glyphs/symbols14.txt
	symbols14 string
	//go:embed glyphs/symbols16.txt
	symbols16 string
	//go:embed glyphs/symbols24.txt
	symbols24 string
)

// Cut is one size of a script's glyphs.
type Cut struct {
	Size   int // height in pixels
	gap    int // between characters
	space  int // width of a space
	glyphs map[rune]Bitmap
}

// Glyphs are all big glyphs, parsed once by a program.
type Glyphs struct {
	Han, Latin, Symbols []Cut // smallest first
}

// NewGlyphs reads the tables.
func NewGlyphs() *Glyphs {
	return &Glyphs{
		Han:     []Cut{cut(han16, 16, 0, 8), cut(han24, 24, 0, 12)},
		Latin:   []Cut{cut(latin12, 12, 1, 4), cut(latin14, 14, 1, 4), cut(latin20, 20, 2, 7)},
		Symbols: []Cut{cut(symbols12, 12, 2, 6), cut(symbols14, 14, 2, 6), cut(symbols16, 16, 2, 8), cut(symbols24, 24, 3, 12)},
	}
}

// cut parses a table: lines of # and dots belong to the character above them.
// A table with a fault gives fewer glyphs; a test holds that all words can be
// written.
func cut(table string, size, gap, space int) Cut {
	c := Cut{Size: size, gap: gap, space: space, glyphs: map[rune]Bitmap{}}
	var name rune
	var b Bitmap
	done := func() {
		if name != 0 && b.W > 0 && b.H == size && len(b.ink) == b.W*b.H {
			c.glyphs[name] = b
		}
		name, b = 0, Bitmap{}
	}
	for line := range strings.Lines(table) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "" || line[0] == ';':
			done()
		case name == 0:
			name, _ = utf8.DecodeRuneInString(line)
		default:
			b.W, b.H = len(line), b.H+1
			for i := range len(line) {
				b.ink = append(b.ink, line[i] == '#')
			}
		}
	}
	done()
	return c
}

// Write is a word as one bitmap; ok is false when a glyph is missing.
func (c Cut) Write(word string) (b Bitmap, ok bool) {
	ok = true
	for _, r := range word {
		g, has := c.glyphs[r]
		if r == ' ' {
			g = Bitmap{W: c.space, H: c.Size, ink: make([]bool, c.space*c.Size)}
		} else if !has {
			ok = false
			continue
		}
		b = b.Beside(g, c.gap)
	}
	return b.trim(), ok
}

// trim takes the empty columns off both sides.
func (b Bitmap) trim() Bitmap {
	empty := func(x int) bool {
		for y := range b.H {
			if b.On(x, y) {
				return false
			}
		}
		return true
	}
	left, right := 0, b.W
	for left < right && empty(left) {
		left++
	}
	for right > left && empty(right-1) {
		right--
	}
	t := Bitmap{W: right - left, H: b.H, ink: make([]bool, 0, (right-left)*b.H)}
	for y := range b.H {
		t.ink = append(t.ink, b.ink[y*b.W+left:y*b.W+right]...)
	}
	return t
}
