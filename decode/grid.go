package decode

import (
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
)

// perspective maps a plane, in modules, to pixels.
type perspective struct{ a, b, c, d, e, f, g, h float64 }

func (t *perspective) at(u, v float64) (x, y float64) {
	w := t.g*u + t.h*v + 1
	return (t.a*u + t.b*v + t.c) / w, (t.d*u + t.e*v + t.f) / w
}

// quad is the perspective that takes the square (0,0)–(n,n) to the corners top
// left, top right, bottom right, bottom left (Heckbert 1989, §2.2.3). It
// reports false for corners in a line.
func quad(c [4]Point, n float64) (perspective, bool) {
	dx1, dx2, dx3 := c[1].X-c[2].X, c[3].X-c[2].X, c[0].X-c[1].X+c[2].X-c[3].X
	dy1, dy2, dy3 := c[1].Y-c[2].Y, c[3].Y-c[2].Y, c[0].Y-c[1].Y+c[2].Y-c[3].Y
	det := dx1*dy2 - dx2*dy1
	if det == 0 {
		return perspective{}, false
	}
	g, h := (dx3*dy2-dx2*dy3)/det, (dx1*dy3-dx3*dy1)/det
	return perspective{
		a: (c[1].X - c[0].X + g*c[1].X) / n, b: (c[3].X - c[0].X + h*c[3].X) / n, c: c[0].X,
		d: (c[1].Y - c[0].Y + g*c[1].Y) / n, e: (c[3].Y - c[0].Y + h*c[3].Y) / n, f: c[0].Y,
		g: g / n, h: h / n,
	}, true
}

// anchor is how far, in modules, the middle of a finder lies inside the
// symbol. Grids are fitted by the three finders' middles and the place where a
// fourth would be: these stay put when the tilt is misjudged.
const anchor = 3.5

// cell is a module whose colour every symbol of a version has.
type cell struct {
	u, v float64 // its middle, from the top left finder's middle
	dark bool
}

// grid samples a symbol from the grey picture when bits at module centres were
// not enough: it fits the perspective to all modules that are known before
// reading (finder, timing and alignment patterns), and takes each module's
// brightness against that of its neighbourhood.
type grid struct {
	known  [41][]cell
	far    [41][]cell // of the alignment patterns in the last quarter
	values []float32
	sums   []float32
}

// cells are the known modules of a version (ISO/IEC 18004 §6.3).
func (g *grid) cells(version int) []cell {
	if g.known[version] != nil {
		return g.known[version]
	}
	n := 17 + 4*version
	var list []cell
	add := func(x, y int, dark bool) {
		c := cell{float64(x) + 0.5 - anchor, float64(y) + 0.5 - anchor, dark}
		list = append(list, c)
		if min(x, y) > n/2 {
			g.far[version] = append(g.far[version], c)
		}
	}
	for y := range 7 {
		for x := range 7 {
			dark := max(abs(x-3), abs(y-3)) != 2
			add(x, y, dark)
			add(n-7+x, y, dark)
			add(x, n-7+y, dark)
		}
	}
	for i := 8; i < n-8; i++ {
		add(i, 6, i%2 == 0)
		add(6, i, i%2 == 0)
	}
	if v, err := decoder.Version_GetVersionForNumber(version); err == nil {
		at := v.GetAlignmentPatternCenters()
		for _, cy := range at {
			for _, cx := range at {
				if cx == 6 && (cy == 6 || cy == n-7) || cy == 6 && cx == n-7 {
					continue
				}
				for y := -2; y <= 2; y++ {
					for x := -2; x <= 2; x++ {
						add(cx+x, cy+y, max(abs(x), abs(y)) != 1)
					}
				}
			}
		}
	}
	g.known[version] = list
	return list
}

// light is the brightness at a place, between the four pixels around it. ok is
// false outside.
func (p *plane) light(x, y float64) (v float64, ok bool) {
	x, y = x-0.5, y-0.5
	if !(x >= 0 && y >= 0 && x < float64(p.w-1) && y < float64(p.h-1)) {
		return 0, false
	}
	ix, iy := int(x), int(y)
	fx, fy := x-float64(ix), y-float64(iy)
	at := iy*p.stride + ix
	a, b := p.pix[at:at+2:at+2], p.pix[at+p.stride:at+p.stride+2:at+p.stride+2]
	top := float64(a[0]) + fx*(float64(a[1])-float64(a[0]))
	low := float64(b[0]) + fx*(float64(b[1])-float64(b[0]))
	return top + fy*(low-top), true
}

// fitLimit holds the vote of one module, so that a glare or a finger does not
// outweigh the rest.
const fitLimit = 40

// fit is how well the known modules agree with the picture.
func (l *layer) fit(t *perspective, cells []cell, inverted bool) float64 {
	sum := 0.0
	for _, c := range cells {
		x, y := t.at(c.u, c.v)
		v, ok := l.p.light(x, y)
		if !ok {
			sum -= fitLimit / 2
			continue
		}
		d := float64(l.blocks.thr[int(y)/block*l.blocks.w+int(x)/block]) - v
		if c.dark == inverted {
			d = -d
		}
		sum += min(max(d, -fitLimit), fitLimit)
	}
	return sum
}

