package decode

import (
	"math"
	"math/bits"
	"slices"
)

// Limits on what one search may do, so that no picture can hold a scanner up:
// a striped or noisy one makes candidates without end.
const (
	maxFinders = 96 // centres kept a polarity
	maxChosen  = 32 // of those, the ones that triples are made of
)

// finder is a place that looks like a finder pattern: dark and light in
// proportions 1:1:3:1:1 across, down and along a diagonal.
type finder struct {
	x, y   float64 // centre
	module float64 // pixels
	rows   int     // scan rows that agree
}

// finders holds those of one polarity.
type finders struct{ list []finder }

// add merges a centre with one that is already known.
func (f *finders) add(x, y, module float64) {
	for i := range f.list {
		o := &f.list[i]
		if math.Abs(o.x-x) <= o.module && math.Abs(o.y-y) <= o.module && module < 2*o.module && o.module < 2*module {
			n := float64(o.rows)
			o.x, o.y = (o.x*n+x)/(n+1), (o.y*n+y)/(n+1)
			o.module = (o.module*n + module) / (n + 1)
			o.rows++
			return
		}
	}
	if len(f.list) < maxFinders {
		f.list = append(f.list, finder{x, y, module, 1})
	}
}

// proportions reports whether five runs are a finder pattern's. Edges of the
// same direction are compared (1+1, 1+3, 3+1, 1+1 modules), because ink spread
// and blooming move dark-light and light-dark edges apart.
func proportions(r *[5]int, slack float64) bool {
	total := r[0] + r[1] + r[2] + r[3] + r[4]
	if total < 7 {
		return false
	}
	m := float64(total) / 7
	tol := m*slack + 0.5
	near := func(sum int, modules float64) bool {
		return math.Abs(float64(sum)-modules*m) < tol*math.Sqrt(modules/2)
	}
	return near(r[0]+r[1], 2) && near(r[3]+r[4], 2) && near(r[1]+r[2], 4) && near(r[2]+r[3], 4) &&
		float64(r[2]) > 1.6*m && float64(min(r[0], r[1], r[3], r[4])) > 0.2*m
}

// find searches every step-th row of the box for finder patterns, dark ones on
// light and light ones on dark in the same walk along the runs.
func (m *bitmap) find(x0, y0, x1, y1, step int, dark, light *finders) {
	dark.list, light.list = dark.list[:0], light.list[:0]
	x0 &^= 63
	budget := 2*m.w*m.h + 200_000 // cross-check steps: about what the rows themselves cost
	for y := y0 + step/2; y < y1 && budget > 0; y += step {
		row := m.words[y*m.row : (y+1)*m.row]
		var runs [5]int
		start, n := x0, 0
		carry := row[x0>>6] & 1
		isDark := carry != 0
		for word := x0 >> 6; word*64 < x1; word++ {
			v := row[word]
			flips := v ^ (v<<1 | carry) // pixels that differ from the one before
			carry = v >> 63
			for {
				x := x1
				if flips != 0 {
					x = word*64 + bits.TrailingZeros64(flips)
					flips &= flips - 1
				} else if word*64+64 < x1 {
					break
				}
				x = min(x, x1)
				runs[0], runs[1], runs[2], runs[3], runs[4] = runs[1], runs[2], runs[3], runs[4], x-start
				n++
				if n >= 5 && runs[2] > runs[1] && runs[2] > runs[3] && runs[2] > runs[0] && runs[2] > runs[4] && proportions(&runs, 0.5) {
					into := light
					if isDark {
						into = dark
					}
					cx := x - runs[4] - runs[3] - (runs[2]+1)/2
					m.crossCheck(cx, y, runs[0]+runs[1]+runs[2]+runs[3]+runs[4], isDark, into, &budget)
				}
				start, isDark = x, !isDark
				if x >= x1 {
					break
				}
			}
		}
	}
}

// crossCheck walks down, across and along both diagonals from a pixel in the
// middle of a suspected pattern and adds it when down and across and one
// diagonal agree.
func (m *bitmap) crossCheck(x, y, total int, dark bool, into *finders, budget *int) {
	var r [5]int
	limit := 2 * total
	down, ok := m.walk(x, y, 0, 1, limit, dark, &r, budget)
	sum := r[0] + r[1] + r[2] + r[3] + r[4]
	if !ok || sum > 2*total || total > 2*sum || !proportions(&r, 0.5) {
		return
	}
	cy := float64(y) + 0.5 + down
	across, ok := m.walk(x, int(cy), 1, 0, limit, dark, &r, budget)
	if !ok || !proportions(&r, 0.5) {
		return
	}
	wide := r[0] + r[1] + r[2] + r[3] + r[4]
	cx := float64(x) + 0.5 + across
	if _, ok = m.walk(int(cx), int(cy), 1, 1, limit, dark, &r, budget); !ok || !proportions(&r, 0.8) {
		if _, ok = m.walk(int(cx), int(cy), 1, -1, limit, dark, &r, budget); !ok || !proportions(&r, 0.8) {
			return
		}
	}
	into.add(cx, cy, float64(sum+wide)/14)
}

