package synth

import (
	"math"
	"math/rand/v2"
)

// painter makes pictures: the room once, the rest each frame.
type painter struct {
	w, h    int
	seed    uint64
	room    []byte
	scene   []byte   // before lens and sensor
	out     []byte   // the frame
	lens    []uint16 // gain of each pixel, 256 is 1
	noise   [3][]int8
	glare   []byte // a soft spot, glareSide×glareSide
	clamped [clampRange]byte
}

const (
	noiseLen   = 1 << 16
	glareSide  = 64
	clampZero  = 512
	clampRange = 2048
)

// noiseSigma is the sensor's noise in luma steps, by difficulty.
var noiseSigma = [3]float64{2, 3.5, 6}

func newPainter(w, h int, seed uint64) *painter {
	d := &painter{w: w, h: h, seed: seed, scene: make([]byte, w*h), out: make([]byte, w*h), lens: make([]uint16, w*h)}
	r := rand.New(rand.NewPCG(seed, 0x726f6f6d))
	for i, sigma := range noiseSigma {
		d.noise[i] = make([]int8, noiseLen)
		for j := range d.noise[i] {
			d.noise[i][j] = int8(min(max(math.Round(r.NormFloat64()*sigma), -127), 127))
		}
	}
	for y := range h {
		for x := range w {
			dx, dy := (float64(x)-float64(w)/2)/float64(w), (float64(y)-float64(h)/2)/float64(w)
			d.lens[y*w+x] = uint16(256 * (1 - 0.55*(dx*dx+dy*dy)))
		}
	}
	d.glare = make([]byte, glareSide*glareSide)
	for y := range glareSide {
		for x := range glareSide {
			dx, dy := (float64(x)+0.5)/glareSide*2-1, (float64(y)+0.5)/glareSide*2-1
			d.glare[y*glareSide+x] = byte(255 * math.Exp(-3.2*(dx*dx+dy*dy)) * max(0, 1-dx*dx) * max(0, 1-dy*dy))
		}
	}
	for i := range d.clamped {
		d.clamped[i] = byte(min(max(i-clampZero, 0), 255))
	}
	d.room = drawRoom(w, h, r)
	return d
}

// drawRoom is the hall behind the gate, out of focus.
func drawRoom(w, h int, r *rand.Rand) []byte {
	m := make([]byte, w*h)
	floor := h * 62 / 100
	fill := func(x0, y0, x1, y1 int, luma float64) {
		for y := max(y0, 0); y < min(y1, h); y++ {
			for x := max(x0, 0); x < min(x1, w); x++ {
				m[y*w+x] = byte(luma)
			}
		}
	}
	for y := range h {
		v := 148 - 40*float64(y)/float64(h)
		if y >= floor {
			v = 78 + 34*float64(y-floor)/float64(h-floor)
		}
		fill(0, y, w, y+1, v)
	}
	for i := range 3 { // lamps
		x := w*(1+2*i)/6 + r.IntN(w/12)
		fill(x-w/14, h/30, x+w/14, h/14, 232)
	}
	fill(w/14, 0, w/7, h*9/10, 96) // posts, a doorway, a notice
	fill(w*6/7, 0, w*13/14, h*9/10, 92)
	fill(w*2/5, h/4, w*3/5, floor, 172)
	fill(w/5, h/5, w*3/10, h*2/5, 190)
	for i := 1; i < 6; i++ {
		y := floor + (h-floor)*i*i/36
		fill(0, y, w, y+2, 66)
	}
	for range 3 {
		m = blurBytes(m, w, h, max(2, w/90))
	}
	return m
}

// blurBytes is a box filter of the given radius both ways.
func blurBytes(src []byte, w, h, radius int) []byte {
	pass := func(src []byte, n, lines, step, line int) []byte {
		dst := make([]byte, len(src))
		for l := range lines {
			at := func(i int) int { return int(src[l*line+min(max(i, 0), n-1)*step]) }
			sum := 0
			for i := -radius; i <= radius; i++ {
				sum += at(i)
			}
			for i := range n {
				dst[l*line+i*step] = byte(sum / (2*radius + 1))
				sum += at(i+radius+1) - at(i-radius)
			}
		}
		return dst
	}
	return pass(pass(src, w, h, 1, w), h, w, w, 1)
}

