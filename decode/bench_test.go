package decode

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// paper is a flat bright picture with sensor noise.
func paper(w, h int, level, noise int, seed uint64) Image {
	r := rand.New(rand.NewPCG(seed, 1))
	m := Image{Width: w, Height: h, Stride: w, Luma: make([]byte, w*h)}
	for i := range m.Luma {
		m.Luma[i] = byte(min(max(level+int(r.NormFloat64()*float64(noise)), 0), 255))
	}
	return m
}

// put draws a symbol with its quiet zone of four modules, its top left corner
// at (x, y), px pixels a module.
func put(m Image, code Matrix, x, y, px int, dark, light byte) {
	for v := -4 * px; v < (code.Size+4)*px; v++ {
		for u := -4 * px; u < (code.Size+4)*px; u++ {
			c := light
			if u >= 0 && v >= 0 && code.Dark(u/px, v/px) {
				c = dark
			}
			if X, Y := x+u, y+v; X >= 0 && Y >= 0 && X < m.Width && Y < m.Height {
				m.Luma[Y*m.Stride+X] = c
			}
		}
	}
}

// passText is a text of n characters like a native pass.
func passText(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 2))
	b := append(make([]byte, 0, n), "GHC1:"...)
	for len(b) < n {
		b = append(b, alnum[r.IntN(len(alnum))])
	}
	return b
}

// passCode is a version 11 symbol: a static red pass.
func passCode(tb testing.TB, seed uint64) ([]byte, Matrix) {
	tb.Helper()
	text := passText(334, seed)
	code, err := Encode(text, LevelM)
	if err != nil {
		tb.Fatal(err)
	}
	return text, code
}

// BenchmarkScan: machine and figures are in the commit that changes them.
func BenchmarkScan(b *testing.B) {
	_, code := passCode(b, 1)
	for _, size := range []struct{ w, h int }{{640, 480}, {1280, 720}} {
		empty := paper(size.w, size.h, 150, 3, 1)
		noise := paper(size.w, size.h, 128, 60, 2)
		one := paper(size.w, size.h, 150, 3, 3)
		put(one, code, size.w/2-150, 90, 5, 30, 220)
		for _, c := range []struct {
			name string
			img  Image
		}{{"empty", empty}, {"noise", noise}, {"code", one}} {
			b.Run(fmt.Sprintf("%s/%dx%d", c.name, size.w, size.h), func(b *testing.B) {
				s := NewScanner(Options{})
				s.Scan(c.img)
				b.ReportAllocs()
				for b.Loop() {
					s.Scan(c.img)
				}
			})
		}
	}
}
