package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"strings"

	"checkpoint/decode"
)

// quiet is the light margin around a symbol, modules: ISO/IEC 18004 §9.1.
const quiet = 4

// Black on white by its place in the colour cube: the sixteen named colours are
// whatever a theme makes of them, and a reader wants dark on light.
const (
	blackOnWhite = "\x1b[38;5;16;48;5;231m"
	asBefore     = "\x1b[0m"
)

// blocksOf draws a symbol with half blocks, two rows of modules a line.
func blocksOf(m decode.Matrix) string {
	var b strings.Builder
	for y := -quiet; y < m.Size+quiet; y += 2 {
		b.WriteString(blackOnWhite)
		for x := -quiet; x < m.Size+quiet; x++ {
			switch {
			case m.Dark(x, y) && m.Dark(x, y+1):
				b.WriteString("█")
			case m.Dark(x, y):
				b.WriteString("▀")
			case m.Dark(x, y+1):
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		b.WriteString(asBefore + "\n")
	}
	return b.String()
}

// pixels is the side of a module in a picture: 57 modules are 570 pixels, at 150 dpi 10 cm.
const pixels = 10

// pngOf draws a symbol as a picture, black on white.
func pngOf(m decode.Matrix) ([]byte, error) {
	side := (m.Size + 2*quiet) * pixels
	img := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range side {
		for x := range side {
			if m.Dark(x/pixels-quiet, y/pixels-quiet) {
				img.Pix[y*img.Stride+x] = 1
			}
		}
	}
	var b bytes.Buffer
	err := png.Encode(&b, img)
	return b.Bytes(), err
}
