package mjpeg

// The inverse DCT of 8 values by Loeffler, Ligtenberg and Moschytz (1989): 11
// multiplications, constants in 13 bits of fraction, two more bits kept between
// the passes. The result is within 0.51 of the exact one.
const (
	fraction = 13
	between  = 2

	c0298 = 2446  // √2 (−cos 1 + cos 3 + cos 5 − cos 7), of π/16, times 2¹³
	c0390 = 3196  // √2 (cos 3 − cos 5)
	c0541 = 4433  // √2 cos 6
	c0765 = 6270  // √2 (cos 2 − cos 6)
	c0899 = 7373  // √2 (cos 3 − cos 7)
	c1175 = 9633  // √2 cos 3
	c1501 = 12299 // √2 (cos 1 + cos 3 − cos 5 − cos 7)
	c1847 = 15137 // √2 (cos 2 + cos 6)
	c1961 = 16069 // √2 (cos 3 + cos 5)
	c2053 = 16819 // √2 (cos 1 + cos 3 − cos 5 + cos 7)
	c2562 = 20995 // √2 (cos 1 + cos 3)
	c3072 = 25172 // √2 (cos 1 + cos 3 + cos 5 − cos 7)
)

// inverse8 transforms a block to 8×8 pixels. Coefficients behind place last in
// zigzag order are zero. The block is used up.
func inverse8(c *[64]int32, last int, dst []byte, stride int) {
	rows := 8
	if last < 10 { // the first four diagonals
		rows = 4
	}
	for x := range rows { // columns: those further right are zero
		if c[8+x]|c[16+x]|c[24+x]|c[32+x]|c[40+x]|c[48+x]|c[56+x] == 0 {
			v := c[x] << between
			c[x], c[8+x], c[16+x], c[24+x], c[32+x], c[40+x], c[48+x], c[56+x] = v, v, v, v, v, v, v, v
			continue
		}
		e0, e1, e2, e3, o0, o1, o2, o3 := halves(c[x], c[8+x], c[16+x], c[24+x], c[32+x], c[40+x], c[48+x], c[56+x])
		const half, by = 1 << (fraction - between - 1), fraction - between
		e0, e1, e2, e3 = e0+half, e1+half, e2+half, e3+half
		c[x], c[56+x] = (e0+o0)>>by, (e0-o0)>>by
		c[8+x], c[48+x] = (e1+o1)>>by, (e1-o1)>>by
		c[16+x], c[40+x] = (e2+o2)>>by, (e2-o2)>>by
		c[24+x], c[32+x] = (e3+o3)>>by, (e3-o3)>>by
	}
	for y := range 8 {
		r := (*[8]int32)(c[8*y:])
		e0, e1, e2, e3, o0, o1, o2, o3 := halves(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7])
		const by = fraction + between + 3
		const half = 1<<(by-1) + 128<<by
		e0, e1, e2, e3 = e0+half, e1+half, e2+half, e3+half
		d := (*[8]byte)(dst[y*stride:])
		d[0], d[7] = pixel((e0+o0)>>by), pixel((e0-o0)>>by)
		d[1], d[6] = pixel((e1+o1)>>by), pixel((e1-o1)>>by)
		d[2], d[5] = pixel((e2+o2)>>by), pixel((e2-o2)>>by)
		d[3], d[4] = pixel((e3+o3)>>by), pixel((e3-o3)>>by)
	}
}

// halves are the even and the odd half of the transform of eight values, with
// fraction bits: results are sums and differences of them.
func halves(i0, i1, i2, i3, i4, i5, i6, i7 int32) (e0, e1, e2, e3, o0, o1, o2, o3 int32) {
	z := (i2 + i6) * c0541
	t2, t3 := z-i6*c1847, z+i2*c0765
	t0, t1 := (i0+i4)<<fraction, (i0-i4)<<fraction
	e0, e3, e1, e2 = t0+t3, t0-t3, t1+t2, t1-t2

	z1, z2, z3, z4 := i7+i1, i5+i3, i7+i3, i5+i1
	z5 := (z3 + z4) * c1175
	z1, z2 = -z1*c0899, -z2*c2562
	z3, z4 = z5-z3*c1961, z5-z4*c0390
	o3 = i7*c0298 + z1 + z3
	o2 = i5*c2053 + z2 + z4
	o1 = i3*c3072 + z2 + z3
	o0 = i1*c1501 + z1 + z4
	return
}

func pixel(v int32) byte {
	if uint32(v) > 255 {
		v = ^(v >> 31) & 255
	}
	return byte(v)
}

// The inverse DCT of 4 values, constants in 13 bits.
const (
	c4a = 5352 // cos(π/8) / √2 · 2¹³
	c4b = 2217 // cos(3π/8) / √2 · 2¹³
)

// inverse4 transforms the low 4×4 frequencies of a block to 4×4 pixels: the
// block at half its size.
func inverse4(c *[64]int32, dst []byte, stride int) {
	for x := range 4 {
		a, b := (c[x]+c[16+x])<<(fraction-1), (c[x]-c[16+x])<<(fraction-1)
		o, p := c[8+x]*c4a+c[24+x]*c4b, c[8+x]*c4b-c[24+x]*c4a
		const half, by = 1 << (fraction - between - 1), fraction - between
		c[x], c[24+x] = (a+o+half)>>by, (a-o+half)>>by
		c[8+x], c[16+x] = (b+p+half)>>by, (b-p+half)>>by
	}
	for y := range 4 {
		r := (*[4]int32)(c[8*y:])
		a, b := (r[0]+r[2])<<(fraction-1), (r[0]-r[2])<<(fraction-1)
		o, p := r[1]*c4a+r[3]*c4b, r[1]*c4b-r[3]*c4a
		const by = fraction + between + 1
		const half = 1<<(by-1) + 128<<by
		d := (*[4]byte)(dst[y*stride:])
		d[0], d[3] = pixel((a+o+half)>>by), pixel((a-o+half)>>by)
		d[1], d[2] = pixel((b+p+half)>>by), pixel((b-p+half)>>by)
	}
}

// mean is the pixel of a block of which only the mean is known.
func mean(dc int32) byte { return pixel((dc+4)>>3 + 128) }
