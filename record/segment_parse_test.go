package record

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"testing"
)

// sealingExample reads docs/examples/sealing.json.
func sealingExample(t testing.TB) (v sealingVector, c Context) {
	t.Helper()
	readJSON(t, example("sealing.json"), &v)
	return v, Context{Identity: Identity{Device: [16]byte(v.Context.Device), Epoch: [8]byte(v.Context.Epoch)},
		ID: [16]byte(v.Context.ID), Day: v.DayKey.Day, BeganMS: v.Context.BeganMS, Enc: v.Context.Enc}
}

// exampleWhole is a segment of one row of each kind, the first a scan that is
// sealed as docs/examples/sealing.json shows, with its context.
func exampleWhole(t testing.TB) []byte {
	t.Helper()
	v, c := sealingExample(t)
	sealed, err := ParseRow(v.Rows[0].Row)
	if err != nil {
		t.Fatal(err)
	}
	rows := append([]Row{sealed}, exampleRows()...)
	s := Segment{SegmentKey: SegmentKey{Identity: c.Identity, Number: 1, Day: c.Day, Venue: "mall-north", Hour: SegmentHour(sealed.WallMS)},
		First: 1, Last: uint64(len(rows)), ContextID: c.ID, Context: &c, Rows: rows}
	for i := range rows {
		rows[i].Seq = uint64(i) + 1
		b, err := AppendRow(nil, rows[i])
		if err != nil {
			t.Fatal(err)
		}
		s.Head = s.Head.Next(b)
	}
	b, err := AppendSegment(nil, s, signerOf(testKey("segment")))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Headquarters opens an hour with what stands in its segments and the private
// key of the day, and nothing else.
func TestAnHourOpensByItself(t *testing.T) {
	s, err := ParseSegment(exampleWhole(t))
	if err != nil {
		t.Fatal(err)
	}
	v, _ := sealingExample(t)
	o, err := NewOpener(v.DayKey.Private, *s.Context)
	if err != nil {
		t.Fatal(err)
	}
	if subject, err := o.Open(s.Rows[0]); err != nil || !bytes.Equal(subject, v.Rows[0].Subject) {
		t.Errorf("subject = %x, %v", subject, err)
	}
}

func TestNoBitOfASegmentIsFree(t *testing.T) {
	key := testKey("segment").Public().(ed25519.PublicKey)
	b := exampleWhole(t)
	want, err := ParseSegment(b)
	if err != nil {
		t.Fatal(err)
	}
	for at := range len(b) - ed25519.SignatureSize {
		bit := byte(1) << (at % 8) // another in each byte: all of them would take seconds
		b[at] ^= bit
		if VerifySegment(b, key) {
			t.Errorf("byte %d: the signature holds", at)
		}
		got, err := ParseSegment(b)
		switch {
		case err == nil && reflect.DeepEqual(got, want):
			t.Errorf("byte %d means nothing", at)
		case err != nil && !errors.Is(err, ErrSegment):
			t.Errorf("byte %d: %v, want ErrSegment", at, err)
		}
		b[at] ^= bit
	}
	for n := range b {
		if _, err := ParseSegment(b[:n]); !errors.Is(err, ErrSegment) {
			t.Fatalf("cut after %d bytes: %v, want ErrSegment", n, err)
		}
	}
}

// The bytes that are spoilt here are of docs/examples/segment.json: two scans
// and an event.
func TestParseSegmentRefuses(t *testing.T) {
	s := exampleSegment(t)
	good, err := AppendSegment(nil, s, signerOf(testKey("segment")))
	if err != nil {
		t.Fatal(err)
	}
	f, err := frameOf(good)
	if err != nil {
		t.Fatal(err)
	}
	// In the columns: 3 kinds, 3 qualities, then wall in 2 + 2 + 2 bytes, boot in
	// 16 + 1, monotonic in 3 + 2 + 2, verdicts, reasons and formats in 2 each,
	// trust in 1 + 1, the issuers.
	const boot, issuers = 3 + 3 + 6, 3 + 3 + 6 + 17 + 7 + 6 + 2
	// splice puts with in place of n bytes of the columns and sets their length.
	splice := func(at, n int, with ...byte) []byte {
		at += f.columns
		b := slices.Concat(good[:at], with, good[at+n:])
		binary.BigEndian.PutUint32(b[f.columns-8:], uint32(f.sealed-f.columns+len(with)-n))
		return b
	}
	set := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return b
	}
	if !bytes.Equal(splice(issuers, 8, 2, 5, 'W', 'u', 'h', 'a', 'n', 0), good) {
		t.Fatalf("the columns are not where this test looks: % x", good[f.columns:f.sealed])
	}
	for _, tc := range []struct {
		name string
		b    []byte
	}{
		{"a byte after the end", append(bytes.Clone(good), 0)},
		{"another form", set(6, '2')},
		{"another kind", set(8, 2)},
		{"no rows", set(50, 0)},
		{"more rows than there are", set(50, 4)},
		{"257 rows", func() []byte { b := set(49, 1); b[50] = 1; return b }()},
		{"65535 rows", func() []byte { b := set(49, 255); b[50] = 255; return b }()},
		{"the hour after", set(58, good[58]+1)},
		{"another link before", set(59, good[59]+1)},
		{"another head", set(75, good[75]+1)},
		{"columns that are longer than all", set(f.columns-7, 0xff)},
		{"a sealed column that is longer than all", set(f.columns-3, 0xff)},
		{"a context flag of 2", set(f.columns-9, 2)},
		{"a kind of row that is none", splice(0, 1, 7)},
		{"a clock quality of 4", splice(3, 1, 4)},
		{"a wall time of another hour", splice(6, 2, 0xff, 0xff, 0xff, 3)},
		{"a varint longer than it need be", splice(8, 2, 0x88, 0xa7, 0)},
		{"a varint without an end", splice(6, 2, bytes.Repeat([]byte{0xff}, 11)...)},
		{"a boot run of no rows", splice(boot+16, 1, 0)},
		{"a boot run that is too long", splice(boot+16, 1, 4)},
		{"two boot runs of one boot", splice(boot+16, 1, slices.Concat([]byte{1}, good[f.columns+boot:][:16], []byte{2})...)},
		{"an issuer that no scan names", splice(issuers, 1, 3, 1, 'X')},
		{"an issuer that stands twice", splice(issuers, 8, 2, 5, 'W', 'u', 'h', 'a', 'n', 5, 'W', 'u', 'h', 'a', 'n')},
		{"issuers out of the order of their use", splice(issuers, 10, 2, 0, 5, 'W', 'u', 'h', 'a', 'n', 1, 0)},
		{"an issuer that is not there", splice(issuers+9, 1, 2)},
		{"more issuers than scans", splice(issuers, 1, 0xff, 0xff, 3)},
		{"a sealed flag of 2", splice(issuers+10, 1, 2)},
		{"a sealed scan without a box", splice(issuers+11, 1, 1)},
		{"a box of nobody", splice(issuers+10, 1, 0)},
		{"a body that is longer than all", splice(f.sealed-f.columns-13, 1, 0xff, 0xff, 3)},
		{"something after the columns", splice(f.sealed-f.columns, 0, 0)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := ParseSegment(tc.b); !errors.Is(err, ErrSegment) {
				t.Errorf("got %v, want ErrSegment", err)
			}
		})
	}
}

func TestJoinSegmentRefusesOtherParts(t *testing.T) {
	plain, sealed, err := SplitSegment(exampleWhole(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, parts := range map[string][2][]byte{
		"no boxes": {plain, nil}, "a box too many": {plain, append(bytes.Clone(sealed), 0)}, "no signature": {plain[:len(plain)-1], sealed},
		"nothing": {nil, nil}, "the wrong way round": {sealed, plain},
	} {
		if _, err := JoinSegment(parts[0], parts[1]); !errors.Is(err, ErrSegment) {
			t.Errorf("%s: %v, want ErrSegment", name, err)
		}
	}
}
