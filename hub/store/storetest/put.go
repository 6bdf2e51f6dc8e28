package storetest

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"checkpoint/hub/store"
	"checkpoint/record"
)

func testPut(t *testing.T, p Place) {
	s := p.Open(t)
	w := NewWriter(1)
	one, two, three := w.Cut(30), w.Cut(30), w.Cut(30)
	put(t, s, store.Stored, one)
	put(t, s, store.Repeat, one)
	put(t, s, store.Conflict, forge(one))
	put(t, s, store.Repeat, one)
	put(t, s, store.Stored, two)

	broken := three
	broken.Before[3] ^= 1
	put(t, s, store.Conflict, broken)
	overlap := three
	overlap.First--
	put(t, s, store.Conflict, overlap)
	otherHour := two
	otherHour.Hour++
	put(t, s, store.Conflict, otherHour) // its number is taken in another hour
	otherDay := two
	otherDay.Day = tomorrow
	put(t, s, store.Conflict, otherDay)
	put(t, s, store.Stored, three)
	if n := total(t, s); n != 90 {
		t.Errorf("%d rows are counted, want 90", n)
	}

	// It begins anywhere, and where it moves to it goes on.
	late := NewWriter(2)
	late.Last = 999
	put(t, s, store.Stored, late.Cut(10))
	late.Venue = "venue B"
	put(t, s, store.Stored, late.Cut(10))
	if got := streamOf(t, s, late.Identity); got.Venue != "venue B" || got.Number != 2 || got.Last != 1019 || got.Head != late.Head || got.Gaps != nil {
		t.Errorf("stream %+v", got)
	}

	// Rows that were erased before they were cut are no gap of numbers.
	late.Last += 50
	late.Head[0] ^= 1
	erased := late.Cut(10)
	together(t, s, []store.Outcome{store.Stored}, erased)
	if got := gapsOf(t, s, late.Identity); got != nil {
		t.Errorf("gaps %v", got)
	}
	for _, in := range stored(t, s, bucketOf(erased)) {
		if want := in.Number == 3; (in.Flags&store.AfterGap != 0) != want {
			t.Errorf("segment %d: flags %b", in.Number, in.Flags)
		}
	}

	check(t, s.Close())
	if _, err := s.Put(t.Context(), []store.Incoming{one}); err == nil {
		t.Error("a closed store took a segment")
	}
	s = p.Open(t)
	defer s.Close()
	put(t, s, store.Repeat, one, two, three, erased)
	put(t, s, store.Conflict, forge(two))
	put(t, s, store.Stored, w.Cut(5))

	if _, err := s.Put(t.Context(), []store.Incoming{{}}); err == nil {
		t.Error("a segment without a number was taken")
	}
	if puts, err := s.Put(t.Context(), nil); err != nil || len(puts) != 0 {
		t.Errorf("an empty batch: %v, %v", puts, err)
	}
}

func testBatches(t *testing.T, p Place) {
	s := p.Open(t)
	defer s.Close()
	w, other := NewWriter(1), NewWriter(2)
	const ok, again, bad = store.Stored, store.Repeat, store.Conflict
	one, two, three := w.Cut(20), w.Cut(20), w.Cut(20)
	together(t, s, []store.Outcome{ok, again, bad, ok, ok, ok, again}, one, one, forge(one), two, other.Cut(20), three, two)
	if n := total(t, s); n != 80 {
		t.Errorf("%d rows are counted, want 80", n)
	}
	// In the wrong order, a gap opens and is closed.
	four, five := w.Cut(20), w.Cut(20)
	puts := together(t, s, []store.Outcome{ok, ok}, five, four)
	if puts[0].MissingFrom != 4 || puts[0].MissingTo != 4 || puts[1].MissingFrom != 0 {
		t.Errorf("missing %+v", puts)
	}
	if got := gapsOf(t, s, w.Identity); got != nil {
		t.Errorf("gaps %v", got)
	}
	// Over days, venues and streams, with a conflict among them.
	w.Day, w.Venue, w.Hour = tomorrow, "venue B", w.Hour+12
	six := w.Cut(20)
	w.Day, w.Hour = "no_date", w.Hour+1
	together(t, s, []store.Outcome{ok, bad, ok, again, again}, six, forge(six), w.Cut(20), five, one)
	if got := stored(t, s, bucketOf(six)); len(got) != 1 || got[0].SHA256 != six.SHA256 {
		t.Errorf("%d segments in the bucket", len(got))
	}
}

