package localdb

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"checkpoint/record"

	"golang.org/x/sys/unix"
)

// bulky are n sealed foreign scans, about 200 bytes each in the file.
func bulky(db *DB, n int) (drafts []record.Draft) {
	c := &record.Context{Identity: db.Identity(), ID: [16]byte{9}, Day: "2026-11-23", Enc: []byte{1}}
	for i := range n {
		drafts = append(drafts, record.Draft{Stamp: clockAt(0), Context: c, Body: record.Scan{Verdict: 3, Reason: 1, Format: 2,
			Sealed: record.Sealed{Context: c.ID, Index: uint32(i), Box: bytes.Repeat([]byte{byte(i)}, 176)}}})
	}
	return drafts
}

// appendUntil appends scans until that fails.
func appendUntil(t *testing.T, db *DB, want error) (rows int) {
	t.Helper()
	drafts := bulky(db, 200)
	for rows < 1_000_000 {
		_, err := db.Append(context.Background(), drafts...)
		if err != nil {
			if !errors.Is(err, want) {
				t.Fatalf("got %v, want %v", err, want)
			}
			return rows
		}
		rows += len(drafts)
	}
	t.Fatalf("%d rows and no end", rows)
	return rows
}

func TestCap(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	o := testOptions()
	o.Cap, o.Retention = 1<<20, time.Hour
	db := openAt(t, path, o)
	warned := false
	drafts := bulky(db, 100)
	for {
		_, err := db.Append(ctx, drafts...)
		s, statusErr := db.Status(clockAt(0))
		if statusErr != nil {
			t.Fatal(statusErr)
		}
		if err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatalf("got %v, want ErrFull", err)
			}
			if s.Share < 1 {
				t.Errorf("full at %.0f %%", 100*s.Share)
			}
			break
		}
		if s.Warn != (s.Share >= 0.8) {
			t.Errorf("warned = %v at %.0f %%", s.Warn, 100*s.Share)
		}
		warned = warned || s.Warn
	}
	if !warned {
		t.Error("no warning before the cap")
	}
	// There is still room to say so, and to count what is not written.
	mustAppend(t, db, record.Draft{Stamp: clockAt(0), Body: record.Event{Code: record.EventDiskFull}})
	if err := db.Unrecorded(); err != nil {
		t.Error(err)
	}
	mustTick(t, db, 2*time.Hour) // its count row fits too
	mustVerify(t, db)
	// Nothing goes by itself; what the retention releases makes room.
	late := clockAt(3 * time.Hour)
	if n, err := db.Purge(ctx, clockAt(time.Minute)); n != 0 || err != nil {
		t.Errorf("purged %d rows before their time, %v", n, err)
	}
	if n, err := db.Purge(ctx, late); n == 0 || err != nil {
		t.Fatalf("purged %d rows, %v", n, err)
	}
	mustAppend(t, db, record.Draft{Stamp: late, Body: record.Scan{Verdict: 1, Reason: 1}})
	mustVerify(t, db)
}

// TestFullDisk fills a real disk: first to where the reserve begins, then, all
// at once, to the last byte.
func TestFullDisk(t *testing.T) {
	ctx := context.Background()
	folder := smallDisk(t, "20m")
	path := filepath.Join(folder, "gate.db")
	db := openAt(t, path, testOptions())
	rows := appendUntil(t, db, ErrNoSpace)
	if free, err := freeBytes(path); err != nil || free < reserve/2 {
		t.Errorf("the reserve is gone: %d bytes free, %v", free, err)
	}
	if err := db.Unrecorded(); err != nil {
		t.Error(err)
	}
	mustVerify(t, db)

	// Somebody else takes the rest between two looks.
	big := filepath.Join(folder, "log")
	fill(t, big)
	db.write.Lock()
	db.disk.free, db.disk.rows = reserve, 0 // as if the last look was before that
	db.write.Unlock()
	rows2 := 0
	drafts := bulky(db, 200)
	for {
		db.write.Lock()
		db.disk.free, db.disk.rows = reserve, 0
		db.write.Unlock()
		if _, err := db.Append(ctx, drafts...); err != nil {
			if !errors.Is(err, ErrNoSpace) {
				t.Fatalf("got %v, want ErrNoSpace", err)
			}
			break
		}
		rows2 += len(drafts)
	}
	for range 3 {
		if err := db.Unrecorded(); err != nil {
			t.Errorf("counting on a full disk: %v", err)
		}
	}
	if s, err := db.Status(clockAt(0)); err != nil || s.Unrecorded != 4 || !s.Warn {
		t.Errorf("status = %+v, %v", s, err)
	}
	c := mustVerify(t, db)
	t.Logf("%d rows to the reserve, %d more to the last byte, none of them lost", rows, rows2)

	// A kill now, and a start on the full disk.
	killed := copyAs(t, path)
	if err := os.Remove(big); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, db, plain(0)) // scanning goes on by itself
	if after := mustVerify(t, db); after.Last != c.Last+1 {
		t.Errorf("last row %d, want %d", after.Last, c.Last+1)
	}
	if got := mustVerify(t, openAt(t, killed, testOptions())); got.First != 1 || got.Last < c.Last {
		t.Errorf("after a kill there are rows %d to %d, want 1 to %d or more", got.First, got.Last, c.Last)
	}
}

