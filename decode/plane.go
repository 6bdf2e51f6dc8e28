package decode

import "encoding/binary"

// plane is a grey picture that this package looks at: the caller's own, or one
// made from it at another scale.
type plane struct {
	pix          []byte
	w, h, stride int
}

// bitmap is a plane after thresholds: one bit a pixel, 1 is dark, the leftmost
// pixel of each word in bit 0, rows padded to whole words with zeros.
type bitmap struct {
	words []uint64
	w, h  int
	row   int // words a row
}

func (m *bitmap) resize(w, h int) {
	m.w, m.h, m.row = w, h, (w+63)/64
	if n := m.row * h; cap(m.words) < n {
		m.words = make([]uint64, n)
	} else {
		m.words = m.words[:n]
	}
}

// dark reports whether the pixel is dark; outside nothing is.
func (m *bitmap) dark(x, y int) bool {
	if uint(x) >= uint(m.w) || uint(y) >= uint(m.h) {
		return false
	}
	return m.words[y*m.row+x>>6]>>(uint(x)&63)&1 != 0
}

const gather = 0x0102040810204080 // moves bit 0 of byte i to bit 56+i

// pack fills m from p with the thresholds of b, blocks of eight pixels at a
// time: bit 7 of each byte of (t|128) − p, both without their lowest bit, says
// dark.
func (m *bitmap) pack(p plane, b *blocks) {
	m.resize(p.w, p.h)
	whole := p.w / block
	for y := range p.h {
		thr := b.thr[(y/block)*b.w : (y/block)*b.w+b.w]
		src := p.pix[y*p.stride : y*p.stride+p.w]
		dst := m.words[y*m.row : (y+1)*m.row]
		var word uint64
		for bx := range whole {
			v := binary.LittleEndian.Uint64(src[bx*block:]) >> 1 & low7
			t := uint64(thr[bx]>>1)*0x0101010101010101 | high7
			d := (t - v) & high7 >> 7
			word |= d * gather >> 56 << (uint(bx) & 7 * 8)
			if bx&7 == 7 {
				dst[bx>>3] = word
				word = 0
			}
		}
		for x := whole * block; x < p.w; x++ {
			if src[x]>>1 <= thr[x/block]>>1 {
				word |= 1 << (uint(x) & 63)
			}
		}
		if p.w&63 != 0 {
			dst[m.row-1] = word
		}
	}
}

// shrink fills dst with p made n times smaller by averaging n×n pixels.
func shrink(dst []byte, p plane, n int) plane {
	out := plane{w: p.w / n, h: p.h / n, stride: p.w / n}
	out.pix = grow(dst, out.w*out.h)
	for y := range out.h {
		row := out.pix[y*out.w : (y+1)*out.w]
		if n == 2 {
			a := p.pix[2*y*p.stride:][:2*out.w]
			b := p.pix[(2*y+1)*p.stride:][:2*out.w]
			for x := range row {
				row[x] = byte((uint(a[2*x]) + uint(a[2*x+1]) + uint(b[2*x]) + uint(b[2*x+1]) + 2) >> 2)
			}
			continue
		}
		for x := range row {
			sum := 0
			for i := range n {
				for _, v := range p.pix[(y*n+i)*p.stride+x*n:][:n] {
					sum += int(v)
				}
			}
			row[x] = byte((sum + n*n/2) / (n * n))
		}
	}
	return out
}

// double fills dst with p twice as large, bilinear: modules of two pixels get
// edges that a threshold can find between pixels.
func double(dst []byte, p plane) plane {
	out := plane{w: 2 * p.w, h: 2 * p.h, stride: 2 * p.w}
	out.pix = grow(dst, out.w*out.h)
	for y := range out.h {
		// Pixel centres: out y+½ lies at (y+½)/2 − ½ in p, a quarter off.
		near, far := y/2, y/2-1+2*(y&1)
		far = min(max(far, 0), p.h-1)
		a, b := p.pix[near*p.stride:][:p.w], p.pix[far*p.stride:][:p.w]
		row := out.pix[y*out.w : (y+1)*out.w]
		prev := 3*int(a[0]) + int(b[0])
		for x := range p.w {
			v := 3*int(a[x]) + int(b[x])
			next := v
			if x+1 < p.w {
				next = 3*int(a[x+1]) + int(b[x+1])
			}
			row[2*x] = byte((3*v + prev + 8) >> 4)
			row[2*x+1] = byte((3*v + next + 8) >> 4)
			prev = v
		}
	}
	return out
}

// sharpen fills dst with p minus its blur: v + amount·(v − mean of the 3×3
// around it), amount in quarters. It undoes part of defocus and motion.
func sharpen(dst []byte, p plane, amount int) plane {
	out := plane{w: p.w, h: p.h, stride: p.w}
	out.pix = grow(dst, out.w*out.h)
	for y := range p.h {
		up := p.pix[max(y-1, 0)*p.stride:][:p.w]
		mid := p.pix[y*p.stride:][:p.w]
		down := p.pix[min(y+1, p.h-1)*p.stride:][:p.w]
		row := out.pix[y*p.w : (y+1)*p.w]
		for x := range p.w {
			l, r := max(x-1, 0), min(x+1, p.w-1)
			around := int(up[l]) + int(up[x]) + int(up[r]) + int(mid[l]) + int(mid[r]) + int(down[l]) + int(down[x]) + int(down[r])
			v := int(mid[x])
			row[x] = byte(min(max(v+amount*(8*v-around)/36, 0), 255))
		}
	}
	return out
}

// crop is the part of p inside the box, sharing its pixels.
func crop(p plane, x, y, w, h int) plane {
	return plane{pix: p.pix[y*p.stride+x:], w: w, h: h, stride: p.stride}
}
