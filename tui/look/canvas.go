package look

import (
	"image/color"

	"charm.land/lipgloss/v2"
	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
)

// Canvas is a grid of cells that turns into lines of text. It is for what needs
// cells: grounds, big glyphs and text on both; everything else is blocks of
// text that Lip Gloss makes and joins. Drawing outside of it does nothing, so
// nothing that is drawn needs to fit.
type Canvas struct {
	*uv.Buffer
	W, H int
}

// NewCanvas is an empty canvas in the terminal's own colours.
func NewCanvas(w, h int) *Canvas {
	w, h = max(w, 0), max(h, 0)
	return &Canvas{Buffer: uv.NewBuffer(w, h), W: w, H: h}
}

// WidthMethod makes a Canvas a uv.Screen, on which layers draw.
func (c *Canvas) WidthMethod() uv.WidthMethod { return ansi.GraphemeWidth }

// Fill paints a rectangle with a style's ground.
func (c *Canvas) Fill(x, y, w, h int, s lipgloss.Style) { c.fill(x, y, w, h, " ", s) }

func (c *Canvas) fill(x, y, w, h int, mark string, s lipgloss.Style) {
	c.FillArea(&uv.Cell{Content: mark, Width: 1, Style: pen(s)}, uv.Rect(x, y, w, h))
}

// Put lays a block of styled text over the canvas, as large as it is.
func (c *Canvas) Put(x, y int, block string) {
	w, h := lipgloss.Size(block)
	lipgloss.NewLayer(block).Draw(c, uv.Rect(x, y, w, h))
}

// PutCentered is Put of one line in the middle of width cells.
func (c *Canvas) PutCentered(x, y, width int, line string) {
	line = ansi.Truncate(line, max(width, 0), Tail)
	c.Put(x+(width-lipgloss.Width(line))/2, y, line)
}

// Bitmap draws b with its top left at a place, in s's ink; where b has no ink
// the canvas stays as it is. With half-blocks a cell is one pixel wide and two
// high; with spaces it is one pixel.
func (c *Canvas) Bitmap(x, y int, b Bitmap, s lipgloss.Style, blocks Blocks) {
	if blocks == Spaces {
		cell := uv.Cell{Content: " ", Width: 1, Style: pen(solid(s))}
		for j := range b.H {
			for i := range b.W {
				if b.On(i, j) {
					c.SetCell(x+i, y+j, &cell)
				}
			}
		}
		return
	}
	cell := uv.Cell{Width: 1, Style: pen(s)}
	for j := 0; j < b.H; j += 2 {
		for i := range b.W {
			switch up, down := b.On(i, j), b.On(i, j+1); {
			case up && down:
				cell.Content = "█"
			case up:
				cell.Content = "▀"
			case down:
				cell.Content = "▄"
			default:
				continue
			}
			c.SetCell(x+i, y+j/2, &cell)
		}
	}
}

// Lines are the rows as text with styles, each as wide as the canvas; each
// begins and ends in the terminal's own.
func (c *Canvas) Lines() []string {
	lines := make([]string, c.H)
	for y := range lines {
		lines[y] = c.Line(y).Render()
	}
	return lines
}

// solid is the ground that looks like s's ink: without colours, what is not
// reversed.
func solid(s lipgloss.Style) lipgloss.Style {
	if ink := known(s.GetForeground()); ink != nil {
		return lipgloss.NewStyle().Background(ink)
	}
	return lipgloss.NewStyle().Reverse(!s.GetReverse())
}

// pen is a style as a cell keeps it.
func pen(s lipgloss.Style) uv.Style {
	p := uv.Style{Fg: known(s.GetForeground()), Bg: known(s.GetBackground())}
	if s.GetBold() {
		p.Attrs |= uv.AttrBold
	}
	if s.GetReverse() {
		p.Attrs |= uv.AttrReverse
	}
	return p
}

// known is c, nil for the terminal's own: a cell would take NoColor for black.
func known(c color.Color) color.Color {
	if c == (lipgloss.NoColor{}) {
		return nil
	}
	return c
}
