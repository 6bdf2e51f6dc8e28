package record

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// ParseRow reads one canonical row. It refuses anything but the one form that
// AppendRow writes, with ErrRow, or ErrNewerRow for a version it does not
// know. The row keeps no part of b.
func ParseRow(b []byte) (Row, error) {
	if len(b) == 0 || len(b) > MaxRow {
		return Row{}, fmt.Errorf("%w: %d bytes", ErrRow, len(b))
	}
	if b[0] != rowVersion {
		if b[0] > rowVersion {
			return Row{}, fmt.Errorf("%w: %d", ErrNewerRow, b[0])
		}
		return Row{}, fmt.Errorf("%w: version %d", ErrRow, b[0])
	}
	if len(b) < headSize {
		return Row{}, fmt.Errorf("%w: %d bytes", ErrRow, len(b))
	}
	p := parser{rest: b[1:]}
	kind := Kind(p.byte())
	var r Row
	copy(r.Device[:], p.take(16))
	copy(r.Epoch[:], p.take(8))
	r.Seq = p.uint64()
	r.WallMS = int64(p.uint64())
	r.Quality = p.byte()
	copy(r.Boot[:], p.take(16))
	r.MonoMS = p.uint64()
	r.Body = p.body(kind)
	if p.bad || len(p.rest) != 0 {
		return Row{}, fmt.Errorf("%w: %s of %d bytes", ErrRow, kind, len(b))
	}
	return r, r.Check()
}

// ParseBody reads what AppendBody wrote, with ErrRow for anything else.
func ParseBody(kind Kind, b []byte) (Body, error) {
	if len(b) > MaxRow {
		return nil, fmt.Errorf("%w: body of %d bytes", ErrRow, len(b))
	}
	p := parser{rest: b}
	body := p.body(kind)
	if p.bad || len(p.rest) != 0 {
		return nil, fmt.Errorf("%w: %s body of %d bytes", ErrRow, kind, len(b))
	}
	return body, body.check()
}

// parser takes fields off the front. After a short read it is bad, and every
// field is zero.
type parser struct {
	rest []byte
	bad  bool
}

func (p *parser) take(n int) []byte {
	if p.bad || len(p.rest) < n {
		p.bad = true
		return make([]byte, n) // n is a constant or one length byte: small
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

func (p *parser) byte() byte     { return p.take(1)[0] }
func (p *parser) uint16() uint16 { return binary.BigEndian.Uint16(p.take(2)) }
func (p *parser) uint32() uint32 { return binary.BigEndian.Uint32(p.take(4)) }
func (p *parser) uint64() uint64 { return binary.BigEndian.Uint64(p.take(8)) }

func (p *parser) text() string {
	b := p.take(int(p.byte()))
	if !utf8.Valid(b) {
		p.bad = true
	}
	return string(b)
}

func (p *parser) body(kind Kind) Body {
	switch kind {
	case KindScan:
		return p.scan()
	case KindChoice:
		return Choice{To: p.uint64(), Choice: p.byte()}
	case KindVoid:
		return Void{To: p.uint64()}
	case KindManual:
		m := Manual{Class: p.byte()}
		allowed := p.byte()
		m.Allowed = allowed == 1
		p.bad = p.bad || allowed > 1
		return m
	case KindEvent:
		return Event{Code: EventCode(p.uint16()), Value: int64(p.uint64()), Text: p.text()}
	case KindCount:
		return p.count()
	}
	p.bad = true
	return Void{}
}

func (p *parser) scan() Scan {
	s := Scan{Verdict: p.byte(), Reason: p.byte(), Format: p.byte(), Trust: p.uint64(), Issuer: p.text()}
	n := int(p.byte())
	if n == 0 {
		return s
	}
	copy(s.Sealed.Context[:], p.take(16))
	s.Sealed.Step = p.uint32()
	s.Sealed.Index = p.uint32()
	s.Sealed.Box = append([]byte(nil), p.take(n)...)
	return s
}

func (p *parser) count() Count {
	c := Count{Hour: int64(p.uint64()), Unrecorded: p.uint64()}
	n := int(p.uint16())
	if n > MaxTallies || len(p.rest) < 6*n {
		p.bad = true
		return c
	}
	for range n {
		c.Tallies = append(c.Tallies, Tally{Verdict: p.byte(), Reason: p.byte(), N: p.uint32()})
	}
	return c
}
