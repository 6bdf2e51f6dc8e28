package postgres

import (
	"context"
	"errors"
	"iter"
	"time"

	"checkpoint/hub/store"
	"checkpoint/record"

	"github.com/jackc/pgx/v5"
)

// errEnough: the reader of an export has enough.
var errEnough = errors.New("enough")

// Export yields all that the store holds; see store.Archive. What is small is
// read first and in one look, then each day in one: a day is always as far as
// the streams, or further. A day is not dropped while it is read.
func (s *Store) Export(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		give := func(e store.Entry) error {
			if !yield(e, nil) {
				return errEnough
			}
			return nil
		}
		if err := s.export(ctx, give); err != nil && !errors.Is(err, errEnough) {
			yield(store.Entry{}, explain("export the store", err))
		}
	}
}

func (s *Store) export(ctx context.Context, give func(store.Entry) error) error {
	if err := s.alive(); err != nil {
		return err
	}
	err := s.snapshot(ctx, func(q querier) error {
		for _, part := range []func(context.Context, querier, func(store.Entry) error) error{exportStreams, exportGates, exportOffice, exportAside} {
			if err := part(ctx, q, give); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	days, err := collect(ctx, s.pool, pgx.RowTo[string], `SELECT id FROM day WHERE NOT destroyed AND NOT retired ORDER BY id`)
	if err != nil {
		return err
	}
	for _, day := range days {
		if err := s.snapshot(ctx, func(q querier) error { return exportDay(ctx, q, day, give) }); err != nil {
			return err
		}
	}
	return exportEach(ctx, s.pool, give, func(row pgx.CollectableRow) (e store.Entry, err error) {
		e.Dropped = &store.DroppedEntry{}
		var at int64
		err = row.Scan(&e.Dropped.Day, &e.Dropped.Destroyed, &at)
		e.Dropped.At = instant(at)
		return e, err
	}, `SELECT id, destroyed, dropped_ms FROM day WHERE destroyed OR retired ORDER BY id`)
}

// snapshot does f in a transaction that sees the database as it is now, and may
// take its time.
func (s *Store) snapshot(ctx context.Context, f func(querier) error) error {
	return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)`)
		if err != nil {
			return err
		}
		return f(tx)
	})
}

// exportEach gives what scan makes of each row.
func exportEach(ctx context.Context, q querier, give func(store.Entry) error, scan func(pgx.CollectableRow) (store.Entry, error), query string, args ...any) error {
	var stop error
	err := each(ctx, q, scan, func(e store.Entry) bool { stop = give(e); return stop == nil }, query, args...)
	return errors.Join(stop, err)
}

func exportStreams(ctx context.Context, q querier, give func(store.Entry) error) error {
	gaps := map[record.Identity][]store.GapEntry{} // few streams have any
	_, err := collect(ctx, q, func(row pgx.CollectableRow) (struct{}, error) {
		id, g, err := scanGap(row)
		gaps[id] = append(gaps[id], g)
		return struct{}{}, err
	}, `SELECT device, epoch, "from", "to", first, last, before, after, open FROM gap ORDER BY device, epoch, "from"`)
	if err != nil {
		return err
	}
	err = exportEach(ctx, q, give, func(row pgx.CollectableRow) (store.Entry, error) {
		st, err := scanState(row)
		return store.Entry{Stream: &store.StreamEntry{Identity: st.Identity, Venue: st.Venue, Number: st.Number, Last: st.Last, Head: st.Head, Gaps: gaps[st.Identity]}}, err
	}, `SELECT device, epoch, number, last, head, venue FROM stream WHERE number > 0 ORDER BY device, epoch`)
	if err != nil {
		return err
	}
	return exportEach(ctx, q, give, func(row pgx.CollectableRow) (e store.Entry, err error) {
		var device, epoch, sha []byte
		r := &store.RefusedEntry{}
		err = row.Scan(&device, &epoch, &r.Number, &r.Day, &r.Venue, &r.Hour, &r.First, &r.Last, &sha, &r.Why, &r.AtMS)
		copy(r.Device[:], device)
		copy(r.Epoch[:], epoch)
		copy(r.SHA256[:], sha)
		e.Refused = r
		return e, err
	}, `SELECT device, epoch, number, day, venue, hour, first, last, sha256, why, at_ms FROM refused ORDER BY device, epoch, number`)
}

func exportGates(ctx context.Context, q querier, give func(store.Entry) error) error {
	devices := map[string][]store.DeviceEntry{}
	_, err := collect(ctx, q, func(row pgx.CollectableRow) (struct{}, error) {
		var d store.DeviceEntry
		var gate string
		var device []byte
		err := row.Scan(&gate, &device, &d.SegmentKey, &d.EnrolledMS, &d.RevokedMS)
		copy(d.Device[:], device)
		devices[gate] = append(devices[gate], d)
		return struct{}{}, err
	}, `SELECT gate, device, segment_key, enrolled_ms, revoked_ms FROM device ORDER BY enrolled_ms, device`)
	if err != nil {
		return err
	}
	err = exportEach(ctx, q, give, func(row pgx.CollectableRow) (store.Entry, error) {
		g, err := scanGate(row)
		return store.Entry{Gate: &store.GateEntry{Gate: g, Devices: devices[g.Name]}}, err
	}, sqlGate+`ORDER BY name`)
	if err != nil {
		return err
	}
	return exportEach(ctx, q, give, func(row pgx.CollectableRow) (store.Entry, error) {
		t, err := scanToken(row)
		return store.Entry{Token: &t}, err
	}, sqlToken+`ORDER BY hash`)
}

func exportOffice(ctx context.Context, q querier, give func(store.Entry) error) error {
	for _, part := range []struct {
		scan  func(pgx.CollectableRow) (store.Entry, error)
		query string
	}{
		{func(row pgx.CollectableRow) (store.Entry, error) {
			p, err := scanPerson(row)
			return store.Entry{Person: &p}, err
		}, sqlPerson + `ORDER BY name`},
		{func(row pgx.CollectableRow) (e store.Entry, err error) {
			e.Trust = &store.TrustEntry{}
			return e, row.Scan(&e.Trust.Name, &e.Trust.Bytes)
		}, `SELECT name, bytes FROM trust ORDER BY name`},
		{func(row pgx.CollectableRow) (e store.Entry, err error) {
			e.Trust = &store.TrustEntry{}
			return e, row.Scan(&e.Trust.Generation)
		}, `SELECT generation FROM trust_generation WHERE generation > 0`},
		{func(row pgx.CollectableRow) (store.Entry, error) {
			a, err := scanAlarm(row)
			return store.Entry{Alarm: &a}, err
		}, sqlAlarm + `ORDER BY id`},
		{func(row pgx.CollectableRow) (store.Entry, error) {
			a, err := scanAct(row)
			return store.Entry{Act: &a}, err
		},
			`SELECT id, at_ms, who, role, what, "on", venue, text FROM act ORDER BY id`},
	} {
		if err := exportEach(ctx, q, give, part.scan, part.query); err != nil {
			return err
		}
	}
	return nil
}

func exportAside(ctx context.Context, q querier, give func(store.Entry) error) error {
	scan := func(row pgx.CollectableRow) (e store.Entry, err error) {
		var device []byte
		e.Aside = &store.AsideEntry{}
		err = row.Scan(&device, &e.Aside.Why, &e.Aside.AtMS, &e.Aside.Bytes, &e.Aside.More)
		copy(e.Aside.Device[:], device)
		return e, err
	}
	if err := exportEach(ctx, q, give, scan, `SELECT device, why, at_ms, bytes, 0::bigint FROM aside ORDER BY device, at_ms, sha256`); err != nil {
		return err
	}
	return exportEach(ctx, q, give, scan, `SELECT device, '', 0::bigint, NULL::bytea, more FROM aside_count WHERE more > 0 ORDER BY device`)
}

// exportDay gives what the log holds of a day.
func exportDay(ctx context.Context, q querier, day string, give func(store.Entry) error) error {
	for _, part := range []struct {
		scan  func(pgx.CollectableRow) (store.Entry, error)
		query string
	}{
		{scanContext, `SELECT day, venue, device, epoch, id, began_ms, enc FROM context WHERE day = $1`},
		{func(row pgx.CollectableRow) (store.Entry, error) {
			in, err := scanSegment(row)
			return store.Entry{Segment: &in}, err
		}, sqlSegmentRow + ` WHERE g.day = $1`},
		{func(row pgx.CollectableRow) (e store.Entry, err error) {
			h := &store.HourlyEntry{}
			var device []byte
			err = row.Scan(&h.Day, &h.Venue, &device, &h.Hour, &h.Verdict, &h.Reason, &h.N)
			copy(h.Device[:], device)
			e.Hourly = h
			return e, err
		}, `SELECT day, venue, device, hour, verdict, reason, n FROM hourly WHERE day = $1`},
		{func(row pgx.CollectableRow) (store.Entry, error) {
			n, err := scanNotable(row)
			return store.Entry{Notable: &n}, err
		}, sqlNotableRow + ` WHERE day = $1`},
	} {
		if err := exportEach(ctx, q, give, part.scan, part.query, day); err != nil {
			return err
		}
	}
	return nil
}

func scanContext(row pgx.CollectableRow) (e store.Entry, err error) {
	c := &store.ContextEntry{}
	var device, epoch, id []byte
	var began int64
	err = row.Scan(&c.Day, &c.Venue, &device, &epoch, &id, &began, &c.Enc)
	copy(c.Device[:], device)
	copy(c.Epoch[:], epoch)
	copy(c.ID[:], id)
	c.BeganMS = uint64(began)
	e.Context = c
	return e, err
}

// importStep is how many entries are written in one transaction.
const importStep = 2000

// Import fills an empty store; see store.Archive.
func (s *Store) Import(ctx context.Context, entries iter.Seq2[store.Entry, error]) error {
	return explain("import", s.load(ctx, entries))
}

func (s *Store) load(ctx context.Context, entries iter.Seq2[store.Entry, error]) error {
	err := s.write(ctx, "begin", func(tx pgx.Tx) error {
		for _, table := range []string{"loading", "stream", "refused", "aside_count", "gate", "person", "trust", "alarm", "act", "day"} {
			var some bool
			if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM `+table+`)`).Scan(&some); err != nil {
				return err
			}
			if some {
				return store.ErrExists
			}
		}
		_, err := tx.Exec(ctx, `INSERT INTO loading VALUES (1)`)
		return err
	})
	if err != nil {
		return err
	}
	l := &loader{s: s}
	for e, err := range entries {
		if err == nil {
			err = l.take(ctx, e)
		}
		if err != nil {
			return err
		}
	}
	if err := l.flush(ctx); err != nil {
		return err
	}
	return s.write(ctx, "end", func(tx pgx.Tx) error {
		for _, table := range []string{"alarm", "act"} { // their ids go on behind the last
			if _, err := tx.Exec(ctx, `SELECT setval(pg_get_serial_sequence('`+table+`', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM `+table+`), false)`); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `DELETE FROM loading`)
		return err
	})
}

