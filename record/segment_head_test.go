package record

import (
	"errors"
	"slices"
	"testing"
)

func TestSegmentHead(t *testing.T) {
	head := slices.Concat([]byte(segmentMagic), []byte{kindRows}, make([]byte, 16+8), []byte{0, 0, 0, 0, 0, 0, 0, 9}, []byte{0, 0, 0, 0, 0, 0, 0, 5}, []byte{0, 3},
		make([]byte, 8+32), []byte("\x0a2026-11-25\x04mall"), []byte("and then nothing that is a segment"))
	c, err := SegmentHead(head)
	if err != nil || c.Number != 9 || c.First != 5 || c.Last != 7 || c.Day != "2026-11-25" || c.Venue != "mall" || c.SHA256 != SegmentDigest(head) {
		t.Errorf("head = %+v, %v", c, err)
	}
	for _, tc := range []struct {
		name   string
		change func(b []byte) []byte
		want   error
	}{
		{"a newer form", func(b []byte) []byte { b[6] = '2'; return b }, ErrNewerSegment},
		{"a kind that is not known", func(b []byte) []byte { b[8] = 2; return b }, ErrNewerSegment},
		{"other bytes", func(b []byte) []byte { b[0] = 'x'; return b }, ErrSegment},
		{"cut off", func(b []byte) []byte { return b[:segmentHead-1] }, ErrSegment},
		{"no number", func(b []byte) []byte { b[40] = 0; return b }, ErrSegment},
		{"no rows", func(b []byte) []byte { b[50] = 0; return b }, ErrSegment},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := SegmentHead(tc.change(slices.Clone(head))); !errors.Is(err, tc.want) {
				t.Errorf("error = %v, want %v", err, tc.want)
			}
		})
	}
}

func FuzzSegmentHead(f *testing.F) {
	f.Add([]byte(segmentMagic + "\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := SegmentHead(b)
		if err == nil && (c.Number == 0 || c.First == 0 || c.Last < c.First) {
			t.Errorf("head = %+v", c)
		}
		if s, parsed := ParseSegment(b); parsed == nil && (err != nil || c.SegmentKey != s.SegmentKey || c.First != s.First || c.Last != s.Last) {
			t.Errorf("a segment that parses has another head: %+v, %v", c, err)
		}
	})
}
