// Package storetest proves that a driver of hub/store holds to the rules: the
// same tests run on all of them.
package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"checkpoint/hub/store"
	"checkpoint/record"
)

// A Place is where one store lies. Open opens it; opened again, after Close or
// without, it holds the same.
type Place interface {
	Open(tb testing.TB) store.Store
	// Crash ends a store as far as one process can: nothing is told to it, and
	// what it held open is let go.
	Crash(tb testing.TB, s store.Store)
}

// Opener is a Place whose store may not open.
type Opener interface {
	TryOpen(ctx context.Context) (store.Store, error)
}

// Run runs all tests; fresh makes a place whose store holds nothing.
func Run(t *testing.T, fresh func(tb testing.TB) Place) {
	for _, one := range []struct {
		name string
		test func(*testing.T, Place)
	}{
		{"put", testPut}, {"batches", testBatches}, {"gaps", testGaps}, {"refused", testRefused}, {"dropped days", testDrop},
		{"contexts", testContexts}, {"counts", testCounts}, {"notable rows", testNotable}, {"buckets", testBuckets}, {"odd values", testOdd},
		{"quarantine", testQuarantine}, {"gates", testGates}, {"tokens", testTokens}, {"people", testPeople},
		{"trust", testTrust}, {"alarms", testAlarms}, {"acts", testActs}, {"days", testDays}, {"model", testModel}, {"many at once", testMany},
	} {
		t.Run(one.name, func(t *testing.T) { one.test(t, fresh(t)) })
	}
	t.Run("dump", func(t *testing.T) { Carry(t, fresh(t), fresh(t)) })
	t.Run("broken dump", func(t *testing.T) { Broken(t, fresh) })
}

// Day is a day with a place of its own at the time of all tests.
var (
	now  = time.Date(2026, 11, 23, 12, 30, 0, 0, time.UTC)
	Hour = now.Unix() / 3600
)

// Now is the clock that a driver's tests give it.
func Now() time.Time { return now }

const (
	today    = "2026-11-23"
	tomorrow = "2026-11-24"
	venue    = "商场 A"
)

// Writer makes the segments of one stream.
type Writer struct {
	record.Identity
	Venue  string
	Day    string
	Hour   int64
	Number uint64 // of the last
	Last   uint64
	Head   record.Link
	rng    *rand.ChaCha8
}

// NewWriter is a stream of its own for each n.
func NewWriter(n uint64) *Writer {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], n)
	w := &Writer{Venue: venue, Day: today, Hour: Hour, rng: rand.NewChaCha8(seed)}
	_, _ = w.rng.Read(w.Device[:])
	_, _ = w.rng.Read(w.Epoch[:])
	return w
}

// Cut makes the next segment. It has one scan count per row, and a notable row
// for each tenth.
func (w *Writer) Cut(rows int) store.Incoming {
	in := store.Incoming{First: w.Last + 1, Last: w.Last + uint64(rows), Before: w.Head, ReceivedMS: now.UnixMilli(), OffsetMS: 1234, Way: store.ByNet}
	in.SegmentKey = record.SegmentKey{Identity: w.Identity, Number: w.Number + 1, Day: w.Day, Venue: w.Venue, Hour: w.Hour}
	_, _ = w.rng.Read(in.Head[:])
	in.Plain, in.Sealed = make([]byte, 150+rows*25), make([]byte, rows*48)
	_, _ = w.rng.Read(in.Plain)
	_, _ = w.rng.Read(in.Sealed)
	reseal(&in)
	in.Counts = []store.Count{{Hour: w.Hour, Verdict: 1, Reason: 0, N: uint64(rows - rows/10)}}
	for i := range rows / 10 {
		in.Notable = append(in.Notable, store.Notable{Device: w.Device, Epoch: w.Epoch, Seq: in.First + uint64(i)*10, Venue: w.Venue, Day: w.Day, Hour: w.Hour,
			WallMS: w.Hour*3_600_000 + int64(in.First%3000)*1000 + int64(i), Quality: 3, Kind: record.KindScan, Verdict: 5, Reason: uint8(i % 5), Format: 1, Issuer: "CN-11", Trust: 77})
	}
	if rows >= 10 {
		in.Counts = append(in.Counts, store.Count{Hour: w.Hour, Verdict: 5, Reason: 2, N: uint64(rows / 10)})
	}
	w.Number, w.Last, w.Head = in.Number, in.Last, in.Head
	return in
}

// reseal gives a segment the digest that its values have now.
func reseal(in *store.Incoming) {
	h := sha256.New()
	h.Write(in.Plain)
	h.Write(in.Sealed)
	h.Write(binary.BigEndian.AppendUint64([]byte(in.Day+"\x00"+in.Venue), uint64(in.Hour)))
	h.Sum(in.SHA256[:0])
}

// forge is a segment with the same key and other bytes.
func forge(in store.Incoming) store.Incoming {
	in.Plain = slices.Clone(in.Plain)
	in.Plain[0] ^= 1
	in.Head[0] ^= 1
	reseal(&in)
	return in
}

func must[T any](tb testing.TB) func(T, error) T {
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// put puts segments, each in a batch of its own, and compares the outcomes.
func put(tb testing.TB, s store.Store, want store.Outcome, batch ...store.Incoming) (puts []store.Put) {
	tb.Helper()
	for _, in := range batch {
		puts = append(puts, together(tb, s, []store.Outcome{want}, in)...)
	}
	return puts
}

// together puts segments in one batch.
func together(tb testing.TB, s store.Store, want []store.Outcome, batch ...store.Incoming) []store.Put {
	tb.Helper()
	puts, err := s.Put(tb.Context(), batch)
	if err != nil {
		tb.Fatal(err)
	}
	var got []store.Outcome
	for _, p := range puts {
		got = append(got, p.Outcome)
	}
	if !slices.Equal(got, want) {
		tb.Fatalf("outcomes %v, want %v", got, want)
	}
	return puts
}

// stored are the segments of a bucket.
func stored(tb testing.TB, s store.Store, b store.Bucket) (list []store.Incoming) {
	tb.Helper()
	for in, err := range s.Bucket(tb.Context(), b) {
		if err != nil {
			tb.Fatal(err)
		}
		in.Plain, in.Sealed = slices.Clone(in.Plain), slices.Clone(in.Sealed)
		list = append(list, in)
	}
	return list
}

func bucketOf(in store.Incoming) store.Bucket {
	return store.Bucket{Day: in.Day, Venue: in.Venue, Hour: in.Hour}
}

func streamOf(tb testing.TB, s store.Store, id record.Identity) store.Stream {
	tb.Helper()
	for _, one := range must[[]store.Stream](tb)(s.Streams(tb.Context(), id.Device)) {
		if one.Identity == id {
			return one
		}
	}
	return store.Stream{}
}

func gapsOf(tb testing.TB, s store.Store, id record.Identity) []store.Gap {
	tb.Helper()
	return streamOf(tb, s, id).Gaps
}

// total is the sum of all hourly counts of the hours around the tests'.
func total(tb testing.TB, s store.Store) (n uint64) {
	tb.Helper()
	for _, c := range must[[]store.Hourly](tb)(s.Hourly(tb.Context(), nil, Hour-10_000, Hour+10_000)) {
		n += c.N
	}
	return n
}

func background() context.Context { return context.Background() }
