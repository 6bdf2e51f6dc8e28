// Command shot turns a screen of styled text (standard input) into a picture,
// for the README and for looking at what a guard will see.
//
//	shot -w 120 -h 40 -font NotoSansMono-Regular.ttf -wide NotoSansCJK-Regular.ttc -o screen.png < screen.ans
package main

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"os"
	"strings"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/vt"
	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

func main() {
	w := flag.Int("w", 120, "columns")
	h := flag.Int("h", 40, "rows")
	cell := flag.Int("cell", 9, "width of a cell in pixels; twice that is its height")
	narrow := flag.String("font", "", "font for narrow characters (TTF, OTF, TTC)")
	wide := flag.String("wide", "", "fonts for what the first lacks and for wide characters, with commas between")
	out := flag.String("o", "screen.png", "PNG to write")
	flag.Parse()
	if err := run(*w, *h, *cell, *narrow, *wide, *out); err != nil {
		fmt.Fprintln(os.Stderr, "shot:", err)
		os.Exit(1)
	}
}

func run(w, h, cell int, narrow, wide, out string) error {
	src, err := io.ReadAll(io.LimitReader(os.Stdin, 8<<20))
	if err != nil {
		return err
	}
	faces := make([]font.Face, 0, 2)
	for _, path := range append([]string{narrow}, strings.Split(wide, ",")...) {
		f, err := face(path, float64(cell)*1.62)
		if err != nil {
			return fmt.Errorf("font %s: %w", path, err)
		}
		faces = append(faces, f)
	}
	term := vt.NewEmulator(w, h)
	defer term.Close()
	go io.Copy(io.Discard, term) // its answers to queries: nobody asked here, but it waits to be heard
	if _, err := term.Write(bytes.ReplaceAll(bytes.TrimRight(src, "\n"), []byte("\n"), []byte("\r\n"))); err != nil {
		return err
	}
	pic := image.NewRGBA(image.Rect(0, 0, w*cell, h*2*cell))
	for y := range h {
		for x := range w {
			if c := term.CellAt(x, y); c != nil && c.Width > 0 {
				paint(pic, x*cell, y*2*cell, cell, c, faces)
			}
		}
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(f, pic); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// face opens the first font of a file.
func face(path string, size float64) (font.Face, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := opentype.ParseCollection(b)
	if err != nil {
		return nil, err
	}
	f, err := c.Font(0)
	if err != nil {
		return nil, err
	}
	return opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingFull})
}

// paint draws one cell.
func paint(pic *image.RGBA, x, y, cell int, c *uv.Cell, faces []font.Face) {
	var ink, ground color.Color = color.RGBA{0xD8, 0xDC, 0xE0, 0xFF}, color.RGBA{0x10, 0x12, 0x16, 0xFF}
	if c.Style.Fg != nil {
		ink = c.Style.Fg
	}
	if c.Style.Bg != nil {
		ground = c.Style.Bg
	}
	if c.Style.Attrs&uv.AttrReverse != 0 {
		ink, ground = ground, ink
	}
	fill := func(x0, y0, x1, y1 int, k color.Color) {
		draw.Draw(pic, image.Rect(x0, y0, x1, y1), image.NewUniform(k), image.Point{}, draw.Src)
	}
	w, h := cell*c.Width, 2*cell
	fill(x, y, x+w, y+h, ground)
	switch c.Content {
	case "", " ":
	case "█":
		fill(x, y, x+w, y+h, ink)
	case "▀":
		fill(x, y, x+w, y+cell, ink)
	case "▄":
		fill(x, y+cell, x+w, y+h, ink)
	default:
		r := []rune(c.Content)[0]
		from := min(c.Width-1, 1) // a wide character is not for the first font
		f := faces[from]
		for _, other := range faces[from:] {
			if _, ok := other.GlyphAdvance(r); ok {
				f = other
				break
			}
		}
		adv, _ := f.GlyphAdvance(r)
		d := font.Drawer{Dst: pic, Src: image.NewUniform(ink), Face: f}
		d.Dot = fixed.P(x+max(0, (w-adv.Round())/2), y+h*3/4)
		d.DrawString(c.Content)
		if c.Style.Attrs&uv.AttrBold != 0 {
			d.Dot = fixed.P(x+max(0, (w-adv.Round())/2), y+h*3/4)
			d.Dot.X += 32
			d.DrawString(c.Content)
		}
	}
}
