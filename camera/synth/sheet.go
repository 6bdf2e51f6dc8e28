package synth

import (
	"math"
	"math/rand/v2"
)

// sheet is the flat picture of a prop: the code on its phone or paper, with
// the hand that holds it.
type sheet struct {
	texels float64 // a module
	w, h   int
	ox, oy float64     // the code's middle
	levels [3][]uint32 // sharp, softer, moving; the last two made when first needed
	bend   []int32     // how far the paper curls at each column, in 1/65536 texel
}

// canvas draws with luma in the low and coverage in the high half of a texel.
type canvas struct {
	w, h int
	t    []uint32
}

func solid(luma int) uint32 { return uint32(min(max(luma, 0), 255)) | 0xff0000 }

// rect fills a rectangle with corners of the given radius.
func (c *canvas) rect(x0, y0, x1, y1, radius int, v uint32) {
	for y := max(y0, 0); y < min(y1, c.h); y++ {
		cut := 0
		if dy := max(y0+radius-y, y-(y1-1-radius)); radius > 0 && dy > 0 {
			cut = radius - int(math.Sqrt(float64(max(0, radius*radius-dy*dy))))
		}
		for x := max(x0+cut, 0); x < min(x1-cut, c.w); x++ {
			c.t[y*c.w+x] = v
		}
	}
}

// oval fills an ellipse, lighter in the middle.
func (c *canvas) oval(cx, cy, rx, ry, luma int) {
	for y := max(cy-ry, 0); y < min(cy+ry, c.h); y++ {
		for x := max(cx-rx, 0); x < min(cx+rx, c.w); x++ {
			dx, dy := float64(x-cx)/float64(rx), float64(y-cy)/float64(ry)
			if d := dx*dx + dy*dy; d < 1 {
				c.t[y*c.w+x] = solid(luma - int(50*d))
			}
		}
	}
}

// words draws what reads as a line of text from afar.
func (c *canvas) words(r *rand.Rand, x0, x1, y, height int, luma int) {
	for x := x0; x < x1; {
		n := height*2 + r.IntN(height*5+1)
		for lx := x; lx < min(x+n, x1); lx += max(2, height*2/3) {
			c.rect(lx, y+r.IntN(height/3+1), lx+max(1, height/2), y+height-r.IntN(height/3+1), 0, solid(luma))
		}
		x += n + height
	}
}

// newSheet draws a prop as it is held.
func (d *painter) newSheet(p Prop, l look, seed uint64) *sheet {
	r := rand.New(rand.NewPCG(seed, 7))
	t := int(min(max(math.Round(l.module), 3), 8))
	code := p.Size * t
	s := &sheet{texels: float64(t)}
	c := &canvas{}
	if p.Kind == Paper {
		s.w, s.h = code+22*t, code*13/10+34*t
		c.w, c.h, c.t = s.w, s.h, make([]uint32, s.w*s.h)
		s.ox, s.oy = float64(s.w)/2, 16*float64(t)+float64(code)/2
		paper(c, p, r, t, int(s.ox), int(s.oy))
	} else {
		screen := code + 14*t
		side := 12 * t // room for fingers
		s.w, s.h = screen+2*side, screen*17/10
		c.w, c.h, c.t = s.w, s.h, make([]uint32, s.w*s.h)
		s.ox, s.oy = float64(s.w)/2, float64(s.h)*0.5
		phone(c, p, r, t, side, int(s.ox), int(s.oy))
	}
	x, y := int(s.ox)-code/2, int(s.oy)-code/2
	s.ox, s.oy = float64(x)+float64(code)/2, float64(y)+float64(code)/2
	modules(c, p, r, x, y, t)
	texture(c, p, l, r)
	s.bend = make([]int32, s.w)
	for i := range s.bend {
		s.bend[i] = int32(65536 * l.curl * math.Sin(math.Pi*float64(i)/float64(s.w)))
	}
	s.levels[0] = soften(c, l.blur*s.texels/l.module)
	return s
}

