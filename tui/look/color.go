package look

import (
	"strconv"

	"github.com/charmbracelet/colorprofile"
)

// Color is a colour as the terminal is told it. The zero Color is the
// terminal's own; Basic, Indexed and RGB make the others.
type Color uint32

const (
	kindBasic   Color = 1 << 24
	kindIndexed Color = 2 << 24
	kindRGB     Color = 3 << 24
	kindMask    Color = 0xFF << 24

	// Reversed is the ground of a terminal without colours: reverse video.
	Reversed Color = 4 << 24
)

// Basic is one of the 16 colours: 0 to 7 normal, 8 to 15 bright.
func Basic(n uint8) Color { return kindBasic | Color(n&15) }

// Indexed is one of the 256 colours.
func Indexed(n uint8) Color { return kindIndexed | Color(n) }

// RGB is a colour of 24 bits.
func RGB(r, g, b uint8) Color { return kindRGB | Color(r)<<16 | Color(g)<<8 | Color(b) }

// sgr is the part of a Select Graphic Rendition sequence (ECMA-48 §8.3.117) for
// c as text or as ground, "" for the terminal's own.
func (c Color) sgr(ground bool) string {
	n := int(c &^ kindMask)
	switch c & kindMask {
	case kindBasic:
		base := 30
		if n >= 8 {
			base, n = 90, n-8
		}
		if ground {
			base += 10
		}
		return strconv.Itoa(base + n)
	case kindIndexed:
		if ground {
			return "48;5;" + strconv.Itoa(n)
		}
		return "38;5;" + strconv.Itoa(n)
	case kindRGB:
		s := "38;2;"
		if ground {
			s = "48;2;"
		}
		return s + strconv.Itoa(n>>16) + ";" + strconv.Itoa(n>>8&255) + ";" + strconv.Itoa(n&255)
	case Reversed & kindMask:
		if ground {
			return "7"
		}
	}
	return ""
}

// tint is one colour of the design in each kind of terminal.
type tint struct {
	rgb   uint32
	index uint8
	basic uint8
}

// in is the tint where there are colours at all.
func (t tint) in(p colorprofile.Profile) Color {
	switch {
	case p >= colorprofile.TrueColor:
		return RGB(uint8(t.rgb>>16), uint8(t.rgb>>8), uint8(t.rgb))
	case p == colorprofile.ANSI256:
		return Indexed(t.index)
	}
	return Basic(t.basic)
}
