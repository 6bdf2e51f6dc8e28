package hub

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"time"

	"checkpoint/hub/store"
	"checkpoint/record"
)

// Limits of what one answer tells.
const (
	maxHours   = 31 * 24
	maxCells   = 50_000 // hourly counts in one answer
	maxBuckets = 20_000
	// How long one piece of a long answer may take; a reader that is slower is
	// cut off and asks for less.
	pieceTimeout = 60 * time.Second
)

// hourly is one count of an answer.
type hourly struct {
	Hour    int64  `json:"hour"` // since 1970, UTC
	Venue   string `json:"venue"`
	Gate    string `json:"gate,omitempty"`   // by=gate
	Device  string `json:"device,omitempty"` // by=gate
	Verdict uint8  `json:"verdict"`
	Reason  uint8  `json:"reason"`
	N       uint64 `json:"n"`
}

// adminHours answers hourly counts of verdicts and reasons from an hour to
// before another, by gate or by venue, in the order of hour, venue, device,
// verdict and reason.
func (h *Hub) adminHours(a ask) (any, *refusal) {
	venues, no := a.scope()
	if no != nil {
		return nil, no
	}
	from, to, no := a.span()
	if no != nil {
		return nil, no
	}
	by, no := a.query.word("by", "gate", "venue")
	if no != nil {
		return nil, no
	}
	if to.Sub(from) > maxHours*time.Hour {
		return nil, badQuery("at most 31 days at once")
	}
	sums := map[store.Hourly]uint64{}
	first, end := floorHour(from.UnixMilli()), floorHour(to.UnixMilli()-1)+1
	// A day at a time: what a month of a big hub adds up to need not be in memory
	// at once before it is summed by venue.
	for hour := first; hour < end; hour += 24 {
		counts, err := h.store.Hourly(a.Context(), venues, hour, min(hour+24, end))
		if err != nil {
			return nil, h.storeRefusal(a.Context(), "read hourly counts", err)
		}
		for _, c := range counts {
			n := c.N
			if c.N = 0; by == "venue" {
				c.Device = [16]byte{}
			}
			sums[c] += n
		}
		if len(sums) > maxCells {
			return nil, tooMuch("more counts than one answer holds: ask for fewer hours or venues, or by=venue")
		}
	}
	names := h.gateNames(a)
	counts := make([]hourly, 0, len(sums))
	for c, n := range sums {
		one := hourly{Hour: c.Hour, Venue: c.Venue, Verdict: c.Verdict, Reason: c.Reason, N: n}
		if by != "venue" {
			if one.Gate, no = names(c.Device); no != nil {
				return nil, no
			}
			one.Device = hex.EncodeToString(c.Device[:])
		}
		counts = append(counts, one)
	}
	slices.SortFunc(counts, func(x, y hourly) int {
		return cmp.Or(cmp.Compare(x.Hour, y.Hour), cmp.Compare(x.Venue, y.Venue), cmp.Compare(x.Device, y.Device), cmp.Compare(x.Verdict, y.Verdict), cmp.Compare(x.Reason, y.Reason))
	})
	return struct {
		Hours []hourly `json:"hours"`
	}{counts}, nil
}

func tooMuch(why string) *refusal {
	return &refusal{status: http.StatusUnprocessableEntity, word: "too_much", detail: why}
}

// span is from and to, both of which must be given.
func (a ask) span() (from, to time.Time, no *refusal) {
	if from, no = a.query.when("from"); no != nil {
		return from, to, no
	}
	if to, no = a.query.when("to"); no != nil {
		return from, to, no
	}
	if from.IsZero() || to.IsZero() || !from.Before(to) {
		return from, to, badQuery("want from and to, from before to")
	}
	return from, to, nil
}

