package localdb

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"checkpoint/record"
)

// sealedIn is a scan sealed in a context that is made up; nobody opens it.
func sealedIn(db *DB, name byte, day string, after time.Duration) record.Draft {
	c := &record.Context{Identity: db.Identity(), ID: [16]byte{name}, Day: day, Enc: bytes.Repeat([]byte{name}, 1120), BeganMS: 7}
	return record.Draft{Stamp: clockAt(after), Context: c, Body: record.Scan{Verdict: 1, Reason: 1, Format: 1, Issuer: "CN-420100", Trust: 7,
		Sealed: record.Sealed{Context: c.ID, Index: uint32(after.Milliseconds()), Box: bytes.Repeat([]byte{name}, 48)}}}
}

// large is a count row of about 6 KB.
func large(after time.Duration) record.Draft {
	c := record.Count{}
	for i := range record.MaxTallies {
		c.Tallies = append(c.Tallies, record.Tally{Verdict: uint8(i >> 8), Reason: uint8(i), N: 1})
	}
	return record.Draft{Stamp: clockAt(after), Body: c}
}

// settledFile is an enrolled gate of which everything so far is settled.
func settledFile(t *testing.T) *DB {
	t.Helper()
	db := openNew(t)
	mustEnrol(t, db, "north")
	settleAll(t, db)
	return db
}

// shape tells a segment by its rows, hour from noon, day and venue.
func shape(t *testing.T, c record.Cut) string {
	t.Helper()
	s := parsed(t, c)
	carries := ""
	if s.Context != nil {
		carries = "+"
	}
	return fmt.Sprintf("%d h%+d %s%s %s", len(s.Rows), c.Hour-noon/hourMS, c.Day[len(c.Day)-2:], carries, c.Venue)
}

