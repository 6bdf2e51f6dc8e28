package record

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	segmentMagic  = "ckseg/1\n"
	segmentDomain = "checkpoint segment 1\x00"
	kindRows      = 1 // the segment's kind; 2 is kept for what people write
	segmentHead   = len(segmentMagic) + 1 + 16 + 8 + 8 + 8 + 2 + 8 + 16 + 16
	maxNumber     = math.MaxInt64 // of a segment and of a row in it: stores count with a sign
)

// SegmentHour is the hour of a wall time, counted from 1970, rounded down.
func SegmentHour(wallMS int64) int64 {
	h := wallMS / stepMS
	if wallMS%stepMS < 0 {
		h--
	}
	return h
}

// DayOf is the UTC date of an hour: the day of rows that are not sealed.
func DayOf(hour int64) string {
	// Ten years of a wrong clock, either way, are a date; what is no date of four
	// digits is clamped, so that it is always ten characters.
	const least, most = -62135596800 / 3600, 253402300799 / 3600
	return time.Unix(min(max(hour, least), most)*3600, 0).UTC().Format(time.DateOnly)
}

// ValidDay reports whether s can name a day: 1 to 16 of A-Z a-z 0-9 _ -.
func ValidDay(s string) bool {
	if len(s) < 1 || len(s) > 16 {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// ValidVenue reports whether s can name a venue: 1 to MaxVenue bytes of UTF-8
// without control characters.
func ValidVenue(s string) bool {
	if len(s) < 1 || len(s) > MaxVenue || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return false
		}
	}
	return true
}

// check reports with ErrSegment what keeps s from being a segment, but for its
// chain. sealed is how many bytes its boxes take.
func (s *Segment) check() (sealed int, err error) {
	bad := func(format string, a ...any) (int, error) {
		return 0, fmt.Errorf("%w: %w", ErrSegment, fmt.Errorf(format, a...))
	}
	n := len(s.Rows)
	switch {
	case n == 0 || n > MaxSegmentRows:
		return bad("%d rows", n)
	case s.Number == 0 || s.First == 0 || s.Last-s.First != uint64(n)-1 || s.Last < s.First:
		return bad("number %d, rows %d to %d, which are %d", s.Number, s.First, s.Last, n)
	case s.Number > maxNumber || s.Last > maxNumber:
		return bad("number %d, rows %d to %d: no store counts so far", s.Number, s.First, s.Last)
	case !ValidDay(s.Day):
		return bad("day of %d bytes", len(s.Day))
	case !ValidVenue(s.Venue):
		return bad("venue of %d bytes", len(s.Venue))
	}
	for i := range s.Rows {
		r := &s.Rows[i]
		if r.Identity != s.Identity || r.Seq != s.First+uint64(i) {
			return bad("row %d is not in its place", r.Seq)
		}
		if err := r.Check(); err != nil {
			return bad("row %d: %w", r.Seq, err)
		}
		if SegmentHour(r.WallMS) != s.Hour {
			return bad("row %d is of another hour", r.Seq)
		}
		if scan, ok := r.Body.(Scan); ok && len(scan.Sealed.Box) > 0 {
			if scan.Sealed.Context != s.ContextID {
				return bad("row %d is sealed in another context", r.Seq)
			}
			sealed += len(scan.Sealed.Box)
		}
	}
	if sealed == 0 && s.ContextID != [16]byte{} {
		return bad("a context without a sealed row")
	}
	if sealed > 0 && s.ContextID == [16]byte{} {
		return bad("sealed rows without a context")
	}
	if sealed == 0 && s.Day != DayOf(s.Hour) {
		return bad("day %s of rows that are not sealed, in an hour of %s", s.Day, DayOf(s.Hour))
	}
	if c := s.Context; c != nil {
		switch {
		case c.ID != s.ContextID || sealed == 0:
			return bad("it carries a context that is not its own")
		case c.Identity != s.Identity || c.Day != s.Day || len(c.Enc) != encSize:
			return bad("its context is of another device, epoch or day")
		}
	}
	return sealed, nil
}

