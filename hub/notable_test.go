package hub

import (
	"math"
	"slices"
	"testing"

	"checkpoint/hub/store"
	"checkpoint/record"
)

func describeRows(bodies ...record.Body) store.Incoming {
	hour := floorHour(noon.UnixMilli())
	in := store.Incoming{SegmentKey: record.SegmentKey{Day: "2026-11-25", Venue: "mall", Hour: hour}}
	rows := make([]record.Row, len(bodies))
	for i, b := range bodies {
		rows[i] = record.Row{Seq: uint64(i + 1), Stamp: record.Stamp{WallMS: noon.UnixMilli(), Quality: 3}, Body: b}
	}
	describe(&in, rows, noon)
	return in
}

func TestNotableRows(t *testing.T) {
	scan := func(v uint8) record.Body {
		return record.Scan{Verdict: v, Reason: 5, Format: 2, Issuer: "DE", Trust: 9, Sealed: record.Sealed{Box: make([]byte, 48)}}
	}
	for v, want := range map[uint8]bool{0: true, 1: false, 2: false, 3: true, 4: false, 5: true, 6: true, 7: false, 8: false, 9: true, 10: false, 11: false, 12: false, 13: true, 255: true} {
		if got := len(describeRows(scan(v)).Notable) == 1; got != want {
			t.Errorf("scan with verdict %d is notable: %v, want %v", v, got, want)
		}
	}
	in := describeRows(scan(6), record.Choice{To: 1, Choice: 4}, record.Void{To: 1}, record.Manual{Class: 3, Allowed: true},
		record.Event{Code: record.EventTrust, Value: -7, Text: "x"}, record.Count{Hour: noon.UnixMilli()})
	base := store.Notable{Venue: "mall", Day: "2026-11-25", Hour: in.Hour, WallMS: noon.UnixMilli(), Quality: 3}
	with := func(seq uint64, kind record.Kind, set func(*store.Notable)) store.Notable {
		n := base
		n.Seq, n.Kind = seq, kind
		set(&n)
		return n
	}
	want := []store.Notable{
		with(1, record.KindScan, func(n *store.Notable) {
			n.Verdict, n.Reason, n.Format, n.Issuer, n.Trust = 6, 5, 2, "DE", 9
		}),
		with(2, record.KindChoice, func(n *store.Notable) { n.To, n.Code = 1, 4 }),
		with(3, record.KindVoid, func(n *store.Notable) { n.To = 1 }),
		with(4, record.KindManual, func(n *store.Notable) { n.Code, n.Allowed = 3, true }),
		with(5, record.KindEvent, func(n *store.Notable) { n.Code, n.Value, n.Text = 6, -7, "x" }),
	}
	if !slices.Equal(in.Notable, want) {
		t.Errorf("notable = %+v", in.Notable)
	}
}

func TestHourlyCounts(t *testing.T) {
	hour := floorHour(noon.UnixMilli())
	in := describeRows(pass(), pass(), record.Scan{Verdict: 6, Reason: 90},
		record.Count{Hour: (hour - 1) * hourMS, Unrecorded: 2, Tallies: []record.Tally{{Verdict: 7, Reason: 51, N: 40}, {Verdict: 8, Reason: 10, N: 5}}},
		record.Count{Hour: (hour - 1) * hourMS, Tallies: []record.Tally{{Verdict: 7, Reason: 51, N: 2}}})
	want := []store.Count{{Hour: hour, Verdict: 1, Reason: 1, N: 2}, {Hour: hour, Verdict: 6, Reason: 90, N: 1},
		{Hour: hour - 1, Verdict: 7, Reason: 51, N: 42}, {Hour: hour - 1, Verdict: 8, Reason: 10, N: 5}, {Hour: hour - 1, N: 2}}
	if !slices.Equal(in.Counts, want) {
		t.Errorf("counts = %v, want %v", in.Counts, want)
	}
}

// A hostile gate cannot make the hub write a million counters, or overflow one.
func TestCountsHaveAnEnd(t *testing.T) {
	var c counter
	total := uint64(0)
	for v := range 256 {
		for r := range 256 {
			c.add(1, uint8(v), uint8(r), 1)
			c.add(1, uint8(v), uint8(r), 1)
			total += 2
		}
	}
	if len(c.list) > maxCounts {
		t.Fatalf("%d counts, want at most %d", len(c.list), maxCounts)
	}
	sum, seen := uint64(0), map[store.Count]bool{}
	for _, n := range c.list {
		sum += n.N
		n.N = 0
		if seen[n] {
			t.Errorf("%v stands twice", n)
		}
		seen[n] = true
	}
	if sum != total {
		t.Errorf("sum = %d, want %d: scans got lost", sum, total)
	}
	c.add(1, 1, 1, math.MaxUint64)
	c.add(1, 1, 1, math.MaxUint64)
	for _, n := range c.list {
		if n.N > maxTally {
			t.Errorf("a count of %d", n.N)
		}
	}
}

func TestOddHour(t *testing.T) {
	const now = 500_000
	day := record.DayOf
	for _, tc := range []struct {
		name string
		day  string
		hour int64
		want store.Flags
	}{
		{"now", day(now), now, 0},
		{"the next hour", day(now + 1), now + 1, store.Ahead},
		{"ended 23 hours ago", day(now - 24), now - 24, 0},
		{"ended a day ago", day(now - 25), now - 25, store.Late},
		{"the day key of another day", "2020-01-01", now, store.WrongDay},
		{"a day that is no date", "drill_7", now, store.WrongDay},
		{"the smallest hour", "x", math.MinInt64 / hourMS, store.Late | store.WrongDay},
		{"the largest hour", "x", math.MaxInt64 / hourMS, store.Ahead | store.WrongDay},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := oddHour(tc.day, tc.hour, now); got != tc.want {
				t.Errorf("flags = %b, want %b", got, tc.want)
			}
		})
	}
}

func TestEstimatedTimesAreFlagged(t *testing.T) {
	for quality, want := range []store.Flags{store.Estimated, store.Estimated, 0, 0} {
		var in store.Incoming
		in.Hour, in.Day = floorHour(noon.UnixMilli()), "2026-11-25"
		describe(&in, []record.Row{{Stamp: record.Stamp{WallMS: noon.UnixMilli(), Quality: uint8(quality)}, Body: pass()}}, noon)
		if in.Flags != want {
			t.Errorf("quality %d: flags = %b, want %b", quality, in.Flags, want)
		}
	}
}

func TestMinusStops(t *testing.T) {
	for _, tc := range [][3]int64{{5, 3, 2}, {3, 5, -2}, {math.MaxInt64, -1, math.MaxInt64}, {math.MinInt64, 1, math.MinInt64}, {0, math.MinInt64, math.MaxInt64}, {-1, math.MinInt64, math.MaxInt64}} {
		if got := minus(tc[0], tc[1]); got != tc[2] {
			t.Errorf("%d − %d = %d, want %d", tc[0], tc[1], got, tc[2])
		}
	}
}
