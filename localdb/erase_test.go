package localdb

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"checkpoint/record"
)

func mustErase(t tb, db *DB, day string, want int) {
	t.Helper()
	if n, err := db.EraseDay(context.Background(), clockAt(0), day); n != want || err != nil {
		t.Fatalf("erased %d rows of %s, %v, want %d", n, day, err, want)
	}
}

// sealedMany are n scans of one context of day-17.
func sealedMany(db *DB, n int) (drafts []record.Draft) {
	for i := range n {
		drafts = append(drafts, sealedIn(db, 1, "day-17", time.Duration(i)))
	}
	return drafts
}

// erasures are the event rows about erased days.
func erasures(t *testing.T, db *DB) (all []record.Event) {
	t.Helper()
	for row, err := range db.Rows(context.Background(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := row.Body.(record.Event); ok && e.Code == record.EventErased {
			all = append(all, e)
		}
	}
	return all
}

func TestEraseDay(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	o := testOptions()
	o.Retention = time.Hour
	db := openAt(t, path, o)
	// Rows 2 to 1801: two in three sealed, days 17 and 18 in turn of 300.
	var drafts []record.Draft
	for i := range 1800 {
		after := time.Duration(i) * time.Millisecond
		d := plain(after)
		if i%3 != 0 {
			d = sealedIn(db, byte(17+i/300%2), []string{"day-17", "day-18"}[i/300%2], after)
		}
		drafts = append(drafts, d)
	}
	mustAppend(t, db, drafts...)
	before := mustVerify(t, db)
	mustErase(t, db, "day-16", 0)
	if contains(t, path, bytes.Repeat([]byte{17}, 48)) == nil {
		t.Fatal("the boxes are nowhere: the test cannot see")
	}
	mustErase(t, db, "day-17", 600)
	mustErase(t, db, "day-17", 0)
	if where := contains(t, path, bytes.Repeat([]byte{17}, 48)); where != nil {
		t.Errorf("a box, or a context, still stands in %v", where)
	}
	if contains(t, path, bytes.Repeat([]byte{18}, 48)) == nil {
		t.Error("the other day has gone, too")
	}
	if got := erasures(t, db); len(got) != 1 || got[0].Value != 600 || got[0].Text != "day-17" {
		t.Errorf("events %+v", got)
	}
	check := func() {
		t.Helper()
		c := mustVerify(t, db)
		if c.First != 1 || c.Last != before.Last+1 || c.Erased != 600 {
			t.Errorf("chain %+v, want the %d rows and an event", c, before.Last)
		}
		n := 0
		for row, err := range db.Rows(ctx, 1) {
			if err != nil {
				t.Fatal(err)
			}
			if scan, ok := row.Body.(record.Scan); ok && scan.Sealed.Context == [16]byte{17} {
				t.Fatalf("row %d is still there", row.Seq)
			}
			n++
		}
		if n != int(before.Last)+1-600 {
			t.Errorf("%d rows are left", n)
		}
		if got := sums(t, db); got[1] != 1800 {
			t.Errorf("%d scans counted, want 1800", got[1])
		}
		if s, err := db.Status(clockAt(0)); err != nil || s.Waiting != uint64(n) {
			t.Errorf("status = %+v, %v, want %d waiting", s, err, n)
		}
	}
	check()
	if _, err := db.Append(ctx, record.Draft{Stamp: clockAt(0), Body: record.Choice{To: 3, Choice: 1}}); !errors.Is(err, ErrNoScan) {
		t.Errorf("a choice about an erased row: %v, want ErrNoScan", err)
	}
	if err := db.Close(ctx, clockAt(0)); err != nil {
		t.Fatal(err)
	}
	if p := mustPeek(t, path); p.Waiting != before.Last+1-600 {
		t.Errorf("peek sees %d waiting", p.Waiting)
	}
	db = openAt(t, path, o)
	check()
	// Purging goes over the holes, and into them.
	for _, want := range []int{1000, 800, 0} {
		if n, err := db.Purge(ctx, clockAt(3*time.Hour)); n != want || err != nil {
			t.Errorf("purged %d, %v, want %d", n, err, want)
		}
		mustVerify(t, db)
	}
}

// TestPurgeIntoAHole: the front of a hole goes with the rows before it.
func TestPurgeIntoAHole(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	o := testOptions()
	o.Retention = time.Hour
	db := openAt(t, path, o)
	mustAppend(t, db, many(949)...) // with the first of the epoch: 950
	mustAppend(t, db, sealedMany(db, 300)...)
	mustErase(t, db, "day-17", 300)
	late := record.Draft{Stamp: clockAt(5 * time.Hour), Body: record.Scan{Verdict: 1, Reason: 1}}
	mustAppend(t, db, late)
	for _, want := range []struct {
		gone         int
		first, holes uint64
	}{{1000, 1001, 250}, {200, 1201, 50}, {0, 1201, 50}} {
		n, err := db.Purge(ctx, clockAt(5*time.Hour))
		c := mustVerify(t, db)
		if n != want.gone || err != nil || c.First != want.first || c.Erased != want.holes {
			t.Errorf("purged %d, %v, chain %+v; want %+v", n, err, c, want)
		}
	}
	if err := db.Close(ctx, clockAt(0)); err != nil {
		t.Fatal(err)
	}
	mustPeek(t, path)
	db = openAt(t, path, o)
	mustVerify(t, db)
}

// TestEraseBeforeCut: segments stand between the holes, never across one.
func TestEraseBeforeCut(t *testing.T) {
	db := settledFile(t)
	start, _ := db.Head()
	mustAppend(t, db, plain(0), sealedIn(db, 1, "day-17", 1), sealedIn(db, 1, "day-17", 2), plain(3), plain(4),
		sealedIn(db, 1, "day-17", 5), sealedIn(db, 2, "day-18", 6))
	c := mustVerify(t, db)
	mustErase(t, db, "day-17", 3)
	mustCutAll(t, db)
	want := []span{{start + 1, start + 1}, {start + 4, start + 5}, {start + 7, start + 8}} // the last with the event
	got := openCuts(t, db)
	if len(got) != len(want) {
		t.Fatalf("%d segments, want %d", len(got), len(want))
	}
	for i, cut := range got {
		s := parsed(t, cut)
		if (span{cut.First, cut.Last}) != want[i] || s.Number != got[0].Number+uint64(i) {
			t.Errorf("segment %d has rows %d to %d, want %v", s.Number, cut.First, cut.Last, want[i])
		}
	}
	if after := mustVerify(t, db); after.Last != c.Last+1 {
		t.Errorf("chain %+v", after)
	}
	settleAll(t, db)
	if s, err := db.Status(clockAt(0)); err != nil || s.Waiting != 0 {
		t.Errorf("status = %+v, %v", s, err)
	}
}

// TestEraseAfterCut: segments of the day wait no more; those of others do.
func TestEraseAfterCut(t *testing.T) {
	ctx := context.Background()
	db := settledFile(t)
	var cuts []record.Cut
	for i, day := range []string{"day-17", "day-17", "day-18", "day-17"} {
		mustAppend(t, db, sealedIn(db, byte(i+1), day, 0), plain(1))
		mustCutAll(t, db)
	}
	cuts = openCuts(t, db)
	mustSettle(t, db, cuts[0], 0)
	if err := db.SetAside(ctx, clockAt(0), cuts[1], "test", false); err != nil {
		t.Fatal(err)
	}
	mustErase(t, db, "day-17", 3)
	left := openCuts(t, db)
	if len(left) != 1 || left[0].SegmentKey != cuts[2].SegmentKey {
		t.Fatalf("%d segments wait", len(left))
	}
	parsed(t, left[0])
	s, err := db.Status(clockAt(0))
	if err != nil || s.Poison != 0 || s.Waiting != 2+2 { // segment 3, the alarm and the event
		t.Errorf("status = %+v, %v", s, err)
	}
	mustSettle(t, db, cuts[3], 0) // it was on its way
	mustVerify(t, db)
}

// TestEraseWhatIsNotSealed: the hub destroyed a day whose date some segments
// bear without a sealed row. They are out of the way, and no event row about
// nothing goes after them into the same day.
func TestEraseWhatIsNotSealed(t *testing.T) {
	db := settledFile(t)
	mustAppend(t, db, plain(0))
	c := mustCut(t, db, true)
	mustErase(t, db, c.Day, 0)
	mustNotCut(t, db, true)
	if got := erasures(t, db); len(got) != 0 {
		t.Errorf("events %+v", got)
	}
}

// TestSealerGoesOnAfterErasing: a context that is used again is known again.
func TestSealerGoesOnAfterErasing(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	mustEnrol(t, db, "north")
	mustAppend(t, db, sealedIn(db, 1, "day-17", 0))
	mustErase(t, db, "day-17", 1)
	mustAppend(t, db, sealedIn(db, 1, "day-17", 1))
	settleAll(t, db)
	if err := db.Close(ctx, clockAt(0)); err != nil {
		t.Fatal(err)
	}
	db = openAt(t, path, testOptions())
	mustVerify(t, db)
	mustErase(t, db, "day-17", 1)
	mustVerify(t, db)
	if got := erasures(t, db); len(got) != 2 || got[1].Value != 1 {
		t.Errorf("events %+v", got)
	}
}

// TestEraseGoesOn: what a kill left half erased is finished, and told whole.
func TestEraseGoesOn(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	mustAppend(t, db, sealedMany(db, 1500)...)
	if err := db.exclusive(ctx, "erase a day", func(t *txn) error {
		_, n, end, err := t.eraseStep(clockAt(0), "day-17", 0)
		if n != eraseRows-1 || end { // it looked at the first of the epoch, too
			return errors.New("one step did it all")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	mustVerify(t, db)
	db.kill()
	db = openAt(t, path, testOptions())
	mustVerify(t, db)
	mustErase(t, db, "day-17", 501)
	if got := erasures(t, db); len(got) != 1 || got[0].Value != 1500 {
		t.Errorf("events %+v, want one of 1500", got)
	}
	if c := mustVerify(t, db); c.Erased != 1500 {
		t.Errorf("chain %+v", c)
	}
	if got := sums(t, db); got[1] != 1500 {
		t.Errorf("%d scans counted, want 1500", got[1])
	}
	if n := len(db.box.erased); n != 1 {
		t.Errorf("%d holes, want one", n)
	}
}

func TestVerifyChainSeesAForgedHole(t *testing.T) {
	ctx := context.Background()
	for _, tc := range []struct{ name, sql string }{
		{"its link before changed", "UPDATE erased SET before = zeroblob(16)"},
		{"its link after changed", "UPDATE erased SET after = zeroblob(16)"},
		{"it was made longer", "DELETE FROM row WHERE seq = 102; UPDATE erased SET last = 102"},
		{"it was moved", "UPDATE erased SET first = first - 1"},
		{"it was taken away", "DELETE FROM erased"},
		{"one behind all rows", "INSERT INTO erased VALUES (900, 901, zeroblob(16), zeroblob(16))"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gate.db")
			db := openAt(t, path, testOptions())
			mustAppend(t, db, many(99)...)
			mustAppend(t, db, sealedIn(db, 1, "day-17", 0)) // row 101
			mustAppend(t, db, many(50)...)
			mustErase(t, db, "day-17", 1)
			if err := db.Close(ctx, clockAt(0)); err != nil {
				t.Fatal(err)
			}
			pool, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := pool.Exec(tc.sql); err != nil {
				t.Fatal(err)
			}
			if err := pool.Close(); err != nil {
				t.Fatal(err)
			}
			db, err = Open(ctx, path, testOptions())
			if err == nil {
				_, err = db.VerifyChain(ctx)
				db.Close(ctx, clockAt(0))
			}
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v, want ErrDamaged", err)
			}
		})
	}
}
