package camera

import (
	"bytes"
	"fmt"
)

// maxPGMHeader bounds the comments of a PGM header.
const maxPGMHeader = 64 << 10

// readPGM reads a PGM picture (netpbm, pgm(5)): "P5" binary, one or two bytes
// a pixel, or "P2" in decimal digits, maxval 1 to 65535, scaled to 255.
func readPGM(b []byte, l Limits) (Picture, error) {
	head := tokens{b: b[2:]}
	var n [3]int
	for i := range n {
		v, ok := head.number(1 << 24)
		if !ok || head.at > maxPGMHeader {
			return Picture{}, fmt.Errorf("%w: broken PGM header", ErrPicture)
		}
		n[i] = v
	}
	w, h, maxval := n[0], n[1], n[2]
	if err := l.check(w, h); err != nil {
		return Picture{}, err
	}
	if maxval < 1 || maxval > 65535 {
		return Picture{}, fmt.Errorf("%w: PGM maxval %d", ErrPicture, maxval)
	}
	if b[1] == '2' {
		return plainPGM(head, w, h, maxval)
	}
	// pgm(5): a single whitespace character, then the raster.
	if head.at >= len(head.b) || !space(head.b[head.at]) {
		return Picture{}, fmt.Errorf("%w: broken PGM header", ErrPicture)
	}
	raster := head.b[head.at+1:]
	size := 1
	if maxval > 255 {
		size = 2
	}
	if len(raster)/size < w*h {
		return Picture{}, fmt.Errorf("%w: PGM cut short", ErrPicture)
	}
	p := Picture{Luma: make([]byte, w*h), Width: w, Height: h}
	switch {
	case maxval == 255:
		copy(p.Luma, raster)
	case size == 1:
		for i := range p.Luma {
			p.Luma[i] = scale(int(raster[i]), maxval)
		}
	default:
		for i := range p.Luma {
			p.Luma[i] = scale(int(raster[2*i])<<8|int(raster[2*i+1]), maxval)
		}
	}
	return p, nil
}

func plainPGM(t tokens, w, h, maxval int) (Picture, error) {
	if (len(t.b)-t.at+1)/2 < w*h { // a digit and a space each: checked before memory is taken
		return Picture{}, fmt.Errorf("%w: PGM cut short", ErrPicture)
	}
	p := Picture{Luma: make([]byte, w*h), Width: w, Height: h}
	for i := range p.Luma {
		v, ok := t.number(65535)
		if !ok {
			return Picture{}, fmt.Errorf("%w: PGM broken or cut short", ErrPicture)
		}
		p.Luma[i] = scale(v, maxval)
	}
	return p, nil
}

// scale maps 0…maxval to 0…255, rounded; more than maxval is white.
func scale(v, maxval int) byte {
	if v >= maxval {
		return 255
	}
	return byte((v*255 + maxval/2) / maxval)
}

// tokens walks over whitespace, comments and decimal numbers.
type tokens struct {
	b  []byte
	at int
}

func space(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func (t *tokens) number(most int) (int, bool) {
	for t.at < len(t.b) {
		if t.b[t.at] == '#' {
			n := bytes.IndexByte(t.b[t.at:], '\n')
			if n < 0 {
				return 0, false
			}
			t.at += n
		}
		if !space(t.b[t.at]) {
			break
		}
		t.at++
	}
	v, start := 0, t.at
	for ; t.at < len(t.b) && t.b[t.at] >= '0' && t.b[t.at] <= '9'; t.at++ {
		if v = v*10 + int(t.b[t.at]-'0'); v > most {
			return 0, false
		}
	}
	return v, t.at > start
}
