package look

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Paint is how a cell looks.
type Paint struct {
	Ink, Ground Color
	Bold        bool
}

// Cell is one place on a canvas.
type Cell struct {
	Text string // one grapheme; "" in the second half of a wide one
	Paint
}

// Canvas is a grid of cells that turns into lines of text. Drawing outside of
// it does nothing, so nothing that is drawn needs to fit.
type Canvas struct {
	W, H  int
	cells []Cell
}

// NewCanvas is an empty canvas in the terminal's own colours.
func NewCanvas(w, h int) *Canvas {
	w, h = max(w, 0), max(h, 0)
	c := &Canvas{W: w, H: h, cells: make([]Cell, w*h)}
	for i := range c.cells {
		c.cells[i].Text = " "
	}
	return c
}

// At is the cell at a place, the zero Cell outside.
func (c *Canvas) At(x, y int) Cell {
	if x < 0 || y < 0 || x >= c.W || y >= c.H {
		return Cell{}
	}
	return c.cells[y*c.W+x]
}

// Set puts one narrow grapheme at a place.
func (c *Canvas) Set(x, y int, text string, p Paint) {
	if x < 0 || y < 0 || x >= c.W || y >= c.H {
		return
	}
	row := c.cells[y*c.W : (y+1)*c.W]
	// Half of a wide character cannot stay.
	if row[x].Text == "" && x > 0 {
		row[x-1].Text = " "
	}
	if x+1 < c.W && row[x+1].Text == "" {
		row[x+1].Text = " "
	}
	row[x] = Cell{text, p}
}

// Fill paints a rectangle.
func (c *Canvas) Fill(x, y, w, h int, p Paint) {
	for j := max(y, 0); j < min(y+h, c.H); j++ {
		for i := max(x, 0); i < min(x+w, c.W); i++ {
			c.Set(i, j, " ", p)
		}
	}
}

// Text writes s from a place to the right, cut at the edge, and returns its
// width in cells. s is plain text, already cleaned.
func (c *Canvas) Text(x, y int, s string, p Paint) int {
	return c.TextIn(x, y, c.W-x, s, p)
}

// TextIn is Text in at most width cells; what does not fit ends in "..":
// an ellipsis takes two cells where ambiguous characters do.
func (c *Canvas) TextIn(x, y, width int, s string, p Paint) int {
	width = min(width, c.W-x)
	if width <= 0 || s == "" {
		return 0
	}
	s = ansi.Truncate(s, width, "..")
	at := x
	for s != "" {
		g, n := ansi.FirstGraphemeCluster(s, ansi.GraphemeWidth)
		s = s[len(g):]
		if n == 0 {
			continue
		}
		c.Set(at, y, g, p)
		if n == 2 {
			c.Set(at+1, y, " ", p)
			if at >= 0 && at+1 < c.W && y >= 0 && y < c.H {
				c.cells[y*c.W+at+1].Text = ""
			}
		}
		at += n
	}
	return at - x
}

// Centered is TextIn in the middle of width cells.
func (c *Canvas) Centered(x, y, width int, s string, p Paint) {
	w := min(Width(s), width)
	c.TextIn(x+(width-w)/2, y, w, s, p)
}

// Bitmap draws b with its top left at a place, in p's ink; where b has no ink
// the canvas stays as it is. With half-blocks a cell is one pixel wide and two
// high; with spaces it is one pixel.
func (c *Canvas) Bitmap(x, y int, b Bitmap, p Paint, blocks Blocks) {
	if blocks == Spaces {
		for j := range b.H {
			for i := range b.W {
				if b.On(i, j) {
					c.Set(x+i, y+j, " ", Paint{Ink: p.Ground, Ground: solid(p)})
				}
			}
		}
		return
	}
	for j := 0; j < b.H; j += 2 {
		for i := range b.W {
			switch up, down := b.On(i, j), b.On(i, j+1); {
			case up && down:
				c.Set(x+i, y+j/2, "█", p)
			case up:
				c.Set(x+i, y+j/2, "▀", p)
			case down:
				c.Set(x+i, y+j/2, "▄", p)
			}
		}
	}
}

// solid is the ground that looks like p's ink: without colours, what is not
// reversed.
func solid(p Paint) Color {
	if p.Ink != 0 {
		return p.Ink
	}
	if p.Ground == Reversed {
		return 0
	}
	return Reversed
}

// Frame draws a box of lines.
func (c *Canvas) Frame(x, y, w, h int, p Paint, l Lines) {
	if w < 2 || h < 2 {
		return
	}
	for i := x + 1; i < x+w-1; i++ {
		c.Set(i, y, l.Across, p)
		c.Set(i, y+h-1, l.Across, p)
	}
	for j := y + 1; j < y+h-1; j++ {
		c.Set(x, j, l.Down, p)
		c.Set(x+w-1, j, l.Down, p)
	}
	c.Set(x, y, l.TopLeft, p)
	c.Set(x+w-1, y, l.TopRight, p)
	c.Set(x, y+h-1, l.BottomLeft, p)
	c.Set(x+w-1, y+h-1, l.BottomRight, p)
}

// Lines are the rows as text with styles; each begins and ends in the
// terminal's own.
func (c *Canvas) Lines() []string {
	lines := make([]string, c.H)
	var b strings.Builder
	for y := range c.H {
		b.Reset()
		var now Paint
		for _, cell := range c.cells[y*c.W : (y+1)*c.W] {
			if cell.Text == "" {
				continue
			}
			if cell.Paint != now {
				now.to(&b, cell.Paint)
				now = cell.Paint
			}
			b.WriteString(cell.Text)
		}
		now.to(&b, Paint{})
		lines[y] = b.String()
	}
	return lines
}

// to writes what changes p into q.
func (p Paint) to(b *strings.Builder, q Paint) {
	if p == q {
		return
	}
	sep := "\x1b["
	add := func(s string) {
		if s != "" {
			b.WriteString(sep)
			b.WriteString(s)
			sep = ";"
		}
	}
	// What cannot be taken back singly is taken back with everything.
	if p.Bold && !q.Bold || p.Ink != 0 && q.Ink == 0 || p.Ground != q.Ground && (q.Ground == 0 || p.Ground == Reversed) {
		b.WriteString("\x1b[")
		sep = ";"
		p = Paint{}
		if q == (Paint{}) {
			b.WriteByte('m')
			return
		}
		b.WriteByte('0')
	}
	if q.Bold && !p.Bold {
		add("1")
	}
	if q.Ink != p.Ink {
		add(q.Ink.sgr(false))
	}
	if q.Ground != p.Ground {
		add(q.Ground.sgr(true))
	}
	if sep == ";" {
		b.WriteByte('m')
	}
}

// Width is how many cells a plain string takes.
func Width(s string) int { return ansi.StringWidth(s) }
