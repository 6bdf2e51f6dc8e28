package decode

import "encoding/binary"

// block is the side, in pixels, of the squares whose darkest and lightest
// pixel decide thresholds and presence.
const block = 8

// minContrast is the spread of luma inside a block from which on it holds an
// edge; below lies the noise of a cheap sensor.
const minContrast = 24

// blocks is the contrast map of a plane: for each 8×8 block (the last of a row
// or column overlaps its neighbour) the darkest and lightest luma, both with
// the lowest bit dropped, and the threshold between dark and light.
type blocks struct {
	w, h      int // in blocks
	lo, hi    []byte
	thr       []byte
	contrast  int // blocks with an edge
	fromX     int // box of the blocks with an edge, in blocks, to is exclusive
	fromY     int
	toX, toY  int
	smoothing []byte
}

const (
	high7 = 0x8080808080808080 // bit 7 of each byte
	low7  = 0x7f7f7f7f7f7f7f7f
)

// minmax orders a and b byte by byte. All bytes must be below 0x80, so that
// one subtraction compares eight of them at once.
func minmax(a, b uint64) (lo, hi uint64) {
	ge := ((a | high7) - b) & high7 // bit 7 set where a ≥ b
	x := (a ^ b) & (ge - ge>>7)     // 0x7f where a ≥ b
	return a ^ x, b ^ x             // swapped where a ≥ b
}

func fold(v uint64, max bool) byte {
	lo, hi := minmax(v, v>>32)
	if max {
		lo = hi
	}
	lo1, hi1 := minmax(lo, lo>>16)
	if max {
		lo1 = hi1
	}
	lo2, hi2 := minmax(lo1&low7, lo1>>8&low7)
	if max {
		return byte(hi2) << 1
	}
	return byte(lo2) << 1
}

func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// measure fills the map from p, whose sides are at least 8 pixels.
func (b *blocks) measure(p plane) {
	b.w, b.h = (p.w+block-1)/block, (p.h+block-1)/block
	n := b.w * b.h
	b.lo, b.hi, b.thr, b.smoothing = grow(b.lo, n), grow(b.hi, n), grow(b.thr, n), grow(b.smoothing, n)
	b.contrast, b.fromX, b.fromY, b.toX, b.toY = 0, b.w, b.h, 0, 0
	for by := range b.h {
		y := min(by*block, p.h-block)
		for bx := range b.w {
			x := min(bx*block, p.w-block)
			at := y*p.stride + x
			var lo, hi uint64
			for i := 0; i < block; i += 2 {
				v0 := binary.LittleEndian.Uint64(p.pix[at:]) >> 1 & low7
				v1 := binary.LittleEndian.Uint64(p.pix[at+p.stride:]) >> 1 & low7
				at += 2 * p.stride
				l, h := minmax(v0, v1)
				if i == 0 {
					lo, hi = l, h
					continue
				}
				lo, _ = minmax(lo, l)
				_, hi = minmax(hi, h)
			}
			l, h := fold(lo, false), fold(hi, true)
			i := by*b.w + bx
			b.lo[i], b.hi[i] = l, h
		}
	}
	for by := range b.h {
		for bx := range b.w {
			if i := by*b.w + bx; b.edge(i) || b.border(i, bx, by) {
				b.contrast++
				b.fromX, b.toX = min(b.fromX, bx), max(b.toX, bx+1)
				b.fromY, b.toY = min(b.fromY, by), max(b.toY, by+1)
			}
		}
	}
}

// border looks for an edge that runs exactly between a flat block and the flat
// one to its right or below, as in a drawn picture whose modules are whole
// blocks, and lets the block hold it. Those two are as they were measured: only
// blocks above and to the left of them have been looked at.
func (b *blocks) border(i, bx, by int) bool {
	lo, hi := int(b.lo[i]), int(b.hi[i])
	for _, n := range [2]struct {
		there bool
		at    int
	}{{bx+1 < b.w, i + 1}, {by+1 < b.h, i + b.w}} {
		if !n.there || b.edge(n.at) {
			continue
		}
		if l, h := int(b.lo[n.at]), int(b.hi[n.at]); l-hi > minContrast || lo-h > minContrast {
			b.lo[i], b.hi[i] = min(b.lo[i], byte(l)), max(b.hi[i], byte(h))
		}
	}
	return b.edge(i)
}

// edge reports whether block i holds an edge.
func (b *blocks) edge(i int) bool { return int(b.hi[i])-int(b.lo[i]) > minContrast }

// thresholds fills thr: in a block with an edge the middle between dark and
// light, averaged over the known ones of 5×5 blocks; a block whose whole
// neighbourhood is flat takes the nearest known one of its row, then column.
func (b *blocks) thresholds() {
	mid := b.smoothing
	for i := range mid {
		mid[i] = 0
		if b.edge(i) {
			mid[i] = byte((int(b.lo[i]) + int(b.hi[i]) + 1) / 2)
		}
	}
	for y := range b.h {
		y0, y1 := max(y-2, 0), min(y+3, b.h)
		for x := range b.w {
			x0, x1 := max(x-2, 0), min(x+3, b.w)
			sum, known := 0, 0
			for yy := y0; yy < y1; yy++ {
				for _, v := range mid[yy*b.w+x0 : yy*b.w+x1] {
					sum += int(v)
					if v != 0 {
						known++
					}
				}
			}
			t := 0
			if known > 0 {
				// The block itself counts twice more: steep light.
				if m := int(mid[y*b.w+x]); m != 0 {
					sum, known = sum+2*m, known+2
				}
				t = sum / known
			}
			b.thr[y*b.w+x] = byte(t)
		}
	}
	for y := range b.h {
		row := b.thr[y*b.w : (y+1)*b.w]
		carry(row, 1, len(row))
	}
	for x := range b.w {
		carry(b.thr[x:], b.w, b.h)
	}
}

// carry replaces the zeros among the n values v[0], v[step], … by the nearest
// known value before them, or after them at the start.
func carry(v []byte, step, n int) {
	last := byte(0)
	for i := range n {
		if at := i * step; v[at] != 0 {
			last = v[at]
		} else {
			v[at] = last
		}
	}
	for i := n - 1; i >= 0; i-- {
		if at := i * step; v[at] != 0 {
			last = v[at]
		} else {
			v[at] = last
		}
	}
}
