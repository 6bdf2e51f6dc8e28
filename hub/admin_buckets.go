package hub

import (
	"encoding/hex"
	"encoding/json"
	"iter"
	"net/http"
	"strconv"
	"time"

	"checkpoint/hub/store"
	"checkpoint/record"
)

// Limits of buckets.
const (
	maxBuckets = 20_000
	// How long one piece of a long answer may take; a reader that is slower is
	// cut off and asks for less.
	pieceTimeout = 60 * time.Second
)

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