func TestWhereSegmentsEnd(t *testing.T) {
	ctx := context.Background()
	h := time.Hour
	for _, tc := range []struct {
		name     string
		write    func(t *testing.T, db *DB)
		complete int // as many are cut without all
		want     []string
	}{
		{"the tail waits", func(t *testing.T, db *DB) { mustAppend(t, db, many(255)...) }, 0, []string{"255 h+0 23 north"}},
		{"256 rows are enough", func(t *testing.T, db *DB) { mustAppend(t, db, many(256)...) }, 1, []string{"256 h+0 23 north"}},
		{"more are two", func(t *testing.T, db *DB) { mustAppend(t, db, many(300)...) }, 1, []string{"256 h+0 23 north", "44 h+0 23 north"}},
		{"the hour", func(t *testing.T, db *DB) { mustAppend(t, db, plain(0), plain(h-1), plain(h), plain(0)) }, 2,
			[]string{"2 h+0 23 north", "1 h+1 23 north", "1 h+0 23 north"}},
		{"an hour before 1970", func(t *testing.T, db *DB) {
			d := plain(0)
			d.WallMS = -1
			e := plain(0)
			e.WallMS = 0
			mustAppend(t, db, d, e)
		}, 1, []string{fmt.Sprintf("1 h%d 31 north", -1-noon/hourMS), fmt.Sprintf("1 h%d 01 north", -noon/hourMS)}},
		{"the sealing context, which rows without join", func(t *testing.T, db *DB) {
			mustAppend(t, db, plain(0), sealedIn(db, 1, "day-17", 1), plain(2), sealedIn(db, 1, "day-17", 3), plain(4),
				sealedIn(db, 2, "day-18", 5), plain(6))
		}, 1, []string{"5 h+0 17+ north", "2 h+0 18+ north"}},
		{"the context is carried once an hour", func(t *testing.T, db *DB) {
			for _, after := range []time.Duration{0, 1, h, h + 1, 2} {
				mustAppend(t, db, sealedIn(db, 1, "day-17", after))
				mustCutAll(t, db)
			}
		}, 5, []string{"1 h+0 17+ north", "1 h+0 17 north", "1 h+1 17+ north", "1 h+1 17 north", "1 h+0 17 north"}},
		{"the epoch", func(t *testing.T, db *DB) {
			mustAppend(t, db, plain(0))
			if err := db.NewEpoch(ctx, clockAt(0), "test"); err != nil {
				t.Fatal(err)
			}
			mustAppend(t, db, plain(0))
		}, 1, []string{"1 h+0 23 north", "2 h+0 23 north"}},
		{"the venue", func(t *testing.T, db *DB) {
			mustAppend(t, db, plain(0))
			mustEnrol(t, db, "south") // is complete at once, before another row
			mustEnrol(t, db, "west")
			mustEnrol(t, db, "south")
		}, 1, []string{"1 h+0 23 north"}},
		{"the venue, with rows behind it", func(t *testing.T, db *DB) {
			mustAppend(t, db, plain(0))
			mustEnrol(t, db, "south")
			mustAppend(t, db, plain(0), plain(0))
		}, 1, []string{"1 h+0 23 north", "2 h+0 23 south"}},
		{"1 MiB", func(t *testing.T, db *DB) {
			for i := range 200 {
				mustAppend(t, db, large(time.Duration(i)))
			}
		}, 1, []string{"167 h+0 23 north", "33 h+0 23 north"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			db := settledFile(t)
			tc.write(t, db)
			var got []string
			complete := 0
			var before *record.Segment
			for _, all := range []bool{false, true} {
				for {
					c, ok, err := db.NextCut(ctx, all, testSign)
					if err != nil {
						t.Fatal(err)
					}
					if !ok {
						break
					}
					s := parsed(t, c)
					if before != nil && (s.Before != before.Head || s.First != before.Last+1) {
						t.Errorf("segment %d does not go on where the one before ended", c.Number)
					}
					before = s
					got = append(got, shape(t, c))
					mustSettle(t, db, c, 0)
				}
				if !all {
					complete = len(got)
				}
			}
			if !slices.Equal(got, tc.want) || complete != tc.complete {
				t.Errorf("segments %q, %d of them complete; want %q, %d", got, complete, tc.want, tc.complete)
			}
			if s, err := db.Status(clockAt(0)); err != nil || s.Waiting != 0 {
				t.Errorf("%d rows wait, %v", s.Waiting, err)
			}
		})
	}
}

// TestNothingIsCutForNobody: a gate alone has no segments, and its rows are all
// cut once it has a hub.
func TestNothingIsCutForNobody(t *testing.T) {
	db := openNew(t)
	mustAppend(t, db, many(300)...)
	mustNotCut(t, db, true)
	mustCutAll(t, db)
	if cuts := openCuts(t, db); len(cuts) != 0 {
		t.Fatalf("%d segments of a gate alone", len(cuts))
	}
	mustEnrol(t, db, "north")
	c := mustCut(t, db, false)
	if c.First != 1 || c.Last != 256 || c.Number != 1 || c.Venue != "north" {
		t.Errorf("the first segment is %d, rows %d to %d, at %s", c.Number, c.First, c.Last, c.Venue)
	}
}

// TestFormerEpochsFirst: what an epoch has not cut yet goes up under its name
// and its numbers, also after the file was moved to another board.
func TestFormerEpochsFirst(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	mustEnrol(t, db, "north")
	was := db.Identity()
	mustAppend(t, db, many(300)...)
	mustSettle(t, db, mustCut(t, db, false), 0)
	if err := db.Close(ctx, clockAt(0)); err != nil {
		t.Fatal(err)
	}
	o := testOptions()
	o.HardwareID = "board 2"
	db = openAt(t, path, o)
	c := mustCut(t, db, false)
	if c.Identity != was || c.Number != 2 || c.First != 257 {
		t.Errorf("segment %d of rows from %d, by the old epoch: %v", c.Number, c.First, c.Identity == was)
	}
	head := parsed(t, c).Head
	mustSettle(t, db, c, 0)
	c = mustCut(t, db, true)
	if s := parsed(t, c); c.Identity != db.Identity() || c.Number != 1 || s.Before != head {
		t.Errorf("segment %d of the new epoch, its link goes on: %v", c.Number, s.Before == head)
	}
}