// frame draws one moment. The result is valid until the next call.
func (d *painter) frame(s scene, index uint64) []byte {
	copy(d.scene, d.room)
	exposure, noise := 1.0, d.noise[0]
	if s.p != nil {
		l := s.p.look
		d.person(s)
		sh := s.p.sheet
		warp(d.scene, d.w, d.h, sh.level(s.level), sh.w, sh.h, sh.ox, sh.oy, s.h, sh.bend)
		d.shine(s)
		// The camera's own exposure follows the thing that comes into view.
		exposure, noise = 1+(l.exposure-1)*(1-s.away), d.noise[l.noise]
	}
	d.sensor(exposure, noise, index)
	return d.out
}

// person draws head, mask and shoulders behind the thing held up.
func (d *painter) person(s scene) {
	l := s.p.look
	scale := float64(d.h) / 480
	cx := float64(d.w)/2 + 0.25*l.x + 0.75*l.fromX*s.away
	top := (38 + 10*math.Sin(l.wobble[0])) * scale
	for y := range d.h {
		fy := (float64(y) - top) / scale
		var half, luma float64
		switch {
		case fy < 0:
			continue
		case fy < 170: // head
			e := (fy - 85) / 85
			half = 66 * math.Sqrt(max(0, 1-e*e))
			luma = 140
			if fy < 42 {
				luma = 40 // hair
			} else if fy > 92 && fy < 152 {
				luma = 205 // mask
			}
			if fy > 140 {
				half = max(half, 34)
			}
		default:
			half = min(40+150*math.Sqrt(min((fy-170)/70, 1))+(fy-170)*0.05, 205)
			luma = l.body
			if fy < 180 {
				half, luma = 36, 118
			}
		}
		half *= scale
		x0, x1 := max(int(cx-half), 0), min(int(cx+half), d.w)
		row := d.scene[y*d.w : (y+1)*d.w]
		for x := x0; x < x1; x++ {
			// Round: darker towards the sides.
			e := (float64(x) - cx) / half
			row[x] = byte(luma * (1 - 0.35*e*e))
		}
	}
}

// shine lays a reflection over the code.
func (d *painter) shine(s scene) {
	l := s.p.look
	if l.glare <= 0 {
		return
	}
	side := l.module * float64(s.p.prop.Size) * 0.55
	x0, y0 := int(s.glareX-side/2), int(s.glareY-side/2)
	n := int(side)
	if n < 2 {
		return
	}
	strength := uint32(l.glare * 420)
	step := glareSide * 65536 / n
	for y := max(y0, 0); y < min(y0+n, d.h); y++ {
		spot := d.glare[(y-y0)*step>>16*glareSide:][:glareSide]
		row := d.scene[y*d.w : (y+1)*d.w]
		for x := max(x0, 0); x < min(x0+n, d.w); x++ {
			v := uint32(row[x]) + uint32(spot[(x-x0)*step>>16])*strength>>8
			row[x] = byte(min(v, 255))
		}
	}
}

// sensor applies vignette, exposure and noise.
func (d *painter) sensor(exposure float64, noise []int8, index uint64) {
	gain := int(exposure * 256)
	r := rand.New(rand.NewPCG(d.seed, index))
	for y := range d.h {
		src := d.scene[y*d.w : (y+1)*d.w]
		out := d.out[y*d.w : (y+1)*d.w][:len(src)]
		lens := d.lens[y*d.w : (y+1)*d.w][:len(src)]
		grain := noise[r.IntN(noiseLen-d.w):][:len(src)]
		for x, v := range src {
			out[x] = d.clamped[(int(v)*int(lens[x])*gain>>16+int(grain[x])+clampZero)&(clampRange-1)]
		}
	}
}
