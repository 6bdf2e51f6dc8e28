package storetest

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"checkpoint/hub/store"
)

// Load is what benchmarks put: gates of several venues, each of which cuts a
// segment of so many rows again and again, the hours passing.
type Load struct {
	writers []*Writer
	rows    int
	next    int
}

// NewLoad is a load of 200 gates in 40 venues.
func NewLoad(rows int) *Load {
	l := &Load{rows: rows}
	for n := range uint64(200) {
		w := NewWriter(5000 + n)
		w.Venue = fmt.Sprint("venue ", n%40)
		l.writers = append(l.writers, w)
	}
	return l
}

// Batch is the next n segments, each of another gate.
func (l *Load) Batch(n int) []store.Incoming {
	batch := make([]store.Incoming, n)
	for i := range batch {
		w := l.writers[l.next%len(l.writers)]
		w.Hour = Hour + int64(l.next/len(l.writers)/40) // 40 segments of a gate an hour
		batch[i] = w.Cut(l.rows)
		batch[i].Notable = batch[i].Notable[:min(1, len(batch[i].Notable))] // 2 to 3 % of the rows
		l.next++
	}
	return batch
}

// BatchSize is how many segments benchmarks put at once.
const BatchSize = 256

// Put measures how fast segments are put.
func Put(b *testing.B, s store.Store) {
	for _, rows := range []int{30, 50} {
		b.Run(fmt.Sprintf("%d rows", rows), func(b *testing.B) {
			l := NewLoad(rows)
			for i := range l.writers { // streams of their own in each round
				l.writers[i].Epoch[0] = byte(rows)
				l.writers[i].Epoch[1], l.writers[i].Epoch[2] = byte(b.N), byte(b.N>>8)
			}
			spent := time.Duration(0)
			for range b.N {
				batch := l.Batch(BatchSize)
				began := time.Now()
				puts, err := s.Put(b.Context(), batch)
				spent += time.Since(began)
				if err != nil {
					b.Fatal(err)
				}
				for _, p := range puts {
					if p.Outcome != store.Stored {
						b.Fatalf("%+v", p)
					}
				}
			}
			b.ReportMetric(float64(b.N*BatchSize*rows)/spent.Seconds(), "rows/s")
			b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "µs/batch")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// Growth puts rows until so many million (CHECKPOINT_ROWS, else normal) are
// stored, and tells what a row costs at each power of ten, and at the end in
// bytes of the disk.
func Growth(b *testing.B, s store.Store, normal int, size func() int64) {
	millions := normal
	if text := os.Getenv("CHECKPOINT_ROWS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			b.Fatalf("CHECKPOINT_ROWS=%q is not a count of millions", text)
		}
		millions = n
	}
	const rows = 50
	l, stored, mark := NewLoad(rows), 0, 500_000
	spent, since := time.Duration(0), 0
	for stored < millions*1_000_000 {
		batch := l.Batch(BatchSize)
		began := time.Now()
		if _, err := s.Put(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		spent += time.Since(began)
		stored += BatchSize * rows
		if since += BatchSize * rows; since >= mark {
			b.Logf("%3d.%d M rows stored: %5.2f µs a row, %7.0f rows/s, %5.1f bytes a row", stored/1_000_000, stored/100_000%10,
				float64(spent.Nanoseconds())/1000/float64(since), float64(since)/spent.Seconds(), float64(size())/float64(stored))
			if spent, since = 0, 0; stored >= 2_000_000 {
				mark = 2_000_000
			}
		}
	}
	b.ReportMetric(float64(size())/float64(stored), "bytes/row")
	b.ReportMetric(0, "ns/op")
}
