package record

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func anyBody(t *rapid.T) Body {
	switch Kind(rapid.IntRange(1, 6).Draw(t, "kind")) {
	case KindScan:
		s := Scan{Verdict: rapid.Uint8Range(1, 255).Draw(t, "verdict"), Reason: rapid.Uint8().Draw(t, "reason"),
			Format: rapid.Uint8().Draw(t, "format"), Issuer: CutIssuer(rapid.String().Draw(t, "issuer")), Trust: rapid.Uint64().Draw(t, "trust")}
		if rapid.Bool().Draw(t, "sealed") {
			n := sizeFor(s.Format) + 16
			s.Sealed = Sealed{Context: [16]byte{1, 2}, Step: rapid.Uint32().Draw(t, "step"), Index: rapid.Uint32().Draw(t, "index"),
				Box: rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "box")}
		}
		return s
	case KindChoice:
		return Choice{To: rapid.Uint64Min(1).Draw(t, "to"), Choice: rapid.Uint8Range(1, 255).Draw(t, "choice")}
	case KindVoid:
		return Void{To: rapid.Uint64Min(1).Draw(t, "to")}
	case KindManual:
		return Manual{Class: rapid.Uint8Range(1, 255).Draw(t, "class"), Allowed: rapid.Bool().Draw(t, "allowed")}
	case KindEvent:
		return Event{Code: EventCode(rapid.Uint16Min(1).Draw(t, "code")), Value: rapid.Int64().Draw(t, "value"),
			Text: CutText(rapid.String().Draw(t, "text"))}
	}
	c := Count{Hour: rapid.Int64().Draw(t, "hour"), Unrecorded: rapid.Uint64().Draw(t, "unrecorded")}
	for i := range rapid.IntRange(0, 20).Draw(t, "tallies") {
		c.Tallies = append(c.Tallies, Tally{Verdict: uint8(i / 3), Reason: uint8(i % 3), N: rapid.Uint32Min(1).Draw(t, "n")})
	}
	return c
}

func anyRow(t *rapid.T) Row {
	return Row{
		Identity: Identity{Device: [16]byte{3}, Epoch: [8]byte{4}},
		Seq:      rapid.Uint64Min(1).Draw(t, "seq"),
		Stamp: Stamp{WallMS: rapid.Int64().Draw(t, "wall"), Quality: rapid.Uint8Range(0, 3).Draw(t, "quality"),
			Boot: [16]byte{5}, MonoMS: rapid.Uint64().Draw(t, "mono")},
		Body: anyBody(t),
	}
}

func TestEveryRowHasOneForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyRow(t)
		b, err := AppendRow(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > MaxRow {
			t.Fatalf("row of %d bytes", len(b))
		}
		got, err := ParseRow(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
		}
		// No byte can be left off or put on.
		if _, err := ParseRow(b[:len(b)-1]); !errors.Is(err, ErrRow) {
			t.Fatalf("short by one: %v", err)
		}
		if _, err := ParseRow(append(b, 0)); !errors.Is(err, ErrRow) {
			t.Fatalf("long by one: %v", err)
		}
	})
}

func TestParseRowRefuses(t *testing.T) {
	row := Row{Seq: 1, Body: Manual{Class: 1, Allowed: true}}
	good, err := AppendRow(nil, row)
	if err != nil {
		t.Fatal(err)
	}
	with := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return b
	}
	for _, tc := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, ErrRow},
		{"version 0", with(0, 0), ErrRow},
		{"version 2", with(0, 2), ErrNewerRow},
		{"kind 0", with(1, 0), ErrRow},
		{"kind 7", with(1, 7), ErrRow},
		{"number 0", with(33, 0), ErrRow},
		{"clock quality 4", with(42, 4), ErrRow},
		{"allowed neither 0 nor 1", with(len(good)-1, 2), ErrRow},
		{"too long", make([]byte, MaxRow+1), ErrRow},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := ParseRow(tc.b); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		body Body
	}{
		{"no body", nil},
		{"scan without a verdict", Scan{}},
		{"issuer too long", Scan{Verdict: 1, Issuer: strings.Repeat("x", MaxIssuer+1)}},
		{"issuer not UTF-8", Scan{Verdict: 1, Issuer: "\xff"}},
		{"native box in a foreign row", Scan{Verdict: 1, Format: 2, Sealed: Sealed{Box: make([]byte, 48)}}},
		{"box of another size", Scan{Verdict: 1, Format: 1, Sealed: Sealed{Box: make([]byte, 47)}}},
		{"context without a box", Scan{Verdict: 1, Sealed: Sealed{Index: 1}}},
		{"choice about nothing", Choice{Choice: 1}},
		{"no choice", Choice{To: 1}},
		{"void of nothing", Void{}},
		{"manual without a class", Manual{}},
		{"event without a code", Event{}},
		{"event text too long", Event{Code: 1, Text: strings.Repeat("x", MaxText+1)}},
		{"tallies out of order", Count{Tallies: []Tally{{2, 1, 1}, {1, 1, 1}}}},
		{"tally twice", Count{Tallies: []Tally{{1, 1, 1}, {1, 1, 1}}}},
		{"empty tally", Count{Tallies: []Tally{{1, 1, 0}}}},
		{"too many tallies", Count{Tallies: make([]Tally, MaxTallies+1)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := AppendRow(nil, Row{Seq: 1, Body: tc.body}); !errors.Is(err, ErrRow) {
				t.Errorf("got %v, want ErrRow", err)
			}
		})
	}
}

func TestLargestCountFits(t *testing.T) {
	c := Count{}
	for i := range MaxTallies {
		c.Tallies = append(c.Tallies, Tally{uint8(i >> 8), uint8(i), 1})
	}
	b, err := AppendRow(nil, Row{Seq: 1, Body: c})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseRow(b); err != nil {
		t.Errorf("%d bytes: %v", len(b), err)
	}
}

func TestCut(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"short stays", "CN-420100", "CN-420100"},
		{"cut between characters", strings.Repeat("x", 62) + "汉字", strings.Repeat("x", 62)},
		{"exactly full", strings.Repeat("x", 61) + "汉", strings.Repeat("x", 61) + "汉"},
		{"broken UTF-8", "a\xffb", "a?b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := CutIssuer(tc.in); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestLinkSeesEveryChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, err := AppendRow(nil, anyRow(t))
		if err != nil {
			t.Fatal(err)
		}
		before := Link{9}
		want := before.Next(b)
		b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if before.Next(b) == want || (Link{8}).Next(b) == want {
			t.Fatal("a changed row has the same link")
		}
	})
}

func FuzzParseRow(f *testing.F) {
	for _, body := range []Body{
		Scan{Verdict: 1, Format: 1, Issuer: "CN", Sealed: Sealed{Box: make([]byte, 48)}},
		Choice{To: 1, Choice: 1}, Void{To: 1}, Manual{Class: 1}, Event{Code: 1, Text: "x"},
		Count{Tallies: []Tally{{1, 1, 1}}},
	} {
		b, err := AppendRow(nil, Row{Seq: 1, Body: body})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		row, err := ParseRow(b)
		if err != nil {
			if !errors.Is(err, ErrRow) && !errors.Is(err, ErrNewerRow) {
				t.Fatalf("error without a kind: %v", err)
			}
			return
		}
		again, err := AppendRow(nil, row)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("parsed %x, wrote %x, %v", b, again, err)
		}
	})
}
