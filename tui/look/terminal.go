package look

import (
	"fmt"

	"github.com/charmbracelet/colorprofile"
)

// Lang is a language of the screen.
type Lang uint8

// The languages. Both always stand on the screen; Lang says which is large.
const (
	Chinese Lang = iota
	English
)

// ParseLang reads zh or en.
func ParseLang(s string) (Lang, error) {
	switch s {
	case "zh":
		return Chinese, nil
	case "en":
		return English, nil
	}
	return Chinese, fmt.Errorf("language %q: not zh or en", s)
}

// Blocks is what pictures and big glyphs are made of.
type Blocks uint8

// The kinds of blocks.
const (
	// HalfBlocks draws two pixels a cell with ▀ and ▄.
	HalfBlocks Blocks = iota
	// Spaces paints backgrounds only, one pixel a cell, for terminals on which
	// ▀ takes two cells (East Asian ambiguous width) or is missing. Such a
	// terminal gets no other ambiguous character either.
	Spaces
)

// ParseBlocks reads half or space.
func ParseBlocks(s string) (Blocks, error) {
	switch s {
	case "half":
		return HalfBlocks, nil
	case "space":
		return Spaces, nil
	}
	return HalfBlocks, fmt.Errorf("blocks %q: not half or space", s)
}

// ParseColor reads auto, truecolor, 256, 16 or none. With auto the terminal is
// asked.
func ParseColor(s string) (p colorprofile.Profile, auto bool, err error) {
	switch s {
	case "auto", "":
		return colorprofile.Unknown, true, nil
	case "truecolor":
		return colorprofile.TrueColor, false, nil
	case "256":
		return colorprofile.ANSI256, false, nil
	case "16":
		return colorprofile.ANSI, false, nil
	case "none":
		return colorprofile.ASCII, false, nil
	}
	return colorprofile.Unknown, false, fmt.Errorf("color %q: not auto, truecolor, 256, 16 or none", s)
}
