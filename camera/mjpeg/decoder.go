package mjpeg

import (
	"bytes"
	"errors"
	"fmt"
)

// Errors of Decode. Details are wrapped around them.
var (
	// ErrUnsupported: a JPEG, but none that this package reads.
	ErrUnsupported = errors.New("JPEG of a kind that is not read here")
	// ErrFrame: no JPEG, or one without a single row that can be read.
	ErrFrame = errors.New("not a usable JPEG frame")
	// ErrSize: more pixels than Decoder.Pixels.
	ErrSize = errors.New("JPEG frame too large")
)

// Scale is the size of the picture that is wanted.
type Scale int

// The scales.
const (
	Full   Scale = 8 // pixels of a block's side
	Half   Scale = 4
	Eighth Scale = 1
)

// Picture is the luma of a frame.
type Picture struct {
	Luma   []byte // Width × Height, rows top to bottom, no padding
	Width  int    // of the frame, divided by the scale, rounded up
	Height int
	// Damaged says that a part could not be read: it is middle grey.
	Damaged bool
}

// Decoder reads frames. Its zero value is ready; it is for one goroutine.
type Decoder struct {
	Pixels int // the most that a frame may have; 0: 64 million

	quant    [4][64]int32 // in natural order
	known    [4]bool
	dc, ac   [4]table
	standard bool // the tables are those of Annex K.3
	width    int
	height   int
	parts    [3]component
	n        int // of parts
	most     struct{ h, v int }
	interval int // blocks of MCUs between restart markers; 0 none
	rows     []byte
	stream   bits
	block    [64]int32
}

// component is one of luma and the two colours.
type component struct {
	id    byte
	h, v  int
	quant byte
	dc    byte
	ac    byte
	mean  int32 // of the block before
}

// JPEG markers (T.81 table B.1).
const (
	soi, eoi, sos, dqt, dht, dri = 0xd8, 0xd9, 0xda, 0xdb, 0xc4, 0xdd
	sof0, sof1, sof15            = 0xc0, 0xc1, 0xcf
	jpg, dac                     = 0xc8, 0xcc
	tem, rst0, rst7              = 0x01, 0xd0, 0xd7
)

// Decode reads the luma of one frame into dst, which grows as needed. b is not
// kept. What is behind the first scan that holds luma is not read.
func (d *Decoder) Decode(b, dst []byte, scale Scale) (Picture, error) {
	if len(b) < 4 || b[0] != 0xff || b[1] != soi {
		return Picture{}, ErrFrame
	}
	d.width, d.interval, d.n = 0, 0, 0
	d.known = [4]bool{}
	tables := false
	for at := 2; ; {
		n := bytes.IndexByte(b[at:], 0xff)
		if n < 0 || at+n+4 > len(b) {
			return Picture{}, fmt.Errorf("%w: it ends in its headers", ErrFrame)
		}
		at += n
		m := b[at+1]
		if m == 0xff {
			at++
			continue
		}
		if m == 0 || m == tem || m == soi || m >= rst0 && m <= rst7 {
			at += 2
			continue
		}
		size := int(b[at+2])<<8 | int(b[at+3])
		if m == eoi || size < 2 || at+2+size > len(b) {
			return Picture{}, fmt.Errorf("%w: it ends in its headers", ErrFrame)
		}
		segment := b[at+4 : at+2+size]
		at += 2 + size
		var err error
		switch {
		case m == dqt:
			err = d.steps(segment)
		case m == dht:
			if !tables {
				d.forget()
			}
			tables = true
			err = d.codes(segment)
		case m == dri:
			if len(segment) < 2 {
				return Picture{}, ErrFrame
			}
			d.interval = int(segment[0])<<8 | int(segment[1])
		case m == sof0 || m == sof1:
			err = d.frame(segment)
		case m > sof1 && m <= sof15 && m != dht && m != jpg && m != dac:
			err = fmt.Errorf("%w: SOF%d", ErrUnsupported, m-sof0)
		case m == sos:
			if !tables {
				d.standards()
			}
			p, done, err := d.scan(segment, b, at, dst, scale)
			if done || err != nil {
				return p, err
			}
		}
		if err != nil {
			return Picture{}, err
		}
	}
}

// forget drops the tables of the frame before.
func (d *Decoder) forget() {
	for i := range d.dc {
		d.dc[i].set, d.ac[i].set = false, false
	}
	d.standard = false
}