// tilt looks for the fourth anchor, which no finder holds, in a field of some
// modules around where it lies without tilt, and returns how well all known
// modules agree then, the mean of one.
func (l *layer) tilt(c [4]Point, n int, cells, far []cell, inverted bool) ([4]Point, float64) {
	side := float64(n) - 2*anchor
	best, ok := quad(c, side)
	if !ok {
		return c, -fitLimit
	}
	module := moduleSize(c, n-7)
	const reach, pace = 6, 0.75
	if len(far) > 0 {
		start, score := c[2], l.fit(&best, far, inverted)
		for i := -reach; i <= reach; i++ {
			for j := -reach; j <= reach; j++ {
				try := c
				try[2] = Point{start.X + float64(i)*pace*module, start.Y + float64(j)*pace*module}
				if t, ok := quad(try, side); ok {
					if s := l.fit(&t, far, inverted); s > score {
						c[2], best, score = try[2], t, s
					}
				}
			}
		}
	}
	return c, l.fit(&best, cells, inverted) / float64(len(cells))
}

// refine moves the four anchors until no small move of one of them makes the
// known modules agree better.
func (l *layer) refine(c [4]Point, n int, cells []cell, inverted bool) (perspective, bool) {
	side := float64(n) - 2*anchor
	best, ok := quad(c, side)
	if !ok {
		return best, false
	}
	module := moduleSize(c, n-7)
	score := l.fit(&best, cells, inverted)
	for _, step := range [...]float64{0.5, 0.25, 0.12} {
		for range 3 {
			moved := false
			for i := range c {
				for _, d := range [...]Point{{1, 0}, {-1, 0}, {0, 1}, {0, -1}} {
					try := c
					try[i].X += d.X * step * module
					try[i].Y += d.Y * step * module
					t, ok := quad(try, side)
					if !ok {
						continue
					}
					if s := l.fit(&t, cells, inverted); s > score {
						c, best, score, moved = try, t, s, true
					}
				}
			}
			if !moved {
				break
			}
		}
	}
	return best, score > 0
}

// outline is where the outer corners of a symbol of n modules lie.
func (t *perspective) outline(n int) (c [4]Point) {
	lo, hi := -anchor, float64(n)-anchor
	for i, p := range [4]Point{{lo, lo}, {hi, lo}, {hi, hi}, {lo, hi}} {
		c[i].X, c[i].Y = t.at(p.X, p.Y)
	}
	return c
}

// sample takes the brightness of all modules: the mean of five places inside
// each. False when a part lies outside the picture.
func (g *grid) sample(p *plane, t *perspective, n int) bool {
	if cap(g.values) < n*n {
		g.values, g.sums = make([]float32, n*n), make([]float32, (n+1)*(n+1))
	}
	g.values, g.sums = g.values[:n*n], g.sums[:(n+1)*(n+1)]
	const off = 0.22
	for v := range n {
		for u := range n {
			sum := 0.0
			for _, d := range [...][2]float64{{0, 0}, {off, off}, {-off, off}, {off, -off}, {-off, -off}} {
				x, y := t.at(float64(u)+0.5-anchor+d[0], float64(v)+0.5-anchor+d[1])
				light, ok := p.light(min(max(x, 0.5), float64(p.w)-1), min(max(y, 0.5), float64(p.h)-1))
				if !ok {
					return false
				}
				sum += light
			}
			g.values[v*n+u] = float32(sum / 5)
		}
	}
	return true
}

// window is how many modules around one make its threshold.
const window = 5

// decide turns brightness into modules: each, sharpened against its four
// neighbours by the given amount, is dark when it lies below the mean of the
// 11×11 around it.
func (g *grid) decide(n int, sharpening float32, inverted bool) *gozxing.BitMatrix {
	bits, err := gozxing.NewSquareBitMatrix(n)
	if err != nil {
		return nil
	}
	w := n + 1
	clear(g.sums[:w])
	for y := range n {
		row := float32(0)
		g.sums[(y+1)*w] = 0
		for x := range n {
			row += g.values[y*n+x]
			g.sums[(y+1)*w+x+1] = g.sums[y*w+x+1] + row
		}
	}
	for y := range n {
		y0, y1 := max(y-window, 0), min(y+window+1, n)
		for x := range n {
			x0, x1 := max(x-window, 0), min(x+window+1, n)
			mean := (g.sums[y1*w+x1] - g.sums[y0*w+x1] - g.sums[y1*w+x0] + g.sums[y0*w+x0]) / float32((y1-y0)*(x1-x0))
			v := g.values[y*n+x]
			around := g.values[max(y-1, 0)*n+x] + g.values[min(y+1, n-1)*n+x] + g.values[y*n+max(x-1, 0)] + g.values[y*n+min(x+1, n-1)]
			v += sharpening * (v - around/4)
			if (v < mean) != inverted {
				bits.Set(x, y)
			}
		}
	}
	return bits
}