// loader writes entries, many at once.
type loader struct {
	s       *Store
	entries []store.Entry // that are written one by one
	b       batch         // segments
	hourly  map[hourlyKey]int64
	notable []*store.Notable
	days    []string
	size    int
	dropped []*store.DroppedEntry
}

func (l *loader) take(ctx context.Context, e store.Entry) error {
	switch {
	case e.Segment != nil:
		l.b.fresh, l.b.flags, l.days = append(l.b.fresh, e.Segment), append(l.b.flags, e.Segment.Flags), append(l.days, e.Segment.Day)
	case e.Hourly != nil:
		if l.hourly == nil {
			l.hourly = map[hourlyKey]int64{}
		}
		h := e.Hourly
		k := hourlyKey{h.Day, h.Venue, h.Device, h.Hour, h.Verdict, h.Reason}
		l.hourly[k] = min(l.hourly[k]+int64(min(h.N, 1<<61)), 1<<61)
		l.days = append(l.days, h.Day)
	case e.Notable != nil:
		l.notable, l.days = append(l.notable, e.Notable), append(l.days, e.Notable.Day)
	case e.Context != nil:
		l.entries, l.days = append(l.entries, e), append(l.days, e.Context.Day)
	case e.Dropped != nil:
		l.dropped = append(l.dropped, e.Dropped)
	default:
		l.entries = append(l.entries, e)
	}
	if l.size++; e.Aside != nil || e.Trust != nil {
		l.size += importStep / 100 // they may be long
	}
	if l.size < importStep {
		return nil
	}
	return l.flush(ctx)
}

