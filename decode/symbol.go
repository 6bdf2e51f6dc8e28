package decode

// Image is one grey picture, one byte a pixel, rows top to bottom.
type Image struct {
	Luma   []byte
	Width  int
	Height int
	Stride int // bytes from one row to the next, ≥ Width
}

// Point is a place in the picture in pixels, the centre of the top left pixel
// at (0.5, 0.5).
type Point struct{ X, Y float64 }

// Level is the error correction level of a symbol.
type Level uint8

// The levels of ISO/IEC 18004, weakest first. The zero Level is unknown.
const (
	LevelUnknown Level = iota
	LevelL
	LevelM
	LevelQ
	LevelH
)

// String is the level's letter, "?" when unknown.
func (l Level) String() string {
	if int(l) < len("?LMQH") {
		return "?LMQH"[l : l+1]
	}
	return "?"
}

// Symbol is one QR symbol that was read.
type Symbol struct {
	Payload  []byte   // bytes as encoded; valid until the next Scan
	Corners  [4]Point // outer corners: top left, top right, bottom right, bottom left of the symbol
	Version  int      // 1 to 40; 0 unknown
	Level    Level
	ModulePx float64 // side of a module in pixels; 0 unknown
	Inverted bool    // light on dark
	Part     Part    // of a message over several symbols; Total 0: the symbol stands alone
}

// Hint is what would make an unread code readable, for the coach.
type Hint uint8

// The hints, from the same pass as the reading.
const (
	HintNone    Hint = iota // nothing to say: no code in view, or read
	HintDark                // too dark
	HintGlare               // a reflection lies on the code
	HintFar                 // modules too small
	HintBlurred             // out of focus or moving
	HintCutOff              // partly out of view
)

var hints = [...]string{"none", "dark", "glare", "far", "blurred", "cut_off"}

// String is the stable word of the hint.
func (h Hint) String() string {
	if int(h) < len(hints) {
		return hints[h]
	}
	return hints[HintNone]
}

// Result is what one picture holds. It is valid until the next Scan.
type Result struct {
	Symbols []Symbol
	Hint    Hint
}
