package localdb

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"checkpoint/record"
)

// cutFile has as many segments that wait, each of one row.
func cutFile(b *testing.B, cuts int) *DB {
	b.Helper()
	db, err := open(context.Background(), filepath.Join(b.TempDir(), "gate.db"), testOptions(), "OFF")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close(context.Background(), clockAt(0)) })
	mustEnrol(b, db, "north")
	for i := range cuts {
		mustAppend(b, db, plain(time.Duration(i%3000)*time.Millisecond))
		mustCutAll(b, db)
	}
	if _, err := db.conn.ExecContext(context.Background(), "PRAGMA synchronous=FULL"); err != nil {
		b.Fatal(err)
	}
	return db
}

// BenchmarkAppendBesideCuts is BenchmarkAppend in a file with segments.
func BenchmarkAppendBesideCuts(b *testing.B) {
	for _, cuts := range []int{0, 10_000} {
		b.Run(map[int]string{0: "none", 10_000: "10000"}[cuts], func(b *testing.B) {
			db := cutFile(b, cuts)
			next := sealedScan(b, db)
			n := 0
			for b.Loop() {
				n++
				if _, err := db.Append(context.Background(), next(n%1000)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCut is a segment of 256 sealed rows: cut and kept, made again of the
// file, and the question whether there is one when there is none.
func BenchmarkCut(b *testing.B) {
	ctx := context.Background()
	db := cutFile(b, 0)
	settleAll(b, db)
	next := sealedScan(b, db)
	var drafts []record.Draft
	for i := range record.MaxSegmentRows {
		drafts = append(drafts, next(i%800))
	}
	b.Run("cut", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			settleAll(b, db)
			mustAppend(b, db, drafts...)
			b.StartTimer()
			mustCut(b, db, false)
		}
	})
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			db.made = record.Cut{}
			mustCut(b, db, false)
		}
	})
	settleAll(b, db)
	mustAppend(b, db, drafts[:200]...)
	mustNotCut(b, db, false)
	b.Run("nothing", func(b *testing.B) {
		for b.Loop() {
			if _, ok, err := db.NextCut(ctx, false, testSign); ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
}

// BenchmarkOpenWithCuts opens a file with 10 000 segments that wait.
func BenchmarkOpenWithCuts(b *testing.B) {
	db := cutFile(b, 10_000)
	path := db.path
	if err := db.Close(context.Background(), clockAt(0)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		db, err := Open(context.Background(), path, testOptions())
		if err != nil {
			b.Fatal(err)
		}
		if err := db.Close(context.Background(), clockAt(0)); err != nil {
			b.Fatal(err)
		}
	}
}