// flush commits what was taken.
func (l *loader) flush(ctx context.Context) error {
	if err := l.s.place(ctx, l.days); err != nil {
		return err
	}
	err := l.s.write(ctx, "import", func(tx pgx.Tx) error {
		for i := range l.entries { // what another statement of these reads
			if a := l.entries[i].Aside; a != nil && a.Bytes != nil {
				if err := aside(ctx, tx, a.Device, record.SegmentDigest(a.Bytes), a.Why, a.Bytes, a.AtMS); err != nil {
					return err
				}
			}
		}
		q := &pgx.Batch{}
		for i := range l.entries {
			queueEntry(q, &l.entries[i])
		}
		l.b.conn = tx.Conn()
		if err := l.b.copySegments(ctx); err != nil {
			return err
		}
		var notable rows
		for _, n := range l.notable {
			notable.notable(n)
		}
		if err := notable.copyTo(ctx, tx.Conn(), copyNotable); err != nil {
			return err
		}
		queueHourly(q, l.hourly)
		l.b.queueTallies(q)
		return tx.SendBatch(ctx, q).Close()
	})
	if err != nil {
		return err
	}
	for _, d := range l.dropped { // what a long dump still held goes again
		if err := l.s.DropDay(ctx, d.Day, d.Destroyed, d.At); err != nil {
			return err
		}
	}
	*l = loader{s: l.s}
	return nil
}