func testGaps(t *testing.T, p Place) {
	s := p.Open(t)
	defer s.Close()
	w := NewWriter(1)
	var all []store.Incoming
	for range 12 {
		all = append(all, w.Cut(10))
	}
	missing := func(from, to uint64, in store.Incoming) {
		t.Helper()
		got := put(t, s, store.Stored, in)[0]
		if got.MissingFrom != from || got.MissingTo != to {
			t.Errorf("segment %d: missing %d to %d, want %d to %d", in.Number, got.MissingFrom, got.MissingTo, from, to)
		}
	}
	gaps := func(want ...store.Gap) {
		t.Helper()
		if got := gapsOf(t, s, w.Identity); !slices.Equal(got, want) {
			t.Errorf("gaps %v, want %v", got, want)
		}
	}
	missing(1, 2, all[2])
	gaps(store.Gap{From: 1, To: 2, First: 1, Last: 20})
	missing(4, 9, all[9])
	gaps(store.Gap{From: 1, To: 2, First: 1, Last: 20}, store.Gap{From: 4, To: 9, First: 31, Last: 90})

	bad := func(change func(*store.Incoming), in store.Incoming) {
		t.Helper()
		change(&in)
		put(t, s, store.Conflict, in)
	}
	bad(func(in *store.Incoming) { in.Before[0] ^= 1 }, all[3])       // it does not join what is before the gap
	bad(func(in *store.Incoming) { in.Head[0] ^= 1 }, all[8])         // nor what is after it
	bad(func(in *store.Incoming) { in.First = 30 }, all[3])           // a row of another
	bad(func(in *store.Incoming) { in.Last = 91 }, all[8])            //
	missing(0, 0, all[5])                                             // in the middle
	bad(func(in *store.Incoming) { in.Before[0] ^= 1 }, all[6])       // the new edges are known
	bad(func(in *store.Incoming) { in.Head = record.Link{} }, all[4]) //
	gaps(store.Gap{From: 1, To: 2, First: 1, Last: 20}, store.Gap{From: 4, To: 5, First: 31, Last: 50}, store.Gap{From: 7, To: 9, First: 61, Last: 90})
	put(t, s, store.Stored, all[3], all[8], all[1], all[0], all[7], all[6], all[4])
	gaps()
	put(t, s, store.Repeat, all[:10]...)
	missing(11, 11, all[11])
	put(t, s, store.Stored, all[10])
	gaps()
	flagged := map[uint64]bool{3: true, 10: true, 6: true, 9: true, 2: true, 8: true, 12: true, 5: false}
	for _, in := range stored(t, s, bucketOf(all[0])) {
		if want, ok := flagged[in.Number]; ok && (in.Flags&store.AfterGap != 0) != want {
			t.Errorf("segment %d: flags %b", in.Number, in.Flags)
		}
	}

	// No stream holds gaps without end.
	many := NewWriter(2)
	var batch []store.Incoming
	var want []store.Outcome
	for range store.MaxGaps {
		many.Cut(1)
		batch, want = append(batch, many.Cut(1)), append(want, store.Stored)
	}
	many.Cut(1)
	batch, want = append(batch, many.Cut(1)), append(want, store.Conflict)
	together(t, s, want, batch...)
	if got := gapsOf(t, s, many.Identity); len(got) != store.MaxGaps {
		t.Errorf("%d gaps", len(got))
	}
}

