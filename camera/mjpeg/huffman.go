package mjpeg

// fastBits is how many bits are looked at once: with the usual tables nine of
// ten codes, with their value, are shorter.
const fastBits = 10

// table decodes one Huffman code (T.81 Annex C).
//
// fast is indexed by the next fastBits bits. 0: the code is longer. Else the
// low byte is the number of bits to take. Where code and value fit together,
// bit 31 is set: bits 8–11 are the run of zeros before the value, bits 16–30
// the value plus bias. Else bits 8–15 are the code's symbol.
type table struct {
	fast  [1 << fastBits]uint32
	least [17]int32 // of each length: index of its first symbol, less its first code
	most  [18]int32 // of each length: one more than its last code, filled to 16 bits
	value [256]uint8
	set   bool
}

const (
	whole = 1 << 31
	bias  = 1 << 13
)

// make builds the table from the counts of codes of each length and their
// symbols. It reports false for counts that no code can have.
func (t *table) make(counts []byte, symbols []byte) bool {
	t.set = false
	code, k := int32(0), int32(0)
	clear(t.fast[:])
	for n := 1; n <= 16; n++ {
		c := int32(counts[n-1])
		if code+c > 1<<n || int(k+c) > len(symbols) {
			return false
		}
		t.least[n] = k - code
		for i := range c {
			t.value[k+i] = symbols[k+i]
			if n <= fastBits {
				from := (code + i) << (fastBits - n)
				for j := range int32(1) << (fastBits - n) {
					t.fast[from+j] = entry(symbols[k+i], uint32(n), uint32(j), fastBits-n)
				}
			}
		}
		k += c
		code += c
		t.most[n] = code << (16 - n)
		code <<= 1
	}
	t.most[17] = 1 << 30
	t.set = true
	return true
}

// entry is a line of fast: symbol of a code of n bits, behind which rest bits
// are known, which are tail.
func entry(symbol byte, n, tail uint32, rest int) uint32 {
	size := int(symbol & 15)
	if size == 0 || size > rest {
		return uint32(symbol)<<8 | n
	}
	v := extend(int32(tail>>(rest-size)), size)
	return whole | uint32(v+bias)<<16 | uint32(symbol>>4)<<8 | n + uint32(size)
}

// extend makes a signed value of its size bits (T.81 F.2.2.1).
func extend(v int32, size int) int32 {
	if v < 1<<(size-1) {
		return v - 1<<size + 1
	}
	return v
}
