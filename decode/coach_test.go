package decode

import (
	"math"
	"testing"
)

// blur is a box filter of the given radius, three times: near a lens out of
// focus.
func blur(m Image, radius int) {
	for range 3 {
		for _, dir := range [2][2]int{{1, m.Stride}, {m.Stride, 1}} {
			n, lines := m.Width, m.Height
			if dir[0] != 1 {
				n, lines = m.Height, m.Width
			}
			line := make([]int, n)
			for l := range lines {
				for i := range n {
					line[i] = int(m.Luma[l*dir[1]+i*dir[0]])
				}
				for i := range n {
					sum := 0
					for k := -radius; k <= radius; k++ {
						sum += line[min(max(i+k, 0), n-1)]
					}
					m.Luma[l*dir[1]+i*dir[0]] = byte(sum / (2*radius + 1))
				}
			}
		}
	}
}

// TestHints: each picture cannot be read, and the coach says why.
func TestHints(t *testing.T) {
	_, code := passCode(t, 1)
	side := float64(code.Size)
	for _, tc := range []struct {
		name string
		want Hint
		draw func() Image
	}{
		{"a wall", HintNone, func() Image { return paper(640, 480, 150, 3, 1) }},
		{"a dark room", HintDark, func() Image { return paper(640, 480, 14, 3, 1) }},
		{"a code in the dark", HintDark, func() Image {
			m := paper(640, 480, 10, 0, 1)
			put(m, code, 150, 90, 5, 8, 30)
			return m
		}},
		{"modules below a pixel", HintFar, func() Image {
			big := paper(3200, 2400, 140, 0, 1)
			put(big, code, 1100, 800, 5, 20, 225)
			small := shrink(nil, plane{pix: big.Luma, w: big.Width, h: big.Height, stride: big.Stride}, 6)
			return Image{Luma: small.pix, Width: small.w, Height: small.h, Stride: small.stride}
		}},
		{"out of focus", HintBlurred, func() Image {
			m := paper(640, 480, 140, 0, 1)
			put(m, code, 150, 90, 5, 20, 225)
			blur(m, 4)
			return m
		}},
		{"a lamp in the screen", HintGlare, func() Image {
			m := paper(640, 480, 140, 0, 1)
			put(m, code, 150, 90, 5, 20, 215)
			for y := range 480 {
				for x := range 640 {
					d := math.Hypot(float64(x)-150-side*2.5, float64(y)-90-side*2.7) / 95
					v := float64(m.Luma[y*640+x]) + 420*math.Exp(-d*d*d*d)
					m.Luma[y*640+x] = byte(min(v, 255))
				}
			}
			return m
		}},
		{"half out of the picture", HintCutOff, func() Image {
			m := paper(640, 480, 140, 0, 1)
			put(m, code, 450, 60, 5, 20, 225)
			return m
		}},
		{"out at the bottom", HintCutOff, func() Image {
			m := paper(640, 480, 140, 0, 1)
			put(m, code, 150, 300, 5, 20, 225)
			return m
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := NewScanner(Options{})
			img := tc.draw()
			// Every tier has its turn, and none of them changes the advice.
			for range int(numTiers) {
				res := s.Scan(img)
				if len(res.Symbols) > 0 {
					t.Fatal("the picture is readable")
				}
				if res.Hint != tc.want {
					t.Fatalf("hint %v, want %v", res.Hint, tc.want)
				}
			}
		})
	}
}