// fill takes all the room that is left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	for {
		if _, err := f.Write(page); errors.Is(err, unix.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenOnAFullDisk(t *testing.T) {
	folder := smallDisk(t, "16m")
	fill(t, filepath.Join(folder, "log"))
	path := filepath.Join(folder, "gate.db")
	if _, err := Open(context.Background(), path, testOptions()); !errors.Is(err, ErrNoSpace) {
		t.Errorf("got %v, want ErrNoSpace", err)
	}
	if err := os.Remove(filepath.Join(folder, "log")); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, openAt(t, path, testOptions()), plain(0)) // what the failure left does no harm
}

// contains looks for bytes in all files of the database.
func contains(t *testing.T, path string, what []byte) (where []string) {
	t.Helper()
	for _, end := range []string{"", "-wal", "-shm", "-side", "-lock"} {
		b, err := os.ReadFile(path + end)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if bytes.Contains(b, what) {
			where = append(where, "gate.db"+end)
		}
	}
	return where
}

func TestPurgeLeavesNothing(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	o := testOptions()
	o.Retention = time.Hour
	db := openAt(t, path, o)
	_, day := newDay(t)
	sealer, err := record.NewSealer(db.Identity(), day, clockAt(0))
	if err != nil {
		t.Fatal(err)
	}
	subject := []byte("SUBJECT-IN-THE-CLEAR")
	issuer := "MARKER-ISSUER"
	text := "MARKER-EVENT-TEXT"
	var box []byte
	for range 3 {
		var drafts []record.Draft
		for range 500 {
			d, err := sealer.Scan(clockAt(0), record.Scan{Verdict: 1, Reason: 1, Format: 1, Issuer: issuer}, subject)
			if err != nil {
				t.Fatal(err)
			}
			box = d.Body.(record.Scan).Sealed.Box
			drafts = append(drafts, d)
		}
		mustAppend(t, db, drafts...)
		mustAppend(t, db, record.Draft{Stamp: clockAt(0), Body: record.Event{Code: record.EventAlarm, Text: text}})
	}
	head, _ := db.Head()
	if where := contains(t, path, subject); where != nil {
		t.Fatalf("a subject stands in the clear in %v", where)
	}
	for _, m := range [][]byte{[]byte(issuer), []byte(text), box} {
		if contains(t, path, m) == nil {
			t.Fatalf("%q is nowhere: the test cannot see", m)
		}
	}
	// The names of a run go with its last row, which a later run tells.
	if err := db.Close(ctx, clockAt(time.Minute)); err != nil {
		t.Fatal(err)
	}
	db = openAt(t, path, o)
	late := clockAt(2 * time.Hour)
	plainLate := func() record.Draft {
		return record.Draft{Stamp: late, Body: record.Scan{Verdict: 1, Reason: 1}}
	}
	for range 200 {
		mustAppend(t, db, plainLate())
	}
	steps := 0
	for {
		n, err := db.Purge(ctx, late)
		if err != nil {
			t.Fatal(err)
		}
		if n > purgeRows {
			t.Errorf("%d rows in one step", n)
		}
		if n == 0 {
			break
		}
		steps++
	}
	if err := db.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	c := mustVerify(t, db)
	if steps < 2 || c.First != head/linkEvery*linkEvery+1 {
		t.Errorf("%d steps, first row is %d, head was %d", steps, c.First, head)
	}
	// The last rows of the run share a hundred with later ones and stay with
	// them; when they have gone, so has everything.
	for range 200 {
		mustAppend(t, db, plainLate())
	}
	later := late
	later.WallMS += 2 * hourMS
	for {
		n, err := db.Purge(ctx, later)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	if err := db.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	for _, m := range [][]byte{[]byte(issuer), []byte(text), box, day.Public[:64]} {
		if where := contains(t, path, m); where != nil {
			t.Errorf("%q still stands in %v", m, where)
		}
	}
	c = mustVerify(t, db)
	if err := db.Close(ctx, later); err != nil {
		t.Fatal(err)
	}
	db = openAt(t, path, o)
	if again := mustVerify(t, db); again.First != c.First || again.Last < c.Last {
		t.Errorf("after a restart the chain is %+v, was %+v", again, c)
	}
	if _, err := db.Append(ctx, record.Draft{Stamp: later, Body: record.Choice{To: 2, Choice: 1}}); !errors.Is(err, ErrNoScan) {
		t.Errorf("a choice about a purged row: %v, want ErrNoScan", err)
	}
}

func TestPurgeAsksReceiptsOfAnEnrolledGate(t *testing.T) {
	ctx := context.Background()
	o := testOptions()
	o.Retention = time.Hour
	db := openAt(t, filepath.Join(t.TempDir(), "gate.db"), o)
	mustEnrol(t, db, "north") // its event and the first of the epoch are rows 1 and 2
	var cuts []record.Cut     // 1-250, 251-300, 301-400, and three up to 1000
	for _, n := range []int{248, 50, 100, 600} {
		mustAppend(t, db, many(n)...)
		mustCutAll(t, db)
	}
	cuts = openCuts(t, db)
	late := clockAt(3 * time.Hour)
	purge := func(want int) {
		t.Helper()
		if n, err := db.Purge(ctx, late); n != want || err != nil {
			t.Errorf("purged %d, %v, want %d", n, err, want)
		}
	}
	waiting := func(want uint64, oldest int64) {
		t.Helper()
		s, err := db.Status(late)
		if err != nil || s.Waiting != want || s.OldestMS != oldest {
			t.Errorf("waiting %d, oldest %d, %v, want %d and %d", s.Waiting, s.OldestMS, err, want, oldest)
		}
	}
	waiting(1000, noon)
	purge(0)
	mustSettle(t, db, cuts[2], 0)
	waiting(900, noon)
	purge(0) // the oldest are not covered
	mustSettle(t, db, cuts[0], 0)
	mustSettle(t, db, cuts[0], 0) // twice does no harm
	waiting(650, noon)
	purge(200) // to the last whole hundred
	waiting(650, noon)
	mustSettle(t, db, cuts[1], 0)
	for _, c := range cuts[3:] {
		mustSettle(t, db, c, record.ForRetention) // a signed refusal releases rows, too
	}
	waiting(3, noon) // the three alarms about it
	unknown := late
	unknown.Quality = 0
	if n, err := db.Purge(ctx, unknown); n != 0 || err != nil {
		t.Errorf("purged %d by a clock that knows nothing, %v", n, err)
	}
	purge(800)
	purge(0)
	mustSettle(t, db, cuts[0], 0) // a receipt that comes again after the purge
	mustVerify(t, db)
}

func TestDaysLeft(t *testing.T) {
	o := testOptions()
	o.Cap = 16 << 20
	db := openAt(t, filepath.Join(t.TempDir(), "gate.db"), o)
	if s, err := db.Status(clockAt(0)); err != nil || s.DaysLeft != -1 {
		t.Errorf("a new file knows its pace: %+v, %v", s, err)
	}
	mustAppend(t, db, many(20_000)...)
	mustTick(t, db, 0)
	mustTick(t, db, 11*time.Second)
	s, err := db.Status(clockAt(25 * time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	// 20 000 rows without a box in the last 25 hours took about 21 bytes each.
	if s.DaysLeft < 35 || s.DaysLeft > 45 {
		t.Errorf("days left = %d with %d bytes used", s.DaysLeft, s.Used)
	}
}