// checkChain reports with ErrSegment that the chain of rows, which check has
// passed, does not lead from Before to Head.
func (s *Segment) checkChain() error {
	link, b := s.Before, make([]byte, 0, 512)
	for i := range s.Rows {
		// As Link.Next does, without a hash to allocate for each row.
		b = append(b[:0], link[:]...)
		b = appendRow(b, &s.Rows[i])
		sum := sha256.Sum256(b)
		link = Link(sum[:len(link)])
	}
	if link != s.Head {
		return fmt.Errorf("%w: the chain does not lead to its head", ErrSegment)
	}
	return nil
}

// AppendSegment appends the signed bytes of s to b (docs/formats.md,
// "Segment"). The same segment and signer give the same bytes for ever: what
// was sent once may be sent again after a restart or a newer program. It
// returns ErrSegment when the rows do not make a segment: among others when
// their chain does not lead from Before to Head.
func AppendSegment(b []byte, s Segment, sign Signer) ([]byte, error) {
	start := len(b)
	sealed, err := s.check()
	if err != nil {
		return b, err
	}
	b = append(b, segmentMagic...)
	b = append(b, kindRows)
	b = append(b, s.Device[:]...)
	b = append(b, s.Epoch[:]...)
	b = binary.BigEndian.AppendUint64(b, s.Number)
	b = binary.BigEndian.AppendUint64(b, s.First)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.Rows)))
	b = binary.BigEndian.AppendUint64(b, uint64(s.Hour))
	b = append(b, s.Before[:]...)
	b = append(b, s.Head[:]...)
	b = appendText(b, s.Day)
	b = appendText(b, s.Venue)
	b = append(b, s.ContextID[:]...)
	if s.Context == nil {
		b = append(b, 0)
	} else {
		b = append(b, 1)
		b = binary.BigEndian.AppendUint64(b, s.Context.BeganMS)
		b = append(b, s.Context.Enc...)
	}
	lengths := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(sealed))
	if b, err = appendColumns(b, s.Rows, s.Hour); err != nil {
		return b[:start], err
	}
	binary.BigEndian.PutUint32(b[lengths:], uint32(len(b)-lengths-8))
	if err := s.checkChain(); err != nil {
		return b[:start], err
	}
	for i := range s.Rows {
		if scan, ok := s.Rows[i].Body.(Scan); ok {
			b = append(b, scan.Sealed.Box...)
		}
	}
	if len(b)-start+ed25519.SignatureSize > MaxSegment {
		return b[:start], fmt.Errorf("%w: %d bytes", ErrSegment, len(b)-start)
	}
	signature := sign(sha256.Sum256(b[start:]))
	return append(b, signature[:]...), nil
}

// appendColumns appends what rows say, a field at a time.
func appendColumns(b []byte, rows []Row, hour int64) ([]byte, error) {
	for i := range rows {
		b = append(b, byte(rows[i].Body.Kind()))
	}
	for i := range rows {
		b = append(b, rows[i].Quality)
	}
	wall := hour * stepMS
	for i := range rows {
		b = binary.AppendVarint(b, rows[i].WallMS-wall)
		wall = rows[i].WallMS
	}
	for i := 0; i < len(rows); {
		n := 1
		for i+n < len(rows) && rows[i+n].Boot == rows[i].Boot {
			n++
		}
		b = append(b, rows[i].Boot[:]...)
		b = binary.AppendUvarint(b, uint64(n))
		i += n
	}
	var mono uint64
	for i := range rows {
		b = binary.AppendVarint(b, int64(rows[i].MonoMS-mono))
		mono = rows[i].MonoMS
	}
	scans := make([]Scan, 0, len(rows))
	for i := range rows {
		if s, ok := rows[i].Body.(Scan); ok {
			scans = append(scans, s)
		}
	}
	b = appendScans(b, scans)
	body := make([]byte, 0, 256)
	for i := range rows {
		if _, ok := rows[i].Body.(Scan); ok {
			continue
		}
		body = AppendBody(body[:0], rows[i].Body)
		b = binary.AppendUvarint(b, uint64(len(body)))
		b = append(b, body...)
	}
	return b, nil
}

