package mjpeg

// zigzag is where each coefficient stands in the block (T.81 figure A.6). The
// last sixteen catch what a broken frame would write behind its end.
var zigzag = [64 + 16]uint8{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
	63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
}

// dc reads the difference of a block's mean to the block before.
func (b *bits) dc(t *table) (diff int32, ok bool) {
	b.fill()
	e := t.fast[b.acc>>(64-fastBits)]
	if e&whole != 0 && e>>8&15 == 0 {
		b.skip(uint(e & 0xff))
		return int32(e>>16&0x7fff) - bias, true
	}
	symbol, n := uint8(e>>8), uint(e&0xff)
	if e == 0 {
		symbol, n = t.slow(b.acc)
	}
	if n == 0 || symbol > 15 || e&whole != 0 {
		return 0, false
	}
	b.skip(n)
	size := uint(symbol)
	if size == 0 {
		return 0, true
	}
	v := extend(int32(b.acc>>(64-size)), int(size))
	b.skip(size)
	return v, true
}

// ac reads the other 63 coefficients, times the quantiser's steps, into c,
// whose entries are zero. last is the highest place, in zigzag order, of one
// that is not zero.
func (b *bits) ac(t *table, q *[64]int32, c *[64]int32) (last int, ok bool) {
	for k := 1; k < 64; {
		if b.n < 32 {
			b.fill()
		}
		e := t.fast[b.acc>>(64-fastBits)]
		if e&whole != 0 {
			k += int(e >> 8 & 15)
			b.skip(uint(e & 0xff))
			z := zigzag[k] & 63
			c[z] = (int32(e>>16&0x7fff) - bias) * q[z]
			last = k
			k++
			continue
		}
		symbol, n := uint8(e>>8), uint(e&0xff)
		if e == 0 {
			if symbol, n = t.slow(b.acc); n == 0 {
				return last, false
			}
		}
		b.skip(n)
		run, size := int(symbol>>4), uint(symbol&15)
		if size == 0 {
			if run != 15 {
				break // end of block
			}
			k += 16
			continue
		}
		k += run
		v := extend(int32(b.acc>>(64-size)), int(size))
		b.skip(size)
		z := zigzag[k] & 63
		c[z] = v * q[z]
		last = k
		k++
	}
	return min(last, 63), true
}

// pass goes over the 63 coefficients without reading them.
func (b *bits) pass(t *table) bool {
	for k := 1; k < 64; {
		if b.n < 32 {
			b.fill()
		}
		e := t.fast[b.acc>>(64-fastBits)]
		if e&whole != 0 {
			k += int(e>>8&15) + 1
			b.skip(uint(e & 0xff))
			continue
		}
		symbol, n := uint8(e>>8), uint(e&0xff)
		if e == 0 {
			if symbol, n = t.slow(b.acc); n == 0 {
				return false
			}
		}
		size := uint(symbol & 15)
		b.skip(n + size)
		if size == 0 && symbol != 0xf0 {
			break
		}
		k += int(symbol>>4) + 1
	}
	return true
}
