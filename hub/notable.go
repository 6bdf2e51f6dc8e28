package hub

import (
	"math"
	"time"

	"checkpoint/hub/store"
	"checkpoint/record"
)

// maxClockOff is how far a gate's clock may be from the hub's before it is an
// alarm; a jump as large is an event row at the gate.
const maxClockOff = 90 * time.Second

// Verdict numbers of docs/formats.md, "Words". Those that only let people
// through, or only judge a code, are counted and leave no notable row; a number
// that this program does not know leaves one.
const (
	verdictPass        = 1
	verdictPassGold    = 2
	verdictMore        = 4
	verdictRefresh     = 7
	verdictNotOurs     = 8
	verdictIssuerFault = 10
	verdictDevice      = 11
	verdictNoCheck     = 12
)

func notableVerdict(v uint8) bool {
	switch v {
	case verdictPass, verdictPassGold, verdictMore, verdictRefresh, verdictNotOurs, verdictIssuerFault, verdictDevice, verdictNoCheck:
		return false
	}
	return true
}

const (
	qualityEstimated = 1 // and 0, unknown: nothing vouches for the time
	hourMS           = 3_600_000
	maxCounts        = 4096    // of one segment; an honest gate has a few dozen
	maxTally         = 1 << 40 // of one count: sums of them stay far from an int64's end
)

// describe fills in what is told of a segment beside its bytes: flags, clock
// offset, hourly counts, and the rows that people filter by.
func describe(in *store.Incoming, rows []record.Row, now time.Time) {
	in.ReceivedMS = now.UnixMilli()
	newest := int64(math.MinInt64)
	var counts counter
	for i := range rows {
		row := &rows[i]
		newest = max(newest, row.WallMS)
		if row.Quality <= qualityEstimated {
			in.Flags |= store.Estimated
		}
		notable := true
		n := store.Notable{Device: row.Device, Epoch: row.Epoch, Seq: row.Seq, Venue: in.Venue, Day: in.Day, Hour: in.Hour,
			WallMS: row.WallMS, Quality: row.Quality, Kind: row.Body.Kind()}
		switch body := row.Body.(type) {
		case record.Scan:
			counts.add(in.Hour, body.Verdict, body.Reason, 1)
			notable = notableVerdict(body.Verdict)
			n.Verdict, n.Reason, n.Format, n.Issuer, n.Trust = body.Verdict, body.Reason, body.Format, body.Issuer, body.Trust
		case record.Choice:
			n.To, n.Code = body.To, uint16(body.Choice)
		case record.Void:
			n.To = body.To
		case record.Manual:
			n.Code, n.Allowed = uint16(body.Class), body.Allowed
		case record.Event:
			n.Code, n.Value, n.Text = uint16(body.Code), body.Value, body.Text
		case record.Count:
			notable = false
			hour := floorHour(body.Hour)
			for _, t := range body.Tallies {
				counts.add(hour, t.Verdict, t.Reason, uint64(t.N))
			}
			if body.Unrecorded > 0 { // scans without a row have no verdict that is known
				counts.add(hour, 0, 0, body.Unrecorded)
			}
		}
		if notable {
			in.Notable = append(in.Notable, n)
		}
	}
	in.Counts = counts.list
	in.OffsetMS = minus(in.ReceivedMS, newest)
	in.Flags |= oddHour(in.Day, in.Hour, floorHour(in.ReceivedMS))
}

// oddHour flags an hour by the hub's: ten years off is kept and flagged like an
// hour, the rows have their monotonic time to repair it by.
func oddHour(day string, hour, now int64) store.Flags {
	var f store.Flags
	if hour > now {
		f |= store.Ahead
	}
	if hour <= now-25 { // it ended 24 hours ago or more
		f |= store.Late
	}
	// The multiplication cannot overflow: hour is of a wall time in ms.
	if day != time.Unix(hour*3600, 0).UTC().Format(time.DateOnly) {
		f |= store.WrongDay
	}
	return f
}

// floorHour is the hour since 1970 of Unix milliseconds, also before 1970.
func floorHour(ms int64) int64 {
	hour := ms / hourMS
	if ms%hourMS < 0 {
		hour--
	}
	return hour
}

// minus is a − b, held at the ends of int64.
func minus(a, b int64) int64 {
	d := a - b
	if (a >= b) != (d >= 0) {
		if a > b {
			return math.MaxInt64
		}
		return math.MinInt64
	}
	return d
}

// counter adds up counts in the order they came. A segment has few kinds of
// them, so it looks through a list; a hostile one, whose count rows hold
// thousands, gets an index, and an end.
type counter struct {
	list  []store.Count
	index map[store.Count]int // by the count with N 0; only above fewCounts
}

const fewCounts = 32

func (c *counter) add(hour int64, verdict, reason uint8, n uint64) {
	n = min(n, maxTally)
	key := store.Count{Hour: hour, Verdict: verdict, Reason: reason}
	if i, ok := c.find(key); ok {
		c.list[i].N = min(c.list[i].N+n, maxTally)
		return
	}
	if len(c.list) >= maxCounts-1 { // the last place is for what has none
		key = store.Count{Hour: c.list[0].Hour}
		if i, ok := c.find(key); ok {
			c.list[i].N = min(c.list[i].N+n, maxTally)
			return
		}
	}
	if c.index != nil {
		c.index[key] = len(c.list)
	} else if len(c.list) == fewCounts {
		c.index = make(map[store.Count]int, 2*fewCounts)
		for i, have := range c.list {
			have.N = 0
			c.index[have] = i
		}
		c.index[key] = len(c.list)
	}
	key.N = n
	c.list = append(c.list, key)
}

func (c *counter) find(key store.Count) (int, bool) {
	if c.index != nil {
		i, ok := c.index[key]
		return i, ok
	}
	for i := range c.list {
		have := &c.list[i]
		if have.Reason == key.Reason && have.Verdict == key.Verdict && have.Hour == key.Hour {
			return i, true
		}
	}
	return 0, false
}
