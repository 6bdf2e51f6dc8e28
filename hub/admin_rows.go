package hub

import (
	"encoding/hex"
	"errors"

	"checkpoint/hub/store"
	"checkpoint/record"
)

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
