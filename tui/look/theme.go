package look

import (
	"image/color"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	uv "github.com/charmbracelet/ultraviolet"

	"checkpoint/verify"
)

// Card is how a verdict looks.
type Card struct {
	Style     lipgloss.Style // words and symbol on the ground
	Frame     lipgloss.Style // its ground is the frame's colour
	FrameWide int            // cells; a frame is half as high as it is wide; 0: none
	FrameMark string
	Bars      bool           // black and white diagonals in place of one ground
	Texture   string         // what stands in empty cells of the ground, to tell grounds apart without colours
	Textured  lipgloss.Style // the texture on the ground
}

// FrameHigh is the frame's thickness in rows: half its width, for a cell is
// twice as high as wide.
func (k Card) FrameHigh() int { return (k.FrameWide + 1) / 2 }

// Theme gives styles by role. It is a value: the same arguments give the same
// theme.
type Theme struct {
	Profile colorprofile.Profile
	Dark    bool
	Console bool

	Text   lipgloss.Style // ordinary
	Strong lipgloss.Style
	Muted  lipgloss.Style
	Good   lipgloss.Style
	Notice lipgloss.Style // worth a look
	Banner lipgloss.Style // must be seen
	Lines  lipgloss.Style // boxes

	// Outline is drawn around a code in the live view; nil without colours.
	Outline color.Color

	cards [13]Card
	greys [levels]color.Color
}

// NewTheme is the theme of a terminal. console says that it is the bare Linux
// console, whose grounds come in eight colours: there grey is a texture.
func NewTheme(p colorprofile.Profile, dark, console bool) Theme {
	plain := lipgloss.NewStyle()
	bold := plain.Bold(true)
	t := Theme{Profile: p, Dark: dark, Console: console, Text: plain, Strong: bold}
	if p <= colorprofile.ASCII {
		t.mono()
		return t
	}
	in := func(c tint) color.Color { return c.in(p) }
	byGround := lipgloss.LightDark(dark)
	t.Muted = plain.Foreground(in(tSoft))
	t.Good = plain.Foreground(byGround(in(tGreenDark), in(tGreen)))
	t.Notice = bold.Foreground(byGround(in(tAmberDark), in(tAmber)))
	t.Banner = bold.Foreground(in(tBlack)).Background(in(tAmber))
	t.Lines = t.Muted
	t.Outline = in(tCyan)

	on := func(ink, ground tint) lipgloss.Style { return bold.Foreground(in(ink)).Background(in(ground)) }
	frame := func(c tint) lipgloss.Style { return plain.Background(in(c)) }
	t.cards = [13]Card{
		verify.NoVerdict:   {Style: on(tWhite, tBlack), Bars: true},
		verify.Pass:        {Style: on(tBlack, tGreen)},
		verify.PassGold:    {Style: on(tBlack, tGreen), Frame: frame(tGold), FrameWide: 4},
		verify.CheckID:     {Style: on(tBlack, tWhite), Frame: frame(tBlue), FrameWide: 2},
		verify.More:        {Style: on(tWhite, tBlue)},
		verify.Amber:       {Style: on(tBlack, tYellow)},
		verify.Red:         {Style: on(tWhite, tRed)},
		verify.Refresh:     {Style: on(tWhite, tViolet)},
		verify.NotOurs:     {Style: on(tWhite, tGrey)},
		verify.Invalid:     {Style: on(tWhite, tBlack), Frame: frame(tWhite), FrameWide: 2},
		verify.IssuerFault: {Style: on(tWhite, tGrey), Frame: frame(tWhite), FrameWide: 2},
		verify.Device:      {Style: on(tWhite, tBlack), Bars: true},
		verify.NoCheck:     {},
	}
	if console {
		for _, n := range []verify.Name{verify.NotOurs, verify.IssuerFault} {
			t.cards[n].Style = t.cards[n].Style.Background(lipgloss.Black)
			t.cards[n].Texture = "▒"
			t.cards[n].Textured = plain.Foreground(lipgloss.White).Background(lipgloss.Black)
		}
	}
	for i := range t.greys {
		t.greys[i] = grey(p, i)
	}
	return t
}

// mono is the theme without colours: reverse video, textures and frames.
func (t *Theme) mono() {
	plain := lipgloss.NewStyle()
	empty, reverse := plain.Bold(true), plain.Reverse(true)
	full := reverse.Bold(true)
	t.Muted, t.Good, t.Lines = plain, plain, plain
	t.Notice, t.Banner = empty, full
	t.cards = [13]Card{
		verify.NoVerdict:   {Style: empty, Bars: true},
		verify.Pass:        {Style: full},
		verify.PassGold:    {Style: full, FrameMark: "+", FrameWide: 4},
		verify.CheckID:     {Style: empty, Frame: reverse, FrameWide: 2},
		verify.More:        {Style: empty, Texture: ":"},
		verify.Amber:       {Style: empty, Texture: "^"},
		verify.Red:         {Style: full, Texture: "#", Textured: reverse},
		verify.Refresh:     {Style: empty, Texture: "~"},
		verify.NotOurs:     {Style: empty, Texture: "."},
		verify.Invalid:     {Style: empty, Texture: "x", Frame: reverse, FrameWide: 2},
		verify.IssuerFault: {Style: empty, Texture: ".", Frame: reverse, FrameWide: 2},
		verify.Device:      {Style: empty, Bars: true},
		verify.NoCheck:     {},
	}
}

// Card is how a verdict looks; what has no name looks like a device fault.
func (t Theme) Card(n verify.Name) Card {
	if int(n) >= len(t.cards) {
		n = verify.NoVerdict
	}
	return t.cards[n]
}

// Ground paints a verdict's ground and frame on a rectangle of a canvas.
func (t Theme) Ground(c *Canvas, x, y, w, h int, n verify.Name) {
	k := t.Card(n)
	switch {
	case k.Bars:
		dark := uv.Cell{Content: " ", Width: 1, Style: pen(k.Style.Bold(false))}
		light := uv.Cell{Content: " ", Width: 1, Style: pen(t.Inverse(k).Bold(false))}
		for j := y; j < y+h; j++ {
			for i := x; i < x+w; i++ {
				// Eight cells along, one down: 45° where a cell is twice as high as wide.
				bar := &dark
				if (i+2*j)/8%2 == 0 {
					bar = &light
				}
				c.SetCell(i, j, bar)
			}
		}
	case k.Texture != "":
		c.fill(x, y, w, h, k.Texture, k.Textured)
	default:
		c.Fill(x, y, w, h, k.Style)
	}
	mark := k.FrameMark
	if mark == "" {
		mark = " "
	}
	fw, fh := k.FrameWide, k.FrameHigh()
	c.fill(x, y, w, min(fh, h), mark, k.Frame)
	c.fill(x, y+max(h-fh, 0), w, min(fh, h), mark, k.Frame)
	c.fill(x, y, min(fw, w), h, mark, k.Frame)
	c.fill(x+max(w-fw, 0), y, min(fw, w), h, mark, k.Frame)
}

// Inverse is a card's style with ink and ground exchanged.
func (t Theme) Inverse(k Card) lipgloss.Style {
	if t.Profile <= colorprofile.ASCII {
		return lipgloss.NewStyle().Bold(true).Reverse(!k.Style.GetReverse())
	}
	ink, ground := k.Style.GetBackground(), k.Style.GetForeground()
	if ink == tGrey.in(t.Profile) { // grey on white is hard to read
		ink = tBlack.in(t.Profile)
	}
	return lipgloss.NewStyle().Bold(true).Foreground(ink).Background(ground)
}