// queueEntry queues an entry that is written by itself.
func queueEntry(q *pgx.Batch, e *store.Entry) {
	switch {
	case e.Stream != nil:
		st := e.Stream
		q.Queue(`INSERT INTO stream (device, epoch, number, last, head, venue) VALUES ($1, $2, $3, $4, $5, $6)`, st.Device[:], st.Epoch[:], int64(st.Number), int64(st.Last), st.Head[:], st.Venue)
		queueGaps(q, st.Identity, nil, st.Gaps)
	case e.Refused != nil:
		queueRefused(q, *e.Refused)
	case e.Gate != nil:
		queueGate(q, e.Gate)
	case e.Token != nil:
		t := e.Token
		var device, segmentKey, tlsKey []byte
		if t.Used {
			device, segmentKey, tlsKey = t.Device[:], blob(t.SegmentKey), t.TLSKey[:]
		}
		q.Queue(`INSERT INTO token (hash, gate, expires_ms, sheet, ended, device, segment_key, tls_key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			t.Hash[:], t.Gate, t.Expires.UnixMilli(), t.Sheet, t.Ended, device, segmentKey, tlsKey)
	case e.Person != nil:
		p := e.Person
		q.Queue(`INSERT INTO person (name, role, venues, serial, until_ms, revoked_ms, created_ms) VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN 1 ELSE 0 END, $7)`,
			p.Name, p.Role, p.Venues, p.Serial, millis(p.Until), p.Revoked, p.CreatedMS)
	case e.Trust != nil && e.Trust.Name == "":
		q.Queue(`UPDATE trust_generation SET generation = $1`, int64(e.Trust.Generation))
	case e.Trust != nil:
		q.Queue(`INSERT INTO trust (name, bytes) VALUES ($1, $2)`, e.Trust.Name, blob(e.Trust.Bytes))
	case e.Alarm != nil:
		a := e.Alarm
		q.Queue(`INSERT INTO alarm (id, kind, gate, venue, text, at_ms, count, last_ms, closed_ms, by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			a.ID, a.Kind, a.Gate, a.Venue, a.Text, millis(a.At), int64(min(a.Count, 1<<61)), millis(a.LastAt), closedMS(a.Closed), a.By)
	case e.Act != nil:
		a := e.Act
		q.Queue(`INSERT INTO act (id, at_ms, who, role, what, "on", venue, text) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, a.ID, millis(a.At), a.Who, a.Role, a.What, a.On, a.Venue, a.Text)
	case e.Aside != nil && e.Aside.Bytes == nil:
		q.Queue(`INSERT INTO aside_count (device, more) VALUES ($1, $2) ON CONFLICT (device) DO UPDATE SET more = excluded.more`, e.Aside.Device[:], int64(min(e.Aside.More, 1<<61)))
	case e.Context != nil:
		c := e.Context
		q.Queue(`INSERT INTO context (day, venue, device, epoch, id, began_ms, enc) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
			c.Day, c.Venue, c.Device[:], c.Epoch[:], c.ID[:], int64(c.BeganMS), blob(c.Enc))
	}
}

func closedMS(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := t.UnixMilli()
	return &ms
}

func queueGate(q *pgx.Batch, e *store.GateEntry) {
	var device []byte
	if e.Device != [16]byte{} {
		device = e.Device[:]
	}
	q.Queue(`INSERT INTO gate (name, venue, venue_type, state, device, segment_key, word, created_ms, enrolled_ms, revoked_ms, cert_until, cert_spki, seen_ms, offset_ms, report)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`, e.Name, e.Venue, e.VenueType, string(e.State), device, blob(e.SegmentKey), e.Word, e.CreatedMS,
		e.EnrolledMS, e.RevokedMS, e.CertUntil, blob(e.CertSPKI), e.SeenMS, e.OffsetMS, blob(e.Report))
	for i, venue := range e.Venues {
		q.Queue(`INSERT INTO gate_venue (gate, turn, venue) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, e.Name, i, venue)
	}
	for _, d := range e.Devices {
		q.Queue(`INSERT INTO device (device, gate, segment_key, enrolled_ms, revoked_ms) VALUES ($1, $2, $3, $4, $5)`, d.Device[:], e.Name, blob(d.SegmentKey), d.EnrolledMS, d.RevokedMS)
	}
}
