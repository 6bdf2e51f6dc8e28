package look

import (
	"github.com/charmbracelet/colorprofile"

	"checkpoint/verify"
)

// Card is how a verdict looks.
type Card struct {
	Paint            // words and symbol on the ground
	Frame      Color // 0 where there is none
	FrameWide  int   // cells; a frame is half as high as it is wide
	FrameMark  string
	Bars       bool   // black and white diagonals in place of one ground
	Texture    string // what stands in empty cells of the ground, to tell grounds apart without colours
	TexturedBy Color  // its ink
}

// FrameHigh is the frame's thickness in rows: half its width, for a cell is
// twice as high as wide.
func (k Card) FrameHigh() int { return (k.FrameWide + 1) / 2 }

// Theme gives paints by role. It is a value: the same arguments give the same
// theme.
type Theme struct {
	Profile colorprofile.Profile
	Dark    bool
	Console bool

	Text   Paint // ordinary
	Strong Paint
	Muted  Paint
	Good   Paint
	Notice Paint // worth a look
	Banner Paint // must be seen
	Lines  Paint // boxes

	// Outline is drawn around a code in the live view.
	Outline Color

	cards [13]Card
	greys [levels]Color
}

// The colours of the design. Green carries black words and yellow too, so that
// both stay light enough to shine across a hall; the others carry white.
var (
	tBlack  = tint{0x000000, 16, 0}
	tWhite  = tint{0xFFFFFF, 231, 15}
	tGreen  = tint{0x1FB855, 35, 2}
	tGold   = tint{0xFFD24A, 220, 11}
	tBlue   = tint{0x1857C8, 26, 4}
	tYellow = tint{0xFFCC00, 220, 11}
	tRed    = tint{0xC8102E, 160, 1}
	tViolet = tint{0x7A28B8, 91, 5}
	tGrey   = tint{0x6B7078, 242, 8}
	tSoft   = tint{0x8A9099, 246, 8}
	tAmber  = tint{0xE8A200, 214, 3}
	tCyan   = tint{0x2FC4D8, 44, 14}
)

// NewTheme is the theme of a terminal. console says that it is the bare Linux
// console, whose grounds come in eight colours: there grey is a texture.
func NewTheme(p colorprofile.Profile, dark, console bool) Theme {
	t := Theme{Profile: p, Dark: dark, Console: console}
	if p <= colorprofile.ASCII {
		t.mono()
		return t
	}
	in := func(c tint) Color { return c.in(p) }
	t.Text = Paint{}
	t.Strong = Paint{Bold: true}
	t.Muted = Paint{Ink: in(tSoft)}
	t.Good = Paint{Ink: in(tGreen)}
	t.Notice = Paint{Ink: in(tAmber), Bold: true}
	if !dark {
		t.Notice = Paint{Ink: tint{0x8A5A00, 94, 5}.in(p), Bold: true}
		t.Good = Paint{Ink: tint{0x0B7A34, 28, 2}.in(p)}
	}
	t.Banner = Paint{Ink: in(tBlack), Ground: in(tAmber), Bold: true}
	t.Lines = t.Muted
	t.Outline = in(tCyan)

	on := func(ink, ground tint) Paint { return Paint{Ink: in(ink), Ground: in(ground), Bold: true} }
	t.cards = [13]Card{
		verify.NoVerdict:   {Paint: on(tWhite, tBlack), Bars: true},
		verify.Pass:        {Paint: on(tBlack, tGreen)},
		verify.PassGold:    {Paint: on(tBlack, tGreen), Frame: in(tGold), FrameWide: 4},
		verify.CheckID:     {Paint: on(tBlack, tWhite), Frame: in(tBlue), FrameWide: 2},
		verify.More:        {Paint: on(tWhite, tBlue)},
		verify.Amber:       {Paint: on(tBlack, tYellow)},
		verify.Red:         {Paint: on(tWhite, tRed)},
		verify.Refresh:     {Paint: on(tWhite, tViolet)},
		verify.NotOurs:     {Paint: on(tWhite, tGrey)},
		verify.Invalid:     {Paint: on(tWhite, tBlack), Frame: in(tWhite), FrameWide: 2},
		verify.IssuerFault: {Paint: on(tWhite, tGrey), Frame: in(tWhite), FrameWide: 2},
		verify.Device:      {Paint: on(tWhite, tBlack), Bars: true},
		verify.NoCheck:     {},
	}
	if console {
		for _, n := range []verify.Name{verify.NotOurs, verify.IssuerFault} {
			t.cards[n].Ground = Basic(0)
			t.cards[n].Texture, t.cards[n].TexturedBy = "▒", Basic(7)
		}
	}
	for i := range t.greys {
		g := uint8(i * 255 / (levels - 1))
		switch {
		case p >= colorprofile.TrueColor:
			t.greys[i] = RGB(g, g, g)
		case p == colorprofile.ANSI256:
			t.greys[i] = Indexed(uint8(232 + i*23/(levels-1)))
		default:
			t.greys[i] = Basic([4]uint8{0, 8, 7, 15}[i*4/levels])
		}
	}
	return t
}

