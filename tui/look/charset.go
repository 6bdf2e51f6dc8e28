package look

import (
	"strings"

	"charm.land/lipgloss/v2"

	"checkpoint/tui/look/clean"
	"checkpoint/verify"
)

// Charset is what a terminal can write as text.
type Charset struct {
	Han     bool // Chinese text
	Symbols bool // ✓ ▲ ■ and friends, one cell wide
	Border  lipgloss.Border
	Dot     string // between things
	Up      string // waiting to go up
	Lamp    string // the badge's dot
}

// NewCharset is what can be written on the bare Linux console, or where
// ambiguous characters take two cells, or on everything else.
func NewCharset(console bool, b Blocks) Charset {
	switch {
	case console && b == HalfBlocks:
		return Charset{Border: lipgloss.NormalBorder(), Dot: "·", Up: "^", Lamp: "*"}
	case console:
		return Charset{Border: lipgloss.ASCIIBorder(), Dot: "-", Up: "^", Lamp: "*"}
	case b == Spaces:
		return Charset{Han: true, Border: lipgloss.ASCIIBorder(), Dot: "-", Up: "^", Lamp: "*"}
	}
	return Charset{Han: true, Symbols: true, Border: lipgloss.RoundedBorder(), Dot: "·", Up: "⇡", Lamp: "●"}
}

var symbols = [13]string{
	verify.NoVerdict: "⚙", verify.Pass: "✓", verify.PassGold: "✚", verify.CheckID: "▭", verify.More: "◐",
	verify.Amber: "▲", verify.Red: "■", verify.Refresh: "⟳", verify.NotOurs: "?", verify.Invalid: "✕",
	verify.IssuerFault: "!", verify.Device: "⚙", verify.NoCheck: "○",
}

var plainSymbols = [13]string{
	verify.NoVerdict: "*", verify.Pass: "v", verify.PassGold: "+", verify.CheckID: "=", verify.More: "%",
	verify.Amber: "^", verify.Red: "#", verify.Refresh: "@", verify.NotOurs: "?", verify.Invalid: "x",
	verify.IssuerFault: "!", verify.Device: "*", verify.NoCheck: "o",
}

// Symbol is a verdict's symbol as the big glyphs name it.
func Symbol(n verify.Name) string {
	if int(n) >= len(symbols) {
		n = verify.NoVerdict
	}
	return symbols[n]
}

// Symbol is a verdict's symbol in running text.
func (s Charset) Symbol(n verify.Name) string {
	if s.Symbols {
		return Symbol(n)
	}
	if int(n) >= len(plainSymbols) {
		n = verify.NoVerdict
	}
	return plainSymbols[n]
}

// Say is a phrase in l, or in English where Chinese cannot be written.
func (s Charset) Say(p Phrase, l Lang) string {
	if l == English || !s.Han {
		return s.ASCII(p.EN)
	}
	return p.ZH
}

// Foreign is a string from outside, cleaned and written with what the terminal
// has: where there is no Han, every letter that is not Latin becomes a dot, so
// that at least the length of a name can be compared.
func (s Charset) Foreign(text string) string {
	return s.ASCII(clean.String(text))
}

// ASCII is text as it is where the terminal can write it, else with accents
// taken off and everything else that is not ASCII as a dot.
func (s Charset) ASCII(text string) string {
	if s.Han {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r >= 0x300 && r < 0x370: // combining accents
		default:
			if l, ok := latin[r]; ok {
				b.WriteString(l)
				continue
			}
			b.WriteString(s.Dot)
		}
	}
	return b.String()
}

// latin are the letters of ICAO Doc 9303 part 3 §6 that its machine readable
// zone writes with others, and the punctuation of our own phrases.
var latin = func() map[rune]string {
	m := map[rune]string{'ß': "ss", 'Æ': "AE", 'æ': "ae", 'Œ': "OE", 'œ': "oe", 'Ø': "O", 'ø': "o", 'Ł': "L", 'ł': "l",
		'Đ': "D", 'đ': "d", 'Þ': "TH", 'þ': "th", 'ı': "i", '–': "-", '—': "-", '’': "'", '‘': "'", '“': `"`, '”': `"`, '…': "...", '×': "x", '→': "->"}
	for plain, accented := range map[string]string{
		"A": "ÀÁÂÃÄÅĀĂĄ", "C": "ÇĆĈĊČ", "D": "Ď", "E": "ÈÉÊËĒĔĖĘĚ", "G": "ĜĞĠĢ", "H": "ĤĦ", "I": "ÌÍÎÏĨĪĬĮİ", "J": "Ĵ", "K": "Ķ",
		"L": "ĹĻĽĿ", "N": "ÑŃŅŇ", "O": "ÒÓÔÕÖŌŎŐ", "R": "ŔŖŘ", "S": "ŚŜŞŠȘ", "T": "ŢŤŦȚ", "U": "ÙÚÛÜŨŪŬŮŰŲ", "W": "Ŵ", "Y": "ÝŶŸ", "Z": "ŹŻŽ",
		"a": "àáâãäåāăą", "c": "çćĉċč", "d": "ď", "e": "èéêëēĕėęě", "g": "ĝğġģ", "h": "ĥħ", "i": "ìíîïĩīĭį", "j": "ĵ", "k": "ķ",
		"l": "ĺļľŀ", "n": "ñńņň", "o": "òóôõöōŏő", "r": "ŕŗř", "s": "śŝşšș", "t": "ţťŧț", "u": "ùúûüũūŭůűų", "w": "ŵ", "y": "ýŷÿ", "z": "źżž",
	} {
		for _, r := range accented {
			m[r] = plain
		}
	}
	return m
}()