// gateNames gives the names of devices, "" for one that no gate has any more.
func (h *Hub) gateNames(a ask) func([16]byte) (string, *refusal) {
	known := map[[16]byte]string{}
	return func(device [16]byte) (string, *refusal) {
		if name, ok := known[device]; ok {
			return name, nil
		}
		g, err := h.store.GateByDevice(a.Context(), device)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", h.storeRefusal(a.Context(), "look up a gate", err)
		}
		known[device] = g.Name
		return g.Name, nil
	}
}

// rowEntry is a row as people read it. Nothing sealed stands in it. Times are
// numbers: a gate whose clock is far off must not make a list unreadable.
type rowEntry struct {
	Gate    string `json:"gate,omitempty"`
	Device  string `json:"device"`
	Epoch   string `json:"epoch"`
	Seq     uint64 `json:"seq"`
	Venue   string `json:"venue"`
	Day     string `json:"day"`
	WallMS  int64  `json:"wall_ms"`
	Quality uint8  `json:"quality"`
	Kind    string `json:"kind"`

	Verdict uint8  `json:"verdict,omitempty"`
	Reason  uint8  `json:"reason,omitempty"`
	Format  uint8  `json:"format,omitempty"`
	Issuer  string `json:"issuer,omitempty"`
	Trust   uint64 `json:"trust,omitempty"`
	Sealed  bool   `json:"sealed,omitempty"` // buckets only: the row names a person, to headquarters
	To      uint64 `json:"to,omitempty"`
	Choice  uint16 `json:"choice,omitempty"`
	Class   uint16 `json:"class,omitempty"`
	Allowed *bool  `json:"allowed,omitempty"`
	Event   uint16 `json:"event,omitempty"`
	Value   int64  `json:"value,omitempty"`
	Text    string `json:"text,omitempty"`

	HourMS     *int64  `json:"hour_ms,omitempty"` // counts: the hour that they tell of
	Counts     []tally `json:"counts,omitempty"`
	Unrecorded uint64  `json:"unrecorded,omitempty"`
}

type tally struct {
	Verdict uint8  `json:"verdict"`
	Reason  uint8  `json:"reason"`
	N       uint32 `json:"n"`
}

func entryOf(n *store.Notable, gate string) rowEntry {
	e := rowEntry{Gate: gate, Device: hex.EncodeToString(n.Device[:]), Epoch: hex.EncodeToString(n.Epoch[:]), Seq: n.Seq, Venue: n.Venue, Day: n.Day,
		WallMS: n.WallMS, Quality: n.Quality, Kind: n.Kind.String(),
		Verdict: n.Verdict, Reason: n.Reason, Format: n.Format, Issuer: n.Issuer, Trust: n.Trust, To: n.To, Value: n.Value, Text: n.Text}
	switch n.Kind {
	case record.KindChoice:
		e.Choice = n.Code
	case record.KindManual:
		e.Class, e.Allowed = n.Code, &n.Allowed
	case record.KindEvent:
		e.Event = n.Code
	}
	return e
}

// page is one page of a list; next is empty at its end.
type pageOf[T any] struct {
	Entries []T    `json:"entries"`
	Next    string `json:"next,omitempty"`
}

func parseKind(word string) (record.Kind, bool) {
	for k := record.KindScan; k <= record.KindCount; k++ {
		if k.String() == word {
			return k, true
		}
	}
	return 0, false
}

// adminRows answers the rows that people filter by, the newest first.
func (h *Hub) adminRows(a ask) (any, *refusal) {
	f, no := h.rowFilter(a)
	if no != nil {
		return nil, no
	}
	limit := f.Limit
	f.Limit++
	rows, err := h.store.Notable(a.Context(), f)
	if err != nil {
		return nil, h.storeRefusal(a.Context(), "read rows", err)
	}
	p := pageOf[rowEntry]{Entries: []rowEntry{}}
	if len(rows) > limit {
		rows = rows[:limit]
		p.Next = rowCursor(rows[limit-1])
	}
	names := h.gateNames(a)
	for i := range rows {
		name, no := names(rows[i].Device)
		if no != nil {
			return nil, no
		}
		p.Entries = append(p.Entries, entryOf(&rows[i], name))
	}
	return p, nil
}

