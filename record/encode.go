package record

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf8"

	"golang.org/x/crypto/chacha20poly1305"
)

// rowVersion is the first byte of every row's canonical form.
const rowVersion = 1

// headSize is the part that all kinds share: version, kind, device, epoch,
// seq, wall, quality, boot, mono.
const headSize = 1 + 1 + 16 + 8 + 8 + 8 + 1 + 16 + 8

// AppendRow appends the canonical bytes of r to b (docs/formats.md, "Rows"):
// big-endian, fixed width but for texts, the sealed box and tallies, which
// carry their length. A row has exactly one form. It returns ErrRow when r
// breaks a limit.
func AppendRow(b []byte, r Row) ([]byte, error) {
	if err := r.Check(); err != nil {
		return b, err
	}
	return appendRow(b, &r), nil
}

// appendRow is AppendRow of a row that Check has passed.
func appendRow(b []byte, r *Row) []byte {
	b = append(b, rowVersion, byte(r.Body.Kind()))
	b = append(b, r.Device[:]...)
	b = append(b, r.Epoch[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(r.WallMS))
	b = append(b, r.Quality)
	b = append(b, r.Boot[:]...)
	b = binary.BigEndian.AppendUint64(b, r.MonoMS)
	return r.Body.append(b)
}

// AppendBody appends the part of a row's canonical bytes that is its kind's
// own. The body is one that Check accepts.
func AppendBody(b []byte, body Body) []byte { return body.append(b) }

// Check reports with ErrRow what keeps r from being a row.
func (r Row) Check() error {
	if r.Seq == 0 {
		return fmt.Errorf("%w: number 0", ErrRow)
	}
	return Draft{Stamp: r.Stamp, Body: r.Body}.Check()
}

// Check reports with ErrRow what keeps d from becoming a row.
func (d Draft) Check() error {
	if d.Body == nil {
		return fmt.Errorf("%w: no body", ErrRow)
	}
	if d.Quality > 3 {
		return fmt.Errorf("%w: clock quality %d", ErrRow, d.Quality)
	}
	return d.Body.check()
}

func (s Scan) check() error {
	switch {
	case s.Verdict == 0:
		return fmt.Errorf("%w: scan without a verdict", ErrRow)
	case len(s.Issuer) > MaxIssuer || !utf8.ValidString(s.Issuer):
		return fmt.Errorf("%w: issuer of %d bytes", ErrRow, len(s.Issuer))
	}
	switch len(s.Sealed.Box) {
	case 0:
		if s.Sealed.Context != [16]byte{} || s.Sealed.Step != 0 || s.Sealed.Index != 0 {
			return fmt.Errorf("%w: sealing context without a box", ErrRow)
		}
		return nil
	case sizeFor(s.Format) + chacha20poly1305.Overhead:
		return nil
	}
	return fmt.Errorf("%w: sealed box of %d bytes for format %d", ErrRow, len(s.Sealed.Box), s.Format)
}

func (s Scan) append(b []byte) []byte {
	b = append(b, s.Verdict, s.Reason, s.Format)
	b = binary.BigEndian.AppendUint64(b, s.Trust)
	b = appendText(b, s.Issuer)
	b = append(b, byte(len(s.Sealed.Box)))
	if len(s.Sealed.Box) == 0 {
		return b
	}
	b = append(b, s.Sealed.Context[:]...)
	b = binary.BigEndian.AppendUint32(b, s.Sealed.Step)
	b = binary.BigEndian.AppendUint32(b, s.Sealed.Index)
	return append(b, s.Sealed.Box...)
}

func (c Choice) check() error {
	if c.To == 0 || c.Choice == 0 {
		return fmt.Errorf("%w: choice %d about row %d", ErrRow, c.Choice, c.To)
	}
	return nil
}

func (c Choice) append(b []byte) []byte {
	return append(binary.BigEndian.AppendUint64(b, c.To), c.Choice)
}

func (v Void) check() error {
	if v.To == 0 {
		return fmt.Errorf("%w: void of row 0", ErrRow)
	}
	return nil
}

func (v Void) append(b []byte) []byte { return binary.BigEndian.AppendUint64(b, v.To) }

func (m Manual) check() error {
	if m.Class == 0 {
		return fmt.Errorf("%w: manual card without a class", ErrRow)
	}
	return nil
}

func (m Manual) append(b []byte) []byte {
	if m.Allowed {
		return append(b, m.Class, 1)
	}
	return append(b, m.Class, 0)
}

func (e Event) check() error {
	if e.Code == 0 || len(e.Text) > MaxText || !utf8.ValidString(e.Text) {
		return fmt.Errorf("%w: event %d with %d bytes of text", ErrRow, e.Code, len(e.Text))
	}
	return nil
}

func (e Event) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(e.Code))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Value))
	return appendText(b, e.Text)
}

func (c Count) check() error {
	if len(c.Tallies) > MaxTallies {
		return fmt.Errorf("%w: %d tallies", ErrRow, len(c.Tallies))
	}
	// One form only: sorted, no pair twice, no empty tally.
	if !slices.IsSortedFunc(c.Tallies, compareTally) {
		return fmt.Errorf("%w: tallies out of order", ErrRow)
	}
	for i, t := range c.Tallies {
		if t.N == 0 || i > 0 && compareTally(c.Tallies[i-1], t) == 0 {
			return fmt.Errorf("%w: tally empty or twice", ErrRow)
		}
	}
	return nil
}

func compareTally(a, b Tally) int {
	if a.Verdict != b.Verdict {
		return int(a.Verdict) - int(b.Verdict)
	}
	return int(a.Reason) - int(b.Reason)
}

func (c Count) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(c.Hour))
	b = binary.BigEndian.AppendUint64(b, c.Unrecorded)
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.Tallies)))
	for _, t := range c.Tallies {
		b = binary.BigEndian.AppendUint32(append(b, t.Verdict, t.Reason), t.N)
	}
	return b
}

// appendText appends a length byte and the text, which is at most 255 bytes.
func appendText(b []byte, s string) []byte {
	return append(append(b, byte(len(s))), s...)
}

// CutIssuer cuts s to MaxIssuer bytes at a character boundary and takes broken
// UTF-8 out of it. It does not sanitise: that is done before.
func CutIssuer(s string) string { return cut(s, MaxIssuer) }

// CutText does for Event.Text what CutIssuer does for Scan.Issuer.
func CutText(s string) string { return cut(s, MaxText) }

func cut(s string, limit int) string {
	out := make([]byte, 0, min(len(s), limit))
	for _, r := range s {
		if r == utf8.RuneError {
			r = '?'
		}
		if len(out)+utf8.RuneLen(r) > limit {
			break
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}
