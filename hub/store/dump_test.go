package store

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"reflect"
	"strings"
	"testing"
	"time"

	"checkpoint/record"
)

// shelf is an Archive in memory.
type shelf struct{ held []Entry }

func (s *shelf) Export(context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range s.held {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (s *shelf) Import(_ context.Context, entries iter.Seq2[Entry, error]) error {
	for e, err := range entries {
		if err != nil {
			return err
		}
		s.held = append(s.held, e)
	}
	return nil
}

func sample() *shelf {
	at := time.Date(2026, 11, 23, 12, 0, 0, 123e6, time.UTC)
	id := record.Identity{Device: [16]byte{1}, Epoch: [8]byte{2}}
	key := record.SegmentKey{Identity: id, Number: 3, Day: "2026-11-23", Venue: "商场", Hour: -5}
	return &shelf{held: []Entry{
		{Stream: &StreamEntry{Identity: id, Venue: "商场", Number: 3, Last: 90, Gaps: []GapEntry{{Gap: Gap{From: 1, To: 2, First: 1, Last: 60}, Open: true}}}},
		{Person: &Person{Name: "li", Role: "manager", Until: at}},
		{Person: &Person{Name: "an", Role: "manager", Venues: []string{}, Until: at}},
		{Trust: &TrustEntry{Name: "1.root.json", Bytes: []byte("{}")}},
		{Trust: &TrustEntry{Generation: 1<<63 - 1}},
		{Alarm: &Alarm{ID: 7, Kind: "gap", At: at, LastAt: at, Count: 1}}, // Closed is zero
		{Segment: &Incoming{SegmentKey: key, First: 61, Last: 90, Plain: []byte{1}, Sealed: []byte{2}, OffsetMS: -1 << 63}},
		{Notable: &Notable{Day: "x", Venue: "y", Trust: 1<<64 - 1, Value: -9, Text: "文"}},
		{Dropped: &DroppedEntry{Day: "2026-11-22", Destroyed: true, At: at}},
	}}
}

func TestDumpIsWhatItHeld(t *testing.T) {
	var b bytes.Buffer
	from, to := sample(), &shelf{}
	if err := Dump(t.Context(), from, &b); err != nil {
		t.Fatal(err)
	}
	if err := Load(t.Context(), to, bytes.NewReader(b.Bytes())); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(to.held, from.held) {
		t.Errorf("%+v\nwant %+v", to.held, from.held)
	}
	// Every bit of it counts.
	for i := range b.Len() {
		broken := bytes.Clone(b.Bytes())
		broken[i] ^= 1 << (i % 8)
		if err := Load(t.Context(), &shelf{}, bytes.NewReader(broken)); !errors.Is(err, ErrDump) && !errors.Is(err, ErrNewer) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	for i := range b.Len() {
		if err := Load(t.Context(), &shelf{}, bytes.NewReader(b.Bytes()[:i])); !errors.Is(err, ErrDump) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

func TestDumpRefusesWhatNoStoreHolds(t *testing.T) {
	key := record.SegmentKey{Number: 1, Day: "2026-11-23", Venue: "v"}
	for name, e := range map[string]Entry{
		"nothing":           {},
		"two things":        {Person: &Person{}, Act: &Act{}},
		"a day as a path":   {Dropped: &DroppedEntry{Day: "../../etc"}},
		"a segment's day":   {Segment: &Incoming{SegmentKey: record.SegmentKey{Number: 1, Day: "a b", Venue: "v"}, First: 1, Last: 1}},
		"a venue":           {Segment: &Incoming{SegmentKey: record.SegmentKey{Number: 1, Day: "x", Venue: "a\x00"}, First: 1, Last: 1}},
		"no number":         {Segment: &Incoming{SegmentKey: record.SegmentKey{Day: "x", Venue: "v"}, First: 1, Last: 1}},
		"a row of 2^63":     {Segment: &Incoming{SegmentKey: key, First: 1, Last: 1 << 63}},
		"a gap behind":      {Stream: &StreamEntry{Number: 3, Gaps: []GapEntry{{Gap: Gap{From: 2, To: 3}}}}},
		"a gate of no name": {Gate: &GateEntry{}},
	} {
		var b bytes.Buffer
		if err := Dump(t.Context(), &shelf{held: []Entry{e}}, &b); err != nil {
			t.Fatal(err)
		}
		if err := Load(t.Context(), &shelf{}, &b); !errors.Is(err, ErrDump) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A length is not believed: of 256 MiB that are not there nothing is made room
// for.
func TestDumpLengthIsNotBelieved(t *testing.T) {
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			_ = Load(context.Background(), &shelf{}, strings.NewReader(dumpMagic+"\x0f\xff\xff\xff"+"short"))
		}
	}).AllocedBytesPerOp()
	if allocated > 4<<20 {
		t.Errorf("%d bytes for a dump of 18", allocated)
	}
}

func FuzzLoad(f *testing.F) {
	var b bytes.Buffer
	if err := Dump(context.Background(), sample(), &b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(dumpMagic))
	f.Fuzz(func(t *testing.T, dump []byte) {
		s := &shelf{}
		if err := Load(context.Background(), s, bytes.NewReader(dump)); err != nil {
			return
		}
		var again bytes.Buffer
		if err := Dump(context.Background(), s, &again); err != nil {
			t.Fatal(err)
		}
		if err := Load(context.Background(), &shelf{}, &again); err != nil {
			t.Fatal(err)
		}
	})
}
