package gate

import (
	"strings"

	"checkpoint/tui/look"
	"checkpoint/verify"
)

// style is everything that decides how something is drawn, apart from what it
// is.
type style struct {
	theme  look.Theme
	chars  look.Charset
	glyphs *look.Glyphs
	lang   look.Lang
	blocks look.Blocks
	phones look.Phones
}

// plan is how a verdict's big words stand in a rectangle: bitmaps from top to
// bottom, each centred, wordGap rows apart.
type plan struct {
	words []look.Bitmap
	text  string // the word as text, where no glyph fits
	rows  int    // all of it, gaps included
	score int
}

// wordGap is the ground between big words, in rows.
const wordGap = 1

// good is the score above which both words have their quarter of the screen.
const good = 2000

// rows is how many rows of cells so many pixels take.
func (s *style) rows(pixels int) int {
	if s.blocks == look.Spaces {
		return pixels
	}
	return (pixels + 1) / 2
}

// cells is the size of a bitmap in cells.
func (s *style) cells(b look.Bitmap) (w, h int) { return b.W, s.rows(b.H) }

// option is one way to write a word: glyphs and factors. Sizes are reckoned
// first and only what is chosen is drawn, for there are thousands of ways.
type option struct {
	lines  []look.Bitmap // unscaled
	k      [2]int
	symbol look.Bitmap // unscaled, beside the lines; W 0: none
	sk     [2]int
	gap    int // pixels between symbol and lines

	w, h int // cells, all lines
	line int // rows of the lowest of line and symbol
	bent int // how much the shape suffers
	px   int // height of the lines in pixels
}

// plan finds the largest way to write a verdict's symbol and words in w × h
// cells with at least text rows left for phrases. It aims at a quarter of the
// screen's height for each.
func (s *style) plan(n verify.Name, w, h, text, screenH int) plan {
	word := look.Word(n)
	need := (screenH + 3) / 4
	plain := s.chars.Symbol(n) + " " + s.wordText(word)
	han, latin := s.hanOptions(word.ZH, w, h), s.latinOptions(word.EN, w, h)
	// The symbol stands beside one of the words, rather the Chinese one.
	p := s.best(s.withSymbol(han, look.Symbol(n), w, h), latin, h, text, need, plain)
	if p.score < good {
		if q := s.best(han, s.withSymbol(latin, look.Symbol(n), w, h), h, text, need, plain); q.score > p.score {
			p = q
		}
	}
	return p
}

func (s *style) wordText(w look.Phrase) string {
	if !s.chars.Han {
		return w.EN
	}
	if s.lang == look.English {
		return w.EN + " " + w.ZH
	}
	return w.ZH + " " + w.EN
}

// best joins one way for each word, or takes one word where both do not fit.
func (s *style) best(han, latin []option, h, text, need int, plain string) plan {
	one, two := han, latin
	if s.lang == look.English {
		one, two = latin, han
	}
	worth := func(o *option, weight int) int {
		v := weight*min(o.line, need*3/2+1) - o.bent
		if o.line >= need {
			v += good / 2
		}
		return v
	}
	best := plan{text: plain, rows: 1}
	var first, second *option
	consider := func(a, b *option) {
		score, rows, gaps := 0, 0, -1
		for i, o := range [2]*option{a, b} {
			if o != nil {
				score += worth(o, 4-i)
				rows += o.h
				gaps += len(o.lines)
				if o.symbol.W > 0 { // drawn as one
					gaps -= len(o.lines) - 1
				}
			}
		}
		if a != nil && b != nil && b.line > a.line {
			score -= 10 // the chosen language is the large one
		}
		rows += gaps * wordGap // never none: words that touch are hard to read
		if alone := a == nil || b == nil; alone && plain != "" && rows+1+text > h {
			score /= 2 // no row for both words as text
		}
		if rows+text > h || score <= best.score {
			return
		}
		best = plan{text: plain, rows: rows, score: score}
		first, second = a, b
	}
	for i := range one {
		consider(&one[i], nil)
		for j := range two {
			consider(&one[i], &two[j])
		}
	}
	for j := range two {
		consider(nil, &two[j])
	}
	switch alone := first == nil || second == nil; {
	case first == nil && second == nil:
	case alone && best.rows+1+text <= h:
		best.rows++ // both words as text too: one has no room to be large
	default:
		best.text = ""
	}
	for _, o := range [2]*option{first, second} {
		if o != nil {
			best.words = append(best.words, o.draw()...)
		}
	}
	return best
}

