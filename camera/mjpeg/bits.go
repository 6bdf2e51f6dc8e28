package mjpeg

import (
	"bytes"
	"encoding/binary"
)

// bits reads entropy-coded data: bytes most significant bit first, a zero byte
// after each 0xff, up to the next marker (T.81 F.1.2.3). Behind the end come
// zeros; over counts how many of the bits taken were none.
type bits struct {
	data []byte
	at   int
	acc  uint64 // the next bits, at the top
	n    uint   // how many of them are there
	end  bool   // a marker, or the end of the data, was met
	over uint   // bits of acc that are no data
}

func (b *bits) start(data []byte, at int) { *b = bits{data: data, at: at} }

// fill makes at least 48 bits ready.
func (b *bits) fill() {
	if b.n >= 48 {
		return
	}
	if b.at+8 <= len(b.data) && !b.end {
		v := binary.BigEndian.Uint64(b.data[b.at:])
		if x := ^v; (x-0x0101010101010101)&^x&0x8080808080808080 == 0 { // no byte is 0xff
			b.acc |= v >> b.n
			take := (64 - b.n) / 8
			b.at += int(take)
			b.n += 8 * take
			b.acc &= ^uint64(0) << (64 - b.n)
			return
		}
	}
	for b.n <= 56 {
		if !b.end && b.at >= len(b.data) {
			b.end = true
		}
		if b.end {
			b.over += 8
			b.n += 8
			continue
		}
		c := b.data[b.at]
		if c == 0xff {
			if b.at+1 >= len(b.data) || b.data[b.at+1] != 0 {
				b.end = true
				continue
			}
			b.at++
		}
		b.at++
		b.acc |= uint64(c) << (56 - b.n)
		b.n += 8
	}
}

func (b *bits) skip(n uint) {
	b.acc <<= n
	b.n -= n
}

// spent reports whether more was taken than there was.
func (b *bits) spent() bool { return b.over > b.n }

// slow decodes a code that is longer than fastBits; 0 bits: there is none such.
func (t *table) slow(acc uint64) (symbol uint8, n uint) {
	top := int32(acc >> 48)
	for k := fastBits + 1; k <= 16; k++ {
		if top < t.most[k] {
			return t.value[uint8(t.least[k]+top>>(16-k))], uint(k)
		}
	}
	return 0, 0
}

// restart goes behind the next restart marker, which should be number next of 0
// to 7. It tells how many intervals are missing before it: many when there is
// no such marker any more.
func (b *bits) restart(next byte) (missing int) {
	const none = 1 << 30
	for at := b.at; at+1 < len(b.data); at++ {
		if b.data[at] != 0xff {
			n := bytes.IndexByte(b.data[at:], 0xff)
			if n < 0 {
				return none
			}
			if at += n; at+1 >= len(b.data) {
				return none
			}
		}
		m := b.data[at+1]
		if m == eoi {
			return none
		}
		if m < rst0 || m > rst7 {
			continue
		}
		b.start(b.data, at+2)
		if missing = int(m-rst0-next) & 7; missing > 4 {
			missing = 0 // one of before: its number is damaged
		}
		return missing
	}
	return none
}