// walk counts five runs through the pixel (x, y) in the direction (dx, dy) and
// both ways: the middle run, then one of the other colour, then one of the
// same. It returns how far, in steps, the middle of the middle run lies from
// the pixel. A pattern may end at the picture's edge.
func (m *bitmap) walk(x, y, dx, dy, limit int, dark bool, r *[5]int, budget *int) (shift float64, ok bool) {
	*r = [5]int{}
	if m.dark(x, y) != dark || uint(x) >= uint(m.w) || uint(y) >= uint(m.h) {
		return 0, false
	}
	one := func(sign, near, mid, far int) bool {
		want, at := dark, mid
		px, py := x, y
		if sign > 0 {
			px, py = x+dx, y+dy
		}
		for range limit {
			*budget--
			inside := uint(px) < uint(m.w) && uint(py) < uint(m.h)
			if !inside || m.dark(px, py) != want {
				switch {
				case at == far:
					return true
				case !inside:
					return false
				case at == mid:
					at = near
				default:
					at = far
				}
				want = !want
			}
			r[at]++
			px, py = px+sign*dx, py+sign*dy
		}
		return at == far
	}
	if !one(-1, 1, 2, 0) {
		return 0, false
	}
	back := r[2] // pixels of the middle run up to and with (x, y)
	if !one(1, 3, 2, 4) {
		return 0, false
	}
	return float64(r[2]-back)/2 - float64(back)/2 + 0.5, true
}

// triple is three finders that may belong to one symbol, in its order.
type triple struct {
	topLeft, topRight, bottomLeft finder
	score                         float64 // 0 is a right isosceles triangle of equal modules
}

// side is the length of the legs in pixels, the mean of both.
func (t triple) side() float64 {
	return (dist(t.topLeft, t.topRight) + dist(t.topLeft, t.bottomLeft)) / 2
}

func dist(a, b finder) float64 { return math.Hypot(a.x-b.x, a.y-b.y) }

// triples appends the plausible threes of list, best first.
func triples(dst []triple, list []finder) []triple {
	dst = dst[:0]
	if len(list) > maxChosen {
		slices.SortFunc(list, func(a, b finder) int { return b.rows - a.rows })
		list = list[:maxChosen]
	}
	for i := range list {
		for j := i + 1; j < len(list); j++ {
			for k := j + 1; k < len(list); k++ {
				if t, ok := arrange(list[i], list[j], list[k]); ok {
					dst = append(dst, t)
				}
			}
		}
	}
	slices.SortFunc(dst, func(a, b triple) int {
		switch {
		case a.score < b.score:
			return -1
		case a.score > b.score:
			return 1
		}
		return 0
	})
	return dst
}

// arrange orders three finders as top left (the corner), top right and bottom
// left, if a symbol seen at up to some 45° of tilt can look like that.
func arrange(a, b, c finder) (triple, bool) {
	lo, hi := min(a.module, b.module, c.module), max(a.module, b.module, c.module)
	if hi > 1.7*lo {
		return triple{}, false
	}
	// The corner lies opposite to the longest side.
	ab, bc, ca := dist(a, b), dist(b, c), dist(c, a)
	switch {
	case ab >= bc && ab >= ca:
		a, b, c = c, a, b
		ab, bc, ca = ca, ab, bc
	case ca >= ab && ca >= bc:
		a, b, c = b, c, a
		ab, bc, ca = bc, ca, ab
	}
	p, q := ab, ca // the legs
	if p > 1.6*q || q > 1.6*p {
		return triple{}, false
	}
	module := (a.module + b.module + c.module) / 3
	modules := (p + q) / 2 / module
	// 14 modules at version 1, 170 at version 40; slack for tilt and rotation
	// (a run across a turned pattern is up to √2 longer).
	if modules < 8 || modules > 210 {
		return triple{}, false
	}
	cos := ((b.x-a.x)*(c.x-a.x) + (b.y-a.y)*(c.y-a.y)) / (p * q)
	if math.Abs(cos) > 0.6 {
		return triple{}, false
	}
	// y grows downwards: going from the top right to the bottom left turns right.
	if (b.x-a.x)*(c.y-a.y)-(b.y-a.y)*(c.x-a.x) < 0 {
		b, c = c, b
	}
	t := triple{topLeft: a, topRight: b, bottomLeft: c}
	t.score = math.Abs(cos) + math.Abs(p-q)/(p+q)*2 + (hi-lo)/hi
	if min(a.rows, b.rows, c.rows) < 2 {
		t.score += 0.3
	}
	return t, true
}
