package look

import (
	"image/color"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
)

// tint is one colour of the design in each kind of terminal. The basic one is
// exact: with 16 colours the grounds of the verdicts are those of the manual
// and not whatever comes nearest.
type tint struct {
	basic ansi.BasicColor
	index lipgloss.ANSIColor
	full  string
}

// in is the tint in a kind of terminal; lipgloss.NoColor where there are none.
func (t tint) in(p colorprofile.Profile) color.Color {
	return lipgloss.Complete(p)(t.basic, t.index, lipgloss.Color(t.full))
}

// The colours of the design. Green carries black words and yellow too, so that
// both stay light enough to shine across a hall; the others carry white.
var (
	tBlack  = tint{lipgloss.Black, 16, "#000000"}
	tWhite  = tint{lipgloss.BrightWhite, 231, "#FFFFFF"}
	tGreen  = tint{lipgloss.Green, 35, "#1FB855"}
	tGold   = tint{lipgloss.BrightYellow, 220, "#FFD24A"}
	tBlue   = tint{lipgloss.Blue, 26, "#1857C8"}
	tYellow = tint{lipgloss.BrightYellow, 220, "#FFCC00"}
	tRed    = tint{lipgloss.Red, 160, "#C8102E"}
	tViolet = tint{lipgloss.Magenta, 91, "#7A28B8"}
	tGrey   = tint{lipgloss.BrightBlack, 242, "#6B7078"}
	tSoft   = tint{lipgloss.BrightBlack, 246, "#8A9099"}
	tAmber  = tint{lipgloss.Yellow, 214, "#E8A200"}
	tCyan   = tint{lipgloss.BrightCyan, 44, "#2FC4D8"}

	// On a light ground amber and green would be lost.
	tAmberDark = tint{lipgloss.Magenta, 94, "#8A5A00"}
	tGreenDark = tint{lipgloss.Green, 28, "#0B7A34"}
)

// grey is one of the shades of the live view.
func grey(p colorprofile.Profile, i int) color.Color {
	g := uint8(i * 255 / (levels - 1))
	return lipgloss.Complete(p)(
		[4]ansi.BasicColor{lipgloss.Black, lipgloss.BrightBlack, lipgloss.White, lipgloss.BrightWhite}[i*4/levels],
		lipgloss.ANSIColor(232+i*23/(levels-1)),
		lipgloss.RGBColor{R: g, G: g, B: g},
	)
}

// sgr is the part of a Select Graphic Rendition sequence (ECMA-48 §8.3.117) for
// c as ink and as ground.
func sgr(c color.Color) (ink, ground string) {
	return ansi.NewStyle().ForegroundColor(c)[0], ansi.NewStyle().BackgroundColor(c)[0]
}