// TestSameBytes: a segment that waits is the same after a restart, after a kill,
// and made of the file alone.
func TestSameBytes(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	mustEnrol(t, db, "north")
	mustAppend(t, db, sealedIn(db, 1, "day-17", 0), plain(1), large(2))
	want := mustCut(t, db, true)
	again := mustCut(t, db, true)
	db.made = record.Cut{}
	rebuilt := mustCut(t, db, false)
	if err := db.Close(ctx, clockAt(0)); err != nil {
		t.Fatal(err)
	}
	db = openAt(t, path, testOptions())
	never := func([32]byte) [ed25519.SignatureSize]byte {
		t.Error("signed a second time")
		return [ed25519.SignatureSize]byte{}
	}
	restarted, ok, err := db.NextCut(ctx, false, never)
	if err != nil || !ok {
		t.Fatal(err)
	}
	for _, c := range []record.Cut{again, rebuilt, restarted} {
		if c.SegmentKey != want.SegmentKey || !bytes.Equal(c.Bytes, want.Bytes) || c.SHA256 != want.SHA256 {
			t.Error("the same segment has other bytes")
		}
	}
}

func TestDamagedSegmentIsNotSent(t *testing.T) {
	ctx := context.Background()
	for _, tc := range []struct{ name, sql string }{
		{"a row changed", "UPDATE row SET body = (SELECT body FROM row WHERE seq = 5) WHERE seq = 6"},
		{"a row taken out", "DELETE FROM row WHERE seq = 6"},
		{"an issuer changed", "UPDATE judge SET issuer = 'CN-110000'"},
		{"the context taken out", "DELETE FROM context"},
		{"the context changed", "UPDATE context SET began = began + 1"},
		{"the signature changed", "UPDATE cut SET signature = zeroblob(64)"},
		{"the digest changed", "UPDATE cut SET sha256 = zeroblob(32)"},
		{"the venue changed", "UPDATE cut SET venue = 'south'"},
		{"another form", "UPDATE cut SET form = 2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gate.db")
			db := openAt(t, path, testOptions())
			mustEnrol(t, db, "north")
			mustAppend(t, db, sealedIn(db, 1, "day-17", 0))
			mustAppend(t, db, many(300)...)
			mustAppend(t, db, plain(time.Hour)) // ends the second segment
			mustCutAll(t, db)
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
			db = openAt(t, path, testOptions())
			c, ok, err := db.NextCut(ctx, false, testSign)
			if !ok || !errors.Is(err, ErrDamaged) || len(c.Bytes) != 0 || c.Number != 1 {
				t.Fatalf("%v, %v, %d bytes of segment %d; want ErrDamaged and none", ok, err, len(c.Bytes), c.Number)
			}
			if err := db.SetAside(ctx, clockAt(0), c, "damaged", false); err != nil {
				t.Error(err) // and so it does not hold the others back
			}
		})
	}
}

// TestPoisonedContextIsCarriedAgain: what a hub did not take it does not have.
func TestPoisonedContextIsCarriedAgain(t *testing.T) {
	ctx := context.Background()
	db := settledFile(t)
	for _, out := range []func(c record.Cut){
		func(c record.Cut) {
			if err := db.SetAside(ctx, clockAt(0), c, "too large", false); err != nil {
				t.Fatal(err)
			}
		},
		func(c record.Cut) { mustSettle(t, db, c, record.ForForm) },
		func(c record.Cut) { mustSettle(t, db, c, 0) },
	} {
		mustAppend(t, db, sealedIn(db, 1, "day-17", 0))
		c := mustCut(t, db, true)
		if parsed(t, c).Context == nil {
			t.Errorf("segment %d does not carry the context", c.Number)
		}
		out(c)
		for { // the alarm about it
			c, ok, err := db.NextCut(ctx, true, testSign)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			mustSettle(t, db, c, 0)
		}
	}
	mustAppend(t, db, sealedIn(db, 1, "day-17", 0))
	if c := mustCut(t, db, true); parsed(t, c).Context != nil {
		t.Error("the context is carried twice")
	}
}

