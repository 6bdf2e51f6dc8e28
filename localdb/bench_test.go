package localdb

import (
	"context"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"checkpoint/record"
)

// sealedScan makes drafts as a busy gate has them: native, sealed, one a few
// seconds.
func sealedScan(b *testing.B, db *DB) func(i int) record.Draft {
	b.Helper()
	_, day := newDay(b)
	s, err := record.NewSealer(db.Identity(), day, clockAt(0))
	if err != nil {
		b.Fatal(err)
	}
	subject := make([]byte, record.SubjectNative)
	return func(i int) record.Draft {
		d, err := s.Scan(clockAt(time.Duration(i)*4321*time.Millisecond), record.Scan{Verdict: 1, Reason: 1, Format: 1, Issuer: "CN-420100", Trust: 41}, subject)
		if err != nil {
			b.Fatal(err)
		}
		return d
	}
}

// BenchmarkAppend is one durable row at a time: seal, chain, write, sync.
func BenchmarkAppend(b *testing.B) {
	db := openNew(b)
	next := sealedScan(b, db)
	ctx := context.Background()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		if _, err := db.Append(ctx, next(n%1000)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppendTogether is 16 writers that share commits.
func BenchmarkAppendTogether(b *testing.B) {
	db := openNew(b)
	next := sealedScan(b, db)
	ctx := context.Background()
	b.SetParallelism(16 / runtime.GOMAXPROCS(0))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := db.Append(ctx, next(1)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkFile fills a file with 200 000 rows of ten days, says how large a
// row is in it, and proves its chain.
func BenchmarkFile(b *testing.B) {
	ctx := context.Background()
	path := filepath.Join(b.TempDir(), "gate.db")
	db := openAt(b, path, testOptions())
	next := sealedScan(b, db)
	const rows = 200_000
	drafts := make([]record.Draft, 0, 1000)
	for i := range rows {
		drafts = append(drafts, next(i))
		if len(drafts) == cap(drafts) {
			if _, err := db.Append(ctx, drafts...); err != nil {
				b.Fatal(err)
			}
			drafts = drafts[:0]
		}
	}
	if err := db.Checkpoint(ctx); err != nil {
		b.Fatal(err)
	}
	at := clockAt(240 * time.Hour)
	size := float64(fileSize(path))
	b.Run("VerifyChain", func(b *testing.B) {
		for b.Loop() {
			if _, err := db.VerifyChain(ctx); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		b.ReportMetric(size/rows, "B/row")
	})
	b.Run("Status", func(b *testing.B) {
		for b.Loop() {
			if _, err := db.Status(at); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("CountsOfToday", func(b *testing.B) {
		for b.Loop() {
			if _, err := db.Counts(ctx, time.UnixMilli(noon), time.UnixMilli(noon+24*hourMS)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("LastScan", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := db.LastScan(ctx, at, time.Minute); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Tick", func(b *testing.B) {
		for b.Loop() {
			if err := db.Tick(ctx, at); err != nil {
				b.Fatal(err)
			}
		}
	})
}
