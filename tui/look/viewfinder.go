package look

import (
	"math"
	"strings"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"

	"checkpoint/decode"
)

const (
	levels = 32           // greys of the live view
	step   = 256 / levels // luma to a level
	hold   = step         // how far luma must be from a level's middle before the level changes
)

// Viewfinder turns small grey pictures into lines. It keeps the level of every
// pixel from picture to picture and changes it only when the luma has clearly
// left it: a camera's noise would otherwise repaint the whole view each time,
// five times the bytes for nothing. One Viewfinder serves one view.
type Viewfinder struct {
	theme  Theme
	blocks Blocks

	cols, rows int
	level      []uint8 // of each pixel; noPicture: margin
	line       []bool  // outlines of codes
	picture    box     // where the picture lies, in pixels
	srcW, srcH int
	ink, paper [levels + 2]string // sequences by level; the last two are outline and margin
	xs, ys     []int              // source borders of each pixel's box
}

type box struct{ x, y, w, h int }

const (
	outline   = levels
	noPicture = levels + 1
	fresh     = 255 // no level yet
)

// NewViewfinder is a viewfinder for a theme.
func NewViewfinder(t Theme, b Blocks) *Viewfinder {
	v := &Viewfinder{theme: t, blocks: b}
	for i, g := range t.greys {
		v.ink[i], v.paper[i] = sgr(g)
	}
	v.ink[outline], v.paper[outline] = sgr(t.Outline)
	v.ink[noPicture], v.paper[noPicture] = sgr(nil)
	if t.Profile <= colorprofile.ASCII {
		v.paper[outline], v.paper[noPicture] = attr(ansi.AttrReverse), attr(ansi.AttrNoReverse)
	}
	return v
}

// Draw is a picture of w × h luma bytes with the outlines of the codes in it,
// as rows lines of cols cells. A picture that is not what it says gives an
// empty view. Codes are in the picture's pixels.
func (v *Viewfinder) Draw(luma []byte, w, h int, codes [][4]decode.Point, cols, rows int) []string {
	if cols <= 0 || rows <= 0 {
		return nil
	}
	v.resize(w, h, cols, rows, len(luma))
	v.sample(luma)
	v.outlines(codes)
	out := make([]string, rows)
	for y := range rows {
		out[y] = v.row(y)
	}
	return out
}

// pixels is the view's size in pixels.
func (v *Viewfinder) pixels() (w, h int) {
	if v.blocks == HalfBlocks {
		return v.cols, 2 * v.rows
	}
	return v.cols, v.rows
}

func (v *Viewfinder) resize(w, h, cols, rows, have int) {
	if w <= 0 || h <= 0 || have < w*h || w > 4096 || h > 4096 {
		w, h = 0, 0
	}
	if v.cols == cols && v.rows == rows && v.srcW == w && v.srcH == h {
		return
	}
	v.cols, v.rows, v.srcW, v.srcH = cols, rows, w, h
	pw, ph := v.pixels()
	v.level = make([]uint8, pw*ph)
	v.line = make([]bool, pw*ph)
	for i := range v.level {
		v.level[i] = noPicture
	}
	v.picture = box{}
	if w == 0 {
		return
	}
	// The whole picture, as large as it fits. Half-block pixels are square, cells
	// twice as high as wide.
	tall := 1.0
	if v.blocks == Spaces {
		tall = 2
	}
	k := min(float64(pw)/float64(w), float64(ph)*tall/float64(h))
	b := box{w: max(1, min(pw, int(float64(w)*k+.5))), h: max(1, min(ph, int(float64(h)*k/tall+.5)))}
	b.x, b.y = (pw-b.w)/2, (ph-b.h)/2
	v.picture = b
	v.xs, v.ys = borders(v.xs[:0], b.w, w), borders(v.ys[:0], b.h, h)
	for y := range b.h {
		for x := range b.w {
			v.level[(b.y+y)*pw+b.x+x] = fresh
		}
	}
}

// borders splits n source pixels into parts boxes of at least one pixel.
func borders(to []int, parts, n int) []int {
	for i := range parts {
		from := i * n / parts
		to = append(to, from, max(from+1, (i+1)*n/parts))
	}
	return to
}