// level is the texture at one of three blurs.
func (s *sheet) level(i int) []uint32 {
	if s.levels[i] == nil {
		c := &canvas{w: s.w, h: s.h, t: s.levels[0]}
		if i == 1 {
			s.levels[1] = soften(c, 0.8)
		} else {
			c.t = soften(c, 0.8)
			c.t = soften(c, 0.8)
			s.levels[2] = smear(c, int(2.2*s.texels))
		}
	}
	return s.levels[i]
}

func phone(c *canvas, p Prop, r *rand.Rand, t, side, cx, cy int) {
	half := c.w/2 - side
	bezel := t + t/2
	ground, ink, header := 242, 70, int(p.Header)
	if p.Inverted {
		ground, ink, header = 22, 170, int(p.Header)/2
	}
	skin := 120 + r.IntN(60)
	left, right := cx-half, cx+half
	c.rect(left-bezel, t, right+bezel, c.h-t, 5*t, solid(24))
	c.rect(left-bezel+1, t+1, right+bezel-1, c.h-t-1, 5*t, solid(44))
	c.rect(left-bezel/2, t+bezel/2, right+bezel/2, c.h-t-bezel/2, 5*t, solid(20))
	c.rect(left, t+bezel, right, c.h-t-bezel, 4*t, solid(ground-8))
	card := c.w/2 - side - 3*t
	top, bottom := cy-card-9*t, cy+card+8*t
	// Status line, the app's band in its colour with a title, the card.
	c.words(r, left+3*t, left+12*t, t+bezel+t, max(2, t), ink)
	c.rect(left, t+bezel+3*t, right, max(top+4*t, t+bezel+9*t), 0, solid(header))
	c.words(r, cx-14*t, cx+14*t, max(top-4*t, t+bezel+4*t), 2*t, 250-3*header/4)
	c.rect(left+2*t, top, right-2*t, bottom, 2*t, solid(ground))
	c.words(r, cx-12*t, cx+10*t, top+2*t, 2*t, ink)
	c.words(r, cx-18*t, cx+16*t, cy+card+3*t, 2*t, ink)
	// The band below repeats the colour, as health codes do.
	c.rect(left+2*t, bottom+2*t, right-2*t, bottom+8*t, 2*t, solid(header))
	c.words(r, cx-10*t, cx+10*t, bottom+4*t, 2*t, 250-3*header/4)
	for i := range 4 {
		y := cy + card/3 + i*5*t
		c.oval(right+bezel+3*t-r.IntN(t+1), y, 6*t, 2*t+t/2, skin)
	}
	c.oval(left-bezel-2*t, cy+card/4, 4*t, 9*t, skin)
}

func paper(c *canvas, p Prop, r *rand.Rand, t, cx, cy int) {
	c.rect(0, 0, c.w, c.h, t/2, solid(226))
	top := 3 * t
	c.rect(4*t, top, c.w-4*t, top+max(2, t), 0, solid(int(p.Header)))
	c.words(r, 6*t, c.w-12*t, top+3*t, 3*t, 60)
	for y := cy + p.Size*t/2 + 7*t; y < c.h-4*t; y += 4 * t {
		c.words(r, 5*t, c.w-5*t-r.IntN(12*t), y, 2*t, 75)
	}
	skin := 120 + r.IntN(60)
	c.oval(c.w-2*t, c.h*2/3, 7*t, 4*t, skin)
	c.oval(2*t, c.h*3/4, 6*t, 4*t, skin)
}

