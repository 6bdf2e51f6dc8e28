package decode

import (
	"bytes"
	"errors"
	"testing"
)

// stream writes bit fields for tests.
type stream struct {
	data []byte
	n    int
}

func (s *stream) put(v, bits int) *stream {
	for i := bits - 1; i >= 0; i-- {
		if s.n%8 == 0 {
			s.data = append(s.data, 0)
		}
		s.data[s.n/8] |= byte(v>>i&1) << (7 - s.n%8)
		s.n++
	}
	return s
}

func (s *stream) bytes(b string) *stream {
	for _, c := range []byte(b) {
		s.put(int(c), 8)
	}
	return s
}

func TestParseSegments(t *testing.T) {
	for _, tc := range []struct {
		name    string
		version int
		stream  *stream
		want    string
		part    Part
	}{
		// ISO/IEC 18004:2015 §7.4.3, the standard's own example.
		{"numeric", 1, new(stream).put(1, 4).put(8, 10).put(12, 10).put(345, 10).put(67, 7).put(0, 4), "01234567", Part{}},
		{"numeric, one digit over", 1, new(stream).put(1, 4).put(4, 10).put(1, 10).put(9, 4).put(0, 4), "0019", Part{}},
		// §7.4.4, the same.
		{"alphanumeric", 1, new(stream).put(2, 4).put(5, 9).put(10*45+12, 11).put(41*45+4, 11).put(2, 6).put(0, 4), "AC-42", Part{}},
		{"alphanumeric, longer count from version 10", 10, new(stream).put(2, 4).put(1, 11).put(44, 6).put(0, 4), ":", Part{}},
		{"bytes stay bytes", 1, new(stream).put(4, 4).put(3, 8).put(0xff, 8).put(0, 8).put(0x81, 8).put(0, 4), "\xff\x00\x81", Part{}},
		{"bytes, 16-bit count from version 10", 27, new(stream).put(4, 4).put(2, 16).bytes("hi").put(0, 4), "hi", Part{}},
		// §7.4.6: 点 is 935F, 茗 is E4AA in Shift JIS.
		{"kanji", 1, new(stream).put(8, 4).put(2, 8).put(0xd9f, 13).put(0x1aaa, 13).put(0, 4), "\x93\x5f\xe4\xaa", Part{}},
		{"hanzi", 1, new(stream).put(13, 4).put(1, 4).put(1, 8).put(0x60*15+1, 13).put(0, 4), "\xb5\xa2", Part{}},
		{"eci is left out", 1, new(stream).put(7, 4).put(26, 8).put(4, 4).put(1, 8).bytes("x").put(0, 4), "x", Part{}},
		{"eci of two bytes", 1, new(stream).put(7, 4).put(0x8101, 16).put(4, 4).put(1, 8).bytes("x").put(0, 4), "x", Part{}},
		{"eci of three bytes", 1, new(stream).put(7, 4).put(0xc10203, 24).put(4, 4).put(1, 8).bytes("x").put(0, 4), "x", Part{}},
		{"several segments", 1, new(stream).put(4, 4).put(1, 8).bytes("a").put(1, 4).put(1, 10).put(7, 4).put(0, 4), "a7", Part{}},
		{"no terminator at the end", 1, new(stream).put(4, 4).put(1, 8).bytes("a"), "a", Part{}},
		{"part of a message", 1, new(stream).put(3, 4).put(1, 4).put(3, 4).put(0x5a, 8).put(4, 4).put(1, 8).bytes("b").put(0, 4), "b", Part{1, 4, 0x5a}},
		{"GS1 separator", 1, new(stream).put(5, 4).put(2, 4).put(4, 9).put(38*45+10, 11).put(38*45+38, 11).put(0, 4), "\x1dA%", Part{}},
		{"empty", 1, new(stream).put(0, 4), "", Part{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, part, err := parseSegments([]byte("before"), tc.stream.data, tc.version)
			if err != nil || string(got) != "before"+tc.want || part != tc.part {
				t.Errorf("got %q, %+v, %v, want %q, %+v", got, part, err, tc.want, tc.part)
			}
		})
	}
	for name, s := range map[string]*stream{
		"numeric over 999":       new(stream).put(1, 4).put(3, 10).put(1000, 10),
		"two digits over 99":     new(stream).put(1, 4).put(2, 10).put(100, 7),
		"alphanumeric over 2024": new(stream).put(2, 4).put(2, 9).put(2025, 11),
		"alphanumeric over 44":   new(stream).put(2, 4).put(1, 9).put(45, 6),
		"bytes past the end":     new(stream).put(4, 4).put(200, 8).bytes("short"),
		"kanji past the end":     new(stream).put(8, 4).put(200, 8).bytes("short"),
		"count past the end":     new(stream).put(4, 4),
		"unknown mode":           new(stream).put(15, 4).put(0, 12),
		"hanzi of another set":   new(stream).put(13, 4).put(2, 4).put(1, 8).put(1, 13),
		"part 3 of 2":            new(stream).put(3, 4).put(3, 4).put(1, 4).put(0, 8),
		"eci of four ones":       new(stream).put(7, 4).put(0xf0, 8).put(0, 8),
	} {
		t.Run(name, func(t *testing.T) {
			if got, _, err := parseSegments(nil, s.data, 1); !errors.Is(err, errStream) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func FuzzParseSegments(f *testing.F) {
	f.Add([]byte{0x10, 0x20, 0x0c, 0x56, 0x61, 0x80}, 1)
	f.Add(new(stream).put(3, 4).put(1, 4).put(3, 4).put(0x5a, 8).put(4, 4).put(1, 8).bytes("b").data, 7)
	f.Add(new(stream).put(5, 4).put(2, 4).put(4, 9).put(38*45+10, 11).put(38*45+38, 11).data, 9)
	f.Add(new(stream).put(8, 4).put(2, 8).put(0xd9f, 13).put(0x1aaa, 13).put(7, 4).put(26, 8).data, 40)
	f.Fuzz(func(t *testing.T, data []byte, version int) {
		version = 1 + int(uint(version)%40)
		got, _, err := parseSegments([]byte("x"), data, version)
		if len(got) > 1+len(data)*8*3/10 {
			t.Fatalf("%d bytes out of %d", len(got), len(data))
		}
		if err == nil && !bytes.HasPrefix(got, []byte("x")) {
			t.Fatal("what stood before is gone")
		}
	})
}