func (h *Hub) rowFilter(a ask) (f store.RowFilter, no *refusal) {
	if f.Venues, no = a.scope(); no != nil {
		return f, no
	}
	from, no := a.query.when("from")
	if no != nil {
		return f, no
	}
	to, no := a.query.when("to")
	if no != nil {
		return f, no
	}
	if !from.IsZero() {
		f.FromMS = from.UnixMilli()
	}
	if !to.IsZero() {
		f.ToMS = to.UnixMilli()
	}
	for _, word := range a.query.all("kind") {
		kind, ok := parseKind(word)
		if !ok {
			return f, badQuery("kind: want scan, choice, void, manual, event or count")
		}
		f.Kinds = append(f.Kinds, kind)
	}
	if f.Verdicts, no = a.query.numbers("verdict"); no != nil {
		return f, no
	}
	if f.Reasons, no = a.query.numbers("reason"); no != nil {
		return f, no
	}
	if name := a.query.one("gate"); name != "" {
		g, no := h.gateOf(a, name)
		if no != nil {
			return f, no
		}
		f.Device = &g.Device
	}
	if text := a.query.one("cursor"); text != "" {
		before, err := parseRowCursor(text)
		if err != nil {
			return f, badCursor()
		}
		f.Before = before
	}
	f.Limit, no = a.query.limit()
	return f, no
}

type bucketEntry struct {
	Day   string `json:"day"`
	Venue string `json:"venue"`
	Hour  int64  `json:"hour"` // since 1970, UTC
}

// adminBuckets lists the hours of a day in which something arrived.
func (h *Hub) adminBuckets(a ask) (any, *refusal) {
	venues, no := a.scope()
	if no != nil {
		return nil, no
	}
	day := a.query.one("day")
	if !record.ValidDay(day) {
		return nil, badQuery("day: want the id of a day")
	}
	buckets, err := h.store.Buckets(a.Context(), day, venues)
	if err != nil {
		return nil, h.storeRefusal(a.Context(), "list buckets", err)
	}
	if len(buckets) > maxBuckets {
		return nil, tooMuch("more hours than one answer holds: ask for fewer venues")
	}
	entries := make([]bucketEntry, len(buckets))
	for i, b := range buckets {
		entries[i] = bucketEntry(b)
	}
	return pageOf[bucketEntry]{Entries: entries}, nil
}

// bucket is the one that the query names.
func (a ask) bucket() (b store.Bucket, no *refusal) {
	venues := a.query.all("venue")
	if len(venues) != 1 || !record.ValidDay(a.query.one("day")) {
		return b, badQuery("want day, venue and hour")
	}
	if _, no := a.scope(); no != nil {
		return b, no
	}
	hour, err := strconv.ParseInt(a.query.one("hour"), 10, 64)
	if err != nil {
		return b, badQuery("hour: want hours since 1970, as buckets lists them")
	}
	return store.Bucket{Day: a.query.one("day"), Venue: venues[0], Hour: hour}, nil
}

// bucketEnd is the last line of a bucket: without it the answer was cut off.
type bucketEnd struct {
	End      bool `json:"end"`
	Segments int  `json:"segments"`
	Rows     int  `json:"rows"`
}

// adminBucket streams the rows of an hour as NDJSON, without what is sealed.
func (h *Hub) adminBucket(w http.ResponseWriter, a ask) *refusal {
	b, no := a.bucket()
	if no != nil {
		return no
	}
	names := h.gateNames(a)
	var end bucketEnd
	lines := json.NewEncoder(w)
	no = h.streamBucket(w, a, b, "application/x-ndjson", func(in store.Incoming, segment []byte) *refusal {
		s, err := record.ParseSegment(segment)
		if err != nil {
			return h.storeRefusal(a.Context(), "read a stored segment", err)
		}
		name, no := names(s.Device)
		if no != nil {
			return no
		}
		for i := range s.Rows {
			if err := lines.Encode(openRow(&s.Rows[i], s, name)); err != nil {
				return gone()
			}
		}
		end.Segments++
		end.Rows += len(s.Rows)
		return nil
	})
	if no == nil {
		end.End = true
		_ = lines.Encode(end) // whoever asked has gone, or reads it
	}
	return no
}