// mono is the theme without colours: reverse video, textures and frames.
func (t *Theme) mono() {
	t.Strong = Paint{Bold: true}
	t.Notice = Paint{Bold: true}
	t.Banner = Paint{Ground: Reversed, Bold: true}
	t.Outline = Reversed
	full, empty := Paint{Ground: Reversed, Bold: true}, Paint{Bold: true}
	t.cards = [13]Card{
		verify.NoVerdict:   {Paint: empty, Bars: true},
		verify.Pass:        {Paint: full},
		verify.PassGold:    {Paint: full, FrameMark: "+", FrameWide: 4},
		verify.CheckID:     {Paint: empty, Frame: Reversed, FrameWide: 2},
		verify.More:        {Paint: empty, Texture: ":"},
		verify.Amber:       {Paint: empty, Texture: "^"},
		verify.Red:         {Paint: full, Texture: "#"},
		verify.Refresh:     {Paint: empty, Texture: "~"},
		verify.NotOurs:     {Paint: empty, Texture: "."},
		verify.Invalid:     {Paint: empty, Texture: "x", Frame: Reversed, FrameWide: 2},
		verify.IssuerFault: {Paint: empty, Texture: ".", Frame: Reversed, FrameWide: 2},
		verify.Device:      {Paint: empty, Bars: true},
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

// bar is one stripe of the diagonal bars.
func (t Theme) bar(white bool) Paint {
	if t.Profile <= colorprofile.ASCII {
		if white {
			return Paint{Ground: Reversed}
		}
		return Paint{}
	}
	if white {
		return Paint{Ink: tBlack.in(t.Profile), Ground: tWhite.in(t.Profile)}
	}
	return Paint{Ink: tWhite.in(t.Profile), Ground: tBlack.in(t.Profile)}
}

// Ground paints a verdict's ground and frame on a rectangle of a canvas.
func (t Theme) Ground(c *Canvas, x, y, w, h int, n verify.Name) {
	k := t.Card(n)
	for j := y; j < y+h; j++ {
		for i := x; i < x+w; i++ {
			switch {
			case k.Bars:
				// Eight cells along, one down: 45° where a cell is twice as high as wide.
				c.Set(i, j, " ", t.bar((i+2*j)/8%2 == 0))
			case k.Texture != "":
				p := k.Paint
				p.Ink, p.Bold = k.TexturedBy, false
				c.Set(i, j, k.Texture, p)
			default:
				c.Set(i, j, " ", k.Paint)
			}
		}
	}
	if k.FrameWide == 0 {
		return
	}
	mark := k.FrameMark
	if mark == "" {
		mark = " "
	}
	fw, fh := k.FrameWide, k.FrameHigh()
	for j := y; j < y+h; j++ {
		for i := x; i < x+w; i++ {
			if i < x+fw || i >= x+w-fw || j < y+fh || j >= y+h-fh {
				c.Set(i, j, mark, Paint{Ground: k.Frame})
			}
		}
	}
}

// Inverse is a card's paint with ink and ground exchanged.
func (t Theme) Inverse(k Card) Paint {
	if t.Profile <= colorprofile.ASCII {
		if k.Ground == Reversed {
			return Paint{Bold: true}
		}
		return Paint{Ground: Reversed, Bold: true}
	}
	if k.Ground == tGrey.in(t.Profile) { // grey on white is hard to read
		return Paint{Ink: tBlack.in(t.Profile), Ground: k.Ink, Bold: true}
	}
	return Paint{Ink: k.Ground, Ground: k.Ink, Bold: true}
}