// TestCuttingBesideAppends cuts while rows are written, and gets all of them.
func TestCuttingBesideAppends(t *testing.T) {
	ctx := context.Background()
	db := settledFile(t)
	first, _ := db.Head()
	written := make(chan error)
	go func() {
		for i := range 100 {
			if _, err := db.Append(ctx, many(1+i%9)...); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	next := first + 1
	take := func() bool {
		c, ok, err := db.NextCut(ctx, true, testSign)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			if c.First != next {
				t.Fatalf("a segment begins at row %d, want %d", c.First, next)
			}
			next = c.Last + 1
			parsed(t, c)
			mustSettle(t, db, c, 0)
		}
		return ok
	}
	for done := false; !done; {
		take()
		select {
		case err := <-written:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		default:
		}
	}
	for take() {
	}
	if head, _ := db.Head(); next != head+1 {
		t.Errorf("cut up to row %d of %d", next-1, head)
	}
}

// TestCutStopsBeforeTheReserveIsGone: segments take a little room, and leave
// what a purge needs.
func TestCutStopsBeforeTheReserveIsGone(t *testing.T) {
	db := settledFile(t)
	mustAppend(t, db, plain(0))
	db.write.Lock()
	db.disk.free = reserve/2 - 1
	db.write.Unlock()
	if _, _, err := db.NextCut(context.Background(), true, testSign); !errors.Is(err, ErrNoSpace) {
		t.Errorf("got %v, want ErrNoSpace", err)
	}
	db.write.Lock()
	db.disk.free, db.disk.used = reserve/2, db.o.Cap+1 // at the cap, too: it is the way to get below it
	db.write.Unlock()
	mustCut(t, db, true)
}

func TestSettleRefuses(t *testing.T) {
	ctx := context.Background()
	db := openNew(t)
	mustEnrol(t, db, "north")
	mustAppend(t, db, many(10)...)
	c := mustCut(t, db, true)
	for _, tc := range []struct {
		name   string
		change func(r *record.Receipt)
	}{
		{"another device", func(r *record.Receipt) { r.Device[0]++ }},
		{"another epoch", func(r *record.Receipt) { r.Epoch[0]++ }},
		{"a number that was never cut", func(r *record.Receipt) { r.Number++ }},
		{"another first row", func(r *record.Receipt) { r.First++ }},
		{"another last row", func(r *record.Receipt) { r.Last++ }},
		{"other bytes", func(r *record.Receipt) { r.SHA256[0]++ }},
		{"no disposition", func(r *record.Receipt) { r.Disposition = 0 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, _ := receipt(c, 0)
			tc.change(&r)
			if err := db.Settle(ctx, clockAt(0), r, record.AppendReceipt(nil, r)); !errors.Is(err, record.ErrReceipt) {
				t.Errorf("got %v, want ErrReceipt", err)
			}
		})
	}
	r, raw := receipt(c, 0)
	other, _ := receipt(c, record.ForForm)
	for _, err := range []error{db.Settle(ctx, clockAt(0), other, raw), db.Settle(ctx, clockAt(0), r, raw[1:]), db.Settle(ctx, clockAt(0), r, nil)} {
		if !errors.Is(err, record.ErrReceipt) {
			t.Errorf("bytes that are not the receipt's: %v, want ErrReceipt", err)
		}
	}
	if got := mustCut(t, db, false); got.SegmentKey != c.SegmentKey {
		t.Error("the segment waits no more")
	}
}

// alarms are the texts of the alarm rows from a number on.
func alarms(t *testing.T, db *DB, from uint64) (texts []string) {
	t.Helper()
	for row, err := range db.Rows(context.Background(), from) {
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := row.Body.(record.Event); ok && e.Code == record.EventAlarm {
			texts = append(texts, e.Text)
		}
	}
	return texts
}

func TestRefusalIsCountedAndToldOnce(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	mustEnrol(t, db, "north")
	c := mustCut(t, db, true)
	mustSettle(t, db, c, record.ForRetention)
	mustSettle(t, db, c, record.ForRetention)
	mustSettle(t, db, c, record.ForForm)
	if got, want := alarms(t, db, 1), []string{"segment 1 refused for good: retention"}; !slices.Equal(got, want) {
		t.Errorf("alarms %q, want %q", got, want)
	}
	if err := db.Close(ctx, clockAt(0)); err != nil {
		t.Fatal(err)
	}
	db = openAt(t, path, testOptions())
	s, err := db.Status(clockAt(0))
	if err != nil || s.Refused != 1 || s.Waiting != 1 { // the alarm itself
		t.Errorf("status = %+v, %v", s, err)
	}
	mustSettle(t, db, c, 0) // it was stored after all
	mustSettle(t, db, c, record.ForForm)
	if got := alarms(t, db, 1); len(got) != 1 {
		t.Errorf("alarms %q, want one", got)
	}
}

func TestSetAside(t *testing.T) {
	ctx := context.Background()
	o := testOptions()
	o.Retention = time.Hour
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, o)
	mustEnrol(t, db, "north")
	was := db.Identity()
	mustAppend(t, db, many(700)...)
	c := mustCut(t, db, false)
	for range 2 { // the second changes nothing
		if err := db.SetAside(ctx, clockAt(0), c, "conflict", true); err != nil {
			t.Fatal(err)
		}
	}
	is := db.Identity()
	if is.Epoch == was.Epoch || is.Device != was.Device {
		t.Error("no new epoch of the same device")
	}
	second := mustCut(t, db, false)
	if second.Identity != was || second.Number != 2 {
		t.Fatalf("next is segment %d", second.Number)
	}
	// The other gate has this one, too; there is a new epoch already.
	if err := db.SetAside(ctx, clockAt(0), second, "conflict", true); err != nil {
		t.Fatal(err)
	}
	if db.Identity() != is {
		t.Error("another epoch for rows of the old one")
	}
	if got, want := alarms(t, db, 1), []string{"segment 1 set aside: conflict", "segment 2 set aside: conflict"}; !slices.Equal(got, want) {
		t.Errorf("alarms %q, want %q", got, want)
	}
	for {
		c, ok, err := db.NextCut(ctx, true, testSign)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		mustSettle(t, db, c, 0)
	}
	for _, bad := range []func(c *record.Cut){func(c *record.Cut) { c.Device[0]++ }, func(c *record.Cut) { c.Number = 99 }, func(c *record.Cut) { c.SHA256[0]++ }} {
		other := c
		bad(&other)
		if err := db.SetAside(ctx, clockAt(0), other, "x", false); !errors.Is(err, ErrNoCut) {
			t.Errorf("got %v, want ErrNoCut", err)
		}
	}
	if err := db.Close(ctx, clockAt(0)); err != nil {
		t.Fatal(err)
	}
	db = openAt(t, path, o)
	late := clockAt(3 * time.Hour)
	if n, err := db.Purge(ctx, late); n != 0 || err != nil {
		t.Errorf("purged %d rows of what was set aside, %v", n, err)
	}
	s, err := db.Status(late)
	if err != nil || s.Poison != 2 || s.Waiting != 512 || s.OldestMS != noon {
		t.Errorf("status = %+v, %v", s, err)
	}
	aside := openCuts(t, db)
	if len(aside) != 2 || !bytes.Equal(aside[0].Bytes, c.Bytes) {
		t.Fatalf("%d segments for a stick", len(aside))
	}
	mustSettle(t, db, aside[0], 0) // a stick brought its receipt
	mustSettle(t, db, aside[1], record.ForSignature)
	if n, err := db.Purge(ctx, late); n != 700 || err != nil {
		t.Errorf("purged %d rows, %v, want 700", n, err)
	}
	if s, err := db.Status(late); err != nil || s.Poison != 0 {
		t.Errorf("status = %+v, %v", s, err)
	}
	mustVerify(t, db)
}

