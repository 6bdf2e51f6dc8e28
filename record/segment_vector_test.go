package record

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// segmentExample is docs/examples/segment.json: the Ed25519 keys have the seeds
// SHA-256("segment") and SHA-256("receipt").
type segmentExample struct {
	Segment string `json:"segment"`
	SHA256  string `json:"sha256"`
	Receipt string `json:"receipt"`
	Whole   string `json:"segment_with_context"`
}

const segmentFile = "../docs/examples/segment.json"

func exampleSegment(t testing.TB) Segment {
	t.Helper()
	const hour = 498_000
	s := Segment{
		SegmentKey: SegmentKey{Identity: testID, Number: 3, Day: "2026-10-24", Venue: "西直门 Line 2", Hour: hour},
		First:      101, Last: 103, Before: Link{1, 2, 3}, ContextID: [16]byte{0xc0},
	}
	boot := [16]byte{0xb0}
	s.Rows = []Row{
		{Identity: testID, Seq: 101, Stamp: Stamp{WallMS: hour*stepMS + 5000, Quality: 3, Boot: boot, MonoMS: 60_000}, Body: Scan{
			Verdict: 1, Reason: 1, Format: 1, Issuer: "Wuhan", Trust: 17,
			Sealed: Sealed{Context: s.ContextID, Step: 2, Index: 40, Box: bytes.Repeat([]byte{0x5e}, 48)},
		}},
		{Identity: testID, Seq: 102, Stamp: Stamp{WallMS: hour*stepMS + 7500, Quality: 3, Boot: boot, MonoMS: 62_500}, Body: Scan{Verdict: 9, Reason: 16}},
		{Identity: testID, Seq: 103, Stamp: Stamp{WallMS: hour*stepMS + 9000, Quality: 3, Boot: boot, MonoMS: 64_000}, Body: Event{Code: EventHandover, Text: "7"}},
	}
	s.Head = s.Before
	for _, r := range s.Rows {
		full, err := AppendRow(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		s.Head = s.Head.Next(full)
	}
	return s
}

// What a gate cut last year must have the same bytes today.
func TestSegmentVector(t *testing.T) {
	s := exampleSegment(t)
	b, err := AppendSegment(nil, s, signerOf(testKey("segment")))
	if err != nil {
		t.Fatal(err)
	}
	r := SignReceipt(Receipt{Identity: s.Identity, Number: s.Number, First: s.First, Last: s.Last, SHA256: SegmentDigest(b),
		TimeMS: 1_792_800_030_000, Disposition: Stored}, testKey("receipt"))
	sum := SegmentDigest(b)
	got := segmentExample{hex.EncodeToString(b), hex.EncodeToString(sum[:]), hex.EncodeToString(AppendReceipt(nil, r)), hex.EncodeToString(exampleWhole(t))}
	if *update {
		text, err := json.MarshalIndent(got, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(segmentFile, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(segmentFile)
	if err != nil {
		t.Fatal(err)
	}
	var want segmentExample
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestReceipt(t *testing.T) {
	key := testKey("receipt")
	public := key.Public().(ed25519.PublicKey)
	r := SignReceipt(Receipt{Identity: testID, Number: 3, First: 5, Last: 9, SHA256: [32]byte{7}, TimeMS: 1, Disposition: Refused, Reason: ForVenue}, key)
	b := AppendReceipt(nil, r)
	got, err := ParseReceipt(b)
	if err != nil || got != r || len(b) != ReceiptSize || !got.Verify(public) || got.Verify(testKey("other").Public().(ed25519.PublicKey)) {
		t.Fatalf("got %+v, %v, want %+v", got, err, r)
	}
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 4
		if changed, err := ParseReceipt(c); err == nil && changed.Verify(public) {
			t.Errorf("byte %d may be changed", i)
		}
	}
	cut := Cut{SegmentKey: SegmentKey{Identity: testID, Number: 3}, First: 5, Last: 9, SHA256: [32]byte{7}}
	if !r.Covers(cut) {
		t.Error("it does not cover its own segment")
	}
	for name, other := range map[string]Cut{
		"other bytes":    {SegmentKey: cut.SegmentKey, First: 5, Last: 9, SHA256: [32]byte{8}},
		"more rows":      {SegmentKey: cut.SegmentKey, First: 5, Last: 10, SHA256: [32]byte{7}},
		"another number": {SegmentKey: SegmentKey{Identity: testID, Number: 4}, First: 5, Last: 9, SHA256: [32]byte{7}},
	} {
		if r.Covers(other) {
			t.Errorf("it covers %s", name)
		}
	}
	for name, change := range map[string]func(*Receipt){
		"no disposition": func(r *Receipt) { r.Disposition = 0 }, "stored for a reason": func(r *Receipt) { r.Disposition = Stored },
		"rows that end before they begin": func(r *Receipt) { r.Last = 4 }, "row 0": func(r *Receipt) { r.First = 0 },
	} {
		bad := r
		change(&bad)
		if _, err := ParseReceipt(AppendReceipt(nil, bad)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func FuzzParseReceipt(f *testing.F) {
	f.Add(AppendReceipt(nil, SignReceipt(Receipt{Identity: testID, Number: 1, First: 1, Last: 1, Disposition: Stored}, testKey("receipt"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := ParseReceipt(b); err == nil && !bytes.Equal(AppendReceipt(nil, r), b) {
			t.Error("a receipt has two forms")
		}
	})
}

func BenchmarkSegment(b *testing.B) {
	for _, n := range []int{30, 50, 256} {
		s := benchSegment(b, n)
		sign := signerOf(testKey("segment"))
		bytes, err := AppendSegment(nil, s, sign)
		if err != nil {
			b.Fatal(err)
		}
		name := map[int]string{30: "30", 50: "50", 256: "256"}[n]
		b.Run("make/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := AppendSegment(bytes[:0:0], s, sign); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(bytes))/float64(n), "B/row")
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
		b.Run("parse/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseSegment(bytes); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// benchSegment is n sealed native scans, a second or so apart.
func benchSegment(t testing.TB, n int) Segment {
	t.Helper()
	s := exampleSegment(t)
	s.First, s.Last, s.Rows, s.Head = 1, uint64(n), nil, s.Before
	for i := range n {
		r := exampleSegment(t).Rows[0]
		r.Seq, r.WallMS, r.MonoMS = uint64(i+1), s.Hour*stepMS+int64(i)*1307, 60_000+uint64(i)*1307
		scan := r.Body.(Scan)
		scan.Sealed.Index = uint32(i)
		r.Body = scan
		full, err := AppendRow(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		s.Head = s.Head.Next(full)
		s.Rows = append(s.Rows, r)
	}
	return s
}
