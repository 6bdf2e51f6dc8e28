package camera

import (
	"encoding/binary"
	"image"
	"image/color"
)

// grey16 is Rec. 601 luma, the one of JPEG (T.871 §7), of 16-bit channels.
func grey16(r, g, b uint32) uint32 { return (19595*r + 38470*g + 7471*b + 1<<15) >> 16 }

// onWhite lays a grey of 0…255 with alpha over white paper.
func onWhite(y, alpha uint32) byte { return byte((y*alpha + 255*(255-alpha) + 127) / 255) }

// room gives n bytes, in buf when they fit.
func room(buf []byte, n int) []byte {
	if cap(buf) >= n {
		return buf[:n]
	}
	return make([]byte, n)
}

// fromImage makes img grey. The pixels go to buf when it is large enough.
func fromImage(img image.Image, buf []byte) Picture {
	r := img.Bounds()
	w, h := r.Dx(), r.Dy()
	p := Picture{Luma: room(buf, w*h), Width: w, Height: h}
	for y := range h {
		row := p.Luma[y*w : (y+1)*w]
		switch m := img.(type) {
		case *image.Gray:
			copy(row, m.Pix[m.PixOffset(r.Min.X, r.Min.Y+y):])
		case *image.YCbCr:
			copy(row, m.Y[m.YOffset(r.Min.X, r.Min.Y+y):])
		case *image.Gray16:
			src := m.Pix[m.PixOffset(r.Min.X, r.Min.Y+y):]
			for x := range row {
				row[x] = src[2*x] // the high byte
			}
		case *image.Paletted:
			var table [256]byte
			for i, c := range m.Palette {
				table[i&255] = greyOf(c)
			}
			src := m.Pix[m.PixOffset(r.Min.X, r.Min.Y+y):]
			for x := range row {
				row[x] = table[src[x]]
			}
		case *image.RGBA: // premultiplied
			src := m.Pix[m.PixOffset(r.Min.X, r.Min.Y+y):]
			for x := range row {
				c := src[4*x : 4*x+4 : 4*x+4]
				row[x] = byte(min(255, grey16(uint32(c[0]), uint32(c[1]), uint32(c[2]))+255-uint32(c[3])))
			}
		case *image.NRGBA:
			src := m.Pix[m.PixOffset(r.Min.X, r.Min.Y+y):]
			for x := range row {
				c := src[4*x : 4*x+4 : 4*x+4]
				row[x] = onWhite(grey16(uint32(c[0]), uint32(c[1]), uint32(c[2])), uint32(c[3]))
			}
		default: // RGBA64, NRGBA64, CMYK: rare, so slow is good enough
			for x := range row {
				row[x] = greyOf(img.At(r.Min.X+x, r.Min.Y+y))
			}
		}
	}
	return p
}

// greyOf is the grey of any colour on white paper.
func greyOf(c color.Color) byte {
	r, g, b, a := c.RGBA()
	return byte(min(0xffff, grey16(r, g, b)+0xffff-a) >> 8)
}

// evenBytes copies the bytes 0, 2, 4, … of src to dst: the Y of packed YUYV
// (Linux media API, "Packed YUV formats"). len(src) ≥ 2·len(dst) - 1.
func evenBytes(dst, src []byte) {
	for len(dst) >= 8 && len(src) >= 16 {
		dst[7] = 0 // one bounds check
		lo, hi := squeeze(binary.LittleEndian.Uint64(src)), squeeze(binary.LittleEndian.Uint64(src[8:]))
		binary.LittleEndian.PutUint64(dst, lo|hi<<32)
		dst, src = dst[8:], src[16:]
	}
	for i := range dst {
		dst[i] = src[2*i]
	}
}

// squeeze moves the even bytes of x together.
func squeeze(x uint64) uint64 {
	x &= 0x00ff00ff00ff00ff
	x = (x | x>>8) & 0x0000ffff0000ffff
	return (x | x>>16) & 0x00000000ffffffff
}

// unpack copies the luma of a raw frame of the given layout to dst, which it
// grows as needed. It reports false when src is shorter than the layout says.
func unpack(dst, src []byte, l layout) ([]byte, bool) {
	if l.Stride <= 0 || len(src) < l.need() {
		return dst, false
	}
	dst = room(dst, l.Width*l.Height)
	for y := range l.Height {
		row, from := dst[y*l.Width:(y+1)*l.Width], src[y*l.Stride:]
		switch l.Format {
		case fourYUYV:
			evenBytes(row, from[:2*l.Width])
		case fourUYVY:
			evenBytes(row, from[1:2*l.Width])
		default: // the luma plane comes first in GREY, NV12 and YU12
			copy(row, from[:l.Width])
		}
	}
	return dst, true
}

// layout is how a driver lays out a frame.
type layout struct {
	Format        fourCC
	Width, Height int
	Stride        int // bytes from one row to the next
	Size          int // largest number of bytes a frame has
}

// need is the least number of bytes with a whole luma.
func (l layout) need() int {
	per := 1
	if l.Format == fourYUYV || l.Format == fourUYVY {
		per = 2
	}
	return (l.Height-1)*l.Stride + per*l.Width
}