func testRefused(t *testing.T, p Place) {
	s := p.Open(t)
	defer s.Close()
	w := NewWriter(1)
	var all []store.Incoming
	for range 8 {
		all = append(all, w.Cut(10))
	}
	refuse := func(in store.Incoming) {
		t.Helper()
		check(t, s.Refuse(t.Context(), in.SegmentKey, in.First, in.Last, in.SHA256, record.ForVenue, now))
		check(t, s.Refuse(t.Context(), in.SegmentKey, in.First, in.Last, in.SHA256, record.ForVenue, now)) // once more
	}
	put(t, s, store.Stored, all[0])
	refuse(all[1])
	if got := put(t, s, store.Stored, all[2])[0]; got.MissingFrom != 0 || got.MissingTo != 0 {
		t.Errorf("missing %+v", got)
	}
	if got := gapsOf(t, s, w.Identity); got != nil {
		t.Errorf("gaps %v", got)
	}
	refuse(all[4])
	if got := put(t, s, store.Stored, all[7])[0]; got.MissingFrom != 4 || got.MissingTo != 7 {
		t.Errorf("missing %+v", got)
	}
	want := []store.Gap{{From: 4, To: 4, First: 31, Last: 40}, {From: 6, To: 7, First: 51, Last: 70}}
	if got := gapsOf(t, s, w.Identity); !slices.Equal(got, want) {
		t.Errorf("gaps %v, want %v", got, want)
	}
	refuse(all[3])
	refuse(all[6])
	refuse(all[5])
	if got := gapsOf(t, s, w.Identity); got != nil {
		t.Errorf("gaps %v", got)
	}
	put(t, s, store.Stored, all[1]) // it may come all the same: better kept than lost
	put(t, s, store.Repeat, all[1])
	put(t, s, store.Conflict, forge(all[1]))
}

func testDrop(t *testing.T, p Place) {
	s := p.Open(t)
	w, odd := NewWriter(1), NewWriter(2)
	one := w.Cut(20)
	w.Day, w.Hour = tomorrow, w.Hour+12
	two, three := w.Cut(20), w.Cut(20)
	odd.Day = "no_date"
	oddOne := odd.Cut(20)
	odd.Day = "1997-01-01"
	oddTwo := odd.Cut(20)
	put(t, s, store.Stored, one, two, oddOne, oddTwo)
	check(t, s.DropDay(t.Context(), today, true, now))
	check(t, s.DropDay(t.Context(), today, true, now)) // again: nothing to do
	put(t, s, store.Destroyed, one)
	put(t, s, store.Repeat, two)
	if got := stored(t, s, bucketOf(one)); len(got) != 0 {
		t.Errorf("%d segments of a dropped day", len(got))
	}
	rows := must[[]store.Notable](t)(s.Notable(t.Context(), store.RowFilter{Limit: 100}))
	if len(rows) != 6 {
		t.Errorf("%d notable rows, want 6", len(rows))
	}
	for _, r := range rows {
		if r.Day == today {
			t.Error("a notable row of a dropped day")
		}
	}
	if n := total(t, s); n != 60 {
		t.Errorf("%d rows are counted, want 60", n)
	}
	// What comes of it later is no gap.
	check(t, s.DropDay(t.Context(), tomorrow, false, now))
	put(t, s, store.Retired, three)
	w.Day, w.Hour = "2026-11-25", w.Hour+24
	if got := put(t, s, store.Stored, w.Cut(10))[0]; got.MissingFrom != 0 {
		t.Errorf("missing %+v", got)
	}
	if got := gapsOf(t, s, w.Identity); got != nil {
		t.Errorf("gaps %v", got)
	}
	check(t, s.DropDay(t.Context(), "no_date", true, now))
	put(t, s, store.Destroyed, oddOne)
	put(t, s, store.Repeat, oddTwo)
	check(t, s.DropDay(t.Context(), "never_came", true, now))
	check(t, s.Close())

	s = p.Open(t)
	defer s.Close()
	put(t, s, store.Destroyed, one, oddOne)
	put(t, s, store.Retired, two)
	check(t, s.DropDay(t.Context(), tomorrow, true, now)) // from retired to destroyed
	put(t, s, store.Destroyed, two)
	check(t, s.DropDay(t.Context(), tomorrow, false, now)) // and never back
	put(t, s, store.Destroyed, two)
	for _, d := range must[[]store.Day](t)(s.ListDays(t.Context())) {
		dropped := d.ID == today || d.ID == tomorrow || d.ID == "no_date" || d.ID == "never_came"
		if d.Destroyed != dropped || d.Retired || dropped && d.Segments+uint64(d.Bytes) != 0 || !dropped && d.Segments != 1 {
			t.Errorf("%+v", d)
		}
	}
}

