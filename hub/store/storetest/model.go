package storetest

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"

	"checkpoint/hub/store"
	"checkpoint/record"

	"pgregory.net/rapid"
)

// model is what a store must hold, told in another way than drivers tell it: a
// stream is all of its segments, and one fits when it fits between those that
// stand beside it.
type model struct {
	streams map[record.Identity]map[uint64]store.Incoming
	refused map[record.Identity]map[uint64]bool
	dropped map[string]store.Outcome
	rows    map[string]uint64 // counted, by day
}

func (m *model) put(in store.Incoming) store.Outcome {
	stream := m.streams[in.Identity]
	if gone, ok := m.dropped[in.Day]; ok {
		if _, ok := stream[in.Number]; !ok && (fits(stream, in) || in.Number > slices.Max(append(slices.Collect(maps.Keys(stream)), 0))) {
			m.note(in)
		}
		return gone
	}
	if have, ok := stream[in.Number]; ok {
		if have.SHA256 == in.SHA256 && have.SegmentKey == in.SegmentKey {
			return store.Repeat
		}
		return store.Conflict
	}
	if !fits(stream, in) {
		return store.Conflict
	}
	if stream == nil {
		stream = map[uint64]store.Incoming{}
		m.streams[in.Identity] = stream
	}
	stream[in.Number] = in
	for _, c := range in.Counts {
		m.rows[in.Day] += c.N
	}
	return store.Stored
}

// fits reports whether a segment fits between those beside it.
func fits(stream map[uint64]store.Incoming, in store.Incoming) bool {
	for n, have := range stream {
		switch {
		case n < in.Number && in.First <= have.Last, n > in.Number && in.Last >= have.First,
			n == in.Number-1 && in.First == have.Last+1 && in.Before != have.Head,
			n == in.Number+1 && in.Last == have.First-1 && in.Head != have.Before:
			return false
		}
	}
	return true
}

func (m *model) note(in store.Incoming) {
	if m.refused[in.Identity] == nil {
		m.refused[in.Identity] = map[uint64]bool{}
	}
	m.refused[in.Identity][in.Number] = true
}

// missing are the numbers of a stream that never came.
func (m *model) missing(id record.Identity) (list []uint64) {
	stream := m.streams[id]
	if len(stream) == 0 {
		return nil
	}
	for n := range slices.Max(slices.Collect(maps.Keys(stream))) {
		if _, ok := stream[n+1]; !ok && !m.refused[id][n+1] {
			list = append(list, n+1)
		}
	}
	return list
}

