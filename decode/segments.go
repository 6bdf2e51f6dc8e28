package decode

import "errors"

// errStream says that codewords are no bit stream of ISO/IEC 18004.
var errStream = errors.New("not a QR bit stream")

// Modes of ISO/IEC 18004:2015 table 2; hanzi is of GB/T 18284.
const (
	modeEnd     = 0
	modeNumeric = 1
	modeAlnum   = 2
	modeAppend  = 3
	modeByte    = 4
	modeFNC1    = 5
	modeECI     = 7
	modeKanji   = 8
	modeFNC1In2 = 9
	modeHanzi   = 13
)

// alnum is table 5: the 45 characters of alphanumeric mode by value.
const alnum = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

// countBits is table 3: the length of the character count, for versions 1–9,
// 10–26 and 27–40.
func countBits(mode, version int) int {
	size := 0
	if version >= 10 {
		size = 1
	}
	if version >= 27 {
		size = 2
	}
	switch mode {
	case modeNumeric:
		return 10 + 2*size
	case modeAlnum:
		return 9 + 2*size
	case modeByte:
		return []int{8, 16, 16}[size]
	default: // kanji, hanzi
		return 8 + 2*size
	}
}

// bitReader reads big-endian bit fields; short becomes true when a field
// reaches past the end, and stays so.
type bitReader struct {
	data  []byte
	at    int // in bits
	short bool
}

func (r *bitReader) left() int { return 8*len(r.data) - r.at }

func (r *bitReader) take(n int) (v int) {
	if n > r.left() {
		r.short = true
		return 0
	}
	for range n {
		v = v<<1 | int(r.data[r.at>>3]>>(7-uint(r.at)&7)&1)
		r.at++
	}
	return v
}

// Part is the structured append header of a symbol that holds one part of a
// longer message (ISO/IEC 18004 §8).
type Part struct {
	Index  int  // from 0
	Total  int  // 2 to 16; 0: the symbol stands alone
	Parity byte // XOR of all bytes of the whole message
}

// parseSegments appends to dst the bytes that the data codewords of a symbol
// of the given version hold: digits and alphanumeric characters as ASCII,
// bytes as they are, kanji as Shift JIS, hanzi as GB 2312. ECI designators say
// how bytes are to be shown and are left out. With FNC1 in effect an
// alphanumeric % is the separator GS, %% is % (§7.4.8.3).
//
// The output is bounded by the input: at most 3 bytes for 10 bits.
func parseSegments(dst, data []byte, version int) ([]byte, Part, error) {
	r := bitReader{data: data}
	var part Part
	fnc1 := false
	for r.left() >= 4 {
		mode := r.take(4)
		switch mode {
		case modeEnd:
			return dst, part, nil
		case modeFNC1:
			fnc1 = true
		case modeFNC1In2:
			fnc1 = true
			r.take(8) // the application indicator
		case modeAppend:
			part = Part{Index: r.take(4), Total: r.take(4) + 1, Parity: byte(r.take(8))}
			if part.Total < 2 || part.Index >= part.Total {
				return dst, part, errStream
			}
		case modeECI:
			// §7.4.2.2: one, two or three bytes by the leading ones.
			switch first := r.take(8); {
			case first&0x80 == 0:
			case first&0xc0 == 0x80:
				r.take(8)
			case first&0xe0 == 0xc0:
				r.take(16)
			default:
				return dst, part, errStream
			}
		case modeNumeric, modeAlnum, modeByte, modeKanji, modeHanzi:
			if mode == modeHanzi && r.take(4) != 1 {
				return dst, part, errStream
			}
			var ok bool
			if dst, ok = r.segment(dst, mode, r.take(countBits(mode, version)), fnc1); !ok {
				return dst, part, errStream
			}
		default:
			return dst, part, errStream
		}
		if r.short {
			return dst, part, errStream
		}
	}
	return dst, part, nil // the terminator may be cut off at the end (§7.4.9)
}

// segment appends n characters of a mode; false when the stream ends early or
// a value has no character.
func (r *bitReader) segment(dst []byte, mode, n int, fnc1 bool) ([]byte, bool) {
	switch mode {
	case modeNumeric:
		return r.digits(dst, n)
	case modeAlnum:
		return r.alphanumeric(dst, n, fnc1)
	case modeByte:
		if 8*n > r.left() {
			return dst, false
		}
		for range n {
			dst = append(dst, byte(r.take(8)))
		}
		return dst, true
	}
	if 13*n > r.left() {
		return dst, false
	}
	for range n {
		v := r.take(13)
		var c int
		if mode == modeKanji { // §7.4.6
			c = v/0xc0<<8 + v%0xc0 + 0x8140
			if c >= 0xa040 {
				c += 0x4000
			}
		} else {
			c = v/0x60<<8 + v%0x60 + 0xa1a1
			if v/0x60 >= 10 {
				c += 0x0500
			}
		}
		dst = append(dst, byte(c>>8), byte(c))
	}
	return dst, true
}

func (r *bitReader) digits(dst []byte, n int) ([]byte, bool) {
	for n > 0 && !r.short {
		k := min(n, 3)
		v := r.take([]int{0, 4, 7, 10}[k])
		if v >= []int{1, 10, 100, 1000}[k] {
			return dst, false
		}
		for _, unit := range []int{100, 10, 1}[3-k:] {
			dst = append(dst, byte('0'+v/unit%10))
		}
		n -= k
	}
	return dst, !r.short
}

func (r *bitReader) alphanumeric(dst []byte, n int, fnc1 bool) ([]byte, bool) {
	start := len(dst)
	for n > 0 && !r.short {
		if n == 1 {
			v := r.take(6)
			if v >= 45 {
				return dst, false
			}
			dst = append(dst, alnum[v])
			break
		}
		v := r.take(11)
		if v >= 45*45 {
			return dst, false
		}
		dst = append(dst, alnum[v/45], alnum[v%45])
		n -= 2
	}
	if fnc1 {
		out := dst[:start]
		for i := start; i < len(dst); i++ {
			c := dst[i]
			if c == '%' {
				if i+1 < len(dst) && dst[i+1] == '%' {
					i++
				} else {
					c = 0x1d
				}
			}
			out = append(out, c)
		}
		dst = out
	}
	return dst, !r.short
}