func testContexts(t *testing.T, p Place) {
	s := p.Open(t)
	defer s.Close()
	w := NewWriter(1)
	sealed := func(id byte, carries bool) store.Incoming {
		in := w.Cut(10)
		in.ContextID = [16]byte{id}
		if carries {
			in.Context = &record.Context{Identity: in.Identity, ID: in.ContextID, Day: in.Day, Enc: slices.Repeat([]byte{id}, 1120), BeganMS: 99}
		}
		return in
	}
	in := []store.Incoming{sealed(1, true), sealed(1, false), sealed(2, false), sealed(2, false), sealed(2, true), sealed(3, false), sealed(1, true)}
	orphans := func(want ...uint64) {
		t.Helper()
		var got []uint64
		for _, one := range stored(t, s, bucketOf(in[0])) {
			if one.Flags&store.Orphan != 0 {
				got = append(got, one.Number)
			}
			if want := in[one.Number-1].Context; (want == nil) != (one.Context == nil) ||
				want != nil && (one.Context.ID != want.ID || string(one.Context.Enc) != string(want.Enc) || one.Context.BeganMS != 99 || one.Context.Identity != w.Identity || one.Context.Day != today) {
				t.Errorf("segment %d: context %v", one.Number, one.Context)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("orphans %v, want %v", got, want)
		}
	}
	together(t, s, []store.Outcome{store.Stored, store.Stored, store.Stored}, in[:3]...)
	orphans(3)
	put(t, s, store.Stored, in[3])
	orphans(3, 4)
	put(t, s, store.Stored, in[4:]...)
	orphans(6)
	// Nor does one of another venue help.
	w.Venue = "venue B"
	moved := sealed(3, true)
	put(t, s, store.Stored, moved)
	orphans(6)
	// In one batch, the wrong way around.
	w.Venue = venue
	late, first := sealed(4, false), sealed(4, true)
	together(t, s, []store.Outcome{store.Stored, store.Stored}, late, first)
	in = append(in, moved, late, first)
	orphans(6)
}

func testCounts(t *testing.T, p Place) {
	s := p.Open(t)
	defer s.Close()
	a, b := NewWriter(1), NewWriter(2)
	b.Venue = "venue B"
	first := a.Cut(1)
	first.Counts = []store.Count{{Hour: Hour, Verdict: 1, N: 5}, {Hour: Hour - 30, Verdict: 7, Reason: 3, N: 1 << 39}, {Hour: Hour, Verdict: 1, N: 2}}
	second := a.Cut(1)
	second.Counts = []store.Count{{Hour: Hour, Verdict: 1, N: 10}}
	third := b.Cut(1)
	third.Counts = []store.Count{{Hour: Hour + 1, Verdict: 1, N: 3}}
	a.Epoch[0] ^= 1 // the same device in another epoch, in another day
	a.Number, a.Last, a.Head, a.Day = 0, 0, record.Link{}, tomorrow
	fourth := a.Cut(1)
	fourth.Counts = []store.Count{{Hour: Hour, Verdict: 1, N: 100}}
	together(t, s, []store.Outcome{store.Stored, store.Stored, store.Stored, store.Stored, store.Repeat}, first, second, third, fourth, second)
	put(t, s, store.Repeat, first)
	for _, tc := range []struct {
		name     string
		venues   []string
		from, to int64
		want     []store.Hourly
	}{
		{"an hour", nil, Hour, Hour + 1, []store.Hourly{{Venue: venue, Device: a.Device, Hour: Hour, Verdict: 1, N: 117}}},
		{"two", nil, Hour, Hour + 2, []store.Hourly{{Venue: venue, Device: a.Device, Hour: Hour, Verdict: 1, N: 117}, {Venue: "venue B", Device: b.Device, Hour: Hour + 1, Verdict: 1, N: 3}}},
		{"told of later", nil, Hour - 30, Hour, []store.Hourly{{Venue: venue, Device: a.Device, Hour: Hour - 30, Verdict: 7, Reason: 3, N: 1 << 39}}},
		{"a venue", []string{"venue B", "venue C"}, 0, Hour + 9, []store.Hourly{{Venue: "venue B", Device: b.Device, Hour: Hour + 1, Verdict: 1, N: 3}}},
		{"no venue", []string{}, 0, Hour + 9, nil},
		{"no hour", nil, Hour + 2, Hour + 9, nil},
	} {
		got := must[[]store.Hourly](t)(s.Hourly(t.Context(), tc.venues, tc.from, tc.to))
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func testNotable(t *testing.T, p Place) {
	s := p.Open(t)
	defer s.Close()
	var all []store.Notable
	var batch []store.Incoming
	for n := range uint64(6) {
		w := NewWriter(n)
		w.Venue = fmt.Sprint("venue ", n%3)
		for d, day := range []string{today, tomorrow, "no_date", "2026-10-01"} {
			w.Day, w.Hour = day, Hour+int64(d)*20-int64(n)
			for range 3 {
				in := w.Cut(40)
				in.Notable[1].Kind, in.Notable[1].Code, in.Notable[1].Allowed = record.KindManual, 3, true
				in.Notable[2].Kind, in.Notable[2].Code, in.Notable[2].Value, in.Notable[2].Text, in.Notable[2].WallMS = record.KindEvent, 6, -5, "文 text", in.Notable[0].WallMS
				in.Notable[3].Kind, in.Notable[3].To, in.Notable[3].WallMS = record.KindVoid, in.First, in.Hour*3_600_000
				batch = append(batch, in)
				all = append(all, in.Notable...)
			}
		}
	}
	if _, err := s.Put(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, newer)
	device := NewWriter(3).Device
	for _, tc := range []struct {
		name string
		f    store.RowFilter
		want func(store.Notable) bool
	}{
		{"all", store.RowFilter{}, func(store.Notable) bool { return true }},
		{"a venue", store.RowFilter{Venues: []string{"venue 1"}}, func(n store.Notable) bool { return n.Venue == "venue 1" }},
		{"no venue", store.RowFilter{Venues: []string{}}, func(n store.Notable) bool { return false }},
		{"a device", store.RowFilter{Device: &device}, func(n store.Notable) bool { return n.Device == device }},
		{"kinds", store.RowFilter{Kinds: []record.Kind{record.KindManual, record.KindVoid}}, func(n store.Notable) bool { return n.Kind == record.KindManual || n.Kind == record.KindVoid }},
		{"a reason", store.RowFilter{Reasons: []uint8{1, 2}, Verdicts: []uint8{5}}, func(n store.Notable) bool { return n.Verdict == 5 && (n.Reason == 1 || n.Reason == 2) }},
		{"a time", store.RowFilter{FromMS: Hour*3_600_000 - 9_000, ToMS: (Hour+21)*3_600_000 + 1}, func(n store.Notable) bool { return n.WallMS >= Hour*3_600_000-9_000 && n.WallMS <= (Hour+21)*3_600_000 }},
		{"a time and a venue", store.RowFilter{FromMS: Hour * 3_600_000, Venues: []string{"venue 2", "venue 0"}}, func(n store.Notable) bool { return n.WallMS >= Hour*3_600_000 && n.Venue != "venue 1" }},
	} {
		want := slices.DeleteFunc(slices.Clone(all), func(n store.Notable) bool { return !tc.want(n) })
		for _, limit := range []int{7, 1000} {
			f, got := tc.f, []store.Notable(nil)
			f.Limit = limit
			for {
				page := must[[]store.Notable](t)(s.Notable(t.Context(), f))
				got = append(got, page...)
				if len(page) < limit {
					break
				}
				f.Before = &page[limit-1]
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, pages of %d: %d rows, want %d", tc.name, limit, len(got), len(want))
			}
		}
	}
}

func newer(a, b store.Notable) int {
	if c := slices.Compare([]int64{b.WallMS}, []int64{a.WallMS}); c != 0 {
		return c
	}
	if c := slices.Compare(b.Device[:], a.Device[:]); c != 0 {
		return c
	}
	if c := slices.Compare(b.Epoch[:], a.Epoch[:]); c != 0 {
		return c
	}
	return slices.Compare([]uint64{b.Seq}, []uint64{a.Seq})
}

func testBuckets(t *testing.T, p Place) {
	s := p.Open(t)
	defer s.Close()
	var batch []store.Incoming
	for n := range uint64(5) {
		w := NewWriter(n)
		w.Venue = fmt.Sprint("venue ", n%2)
		for range 4 {
			batch = append(batch, w.Cut(12))
		}
		w.Hour++
		batch = append(batch, w.Cut(12))
	}
	if _, err := s.Put(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	buckets := must[[]store.Bucket](t)(s.Buckets(t.Context(), today, nil))
	want := []store.Bucket{{Day: today, Venue: "venue 0", Hour: Hour}, {Day: today, Venue: "venue 0", Hour: Hour + 1},
		{Day: today, Venue: "venue 1", Hour: Hour}, {Day: today, Venue: "venue 1", Hour: Hour + 1}}
	if !slices.Equal(buckets, want) {
		t.Errorf("buckets %v", buckets)
	}
	if got := must[[]store.Bucket](t)(s.Buckets(t.Context(), today, []string{"venue 1"})); !slices.Equal(got, want[2:]) {
		t.Errorf("buckets of a venue %v", got)
	}
	if got := must[[]store.Bucket](t)(s.Buckets(t.Context(), tomorrow, nil)); len(got) != 0 {
		t.Errorf("buckets of an empty day %v", got)
	}
	for _, b := range buckets {
		var want []store.Incoming
		for _, in := range batch {
			if bucketOf(in) == b {
				in.Counts, in.Notable = nil, nil
				want = append(want, in)
			}
		}
		slices.SortFunc(want, func(a, b store.Incoming) int {
			if c := slices.Compare(a.Device[:], b.Device[:]); c != 0 {
				return c
			}
			return int(a.Number) - int(b.Number)
		})
		got := stored(t, s, b)
		if len(got) != len(want) {
			t.Fatalf("%v: %d segments, want %d", b, len(got), len(want))
		}
		for i := range got {
			if fmt.Sprint(got[i]) != fmt.Sprint(want[i]) {
				t.Errorf("%v, segment %d: %v\nwant %v", b, i, got[i], want[i])
			}
		}
	}
	for range s.Bucket(t.Context(), want[0]) {
		break // the store must live on
	}
	for range 20 {
		for range s.Bucket(t.Context(), want[1]) {
			break
		}
	}
	w := NewWriter(0)
	w.Number, w.Last = 5, 60
	put(t, s, store.Conflict, w.Cut(1))
}

// Values that a hostile gate may send within what is a segment.
func testOdd(t *testing.T, p Place) {
	s := p.Open(t)
	defer s.Close()
	w := NewWriter(1)
	w.Number, w.Last, w.Venue, w.Day = 1<<63-3, 1<<63-20, "v'\"%_\\\u2028", "_"
	in := w.Cut(10)
	in.Hour = -2_562_047_788_015 // of the least wall time
	in.Notable[0].WallMS = -1 << 63
	in.Notable[0].Trust, in.Notable[0].To, in.Notable[0].Value = 1<<64-1, 1<<64-1, -1<<63
	in.Notable[0].Text, in.Notable[0].Issuer = "a\x00b", "\x00"
	in.Counts = []store.Count{{Hour: 1<<63 - 1, Verdict: 255, Reason: 255, N: 1<<64 - 1}, {Hour: -1 << 63, N: 1<<64 - 1}, {Hour: -1 << 63, N: 1<<64 - 1}}
	in.OffsetMS, in.ReceivedMS = -1<<63, 1<<63-1
	put(t, s, store.Stored, in)
	put(t, s, store.Repeat, in)
	rows := must[[]store.Notable](t)(s.Notable(t.Context(), store.RowFilter{Limit: 9}))
	if len(rows) != 1 || rows[0].Trust != 1<<64-1 || rows[0].To != 1<<64-1 || rows[0].Text != "a\uFFFDb" || rows[0].WallMS != -1<<63 {
		t.Errorf("notable %+v", rows)
	}
	if got := stored(t, s, bucketOf(in)); len(got) != 1 || got[0].OffsetMS != -1<<63 || got[0].Number != 1<<63-2 {
		t.Errorf("stored %+v", got)
	}
	counts := must[[]store.Hourly](t)(s.Hourly(t.Context(), nil, -1<<63, 1<<63-1))
	if len(counts) != 1 || counts[0].N == 0 {
		t.Errorf("counts %v", counts)
	}
	far := NewWriter(2)
	far.Day, far.Hour = "9999-12-31", 2_562_047_788_015
	late := far.Cut(10)
	late.Notable[0].WallMS = 1<<63 - 1
	put(t, s, store.Stored, late)
	if rows := must[[]store.Notable](t)(s.Notable(t.Context(), store.RowFilter{Limit: 1})); len(rows) != 1 || rows[0].WallMS != 1<<63-1 {
		t.Errorf("notable %+v", rows)
	}
	// A gate whose clock is anywhere makes days, but no tables or files without end.
	wild := NewWriter(3)
	var batch []store.Incoming
	var want []store.Outcome
	for i := range 300 {
		wild.Day = strconv.Itoa(3000+i) + "-01-01"
		batch, want = append(batch, wild.Cut(1)), append(want, store.Stored)
	}
	together(t, s, want, batch...)
	put(t, s, store.Repeat, batch[17], batch[299])
	check(t, s.DropDay(t.Context(), batch[17].Day, true, now))
	put(t, s, store.Destroyed, batch[17])
	put(t, s, store.Repeat, batch[18])
}

func testQuarantine(t *testing.T, p Place) {
	s := p.Open(t)
	defer s.Close()
	device := [16]byte{1}
	for range 2 {
		for i := range 70 {
			b := make([]byte, 1<<20)
			b[0] = byte(i)
			check(t, s.Quarantine(t.Context(), device, "revoked", b, now))
		}
	}
	check(t, s.Quarantine(t.Context(), [16]byte{2}, "revoked", []byte("x"), now))
	check(t, s.Quarantine(t.Context(), [16]byte{2}, "revoked", []byte("x"), now))
	kept, more := map[[16]byte]int{}, map[[16]byte]uint64{}
	for e, err := range s.Export(t.Context()) {
		check(t, err)
		if a := e.Aside; a != nil {
			if more[a.Device] += a.More; a.Bytes != nil {
				kept[a.Device]++
			}
		}
	}
	if kept[device] != store.QuarantineBytes>>20 || kept[[16]byte{2}] != 1 || more[device] != 12 || more[[16]byte{2}] != 0 {
		t.Errorf("kept %v, more %v", kept, more)
	}
}

// Several who put at once, each a stream of his own and all into one hour, and
// one who lists meanwhile.
func testMany(t *testing.T, p Place) {
	s := p.Open(t)
	defer s.Close()
	const writers, batches, each = 6, 8, 5
	var group sync.WaitGroup
	for n := range uint64(writers) {
		group.Go(func() {
			w := NewWriter(n)
			for range batches {
				var batch []store.Incoming
				for range each {
					batch = append(batch, w.Cut(10))
				}
				puts, err := s.Put(background(), batch)
				if err != nil {
					t.Error(err)
					return
				}
				for _, p := range puts {
					if p != (store.Put{Outcome: store.Stored}) {
						t.Errorf("put %+v", p)
					}
				}
			}
		})
	}
	stop := make(chan struct{})
	reader := make(chan struct{})
	go func() {
		defer close(reader)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			if _, err := s.Notable(background(), store.RowFilter{Limit: 10}); err != nil {
				t.Error(err)
			}
			if _, err := s.ListDays(background()); err != nil {
				t.Error(err)
			}
		}
	}()
	group.Wait()
	close(stop)
	<-reader
	if got := stored(t, s, store.Bucket{Day: today, Venue: venue, Hour: Hour}); len(got) != writers*batches*each {
		t.Errorf("%d segments", len(got))
	}
	if n := total(t, s); n != writers*batches*each*10 {
		t.Errorf("%d rows are counted", n)
	}
}