// testModel puts random batches of random streams, with repeats, forgeries,
// wrong order and lost segments, drops days and crashes, and compares all that
// can be read with the model.
func testModel(t *testing.T, p Place) {
	s := p.Open(t)
	defer func() { check(t, s.Close()) }()
	m := &model{streams: map[record.Identity]map[uint64]store.Incoming{}, refused: map[record.Identity]map[uint64]bool{}, dropped: map[string]store.Outcome{}, rows: map[string]uint64{}}
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue { // each of them waits for the disk, hundreds of times
		check(t, f.Value.Set("8"))
		defer func() { check(t, f.Value.Set(f.DefValue)) }()
	}
	run, tb := uint64(0), testing.TB(t)
	rapid.Check(t, func(t *rapid.T) {
		run++
		dayOf := func(n int) string { // two with a place of their own, two without that only this run knows
			if n < 2 {
				return fmt.Sprintf("2026-11-%02d", 1+n)
			}
			return fmt.Sprintf("r%d-%d", run, n)
		}
		var writers []*Writer
		var made []store.Incoming // in the order in which they were cut
		for i := range rapid.IntRange(1, 3).Draw(t, "writers") {
			w := NewWriter(1000 + 10*run + uint64(i))
			w.Last = rapid.Uint64Range(0, 5).Draw(t, "first")
			writers = append(writers, w)
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				var batch []store.Incoming
				var want []store.Outcome
				for range rapid.IntRange(1, 8).Draw(t, "batch") {
					var in store.Incoming
					switch choice := rapid.IntRange(0, 9).Draw(t, "what"); {
					case choice < 6 || len(made) == 0:
						w := writers[rapid.IntRange(0, len(writers)-1).Draw(t, "writer")]
						for range rapid.IntRange(0, 2).Draw(t, "held back") {
							made = append(made, w.Cut(rapid.IntRange(1, 12).Draw(t, "rows")))
						}
						if rapid.IntRange(0, 5).Draw(t, "moves") == 0 {
							w.Day = dayOf(rapid.IntRange(0, 3).Draw(t, "day"))
							w.Venue = fmt.Sprint("v", rapid.IntRange(0, 2).Draw(t, "venue"))
							w.Hour += int64(rapid.IntRange(0, 2).Draw(t, "hour"))
						}
						if rapid.IntRange(0, 9).Draw(t, "erases") == 0 {
							w.Last += 3
							w.Head[0] ^= 1
						}
						in = w.Cut(rapid.IntRange(1, 12).Draw(t, "rows"))
						made = append(made, in)
					default:
						in = made[rapid.IntRange(0, len(made)-1).Draw(t, "old")]
						switch choice {
						case 8:
							in = forge(in)
						case 9:
							in.Before[2] ^= 4
							reseal(&in)
							in.SHA256[0] ^= 1
						}
					}
					batch, want = append(batch, in), append(want, m.put(in))
				}
				puts, err := s.Put(background(), batch)
				if err != nil {
					t.Fatal(err)
				}
				for i, p := range puts {
					if p.Outcome != want[i] {
						t.Fatalf("segment %d of the batch (number %d): outcome %d, want %d", i, batch[i].Number, p.Outcome, want[i])
					}
				}
			},
			"refuse": func(t *rapid.T) {
				if len(made) == 0 {
					t.Skip("nothing was cut")
				}
				in := made[rapid.IntRange(0, len(made)-1).Draw(t, "which")]
				if err := s.Refuse(background(), in.SegmentKey, in.First, in.Last, in.SHA256, record.ForVenue, now); err != nil {
					t.Fatal(err)
				}
				m.note(in)
			},
			"drop": func(t *rapid.T) {
				day := dayOf(rapid.IntRange(2, 3).Draw(t, "day"))
				destroyed := rapid.Bool().Draw(t, "destroyed")
				if err := s.DropDay(background(), day, destroyed, now); err != nil {
					t.Fatal(err)
				}
				delete(m.rows, day)
				if destroyed || m.dropped[day] == store.Destroyed {
					m.dropped[day] = store.Destroyed
				} else {
					m.dropped[day] = store.Retired
				}
			},
			"crash": func(t *rapid.T) {
				p.Crash(outer{tb, t}, s)
				s = p.Open(outer{tb, t})
			},
			"": func(t *rapid.T) {
				for _, w := range writers {
					stream := streamOf(outer{tb, t}, s, w.Identity)
					var missing []uint64
					for _, g := range stream.Gaps {
						for n := g.From; n <= g.To; n++ {
							missing = append(missing, n)
						}
					}
					if want := m.missing(w.Identity); !slices.Equal(missing, want) {
						t.Fatalf("missing %v, want %v", missing, want)
					}
				}
			},
		})
		// At the end, all that is stored is there, once.
		for _, w := range writers {
			for _, in := range m.streams[w.Identity] {
				found := 0
				for _, have := range stored(outer{tb, t}, s, bucketOf(in)) {
					if have.SegmentKey == in.SegmentKey && have.SHA256 == in.SHA256 && string(have.Plain) == string(in.Plain) && string(have.Sealed) == string(in.Sealed) {
						found++
					}
				}
				if _, gone := m.dropped[in.Day]; found != 1 && !gone {
					t.Fatalf("segment %d is stored %d times", in.Number, found)
				}
			}
		}
		var want uint64
		for _, n := range m.rows {
			want += n
		}
		if got := total(outer{tb, t}, s); got != want {
			t.Fatalf("%d rows are counted, want %d", got, want)
		}
	})
}

// outer lets rapid's T pass for a testing.TB.
type outer struct {
	testing.TB
	t *rapid.T
}

func (o outer) Helper()                   {}
func (o outer) Fatal(a ...any)            { o.t.Fatal(a...) }
func (o outer) Fatalf(f string, a ...any) { o.t.Fatalf(f, a...) }
func (o outer) Error(a ...any)            { o.t.Error(a...) }
func (o outer) Errorf(f string, a ...any) { o.t.Errorf(f, a...) }
