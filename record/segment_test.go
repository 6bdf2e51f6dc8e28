package record

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func signerOf(key ed25519.PrivateKey) Signer {
	return func(digest [32]byte) [64]byte { return SignSegment(digest, key) }
}

// anySegment is a segment of any rows that may stand together.
func anySegment(t *rapid.T) Segment {
	s := Segment{SegmentKey: SegmentKey{
		Identity: testID, Number: rapid.Uint64Range(1, math.MaxInt64).Draw(t, "number"),
		Venue: rapid.StringMatching(`[A-Za-z西直门 ]{1,20}`).Draw(t, "venue"),
		Hour:  rapid.Int64Range(math.MinInt64/stepMS, math.MaxInt64/stepMS-1).Draw(t, "hour"),
	}, First: rapid.Uint64Range(1, 1<<60).Draw(t, "first")}
	copy(s.Before[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "before"))
	n := rapid.IntRange(1, 40).Draw(t, "rows")
	s.Last = s.First + uint64(n) - 1
	s.Day = DayOf(s.Hour)
	link := s.Before
	for i := range n {
		r := Row{Identity: testID, Seq: s.First + uint64(i), Stamp: Stamp{
			WallMS:  s.Hour*stepMS + rapid.Int64Range(0, stepMS-1).Draw(t, "ms"),
			Quality: rapid.Uint8Range(0, 3).Draw(t, "quality"), MonoMS: rapid.Uint64().Draw(t, "mono"),
			Boot: [16]byte{rapid.Uint8Range(0, 2).Draw(t, "boot")},
		}, Body: anyBody(t)}
		if scan, ok := r.Body.(Scan); ok && len(scan.Sealed.Box) > 0 {
			s.ContextID, s.Day = scan.Sealed.Context, "2026-11-23"
		}
		full, err := AppendRow(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		link = link.Next(full)
		s.Rows = append(s.Rows, r)
	}
	s.Head = link
	if s.ContextID != [16]byte{} && rapid.Bool().Draw(t, "carries its context") {
		s.Context = &Context{Identity: testID, ID: s.ContextID, Day: s.Day, BeganMS: 7, Enc: bytes.Repeat([]byte{9}, encSize)}
	}
	return s
}

func TestSegmentComesBack(t *testing.T) {
	key := testKey("segment")
	rapid.Check(t, func(t *rapid.T) {
		s := anySegment(t)
		b, err := AppendSegment(nil, s, signerOf(key))
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseSegment(b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(*got, s) {
			t.Fatalf("got %+v\nwant %+v", *got, s)
		}
		if !VerifySegment(b, key.Public().(ed25519.PublicKey)) || VerifySegment(b, testKey("other").Public().(ed25519.PublicKey)) {
			t.Fatal("the signature does not tell its key")
		}
		plain, sealed, err := SplitSegment(b)
		if err != nil {
			t.Fatal(err)
		}
		if whole, err := JoinSegment(plain, sealed); err != nil || !bytes.Equal(whole, b) {
			t.Fatalf("split and joined: %v", err)
		}
		at := rapid.IntRange(0, len(b)-1).Draw(t, "byte")
		b[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if VerifySegment(b, key.Public().(ed25519.PublicKey)) {
			t.Fatal("a changed bit leaves the signature whole")
		}
	})
}

func TestSegmentRefuses(t *testing.T) {
	key := testKey("segment")
	base := func() Segment {
		s := Segment{SegmentKey: SegmentKey{Identity: testID, Number: 1, Venue: "V", Hour: 495000, Day: DayOf(495000)}, First: 5, Last: 6}
		for i := range 2 {
			s.Rows = append(s.Rows, Row{Identity: testID, Seq: 5 + uint64(i), Stamp: Stamp{WallMS: 495000*stepMS + int64(i)}, Body: Void{To: 1}})
		}
		for _, r := range s.Rows {
			full, err := AppendRow(nil, r)
			if err != nil {
				t.Fatal(err)
			}
			s.Head = s.Head.Next(full)
		}
		return s
	}
	if _, err := AppendSegment(nil, base(), signerOf(key)); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		spoil func(*Segment)
	}{
		{"no rows", func(s *Segment) { s.Rows = nil }},
		{"number 0", func(s *Segment) { s.Number = 0 }},
		{"a number that no store holds", func(s *Segment) { s.Number = 1 << 63 }},
		{"a row that no store counts", func(s *Segment) { s.First, s.Last, s.Rows[0].Seq, s.Rows[1].Seq = 1<<63-1, 1<<63, 1<<63-1, 1<<63 }},
		{"a row of the next hour", func(s *Segment) { s.Rows[1].WallMS += stepMS }},
		{"a row out of order", func(s *Segment) { s.Rows[0], s.Rows[1] = s.Rows[1], s.Rows[0] }},
		{"a row of another epoch", func(s *Segment) { s.Rows[1].Epoch[0]++ }},
		{"a chain that leads elsewhere", func(s *Segment) { s.Head[3]++ }},
		{"another day than that of the hour", func(s *Segment) { s.Day = "2001-01-01" }},
		{"a venue with a line end", func(s *Segment) { s.Venue = "a\nb" }},
		{"a context and nothing sealed", func(s *Segment) { s.ContextID[0] = 1 }},
		{"more rows than numbers", func(s *Segment) { s.Last++ }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := base()
			tc.spoil(&s)
			if _, err := AppendSegment(nil, s, signerOf(key)); !errors.Is(err, ErrSegment) {
				t.Errorf("got %v, want ErrSegment", err)
			}
		})
	}
}

func TestSegmentHour(t *testing.T) {
	for _, tc := range []struct {
		ms, hour int64
		day      string
	}{
		{0, 0, "1970-01-01"}, {-1, -1, "1969-12-31"}, {stepMS - 1, 0, "1970-01-01"}, {stepMS, 1, "1970-01-01"},
		{24*stepMS - 1, 23, "1970-01-01"}, {24 * stepMS, 24, "1970-01-02"}, {math.MaxInt64, math.MaxInt64 / stepMS, "9999-12-31"},
		{math.MinInt64, math.MinInt64/stepMS - 1, "0001-01-01"},
	} {
		if h := SegmentHour(tc.ms); h != tc.hour || DayOf(h) != tc.day {
			t.Errorf("%d: hour %d of %s, want %d of %s", tc.ms, h, DayOf(h), tc.hour, tc.day)
		}
	}
}

func FuzzParseSegment(f *testing.F) {
	f.Add([]byte(segmentMagic))
	rapid.Check(f, func(t *rapid.T) {
		b, err := AppendSegment(nil, anySegment(t), signerOf(testKey("segment")))
		if err == nil && len(b) < 4<<10 {
			f.Add(b)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSegment(b)
		if err != nil {
			if !errors.Is(err, ErrSegment) {
				t.Fatalf("got %v", err)
			}
			return
		}
		again, err := AppendSegment(nil, *s, func([32]byte) [64]byte { return [64]byte(b[len(b)-64:]) })
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("a segment has two forms: %v", err)
		}
	})
}

func FuzzSplitSegment(f *testing.F) {
	b, err := AppendSegment(nil, Segment{}, nil)
	f.Add(b, b)
	_ = err
	f.Fuzz(func(t *testing.T, b, sealed []byte) {
		if plain, boxes, err := SplitSegment(b); err == nil {
			if whole, err := JoinSegment(plain, boxes); err != nil || !bytes.Equal(whole, b) {
				t.Fatalf("split and joined: %v", err)
			}
		}
		JoinSegment(b, sealed)
	})
}