func TestEnrolment(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, testOptions())
	if _, ok, err := db.Enrolment(ctx); ok || err != nil {
		t.Errorf("a new file is enrolled: %v, %v", ok, err)
	}
	for _, change := range []func(e *Enrolment){
		func(e *Enrolment) { e.URL = "" }, func(e *Enrolment) { e.URL = strings.Repeat("x", 201) }, func(e *Enrolment) { e.Chain = nil },
		func(e *Enrolment) { e.Chain = [][]byte{nil} }, func(e *Enrolment) { e.TLSKey = nil }, func(e *Enrolment) { e.SegmentSeed = e.SegmentSeed[1:] },
		func(e *Enrolment) { e.Venue = "" }, func(e *Enrolment) { e.Venue = "a\nb" }, func(e *Enrolment) { e.Gate = "\xff" },
		func(e *Enrolment) { e.IntervalS = -1 }, func(e *Enrolment) { e.FirstRoot = make([]byte, 1<<20+1) },
	} {
		e := testEnrolment("north")
		change(&e)
		if err := db.Enrol(ctx, clockAt(0), e); !errors.Is(err, ErrEnrol) {
			t.Errorf("%+v: %v, want ErrEnrol", e, err)
		}
	}
	first := testEnrolment("north")
	second := first
	second.Chain, second.TLSKey, second.State, second.IntervalS, second.Word = [][]byte{[]byte("RENEWED")}, []byte("ANOTHER PRIVATE KEY"), "pending", 300, ""
	for _, want := range []Enrolment{first, second} {
		if err := db.Enrol(ctx, clockAt(0), want); err != nil {
			t.Fatal(err)
		}
		got, ok, err := db.Enrolment(ctx)
		if err != nil || !ok || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %+v, %v, %v, want %+v", got, ok, err, want)
		}
	}
	mustTick(t, db, 0)
	mustTick(t, db, 2*time.Minute)
	if where := contains(t, path, first.TLSKey); where != nil {
		t.Errorf("a key that was replaced still stands in %v", where)
	}
	if contains(t, path, second.TLSKey) == nil {
		t.Error("the key is nowhere: the test cannot see")
	}
	events := 0
	for row, err := range db.Rows(ctx, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := row.Body.(record.Event); ok && e.Code == record.EventEnrolled {
			events++
		}
	}
	if s, err := db.Status(clockAt(0)); events != 1 || err != nil || !s.Enrolled {
		t.Errorf("%d events of enrolment, want 1; status %+v, %v", events, s, err)
	}
	if err := db.Close(ctx, clockAt(0)); err != nil {
		t.Fatal(err)
	}
	p := mustPeek(t, path)
	if p.Enrolment == nil || p.Enrolment.Gate != "North 1" || p.Enrolment.TLSKey != nil || p.Enrolment.SegmentSeed != nil {
		t.Errorf("peek shows %+v", p.Enrolment)
	}
	db = openAt(t, path, testOptions())
	if got, ok, err := db.Enrolment(ctx); err != nil || !ok || fmt.Sprint(got) != fmt.Sprint(second) {
		t.Errorf("after a restart: %+v, %v, %v", got, ok, err)
	}
	if p.Identity != db.Identity() {
		t.Errorf("peek sees %v, want %v", p.Identity, db.Identity())
	}
}

