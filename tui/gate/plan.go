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
// bottom, each centred, gap rows apart.
type plan struct {
	words []look.Bitmap
	text  string // the word as text, where no glyph fits
	gap   int
	rows  int // all of it, gaps included
	score int
}

// cells is the size of a bitmap in cells.
func (s *style) cells(b look.Bitmap) (w, h int) {
	if s.blocks == look.Spaces {
		return b.W, b.H
	}
	return b.W, (b.H + 1) / 2
}

// option is one way to write a word.
type option struct {
	parts []look.Bitmap // lines
	w, h  int           // cells, all lines
	line  int           // rows of one line
	bent  int           // how much the shape suffered
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
	if p.score < 2000 {
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

// best joins one way for each word.
func (s *style) best(han, latin []option, h, text, need int, plain string) plan {
	best := plan{text: plain, rows: 1}
	consider := func(first, second *option) {
		p := plan{gap: 1}
		score := func(o *option, weight int) {
			if o == nil {
				return
			}
			p.words = append(p.words, o.parts...)
			p.rows += o.h
			p.score += weight*min(o.line, need*3/2+1) - o.bent
			if o.line >= need {
				p.score += 1000
			}
		}
		score(first, 4)
		score(second, 3)
		if first != nil && second != nil && second.line > first.line {
			p.score -= 10 // the chosen language is the large one
		}
		p.rows += (len(p.words) - 1) * p.gap
		if p.rows+text > h && p.rows-(len(p.words)-1)+text <= h {
			p.rows -= len(p.words) - 1
			p.gap = 0
			p.score -= 10 // words that touch are hard to read
		}
		if p.rows+text > h {
			return
		}
		if p.score > best.score {
			best = p
		}
	}
	one, two := han, latin
	if s.lang == look.English {
		one, two = latin, han
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
	if len(best.words) == 0 {
		return best
	}
	best.text = ""
	return best
}

// scales are the factors that keep a glyph's shape: with half-blocks a pixel is
// square, with spaces it is twice as high as wide, so both true and slender
// letters are tried there.
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
	var out []option
	splits := [][]string{{word}}
	if r := []rune(word); len(r) >= 4 {
		splits = append(splits, []string{string(r[:len(r)/2]), string(r[len(r)/2:])})
	}
	for _, cut := range s.glyphs.Han {
		for _, k := range s.scales(false) {
			for _, split := range splits {
				if o, ok := s.write(cut, split, k, w, h); ok {
					out = append(out, o)
				}
			}
		}
	}
	return out
}

// withSymbol are the same ways with a symbol on the left, at least two thirds
// as high as a line.
func (s *style) withSymbol(options []option, symbol string, w, h int) []option {
	var out []option
	for _, o := range options {
		if len(o.parts) > 1 {
			var ok bool
			if o, ok = s.stack(o); !ok {
				continue
			}
		}
		for _, cut := range s.glyphs.Symbols {
			for _, k := range s.scales(false) {
				b, ok := cut.Write(symbol)
				if !ok {
					continue
				}
				b = b.Scale(k[0], k[1])
				if _, bh := s.cells(b); bh > o.h || 3*bh < 2*o.line {
					continue
				}
				gap := max(2, min(o.parts[0].H/5, w-b.W-o.parts[0].W))
				m := b.Beside(o.parts[0], gap)
				mw, mh := s.cells(m)
				if mw > w || mh > h {
					continue
				}
				_, bh := s.cells(b)
				out = append(out, option{parts: []look.Bitmap{m}, w: mw, h: mh, line: min(o.line, bh), bent: o.bent + edge(mw, w)})
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

// stack makes two lines one bitmap.
func (s *style) stack(o option) (option, bool) {
	if len(o.parts) != 2 {
		return o, false
	}
	b := o.parts[0].Above(o.parts[1], 0)
	w, h := s.cells(b)
	return option{parts: []look.Bitmap{b}, w: w, h: h, line: o.line}, true
}

// latinOptions are the ways to write an English word, on one line or with a
// line for each word.
func (s *style) latinOptions(word string, w, h int) []option {
	var out []option
	splits := [][]string{{word}}
	if f := strings.Fields(word); len(f) == 2 && len(f[1]) > 1 {
		splits = append(splits, f)
	} else if len(f) == 3 {
		splits = append(splits, []string{f[0] + " " + f[1], f[2]}, f)
	}
	for _, cut := range s.glyphs.Latin {
		for _, k := range s.scales(true) {
			for _, split := range splits {
				if o, ok := s.write(cut, split, k, w, h); ok {
					out = append(out, o)
				}
			}
		}
	}
	return out
}

// write is a word on its lines, if it fits.
func (s *style) write(cut look.Cut, split []string, k [2]int, w, h int) (option, bool) {
	var o option
	for _, part := range split {
		b, ok := cut.Write(part)
		if !ok {
			return o, false
		}
		b = b.Scale(k[0], k[1])
		bw, bh := s.cells(b)
		o.w, o.h, o.line = max(o.w, bw), o.h+bh, bh
		if s.blocks == look.HalfBlocks && k[0] != k[1] {
			o.bent = 6
		}
		o.bent += edge(bw, w) / len(split)
		o.parts = append(o.parts, b)
	}
	return o, o.w <= w && o.h <= h
}
