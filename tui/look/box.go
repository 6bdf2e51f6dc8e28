package look

import (
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// Tail stands where text was cut: an ellipsis takes two cells where ambiguous
// characters do.
const Tail = ".."

// Box is a frame with a title above and a note below, both on its edges.
type Box struct {
	Border      lipgloss.Border
	Edge        lipgloss.Style
	Title, Note string // styled, one line each
}

// Around is the box, w cells wide, around lines of w-2 cells. It only joins:
// the live view comes through here with every picture.
func (b Box) Around(lines []string, w int) []string {
	out := make([]string, 0, len(lines)+2)
	left, right := b.Edge.Render(b.Border.Left), b.Edge.Render(b.Border.Right)
	out = append(out, b.top(w))
	for _, l := range lines {
		out = append(out, left+l+right)
	}
	return append(out, b.bottom(w))
}

// Page is the box, w × h cells, around text, which is broken where it is too
// wide and cut where it is too long.
func (b Box) Page(text string, w, h int) string {
	page := lipgloss.NewStyle().Padding(0, 1).Width(w - 2).Height(h - 2).MaxHeight(h - 2).Render(text)
	return strings.Join(b.Around(strings.Split(page, "\n"), w), "\n")
}

// BoxMinW and BoxMinH are the smallest box that can hold anything.
const (
	BoxMinW = 8
	BoxMinH = 4
)

// top is the upper edge with the title towards its left end.
func (b Box) top(w int) string {
	title := ansi.Truncate(b.Title, w-4, Tail)
	return b.Edge.Render(b.Border.TopLeft+b.Border.Top) + title +
		b.Edge.Render(strings.Repeat(b.Border.Top, max(w-3-lipgloss.Width(title), 0))+b.Border.TopRight)
}

// bottom is the lower edge with the note towards its right end.
func (b Box) bottom(w int) string {
	note := ansi.Truncate(b.Note, w-4, Tail)
	return b.Edge.Render(b.Border.BottomLeft+strings.Repeat(b.Border.Bottom, max(w-3-lipgloss.Width(note), 0))) + note +
		b.Edge.Render(b.Border.Bottom+b.Border.BottomRight)
}

// Fit makes a block exactly w × h cells.
func Fit(block string, w, h int) []string {
	lines := strings.Split(block, "\n")
	out := make([]string, h)
	for i := range out {
		l := ""
		if i < len(lines) {
			l = lines[i]
		}
		out[i] = FitLine(l, w)
	}
	return out
}

// FitLine makes a line exactly w cells wide.
func FitLine(line string, w int) string {
	return lipgloss.PlaceHorizontal(w, lipgloss.Left, ansi.Truncate(line, w, ""))
}

// Spread is a line of w cells with left and right at its ends.
func Spread(w int, left, right string) string {
	return FitLine(left+lipgloss.PlaceHorizontal(w-lipgloss.Width(left), lipgloss.Right, right), w)
}

// Width is how many cells a line takes, styled or not.
func Width(s string) int { return lipgloss.Width(s) }