func appendScans(b []byte, scans []Scan) []byte {
	for i := range scans {
		b = append(b, scans[i].Verdict)
	}
	for i := range scans {
		b = append(b, scans[i].Reason)
	}
	for i := range scans {
		b = append(b, scans[i].Format)
	}
	var trust uint64
	for i := range scans {
		b = binary.AppendVarint(b, int64(scans[i].Trust-trust))
		trust = scans[i].Trust
	}
	var issuers []string
	at := make([]int, len(scans))
	for i := range scans {
		if at[i] = slices.Index(issuers, scans[i].Issuer); at[i] < 0 {
			at[i] = len(issuers)
			issuers = append(issuers, scans[i].Issuer)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(issuers)))
	for _, name := range issuers {
		b = appendText(b, name)
	}
	for _, i := range at {
		b = append(b, byte(i))
	}
	for i := range scans {
		if len(scans[i].Sealed.Box) > 0 {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	var step, index uint32
	for i := range scans {
		if len(scans[i].Sealed.Box) > 0 {
			b = binary.AppendVarint(b, int64(scans[i].Sealed.Step)-int64(step))
			step = scans[i].Sealed.Step
		}
	}
	for i := range scans {
		if len(scans[i].Sealed.Box) > 0 {
			b = binary.AppendVarint(b, int64(scans[i].Sealed.Index)-int64(index))
			index = scans[i].Sealed.Index
		}
	}
	return b
}

// frame is where the parts of a segment's bytes lie.
type frame struct {
	columns int // where the columns begin
	sealed  int // where the sealed column begins
	end     int // where the signature begins
}

// frameOf finds the parts of b without reading what they say.
func frameOf(b []byte) (f frame, err error) {
	bad := fmt.Errorf("%w: %d bytes", ErrSegment, len(b))
	if len(b) > MaxSegment {
		return f, bad
	}
	columns, sealed, err := headLengths(b)
	if err != nil {
		return f, err
	}
	f.columns = columns.at
	f.sealed = columns.at + columns.n
	f.end = f.sealed + sealed
	if f.end+ed25519.SignatureSize != len(b) {
		return f, bad
	}
	return f, nil
}

type part struct{ at, n int }

// headLengths reads the two lengths at the end of the header; b may end after
// them.
func headLengths(b []byte) (columns part, sealed int, err error) {
	bad := fmt.Errorf("%w: %d bytes", ErrSegment, len(b))
	if len(b) < segmentHead || string(b[:len(segmentMagic)]) != segmentMagic {
		return columns, 0, bad
	}
	at := segmentHead
	for range 2 { // day, venue
		if at >= len(b) {
			return columns, 0, bad
		}
		at += 1 + int(b[at])
	}
	if at+17 > len(b) {
		return columns, 0, bad
	}
	switch b[at+16] {
	case 0:
		at += 17
	case 1:
		at += 17 + 8 + encSize
	default:
		return columns, 0, bad
	}
	if at+8 > len(b) {
		return columns, 0, bad
	}
	n, m := binary.BigEndian.Uint32(b[at:]), binary.BigEndian.Uint32(b[at+4:])
	if n > MaxSegment || m > MaxSegment {
		return columns, 0, bad
	}
	return part{at + 8, int(n)}, int(m), nil
}

// ParseSegment reads a segment and proves that its rows lie in its key and that
// their chain leads from Before to Head. It does not look at the signature: see
// VerifySegment. It returns ErrSegment for everything else; the segment keeps
// no part of b.
func ParseSegment(b []byte) (*Segment, error) {
	f, err := frameOf(b)
	if err != nil {
		return nil, err
	}
	p := parser{rest: b[len(segmentMagic):f.columns]}
	if kind := p.byte(); kind != kindRows {
		return nil, fmt.Errorf("%w: kind %d", ErrSegment, kind)
	}
	s := new(Segment)
	copy(s.Device[:], p.take(16))
	copy(s.Epoch[:], p.take(8))
	s.Number, s.First = p.uint64(), p.uint64()
	n := int(p.uint16())
	s.Last = s.First + uint64(n) - 1
	s.Hour = int64(p.uint64())
	copy(s.Before[:], p.take(16))
	copy(s.Head[:], p.take(16))
	s.Day, s.Venue = p.text(), p.text()
	copy(s.ContextID[:], p.take(16))
	if p.byte() == 1 {
		s.Context = &Context{Identity: s.Identity, ID: s.ContextID, Day: s.Day, BeganMS: p.uint64()}
		s.Context.Enc = bytes.Clone(p.take(encSize))
	}
	p.take(8)
	if p.bad || len(p.rest) != 0 || n == 0 || n > MaxSegmentRows {
		return nil, fmt.Errorf("%w: header", ErrSegment)
	}
	if err := s.parseColumns(b[f.columns:f.sealed], bytes.Clone(b[f.sealed:f.end]), n); err != nil {
		return nil, err
	}
	if _, err := s.check(); err != nil {
		return nil, err
	}
	if err := s.checkChain(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Segment) parseColumns(columns, boxes []byte, n int) error {
	p := parser{rest: columns}
	if len(columns) < 4*n {
		return fmt.Errorf("%w: %d rows in %d bytes", ErrSegment, n, len(columns))
	}
	s.Rows = make([]Row, n)
	kinds := p.take(n)
	scans := 0
	for i := range s.Rows {
		s.Rows[i].Identity, s.Rows[i].Seq = s.Identity, s.First+uint64(i)
		if Kind(kinds[i]) == KindScan {
			scans++
		}
	}
	for i, q := range p.take(n) {
		s.Rows[i].Quality = q
	}
	wall := s.Hour * stepMS
	for i := range s.Rows {
		wall += p.varint()
		s.Rows[i].WallMS = wall
	}
	for i := 0; i < n && !p.bad; {
		var boot [16]byte
		copy(boot[:], p.take(16))
		run := p.uvarint()
		if run == 0 || run > uint64(n-i) || i > 0 && boot == s.Rows[i-1].Boot {
			p.bad = true
			break
		}
		for range run {
			s.Rows[i].Boot = boot
			i++
		}
	}
	var mono uint64
	for i := range s.Rows {
		mono += uint64(p.varint())
		s.Rows[i].MonoMS = mono
	}
	all := p.scans(scans, boxes, s.ContextID)
	for i := range s.Rows {
		if p.bad {
			break
		}
		if Kind(kinds[i]) == KindScan {
			s.Rows[i].Body = all[0]
			all = all[1:]
			continue
		}
		size := p.uvarint()
		if size > uint64(len(p.rest)) {
			p.bad = true
			break
		}
		body, err := ParseBody(Kind(kinds[i]), p.take(int(size)))
		if err != nil {
			return fmt.Errorf("%w: row %d: %w", ErrSegment, s.Rows[i].Seq, err)
		}
		s.Rows[i].Body = body
	}
	if p.bad || len(p.rest) != 0 {
		return fmt.Errorf("%w: columns", ErrSegment)
	}
	return nil
}

// scans reads the columns of n scans; boxes is the sealed column, used up.
func (p *parser) scans(n int, boxes []byte, context [16]byte) []Scan {
	all := make([]Scan, n)
	for i, v := range p.take(n) {
		all[i].Verdict = v
	}
	for i, v := range p.take(n) {
		all[i].Reason = v
	}
	for i, v := range p.take(n) {
		all[i].Format = v
	}
	var trust uint64
	for i := range all {
		trust += uint64(p.varint())
		all[i].Trust = trust
	}
	names := p.uvarint()
	if names > uint64(n) {
		p.bad = true
		return nil
	}
	issuers := make([]string, names)
	for i := range issuers {
		if issuers[i] = p.text(); slices.Contains(issuers[:i], issuers[i]) {
			p.bad = true
		}
	}
	used := 0 // names stand in the order of their first use, and each is used
	for i, at := range p.take(n) {
		if int(at) > used || int(at) >= len(issuers) {
			p.bad = true
			return nil
		}
		if int(at) == used {
			used++
		}
		all[i].Issuer = issuers[at]
	}
	p.bad = p.bad || used != len(issuers)
	flags := p.take(n)
	for i, sealed := range flags {
		if sealed > 1 {
			p.bad = true
		}
		if sealed == 0 {
			continue
		}
		size := sizeFor(all[i].Format) + chacha20poly1305.Overhead
		if size > len(boxes) {
			p.bad = true
			return nil
		}
		all[i].Sealed.Context = context
		all[i].Sealed.Box = boxes[:size:size]
		boxes = boxes[size:]
	}
	p.bad = p.bad || len(boxes) != 0
	var step, index int64
	for i := range all {
		if flags[i] == 1 {
			all[i].Sealed.Step = p.uint32From(&step)
		}
	}
	for i := range all {
		if flags[i] == 1 {
			all[i].Sealed.Index = p.uint32From(&index)
		}
	}
	return all
}

// uint32From reads a difference to the value before.
func (p *parser) uint32From(last *int64) uint32 {
	d := p.varint()
	if d > 1<<32 || d < -1<<32 {
		p.bad = true
		return 0
	}
	*last += d
	if *last < 0 || *last > 1<<32-1 {
		p.bad = true
		*last = 0
	}
	return uint32(*last)
}

func (p *parser) uvarint() uint64 {
	v, n := binary.Uvarint(p.rest)
	// One form only: the last byte of a longer one is not zero.
	if p.bad || n <= 0 || n > 1 && p.rest[n-1] == 0 {
		p.bad = true
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

func (p *parser) varint() int64 {
	u := p.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// SignSegment is a Signer's work: the Ed25519 signature over "checkpoint
// segment 1" ‖ 00 ‖ digest, where digest is SHA-256 of all bytes before the
// signature.
func SignSegment(digest [32]byte, key ed25519.PrivateKey) (signature [ed25519.SignatureSize]byte) {
	copy(signature[:], ed25519.Sign(key, append([]byte(segmentDomain), digest[:]...)))
	return signature
}

// VerifySegment reports whether b ends with the signature by key of what stands
// before it.
func VerifySegment(b []byte, key ed25519.PublicKey) bool {
	if len(key) != ed25519.PublicKeySize || len(b) < ed25519.SignatureSize {
		return false
	}
	end := len(b) - ed25519.SignatureSize
	digest := sha256.Sum256(b[:end])
	return ed25519.Verify(key, append([]byte(segmentDomain), digest[:]...), b[end:])
}

// SegmentDigest is what receipts bind: SHA-256 of all bytes of a segment.
func SegmentDigest(b []byte) [32]byte { return sha256.Sum256(b) }

// SplitSegment takes the sealed column out of a segment's bytes: plain is what
// stands before it and the signature. Both are copies.
func SplitSegment(b []byte) (plain, sealed []byte, err error) {
	f, err := frameOf(b)
	if err != nil {
		return nil, nil, err
	}
	plain = make([]byte, 0, len(b)-(f.end-f.sealed))
	plain = append(append(plain, b[:f.sealed]...), b[f.end:]...)
	return plain, bytes.Clone(b[f.sealed:f.end]), nil
}

// JoinSegment puts together what SplitSegment took apart.
func JoinSegment(plain, sealed []byte) ([]byte, error) {
	columns, n, err := headLengths(plain)
	if err != nil {
		return nil, err
	}
	at := columns.at + columns.n
	if n != len(sealed) || at+ed25519.SignatureSize != len(plain) || len(plain)+n > MaxSegment {
		return nil, fmt.Errorf("%w: %d and %d bytes do not fit together", ErrSegment, len(plain), len(sealed))
	}
	b := make([]byte, 0, len(plain)+n)
	b = append(append(b, plain[:at]...), sealed...)
	return append(b, plain[at:]...), nil
}
