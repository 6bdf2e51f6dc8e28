// Package clean holds the one sanitiser that every string out of a code, or
// from anywhere else outside, passes before it reaches a screen, a log or a
// file. It knows nothing of the program and imports nothing of it, so that any
// room may use it.
//
// What comes out has no control characters, no line breaks, no bidirectional
// overrides or isolates, no zero-width or invisible characters, nothing
// unassigned or of private use, at most two combining marks on a character, and
// at most 40 graphemes. What is left out leaves no trace, except that white
// space of any kind becomes one plain space and bytes that are not UTF-8 become
// one U+FFFD.
package clean

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

const (
	// Graphemes is the longest cleaned string, in what a reader calls characters.
	Graphemes = 40
	// marksEach is how many combining marks one character keeps: enough for
	// Vietnamese and pointed Arabic, too few to climb into the line above.
	marksEach = 2
	// lookAt bounds the work on a hostile string, in bytes.
	lookAt = 4096
)

// String returns s as it may be shown: see the package comment. Cleaning twice
// changes nothing.
func String(s string) string { return Bounded(s, Graphemes) }

// Bounded is String with another bound on the length, in graphemes.
func Bounded(s string, graphemes int) string {
	if len(s) > lookAt {
		s = s[:lookAt]
	}
	var b strings.Builder
	b.Grow(min(len(s), 4*graphemes))
	marks, space, started, broken := 0, false, false, false
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		bad := r == utf8.RuneError && n == 1
		s = s[n:]
		switch {
		case bad:
			if broken {
				continue
			}
		case unicode.IsSpace(r) || unicode.Is(unicode.Zs, r):
			space, broken = started, false
			continue
		case hidden(r):
			continue
		case unicode.Is(unicode.M, r), leansBack(r):
			// A mark with nothing under it would sit on the text before.
			if !started || space || marks == marksEach {
				continue
			}
			marks++
			b.WriteRune(r)
			continue
		}
		broken = bad
		if space {
			b.WriteByte(' ')
			space = false
		}
		started, marks = true, 0
		b.WriteRune(r)
	}
	return cut(b.String(), graphemes)
}

// hidden reports characters that a reader cannot see or should not: controls,
// format characters (bidi, zero width, tags, joiners), private use, surrogates,
// unassigned ones, variation selectors and the fillers that look like nothing.
func hidden(r rune) bool {
	switch r {
	case 0x034F, // combining grapheme joiner
		0x115F, 0x1160, 0x3164, 0xFFA0, // Hangul fillers
		0x17B4, 0x17B5, // Khmer inherent vowels
		0x2800,          // braille blank
		0xFFFC, 0x1D159: // object replacement, null note head
		return true
	}
	if leansAhead(r) || r >= 0x1F3FB && r <= 0x1F3FF { // skin tones: a colour of what stands before
		return true
	}
	if unicode.Is(unicode.Variation_Selector, r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) {
		return true
	}
	// Only letters, marks, numbers, punctuation and symbols are shown; what is in
	// none of them is a control, a format character, private or unassigned.
	return !unicode.IsOneOf([]*unicode.RangeTable{unicode.L, unicode.M, unicode.N, unicode.P, unicode.S}, r)
}

// leansBack reports letters that make one grapheme with what stands before them,
// as the voiced marks of halfwidth katakana do.
func leansBack(r rune) bool {
	if r < 0x300 {
		return false
	}
	g, _, _, _ := uniseg.FirstGraphemeClusterInString("a"+string(r), -1)
	return len(g) > 1
}

// leansAhead reports letters that make one grapheme with whatever comes after
// them (Grapheme_Cluster_Break=Prepend, UAX 29), be it not theirs.
func leansAhead(r rune) bool {
	if r < 0x300 {
		return false
	}
	g, _, _, _ := uniseg.FirstGraphemeClusterInString(string(r)+"a", -1)
	return len(g) > utf8.RuneLen(r)
}

// cut keeps the first n graphemes. The text may not end in a space.
func cut(s string, n int) string {
	end, state, rest := 0, -1, s
	for range n {
		if rest == "" {
			return s
		}
		var g string
		g, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		end += len(g)
	}
	return strings.TrimRight(s[:end], " ")
}