// modules draws the code with its quiet zone of four modules.
func modules(c *canvas, p Prop, r *rand.Rand, x0, y0, t int) {
	dark, light := 18+r.IntN(12), 240
	switch {
	case p.Kind == Paper:
		dark, light = 42+r.IntN(18), 228
	case p.Inverted:
		dark, light = 22, 226
	}
	ground := light
	if p.Inverted {
		ground = dark
	}
	c.rect(x0-4*t, y0-4*t, x0+(p.Size+4)*t, y0+(p.Size+4)*t, 0, solid(ground))
	for y := range p.Size {
		for x := range p.Size {
			if p.Bits[y*p.Size+x] {
				v := dark
				if p.Inverted {
					v = light
				}
				c.rect(x0+x*t, y0+y*t, x0+(x+1)*t, y0+(y+1)*t, 0, solid(v))
			}
		}
	}
}

// texture lays the grain of paper and its shading, or the moiré of a screen,
// over everything that is covered.
func texture(c *canvas, p Prop, l look, r *rand.Rand) {
	wave := make([]int, 256)
	for i := range wave {
		wave[i] = int(256 * (1 + l.moire*math.Sin(2*math.Pi*float64(i)/256)))
	}
	fx, fy := 9+r.IntN(8), 5+r.IntN(6)
	slope, fold := r.IntN(40)-20, c.h/2+r.IntN(c.h/6+1)
	grain := r.Uint64()
	for y := range c.h {
		for x := range c.w {
			i := y*c.w + x
			if c.t[i]>>16 == 0 {
				continue
			}
			v := int(c.t[i] & 255)
			if p.Kind == Paper {
				grain = grain*6364136223846793005 + 1442695040888963407
				v += int(grain>>60) - 8 + slope*(2*x-c.w)/(2*c.w)
				if d := y - fold; d >= 0 && d < 6 {
					v -= 14 - 2*d
				}
			} else {
				v = v * wave[(x*fx+y*fy)&255] >> 8
			}
			c.t[i] = solid(v)
		}
	}
}

// soften blurs by a 3-tap filter both ways to about the given standard
// deviation in texels (at most 0.8).
func soften(c *canvas, sigma float64) []uint32 {
	// A filter (a, 1, a)/(1+2a) has the variance 2a/(1+2a).
	variance := min(sigma*sigma, 0.64)
	a := uint32(256 * variance / 2)
	mid := 256 - 2*a
	tmp := make([]uint32, len(c.t))
	for y := range c.h {
		src, dst := c.t[y*c.w:(y+1)*c.w], tmp[y*c.w:(y+1)*c.w]
		dst[0], dst[c.w-1] = src[0], src[c.w-1]
		for x := 1; x < c.w-1; x++ {
			dst[x] = ((src[x-1]+src[x+1])*a + src[x]*mid) >> 8 & 0x00ff00ff
		}
	}
	out := make([]uint32, len(c.t))
	copy(out[:c.w], tmp[:c.w])
	copy(out[(c.h-1)*c.w:], tmp[(c.h-1)*c.w:])
	for y := 1; y < c.h-1; y++ {
		up, src, down, dst := tmp[(y-1)*c.w:y*c.w], tmp[y*c.w:(y+1)*c.w], tmp[(y+1)*c.w:(y+2)*c.w], out[y*c.w:(y+1)*c.w]
		for x := range dst {
			dst[x] = ((up[x]+down[x])*a + src[x]*mid) >> 8 & 0x00ff00ff
		}
	}
	return out
}

// smear averages n texels along each row: a thing that moves sideways.
func smear(c *canvas, n int) []uint32 {
	out := make([]uint32, len(c.t))
	for y := range c.h {
		src, dst := c.t[y*c.w:(y+1)*c.w], out[y*c.w:(y+1)*c.w]
		var luma, cover int
		for x := range c.w + n {
			if x < c.w {
				luma, cover = luma+int(src[x]&255), cover+int(src[x]>>16)
			}
			if x >= n {
				luma, cover = luma-int(src[x-n]&255), cover-int(src[x-n]>>16)
			}
			if at := x - n/2; at >= 0 && at < c.w {
				dst[at] = uint32(luma/n) | uint32(cover/n)<<16
			}
		}
	}
	return out
}