func (v *Viewfinder) sample(luma []byte) {
	pw, _ := v.pixels()
	b := v.picture
	for y := range b.h {
		y0, y1 := v.ys[2*y], v.ys[2*y+1]
		for x := range b.w {
			x0, x1 := v.xs[2*x], v.xs[2*x+1]
			var sum, n int
			for sy := y0; sy < y1; sy++ {
				for _, p := range luma[sy*v.srcW+x0 : sy*v.srcW+x1] {
					sum += int(p)
				}
				n += x1 - x0
			}
			at := &v.level[(b.y+y)*pw+b.x+x]
			mean := sum / n
			if *at != fresh {
				middle := int(*at)*step + step/2
				if mean >= middle-hold && mean <= middle+hold {
					continue
				}
			}
			*at = uint8(mean / step)
		}
	}
}

// outlines marks the pixels under the edges of the codes.
func (v *Viewfinder) outlines(codes [][4]decode.Point) {
	clear(v.line)
	b := v.picture
	if b.w == 0 {
		return
	}
	pw, ph := v.pixels()
	sx, sy := float64(b.w)/float64(v.srcW), float64(b.h)/float64(v.srcH)
	for _, c := range codes[:min(len(codes), 16)] {
		for i := range c {
			p, q := c[i], c[(i+1)%4]
			x, y := float64(b.x)+p.X*sx, float64(b.y)+p.Y*sy
			dx, dy := float64(b.x)+q.X*sx-x, float64(b.y)+q.Y*sy-y
			n := math.Max(math.Abs(dx), math.Abs(dy))
			if !(n < 1e4) { // not a number, or far outside
				continue
			}
			for k := 0.0; k <= n; k++ {
				px, py := int(math.Floor(x+dx*k/math.Max(n, 1))), int(math.Floor(y+dy*k/math.Max(n, 1)))
				if px >= 0 && py >= 0 && px < pw && py < ph {
					v.line[py*pw+px] = true
				}
			}
		}
	}
}

// shade is the level of a pixel as it is drawn.
func (v *Viewfinder) shade(x, y int) int {
	pw, _ := v.pixels()
	i := y*pw + x
	if v.line[i] {
		return outline
	}
	l := int(v.level[i])
	switch {
	case l >= noPicture:
		return noPicture
	case v.theme.Profile <= colorprofile.ASCII:
		// Black or white, by a 4×4 ordered dither.
		on := l*16 > bayer[y&3][x&3]*(levels-1)+levels/2
		if on == v.theme.Dark {
			return outline // reverse video: light on a dark terminal
		}
		return noPicture
	case v.theme.Profile == colorprofile.ANSI:
		// Four greys: dither between neighbours.
		third := (levels - 1) / 3.0
		base := min(int(float64(l)/third), 2)
		rest := float64(l)/third - float64(base)
		if rest*16 > float64(bayer[y&3][x&3])+.5 {
			base++
		}
		return base * levels / 4
	}
	return l
}

var bayer = [4][4]int{{0, 8, 2, 10}, {12, 4, 14, 6}, {3, 11, 1, 9}, {15, 7, 13, 5}}

// row is one line of cells.
func (v *Viewfinder) row(y int) string {
	var b strings.Builder
	b.Grow(v.cols * 16)
	mono := v.theme.Profile <= colorprofile.ASCII
	ink, paper := -1, -1
	for x := range v.cols {
		if v.blocks == Spaces {
			s := v.shade(x, y)
			if s != paper {
				set(&b, "", v.paper[s])
				paper = s
			}
			b.WriteByte(' ')
			continue
		}
		up, down := v.shade(x, 2*y), v.shade(x, 2*y+1)
		if mono {
			b.WriteString([4]string{" ", "▀", "▄", "█"}[on(up)|on(down)<<1])
			continue
		}
		if up == down {
			if paper != down {
				set(&b, "", v.paper[down])
				paper = down
			}
			b.WriteByte(' ')
			continue
		}
		// A margin below a pixel is the terminal's own ground; above, turn the block.
		mark := "▀"
		if up == noPicture {
			up, down, mark = down, up, "▄"
		}
		i, p := "", ""
		if up != ink {
			i, ink = v.ink[up], up
		}
		if down != paper {
			p, paper = v.paper[down], down
		}
		set(&b, i, p)
		b.WriteString(mark)
	}
	if !mono || v.blocks == Spaces {
		b.WriteString(ansi.ResetStyle)
	}
	return b.String()
}

func on(shade int) int {
	if shade == outline {
		return 1
	}
	return 0
}

func set(b *strings.Builder, ink, paper string) {
	switch {
	case ink != "" && paper != "":
		b.WriteString("\x1b[" + ink + ";" + paper + "m")
	case ink != "" || paper != "":
		b.WriteString("\x1b[" + ink + paper + "m")
	}
}

func attr(a ansi.Attr) string { return ansi.NewStyle(a)[0] }