func TestNewDevice(t *testing.T) {
	ctx := context.Background()
	o := testOptions()
	o.Retention = time.Hour
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openAt(t, path, o)
	mustEnrol(t, db, "north")
	was := db.Identity()
	mustAppend(t, db, many(300)...)
	mustSettle(t, db, mustCut(t, db, false), 0)
	keys := testEnrolment("")
	if err := db.NewDevice(ctx, clockAt(0), "revoked"); err != nil {
		t.Fatal(err)
	}
	is := db.Identity()
	if is.Device == was.Device || is.Epoch == was.Epoch {
		t.Error("the device is the old one")
	}
	for _, secret := range [][]byte{keys.TLSKey, keys.SegmentSeed} {
		if where := contains(t, path, secret); where != nil {
			t.Errorf("a key that was wiped still stands in %v", where)
		}
	}
	if _, ok, err := db.Enrolment(ctx); ok || err != nil {
		t.Errorf("still enrolled: %v, %v", ok, err)
	}
	mustAppend(t, db, many(10)...)
	mustNotCut(t, db, true)
	check := func() {
		t.Helper()
		left := openCuts(t, db)
		if len(left) != 1 || left[0].Identity != was || left[0].First != 257 || left[0].Last != 302 {
			t.Fatalf("for a stick: %d segments, want the tail of the old device", len(left))
		}
		parsed(t, left[0])
	}
	check()
	if err := db.Close(ctx, clockAt(0)); err != nil {
		t.Fatal(err)
	}
	db = openAt(t, path, o)
	check()
	if s, err := db.Status(clockAt(0)); err != nil || s.Enrolled || s.Waiting != 46+11 {
		t.Errorf("status = %+v, %v", s, err)
	}
	mustEnrol(t, db, "south")
	check()
	c := mustCut(t, db, true)
	if c.Identity != is || c.Number != 1 || c.First != 303 || c.Venue != "south" {
		t.Errorf("segment %d of rows from %d, at %s", c.Number, c.First, c.Venue)
	}
	mustSettle(t, db, c, 0)
	mustNotCut(t, db, true) // the old device's are not offered
	mustAppend(t, db, many(300)...)
	settleNew := func() {
		for {
			c, ok, err := db.NextCut(ctx, true, testSign)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return
			}
			mustSettle(t, db, c, 0)
		}
	}
	settleNew()
	late := clockAt(3 * time.Hour)
	if n, err := db.Purge(ctx, late); n != 200 || err != nil {
		t.Errorf("purged %d, %v: want 200, as the old device's rows wait", n, err)
	}
	check()
	mustSettle(t, db, openCuts(t, db)[0], 0)
	if n, err := db.Purge(ctx, late); n != 400 || err != nil {
		t.Errorf("purged %d, %v, want 400", n, err)
	}
	mustVerify(t, db)
}

// TestNewDeviceOfAGateAlone: nobody ever waited for what the old one wrote.
func TestNewDeviceOfAGateAlone(t *testing.T) {
	ctx := context.Background()
	o := testOptions()
	o.Retention = time.Hour
	db := openAt(t, filepath.Join(t.TempDir(), "gate.db"), o)
	mustAppend(t, db, many(300)...)
	if err := db.NewDevice(ctx, clockAt(0), "test"); err != nil {
		t.Fatal(err)
	}
	mustEnrol(t, db, "north")
	if c := mustCut(t, db, true); c.First != 302 || c.Number != 1 {
		t.Errorf("segment %d begins at row %d, want the new device's first", c.Number, c.First)
	}
	if s, err := db.Status(clockAt(0)); err != nil || s.Waiting != 2 {
		t.Errorf("status = %+v, %v", s, err)
	}
	if n, err := db.Purge(ctx, clockAt(3*time.Hour)); n != 300 || err != nil {
		t.Errorf("purged %d, %v, want 300", n, err)
	}
	mustVerify(t, db)
}
