package synth

import (
	"math"
	"math/rand/v2"
	"time"
)

// presentation is one person holding one thing up.
type presentation struct {
	n       uint64
	prop    Prop
	look    look
	sheet   *sheet
	begin   time.Time
	whole   time.Time // first frame with the whole code in view
	taken   time.Time
	keep    bool
	leaving time.Time
}

// look is how one thing is held, drawn once a presentation. Lengths are pixels,
// angles radians.
type look struct {
	module   float64 // size of a module
	roll     float64
	yaw      float64
	pitch    float64
	x, y     float64 // where it settles, from the middle of the picture
	fromX    float64 // where it comes from and goes to
	fromY    float64
	focal    float64
	wobble   [4]float64 // phases
	tremor   float64
	exposure float64
	noise    int // index of a noise table
	glare    float64
	glareX   float64 // from the code's middle, in code sides
	glareY   float64
	blur     float64 // of the sharpest texture
	curl     float64 // texels
	moire    float64
	body     float64 // luma of the clothes
}

// scene is one moment: what the painter needs.
type scene struct {
	p      *presentation // nil: nobody
	h      homography
	level  int     // which blur
	away   float64 // 1: out of view, 0: held up
	glareX float64
	glareY float64
	code   [4][2]float64 // outer corners of the code in the picture
}

func between2(r *rand.Rand, lo, hi float64) float64 { return lo + (hi-lo)*r.Float64() }

func either(r *rand.Rand, v float64) float64 {
	if r.IntN(2) == 0 {
		return -v
	}
	return v
}

const degree = math.Pi / 180

// newLook draws how a prop is held. All random numbers are taken in one order
// whatever the prop, so that one presentation does not move the next.
func newLook(r *rand.Rand, p Prop, w, h int) look {
	type span struct{ lo, hi float64 }
	d := struct{ module, roll, tilt, tremor, exposure, glare, blur, moire, curl span }{
		span{5.2, 6}, span{0, 4}, span{0, 7}, span{0.6, 1.6}, span{0.95, 1.05}, span{-0.9, 0.1}, span{0.3, 0.5}, span{0, 0.01}, span{0, 1},
	}
	noise := 0
	switch p.Difficulty {
	case Normal:
		d.module, d.roll, d.tilt, d.tremor = span{4.2, 5}, span{2, 12}, span{4, 14}, span{1, 3}
		d.exposure, d.glare, d.blur, d.moire, d.curl = span{0.8, 1.1}, span{-0.7, 0.35}, span{0.4, 0.75}, span{0, 0.03}, span{0, 3}
		noise = 1
	case Hard:
		d.module, d.roll, d.tilt, d.tremor = span{3.2, 4}, span{5, 24}, span{8, 20}, span{2, 5}
		d.exposure, d.glare, d.blur, d.moire, d.curl = span{0.6, 1.2}, span{-0.4, 0.6}, span{0.6, 1}, span{0.01, 0.06}, span{1, 4}
		noise = 2
	}
	pick := func(s span) float64 { return between2(r, s.lo, s.hi) }
	scale := float64(h) / 480
	l := look{
		module: pick(d.module) * scale, roll: either(r, pick(d.roll)) * degree,
		yaw: either(r, pick(d.tilt)) * degree, pitch: either(r, pick(d.tilt)) * degree,
		tremor: pick(d.tremor) * scale, exposure: pick(d.exposure), glare: max(0, pick(d.glare)),
		blur: pick(d.blur) * scale, moire: pick(d.moire), curl: pick(d.curl), noise: noise,
		focal: 1.15 * float64(w), body: between2(r, 35, 110),
	}
	if p.Kind == Paper {
		l.moire = 0
	} else {
		l.curl = 0
	}
	for i := range l.wobble {
		l.wobble[i] = between2(r, 0, 2*math.Pi)
	}
	l.glareX, l.glareY = either(r, between2(r, 0.1, 0.45)), either(r, between2(r, 0, 0.4))
	l.x, l.y = between2(r, -0.3, 0.3)*float64(w), between2(r, -0.2, 0.2)*float64(h)
	l.fit(p.Size, w, h)
	switch r.IntN(3) {
	case 0:
		l.fromX, l.fromY = -float64(w), 0.2*float64(h)
	case 1:
		l.fromX, l.fromY = float64(w), 0.25*float64(h)
	default:
		l.fromX, l.fromY = either(r, 0.2*float64(w)), 1.15*float64(h)
	}
	return l
}

