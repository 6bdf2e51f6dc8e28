package localdb

import (
	"encoding/binary"
	"errors"

	"checkpoint/record"
)

// The short form is how a row's body stands in the file: what many rows share
// is an id, and times count from the session's. A sealed native scan takes
// about 64 bytes instead of 165. The canonical bytes, over which the chain
// runs, are made from it again (docs/formats.md, "Database file").
//
//	byte 0    kind (bits 0-2), clock quality (bits 3-4), sealed (bit 5)
//	uvarint   session
//	varint    wall time - session's, ms
//	varint    (monotonic time - session's) - (wall time - session's), ms
//	scan      verdict, reason, uvarint judge; sealed: uvarint context, step, index; the rest is the box
//	others    the kind's own canonical bytes
var errShort = errors.New("not a row's short form")

const (
	shortKind    = 0x07
	shortQuality = 3 // shift
	shortSealed  = 0x20
	shortUnused  = 0xc0
)

// shortIDs are the ids that a row's body names.
type shortIDs struct{ session, judge, context uint64 }

func appendShort(b []byte, d record.Draft, base session, ids shortIDs) []byte {
	scan, isScan := d.Body.(record.Scan)
	sealed := isScan && len(scan.Sealed.Box) > 0
	first := byte(d.Body.Kind()) | d.Quality<<shortQuality
	if sealed {
		first |= shortSealed
	}
	b = append(b, first)
	b = binary.AppendUvarint(b, ids.session)
	// Differences wrap around, so every pair of times has a form.
	wall := d.WallMS - base.wall
	mono := int64(d.MonoMS - base.mono)
	b = binary.AppendVarint(b, wall)
	b = binary.AppendVarint(b, mono-wall)
	if !isScan {
		return record.AppendBody(b, d.Body)
	}
	b = append(b, scan.Verdict, scan.Reason)
	b = binary.AppendUvarint(b, ids.judge)
	if !sealed {
		return b
	}
	b = binary.AppendUvarint(b, ids.context)
	b = binary.AppendUvarint(b, uint64(scan.Sealed.Step))
	b = binary.AppendUvarint(b, uint64(scan.Sealed.Index))
	return append(b, scan.Sealed.Box...)
}

// parseShort reads a short form; identity and number are the caller's.
func (n *names) parseShort(b []byte) (record.Row, error) {
	var r record.Row
	p := shortParser{rest: b}
	first := p.byte()
	base, ok := n.session(p.uvarint())
	wall := p.varint()
	drift := p.varint()
	if p.bad || !ok || first&shortUnused != 0 {
		return r, errShort
	}
	r.Quality = first >> shortQuality & 3
	r.Boot = base.boot
	r.WallMS = base.wall + wall
	r.MonoMS = base.mono + uint64(drift+wall)
	kind := record.Kind(first & shortKind)
	if kind != record.KindScan {
		if first&shortSealed != 0 {
			return r, errShort
		}
		body, err := record.ParseBody(kind, p.rest)
		r.Body = body
		return r, err
	}
	scan := record.Scan{Verdict: p.byte(), Reason: p.byte()}
	j, ok := n.judge(p.uvarint())
	if p.bad || !ok {
		return r, errShort
	}
	scan.Format, scan.Issuer, scan.Trust = j.format, j.issuer, j.trust
	if first&shortSealed != 0 {
		context, ok := n.context(p.uvarint())
		step, index := p.uvarint(), p.uvarint()
		if p.bad || !ok || step > 1<<32-1 || index > 1<<32-1 || len(p.rest) == 0 {
			return r, errShort
		}
		scan.Sealed = record.Sealed{Context: context, Step: uint32(step), Index: uint32(index),
			Box: append([]byte(nil), p.rest...)}
		p.rest = nil
	}
	if len(p.rest) != 0 {
		return r, errShort
	}
	r.Body = scan
	return r, nil
}

type shortParser struct {
	rest []byte
	bad  bool
}

func (p *shortParser) byte() byte {
	if len(p.rest) == 0 {
		p.bad = true
		return 0
	}
	b := p.rest[0]
	p.rest = p.rest[1:]
	return b
}

func (p *shortParser) uvarint() uint64 {
	v, n := binary.Uvarint(p.rest)
	if n <= 0 {
		p.bad, p.rest = true, nil
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

func (p *shortParser) varint() int64 {
	v, n := binary.Varint(p.rest)
	if n <= 0 {
		p.bad, p.rest = true, nil
		return 0
	}
	p.rest = p.rest[n:]
	return v
}
