package gate

import (
	"time"

	"checkpoint/decode"
)

// View is the newest picture for the viewfinder, made small, with the outlines
// of the codes in it. The receiver owns it.
type View struct {
	Luma     []byte // Width × Height, no padding
	Width    int
	Height   int
	Captured time.Time
	Codes    [][4]decode.Point // outlines in this small picture's pixels
	Hint     decode.Hint
}

const (
	viewWidth  = 160 // at most: a wide terminal's half-blocks show no more
	viewHeight = 120
	viewEvery  = 50 * time.Millisecond
)

// shrink makes a view of a picture by averaging boxes of whole pixels, reusing
// the memory of dst. It adds nothing to the time of a verdict: it runs after
// the frame's codes are on their way.
func shrink(dst *View, im decode.Image, r decode.Result, at time.Time) {
	step := max((im.Width+viewWidth-1)/viewWidth, (im.Height+viewHeight-1)/viewHeight, 1)
	w, h := im.Width/step, im.Height/step
	if cap(dst.Luma) < w*h {
		dst.Luma = make([]byte, w*h)
	}
	dst.Luma, dst.Width, dst.Height, dst.Captured, dst.Hint = dst.Luma[:w*h], w, h, at, r.Hint
	area := uint32(step * step)
	for y := range h {
		out := dst.Luma[y*w : (y+1)*w]
		for x := range out {
			var sum uint32
			for dy := range step {
				i := (y*step+dy)*im.Stride + x*step
				for _, p := range im.Luma[i : i+step] {
					sum += uint32(p)
				}
			}
			out[x] = byte(sum / area)
		}
	}
	dst.Codes = dst.Codes[:0]
	for _, s := range r.Symbols {
		c := s.Corners
		for i := range c {
			c[i].X /= float64(step)
			c[i].Y /= float64(step)
		}
		dst.Codes = append(dst.Codes, c)
	}
}