// fit moves the thing, and holds it farther away when it must, until the code
// with a module around it stays in the picture whatever the hand does.
func (l *look) fit(size, w, h int) {
	for range 60 {
		x0, y0, x1, y1 := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
		pose := pose(l.roll, l.yaw, l.pitch, l.module, 0, 0, l.focal)
		half := float64(size+2) / 2
		for _, k := range [4][2]float64{{-half, -half}, {half, -half}, {half, half}, {-half, half}} {
			x, y := pose.at(k[0], k[1])
			x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
		}
		// The hand's tremor and the change of size that comes with it.
		edge := 4 + 1.4*l.tremor + 0.004*l.tremor*(x1-x0)
		freeX, freeY := float64(w)-2*edge-(x1-x0), float64(h)-2*edge-(y1-y0)
		if freeX < 0 || freeY < 0 {
			l.module *= 0.98
			continue
		}
		l.x = min(max(l.x, edge-x0-float64(w)/2), float64(w)/2-edge-x1)
		l.y = min(max(l.y, edge-y0-float64(h)/2), float64(h)/2-edge-y1)
		return
	}
}

// step moves the world to frame i and returns what it shows. The caller holds
// mu.
func (c *Camera) step(i int64) (scene, error) {
	c.at = c.start.Add(time.Duration(i) * c.period)
	if p := c.now; p != nil {
		if p.leaving.IsZero() {
			switch {
			case p.keep:
			case !p.taken.IsZero() && c.at.Sub(p.taken) >= linger, p.taken.IsZero() && c.at.Sub(p.begin) >= c.cfg.Patience:
				p.leaving = c.at
			}
		}
		if !p.leaving.IsZero() && c.at.Sub(p.leaving) >= goOut {
			c.now = nil
			c.nextAt = c.at.Add(between + time.Duration(c.rng.Int64N(int64(between))))
		}
	}
	if c.now == nil && !c.at.Before(c.nextAt) {
		c.shown++
		prop := c.cfg.Next(c.shown, c.at)
		if err := prop.check(); err != nil {
			return scene{}, err
		}
		p := &presentation{n: c.shown, prop: prop, begin: c.at}
		p.look = newLook(c.rng, prop, c.cfg.Width, c.cfg.Height)
		p.sheet = c.draw.newSheet(prop, p.look, c.rng.Uint64())
		c.now = p
	}
	if c.now == nil {
		return scene{}, nil
	}
	s := c.now.scene(c.at, c.cfg.Width, c.cfg.Height)
	if c.now.whole.IsZero() && s.wholeIn(c.cfg.Width, c.cfg.Height) {
		c.now.whole = c.at
	}
	return s, nil
}

// scene is the presentation at an instant.
func (p *presentation) scene(at time.Time, w, h int) scene {
	l, t := p.look, at.Sub(p.begin).Seconds()
	in := min(t/comeIn.Seconds(), 1)
	away := (1 - in) * (1 - in) * (1 - in) // comes fast, settles softly
	speed := 3 * (1 - in) * (1 - in)
	if !p.leaving.IsZero() {
		out := min(at.Sub(p.leaving).Seconds()/goOut.Seconds(), 1)
		away, speed = max(away, out*out), max(speed, 2*out)
	}
	shake := func(i int, hz float64) float64 { return math.Sin(2*math.Pi*hz*t + l.wobble[i]) }
	x := float64(w)/2 + l.x + l.fromX*away + l.tremor*(shake(0, 1.7)+0.4*shake(2, 5.3))
	y := float64(h)/2 + l.y + l.fromY*away + l.tremor*(shake(1, 1.3)+0.4*shake(3, 6.1))
	roll := l.roll + 0.5*away + 0.006*l.tremor*shake(1, 0.9)
	yaw := l.yaw + 0.6*away + 0.01*l.tremor*shake(2, 0.7)
	pitch := l.pitch + 0.012*l.tremor*shake(3, 0.8)
	size := l.module / p.sheet.texels * (1 - 0.25*away) * (1 + 0.004*l.tremor*shake(0, 0.4))
	s := scene{p: p, away: away, h: pose(roll, yaw, pitch, size, x, y, l.focal)}
	switch {
	case speed > 0.15:
		s.level = 2
	case speed > 0.03 || t < comeIn.Seconds()+0.1:
		s.level = 1
	}
	half := float64(p.prop.Size) * p.sheet.texels / 2
	for i, k := range [4][2]float64{{-half, -half}, {half, -half}, {half, half}, {-half, half}} {
		s.code[i][0], s.code[i][1] = s.h.at(k[0], k[1])
	}
	s.glareX, s.glareY = s.h.at(2*half*l.glareX, 2*half*l.glareY)
	return s
}

// wholeIn reports whether the outer corners of the code are in the picture.
func (s *scene) wholeIn(w, h int) bool {
	for _, c := range s.code {
		if c[0] < 0 || c[1] < 0 || c[0] > float64(w) || c[1] > float64(h) {
			return false
		}
	}
	return true
}