func gone() *refusal {
	return &refusal{status: http.StatusServiceUnavailable, word: "stopped", detail: "the request was given up"}
}

// openRow is what of a row is not sealed.
func openRow(row *record.Row, s *record.Segment, gate string) rowEntry {
	e := rowEntry{Gate: gate, Device: hex.EncodeToString(row.Device[:]), Epoch: hex.EncodeToString(row.Epoch[:]), Seq: row.Seq, Venue: s.Venue, Day: s.Day,
		WallMS: row.WallMS, Quality: row.Quality, Kind: row.Body.Kind().String()}
	switch body := row.Body.(type) {
	case record.Scan:
		e.Verdict, e.Reason, e.Format, e.Issuer, e.Trust = body.Verdict, body.Reason, body.Format, body.Issuer, body.Trust
		e.Sealed = len(body.Sealed.Box) > 0
	case record.Choice:
		e.To, e.Choice = body.To, uint16(body.Choice)
	case record.Void:
		e.To = body.To
	case record.Manual:
		e.Class, e.Allowed = uint16(body.Class), &body.Allowed
	case record.Event:
		e.Event, e.Value, e.Text = uint16(body.Code), body.Value, body.Text
	case record.Count:
		e.HourMS, e.Unrecorded = &body.Hour, body.Unrecorded
		for _, t := range body.Tallies {
			e.Counts = append(e.Counts, tally(t))
		}
	}
	return e
}

// adminSegments streams the segments of an hour as they came, sealed column and
// all: each behind its length, four bytes big-endian; four zero bytes end it.
func (h *Hub) adminSegments(w http.ResponseWriter, a ask) *refusal {
	b, no := a.bucket()
	if no != nil {
		return no
	}
	// Whoever takes what is sealed leaves a line, though only headquarters' day
	// keys open it.
	act := a.act("segments_read", b.Day, b.Venue)
	act.Text = strconv.FormatInt(b.Hour, 10)
	if err := h.change(a.Context(), act, func() error { return nil }); err != nil {
		return h.storeRefusal(a.Context(), "record an act", err)
	}
	no = h.streamBucket(w, a, b, "application/octet-stream", func(_ store.Incoming, segment []byte) *refusal {
		n := len(segment)
		if _, err := w.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}); err != nil {
			return gone()
		}
		if _, err := w.Write(segment); err != nil {
			return gone()
		}
		return nil
	})
	if no == nil {
		_, _ = w.Write(make([]byte, 4)) // whoever asked has gone, or reads it
	}
	return no
}

// streamBucket gives each segment of a bucket to one. A fault before the first
// is a refusal; a later one breaks the connection, so that half an hour is never
// taken for all of it.
func (h *Hub) streamBucket(w http.ResponseWriter, a ask, b store.Bucket, kind string, one func(store.Incoming, []byte) *refusal) (no *refusal) {
	began := false
	defer func() {
		if no != nil && began {
			panic(http.ErrAbortHandler)
		}
	}()
	deadline := http.NewResponseController(w)
	head := func() {
		if !began {
			began = true
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusOK)
		}
		_ = deadline.SetWriteDeadline(time.Now().Add(pieceTimeout)) // not all writers have one
	}
	next, stop := iter.Pull2(h.store.Bucket(a.Context(), b))
	defer stop()
	for {
		in, err, ok := next()
		if !ok {
			head()
			return nil
		}
		if err != nil {
			return h.storeRefusal(a.Context(), "read a bucket", err)
		}
		segment, err := record.JoinSegment(in.Plain, in.Sealed)
		if err != nil {
			return h.storeRefusal(a.Context(), "read a stored segment", err)
		}
		head()
		if no := one(in, segment); no != nil {
			return no
		}
	}
}