// standards puts in the tables of Annex K.3, if they are not there.
func (d *Decoder) standards() {
	if d.standard {
		return
	}
	d.forget()
	d.standard = d.codes([]byte(standardTables)) == nil
}

// steps reads the quantiser's tables (T.81 B.2.4.1).
func (d *Decoder) steps(b []byte) error {
	for len(b) > 0 {
		wide, id := b[0]>>4, b[0]&15
		size := 64
		if wide == 1 {
			size = 128
		}
		if wide > 1 || id > 3 || len(b) < 1+size {
			return fmt.Errorf("%w: quantiser", ErrFrame)
		}
		for k := range 64 {
			v := int32(b[1+k])
			if wide == 1 {
				v = int32(b[1+2*k])<<8 | int32(b[2+2*k])
			}
			d.quant[id][zigzag[k]] = v
		}
		d.known[id] = true
		b = b[1+size:]
	}
	return nil
}

// codes reads Huffman tables (T.81 B.2.4.2).
func (d *Decoder) codes(b []byte) error {
	for len(b) > 0 {
		if len(b) < 17 || b[0]&15 > 3 || b[0]>>4 > 1 {
			return fmt.Errorf("%w: Huffman table", ErrFrame)
		}
		n := 0
		for _, c := range b[1:17] {
			n += int(c)
		}
		if n > 256 || len(b) < 17+n {
			return fmt.Errorf("%w: Huffman table", ErrFrame)
		}
		t := &d.dc[b[0]&15]
		if b[0]>>4 == 1 {
			t = &d.ac[b[0]&15]
		}
		if !t.make(b[1:17], b[17:17+n]) {
			return fmt.Errorf("%w: Huffman table", ErrFrame)
		}
		b = b[17+n:]
	}
	return nil
}

// frame reads the frame's header (T.81 B.2.2).
func (d *Decoder) frame(b []byte) error {
	if d.n != 0 || len(b) < 6 || len(b) != 6+3*int(b[5]) {
		return fmt.Errorf("%w: frame header", ErrFrame)
	}
	d.height, d.width, d.n = int(b[1])<<8|int(b[2]), int(b[3])<<8|int(b[4]), int(b[5])
	if b[0] != 8 || d.n != 1 && d.n != 3 {
		return fmt.Errorf("%w: %d bits, %d components", ErrUnsupported, b[0], d.n)
	}
	most := d.Pixels
	if most <= 0 {
		most = 64_000_000
	}
	switch {
	case d.height == 0 || d.width == 0:
		return fmt.Errorf("%w: %d × %d pixels", ErrUnsupported, d.width, d.height)
	case d.width > most/d.height:
		return fmt.Errorf("%w: %d × %d pixels", ErrSize, d.width, d.height)
	}
	d.most.h, d.most.v = 0, 0
	for i := range d.n {
		c := &d.parts[i]
		*c = component{id: b[6+3*i], h: int(b[7+3*i] >> 4), v: int(b[7+3*i] & 15), quant: b[8+3*i]}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.quant > 3 {
			return fmt.Errorf("%w: component %d", ErrFrame, i)
		}
		d.most.h, d.most.v = max(d.most.h, c.h), max(d.most.v, c.v)
	}
	if y := d.parts[0]; y.h != d.most.h || y.v != d.most.v {
		return fmt.Errorf("%w: luma is coarser than colour", ErrUnsupported)
	}
	// RGB frames say so by their ids; their first component is no luma.
	if d.n == 3 && d.parts[0].id == 'R' && d.parts[1].id == 'G' && d.parts[2].id == 'B' {
		return fmt.Errorf("%w: RGB", ErrUnsupported)
	}
	return nil
}

// scan reads a scan (T.81 B.2.3) whose data begin at at. done is false when it
// holds no luma.
func (d *Decoder) scan(b, data []byte, at int, dst []byte, scale Scale) (p Picture, done bool, err error) {
	if d.n == 0 || len(b) < 1 || b[0] < 1 || int(b[0]) > d.n || len(b) != 4+2*int(b[0]) {
		return p, false, fmt.Errorf("%w: scan header", ErrFrame)
	}
	var order [3]*component
	luma := false
	for i := range int(b[0]) {
		for j := range d.n {
			if c := &d.parts[j]; c.id == b[1+2*i] && order[i] == nil {
				order[i] = c
				c.dc, c.ac = b[2+2*i]>>4, b[2+2*i]&15
				luma = luma || j == 0
			}
		}
		c := order[i]
		if c == nil || c.dc > 3 || c.ac > 3 || i > 0 && (order[0] == c || i > 1 && order[1] == c) {
			return p, false, fmt.Errorf("%w: scan header", ErrFrame)
		}
		if !d.dc[c.dc].set || !d.ac[c.ac].set || !d.known[c.quant] {
			return p, false, fmt.Errorf("%w: a table is missing", ErrFrame)
		}
	}
	if !luma {
		return p, false, nil
	}
	p, err = d.pixels(order[:b[0]], data, at, dst, scale)
	return p, true, err
}