// draw makes the bitmaps of a way.
func (o *option) draw() []look.Bitmap {
	var out []look.Bitmap
	for _, b := range o.lines {
		out = append(out, b.Scale(o.k[0], o.k[1]))
	}
	if o.symbol.W == 0 {
		return out
	}
	block := out[0]
	for _, b := range out[1:] {
		block = block.Above(b, 0)
	}
	return []look.Bitmap{o.symbol.Scale(o.sk[0], o.sk[1]).Beside(block, o.gap)}
}

// scales are the factors that keep a glyph's shape: with half-blocks a pixel is
// square, with spaces it is twice as high as wide, so both true and slender
// letters are tried there. Latin letters bear to be slender.
func (s *style) scales(narrow bool) [][2]int {
	var out [][2]int
	for k := 1; k <= 8; k++ {
		out = append(out, [2]int{k, k})
		if s.blocks == look.Spaces {
			out = append(out, [2]int{2 * k, k})
		} else if narrow {
			out = append(out, [2]int{k, 2 * k})
			if k > 1 {
				out = append(out, [2]int{k - 1, k}, [2]int{k, k + 1})
			}
		}
	}
	return out
}

// hanOptions are the ways to write a Chinese word, on one line or two.
func (s *style) hanOptions(word string, w, h int) []option {
	splits := [][]string{{word}}
	if r := []rune(word); len(r) >= 4 {
		splits = append(splits, []string{string(r[:len(r)/2]), string(r[len(r)/2:])})
	}
	return s.options(s.glyphs.Han, splits, false, w, h)
}

// latinOptions are the ways to write an English word, on one line or with a
// line for each word.
func (s *style) latinOptions(word string, w, h int) []option {
	splits := [][]string{{word}}
	if f := strings.Fields(word); len(f) == 2 && len(f[1]) > 1 {
		splits = append(splits, f)
	} else if len(f) == 3 {
		splits = append(splits, []string{f[0] + " " + f[1], f[2]}, f)
	}
	return s.options(s.glyphs.Latin, splits, true, w, h)
}

// options are the ways that fit.
func (s *style) options(cuts []look.Cut, splits [][]string, narrow bool, w, h int) []option {
	var out []option
	for _, cut := range cuts {
		for _, split := range splits {
			var lines []look.Bitmap
			wide := 0
			for _, part := range split {
				b, ok := cut.Write(part)
				if !ok {
					return nil
				}
				lines, wide = append(lines, b), max(wide, b.W)
			}
			for _, k := range s.scales(narrow) {
				o := option{lines: lines, k: k, w: wide * k[0], px: cut.Size * k[1] * len(lines)}
				o.line = s.rows(cut.Size * k[1])
				o.h = o.line * len(lines)
				if o.w > w || o.h > h {
					continue
				}
				if s.blocks == look.HalfBlocks && k[0] != k[1] {
					o.bent = 6
				}
				o.bent += edge(o.w, w)
				out = append(out, o)
			}
		}
	}
	return out
}

// withSymbol are the same ways with a symbol on the left, at least two thirds
// as high as a line.
func (s *style) withSymbol(options []option, symbol string, w, h int) []option {
	var out []option
	for _, cut := range s.glyphs.Symbols {
		b, ok := cut.Write(symbol)
		if !ok {
			return nil
		}
		for _, k := range s.scales(false) {
			sw, sh := b.W*k[0], s.rows(b.H*k[1])
			for _, o := range options {
				if sh > o.h || 3*sh < 2*o.line {
					continue
				}
				o.symbol, o.sk = b, k
				o.gap = max(2, min(o.lines[0].H*o.k[1]/5, w-sw-o.w))
				o.w += sw + o.gap
				o.h, o.line = s.rows(max(o.px, b.H*k[1])), min(o.line, sh)
				if o.w > w || o.h > h {
					continue
				}
				o.bent += edge(o.w, w)
				out = append(out, o)
			}
		}
	}
	return out
}

// edge is what it costs a word to touch both sides.
func edge(word, w int) int {
	if word > w-4 && w > 80 {
		return 12
	}
	return 0
}
