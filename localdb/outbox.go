package localdb

import (
	"context"
	"slices"

	"checkpoint/record"
)

// outbox is how far the rows are cut into segments, and what became of those.
type outbox struct {
	enrolled bool
	cut      uint64  // rows up to here are in segments, erased, or nobody's
	open     int     // segments that wait for a receipt
	poison   uint64  // segments that were set aside
	refused  uint64  // segments refused for good, ever
	places   []place // in order
	erased   ranges
}

// place is at which venue rows were written, from the first on.
type place struct {
	first uint64
	venue string // "": nobody waits for them
}

// State of a segment, as it stands in the file.
const (
	cutWaits   = 0
	cutStored  = 1
	cutRefused = 2
	cutAside   = 3
	cutErased  = 4
)

// readOutbox reads it, and which rows wait no more.
func readOutbox(ctx context.Context, q querier) (box outbox, settled ranges, err error) {
	var cut, refused, poison int64
	err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM enrolment), max(purged, coalesce((SELECT max(last) FROM cut), 0)), refused,
		(SELECT count(*) FROM cut WHERE state IN (0, 3) AND state = 0), (SELECT count(*) FROM cut WHERE state IN (0, 3) AND state = 3)
		FROM gate`).Scan(&box.enrolled, &cut, &refused, &box.open, &poison)
	if err != nil {
		return box, nil, err
	}
	box.cut, box.refused, box.poison = uint64(cut), uint64(refused), uint64(poison)
	places, err := q.QueryContext(ctx, `SELECT first, venue FROM place ORDER BY first`)
	if err != nil {
		return box, nil, err
	}
	defer places.Close()
	for places.Next() {
		var first int64
		var p place
		if err := places.Scan(&first, &p.venue); err != nil {
			return box, nil, err
		}
		p.first = uint64(first)
		box.places = append(box.places, p)
	}
	if err := places.Err(); err != nil {
		return box, nil, err
	}
	if box.erased, err = readSpans(ctx, q, `SELECT first, last FROM erased ORDER BY first`); err != nil {
		return box, nil, err
	}
	if settled, err = readSpans(ctx, q, `SELECT first, last FROM cut WHERE state IN (1, 2, 4) ORDER BY first`); err != nil {
		return box, nil, err
	}
	for _, s := range box.erased {
		settled = settled.add(s)
	}
	for _, s := range box.nobodys() {
		settled = settled.add(s)
	}
	return box, settled, nil
}

// nobodys are rows of devices that no hub ever knew, between others that one
// did: nobody waits for them, nor ever will.
func (box *outbox) nobodys() (r ranges) {
	for i, p := range box.places {
		if p.venue == "" && i+1 < len(box.places) {
			r = r.add(span{p.first, box.places[i+1].first - 1})
		}
	}
	return r
}

// readSpans reads spans that are in order.
func readSpans(ctx context.Context, q querier, query string) (r ranges, err error) {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var first, last int64
		if err := rows.Scan(&first, &last); err != nil {
			return nil, err
		}
		if n := len(r); n > 0 && r[n-1].last+1 == uint64(first) {
			r[n-1].last = uint64(last)
		} else {
			r = append(r, span{uint64(first), uint64(last)})
		}
	}
	return r, rows.Err()
}

// waiting is how many rows wait, and the first number from which one can.
func (box *outbox) waiting(settled ranges, purged, head uint64) (n, from uint64) {
	base := purged
	if len(box.places) > 0 {
		base = max(base, box.places[0].first-1) // those before are nobody's
	}
	if base >= head {
		return 0, head + 1
	}
	return head - base - settled.within(base, head), base + 1
}

// held is the first row that no purge may take, whatever its age: the first that
// somebody waits for. It is past head when there is none.
func (box *outbox) held(settled ranges, purged, head uint64) uint64 {
	if len(box.places) == 0 {
		return head + 1
	}
	_, from := box.waiting(settled, purged, head)
	first := settled.firstOutside(from)
	if first > head || box.venueAt(first) == "" {
		return head + 1 // the last place; those before are among the settled
	}
	return first
}

// venueAt is where the row was written, "" for one that nobody waits for.
func (box *outbox) venueAt(seq uint64) (venue string) {
	for _, p := range box.places {
		if p.first > seq {
			break
		}
		venue = p.venue
	}
	return venue
}

// view is what cutting goes by, at one instant.
type view struct {
	head   uint64
	purged uint64
	device [16]byte
	epochs []epoch
	box    outbox
}

func (db *DB) view() view {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return view{db.head, db.purged, db.id.Device, db.epochs, db.box}
}

func (t *txn) view() view { return view{t.seq, t.purged, t.id.Device, t.epochs, t.box} }

// since is the first row of this device.
func (v *view) since() uint64 {
	for i := len(v.epochs) - 1; i >= 0; i-- {
		if v.epochs[i].identity.Device != v.device {
			return v.epochs[i+1].first
		}
	}
	return 1
}

// uncut is the first row that is to be cut; false when there is none.
func (v *view) uncut() (first uint64, ok bool) {
	if len(v.box.places) == 0 {
		return 0, false
	}
	first = max(v.box.cut, v.purged) + 1
	first = max(first, v.box.places[0].first)
	// Nobody's rows and erased ones may lie behind each other; both are in order.
	nobodys := v.box.nobodys()
	for past := uint64(0); past != first; {
		past = first
		first = nobodys.firstOutside(v.box.erased.firstOutside(first))
	}
	return first, first <= v.head && v.box.venueAt(first) != ""
}

// reach is how far a segment that begins with row first can go, and whether
// something ends it there that stays: another epoch, another venue, or rows
// that are gone.
func (v *view) reach(first uint64) (last uint64, ends bool) {
	last = v.head
	end := func(next uint64) {
		if next > first && next-1 <= last {
			last, ends = next-1, true
		}
	}
	for _, e := range v.epochs {
		end(e.first)
	}
	for _, p := range v.box.places {
		end(p.first)
	}
	for _, s := range v.box.erased {
		end(s.first)
	}
	return last, ends
}

// epochOf is the index of the epoch in which the row was written.
func (v *view) epochOf(seq uint64) int {
	for i := len(v.epochs) - 1; i > 0; i-- {
		if v.epochs[i].first <= seq {
			return i
		}
	}
	return 0
}

// epochNamed finds an epoch by who wrote it, -1 when it is not of this file.
func epochNamed(epochs []epoch, id record.Identity) int {
	return slices.IndexFunc(epochs, func(e epoch) bool { return e.identity == id })
}
