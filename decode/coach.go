package decode

// view is what an unread picture looks like: whether something in it looks
// like a code, where (in pixels), and what would make it readable.
type view struct {
	code       bool
	x, y, w, h int
	hint       Hint
}

// coach judges unread pictures from what the search left behind: the contrast
// map, the packed bits and the finders.
type coach struct {
	label []uint16
	stack []int32
}

// Levels of the coach, measured on drawn pictures (coach_test.go).
const (
	darkBelow    = 72  // the lightest twentieth of all blocks is darker
	glaringFrom  = 232 // the darkest pixel of a block inside a code
	farBelow     = 2.4 // pixels a module
	codeBlocks   = 5   // shortest side of a code-like area, in blocks
	codeFill     = 0.5 // share of its box with edges or glare
	glareShare   = 0.07
	cutOffMargin = 1 // blocks between a code-like area and the picture's edge
)

// dark reports whether hardly any block has a light pixel.
func (b *blocks) dark() bool {
	light := 0
	for _, v := range b.hi {
		if v >= darkBelow {
			light++
		}
	}
	return light*20 < len(b.hi)
}

// look judges the full-size layer.
func (c *coach) look(l *layer) (v view) {
	if l.blocks.dark() {
		v.hint = HintDark
	}
	if t, ok := bestTriple(l); ok && l.framed {
		c.fromTriple(l, t, &v)
		return v
	}
	c.fromArea(l, &v)
	return v
}

// bestTriple is the likeliest three finders of either polarity.
func bestTriple(l *layer) (best triple, ok bool) {
	for _, f := range [...]*finders{&l.dark, &l.light} {
		if t := triples(nil, f.list); len(t) > 0 && t[0].score < 0.6 && (!ok || t[0].score < best.score) {
			best, ok = t[0], true
		}
	}
	return best, ok
}

func (c *coach) fromTriple(l *layer, t triple, v *view) {
	a, b, d := t.topLeft, t.topRight, t.bottomLeft
	far := finder{x: b.x + d.x - a.x, y: b.y + d.y - a.y}
	module := (a.module + b.module + d.module) / 3
	edge := 7 * module // from a finder's centre past the quiet zone, any rotation
	x0, x1 := min(a.x, b.x, d.x, far.x)-edge, max(a.x, b.x, d.x, far.x)+edge
	y0, y1 := min(a.y, b.y, d.y, far.y)-edge, max(a.y, b.y, d.y, far.y)+edge
	v.code = true
	v.box(l.p, int(x0), int(y0), int(x1), int(y1))
	if v.hint != HintNone {
		return
	}
	out := 4 * module
	switch {
	case module < farBelow:
		v.hint = HintFar
	case far.x < -out+edge/2 || far.y < -out+edge/2 || far.x > float64(l.p.w)+out-edge/2 || far.y > float64(l.p.h)+out-edge/2:
		v.hint = HintCutOff
	case l.glare(v, edge) > glareShare && module < 9:
		v.hint = HintGlare
	default:
		v.hint = HintBlurred
	}
}

// box sets the area, held to the picture.
func (v *view) box(p plane, x0, y0, x1, y1 int) {
	v.x, v.y = min(max(x0, 0), p.w-1), min(max(y0, 0), p.h-1)
	v.w, v.h = max(min(x1, p.w)-v.x, 1), max(min(y1, p.h)-v.y, 1)
}

// glare is the share of blocks in the area, without a margin in pixels, that
// are white from edge to edge.
func (l *layer) glare(v *view, margin float64) float64 {
	b := &l.blocks
	x0, y0 := (v.x+int(margin))/block, (v.y+int(margin))/block
	x1, y1 := min((v.x+v.w-int(margin))/block, b.w), min((v.y+v.h-int(margin))/block, b.h)
	n, white := 0, 0
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			n++
			if b.lo[y*b.w+x] >= glaringFrom {
				white++
			}
		}
	}
	if n == 0 {
		return 0
	}
	return float64(white) / float64(n)
}

// fromArea looks for a connected area of edges that is about square and full:
// a code whose finders were not found.
func (c *coach) fromArea(l *layer, v *view) {
	b := &l.blocks
	if cap(c.label) < b.w*b.h {
		c.label = make([]uint16, b.w*b.h)
	}
	c.label = c.label[:b.w*b.h]
	clear(c.label)
	bestN := 0
	var x0, y0, x1, y1 int
	for i := range c.label {
		if c.label[i] != 0 || !b.edge(i) {
			continue
		}
		n, ax0, ay0, ax1, ay1 := c.flood(b, i)
		if ax1-ax0 == b.w && ay1-ay0 == b.h {
			continue // texture from edge to edge
		}
		if n > bestN && codeLike(n, ax1-ax0, ay1-ay0) {
			bestN, x0, y0, x1, y1 = n, ax0, ay0, ax1, ay1
		}
	}
	if bestN == 0 {
		return
	}
	v.code = true
	v.box(l.p, (x0-3)*block, (y0-3)*block, (x1+3)*block, (y1+3)*block)
	if v.hint != HintNone {
		return
	}
	area := view{x: x0 * block, y: y0 * block, w: (x1 - x0) * block, h: (y1 - y0) * block}
	switch {
	case x0 < cutOffMargin || y0 < cutOffMargin || x1 > b.w-cutOffMargin || y1 > b.h-cutOffMargin:
		v.hint = HintCutOff
	case l.glare(&area, 0) > glareShare:
		v.hint = HintGlare
	case l.meanRun(&area) < 2*farBelow:
		v.hint = HintFar
	default:
		v.hint = HintBlurred
	}
}

func codeLike(n, w, h int) bool {
	return w >= codeBlocks && h >= codeBlocks && w <= 2*h && h <= 2*w && float64(n) >= codeFill*float64(w*h)
}

// flood marks the connected blocks with edges around block i and returns their
// number and box.
func (c *coach) flood(b *blocks, i int) (n, x0, y0, x1, y1 int) {
	x0, y0 = b.w, b.h
	c.stack = append(c.stack[:0], int32(i))
	c.label[i] = 1
	for len(c.stack) > 0 {
		at := int(c.stack[len(c.stack)-1])
		c.stack = c.stack[:len(c.stack)-1]
		x, y := at%b.w, at/b.w
		n++
		x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x+1), max(y1, y+1)
		for _, d := range [...][2]int{{1, 0}, {-1, 0}, {0, 1}, {0, -1}} {
			nx, ny := x+d[0], y+d[1]
			if nx < 0 || ny < 0 || nx >= b.w || ny >= b.h {
				continue
			}
			if j := ny*b.w + nx; c.label[j] == 0 && b.edge(j) {
				c.label[j] = 1
				c.stack = append(c.stack, int32(j))
			}
		}
	}
	return n, x0, y0, x1, y1
}

// meanRun is the mean length, in pixels, of a run of one colour in the area's
// rows: about two modules inside a code.
func (l *layer) meanRun(v *view) float64 {
	runs, pixels := 0, 0
	for y := v.y; y < min(v.y+v.h, l.bits.h); y += 3 {
		last := false
		for x := v.x; x < min(v.x+v.w, l.bits.w); x++ {
			if d := l.bits.dark(x, y); x == v.x || d != last {
				last = d
				runs++
			}
			pixels++
		}
	}
	if runs == 0 {
		return 0
	}
	return float64(pixels) / float64(runs)
}