// pixels reads the data of a scan.
func (d *Decoder) pixels(order []*component, data []byte, at int, dst []byte, scale Scale) (Picture, error) {
	y := &d.parts[0]
	across, down := y.h, y.v // luma blocks of an MCU
	if len(order) == 1 {
		across, down = 1, 1 // T.81 A.2.2: not interleaved
	}
	side := int(scale)
	mcusX := (d.width + 8*across - 1) / (8 * across)
	mcusY := (d.height + 8*down - 1) / (8 * down)
	p := Picture{Width: (d.width*side + 7) / 8, Height: (d.height*side + 7) / 8}
	stride, strip := mcusX*across*side, down*side
	if n := stride * strip; cap(d.rows) < n {
		d.rows = make([]byte, n)
	}
	rows := d.rows[:stride*strip]
	if n := p.Width * p.Height; cap(dst) < n {
		dst = make([]byte, n)
	}
	p.Luma = dst[:p.Width*p.Height]

	s := &d.stream
	s.start(data, at)
	d.restart(order)
	left, next := d.interval, byte(0) // MCUs to the next restart marker, and which it is
	lost := false                     // until then, or to the end
	skip, read := 0, 0                // intervals to leave out, MCUs that were read
	for my := range mcusY {
		for mx := range mcusX {
			if d.interval > 0 && left == 0 {
				if skip > 0 {
					skip--
				} else {
					skip = s.restart(next)
				}
				if lost = skip > 0; !lost {
					d.restart(order)
				}
				next, left = (next+1)&7, d.interval
			}
			left--
			if !lost {
				if lost = !d.mcu(order, rows[mx*across*side:], stride, scale) || s.spent(); !lost {
					read++
					continue
				}
			}
			p.Damaged = true
			for r := range strip {
				row := rows[r*stride+mx*across*side:][:across*side]
				for i := range row {
					row[i] = 128
				}
			}
		}
		for r := range min(strip, p.Height-my*strip) {
			copy(p.Luma[(my*strip+r)*p.Width:][:p.Width], rows[r*stride:])
		}
	}
	if read == 0 {
		return Picture{}, fmt.Errorf("%w: nothing of it can be read", ErrFrame)
	}
	return p, nil
}

// restart begins anew after a restart marker.
func (d *Decoder) restart(order []*component) {
	for _, c := range order {
		c.mean = 0
	}
}

// mcu reads the blocks that belong together (T.81 A.2.3).
func (d *Decoder) mcu(order []*component, dst []byte, stride int, scale Scale) bool {
	s := &d.stream
	for _, c := range order {
		h, v := c.h, c.v
		if len(order) == 1 {
			h, v = 1, 1
		}
		colour := c != &d.parts[0]
		dc, ac, q := &d.dc[c.dc], &d.ac[c.ac], &d.quant[c.quant]
		for y := range v {
			for x := range h {
				diff, ok := s.dc(dc)
				if !ok {
					return false
				}
				if colour || scale == Eighth {
					if !s.pass(ac) {
						return false
					}
				}
				if colour {
					continue
				}
				c.mean += diff
				at := dst[(y*stride+x)*int(scale):]
				if scale == Eighth {
					at[0] = mean(c.mean * q[0])
					continue
				}
				if !d.luma(c, ac, q, at, stride, scale) {
					return false
				}
			}
		}
	}
	return true
}

// luma reads and transforms one block.
func (d *Decoder) luma(c *component, ac *table, q *[64]int32, dst []byte, stride int, scale Scale) bool {
	last, ok := d.stream.ac(ac, q, &d.block)
	if last == 0 {
		v := mean(c.mean * q[0])
		for y := range int(scale) {
			row := dst[y*stride:][:scale]
			for i := range row {
				row[i] = v
			}
		}
	} else {
		d.block[0] = c.mean * q[0]
		if scale == Full {
			inverse8(&d.block, last, dst, stride)
		} else {
			inverse4(&d.block, dst, stride)
		}
		clear(d.block[:])
	}
	return ok
}
