package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"time"

	"checkpoint/hub/store"
	"checkpoint/hub/store/internal/sequence"
	"checkpoint/record"
)

// errEnough: the reader of an export has enough.
var errEnough = errors.New("enough")

// Export yields all that the store holds; see store.Archive. main.db is read
// first and in one look, then each file in one: a day file is always as far as
// the streams, or further.
func (s *Store) Export(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		give := func(e store.Entry) error {
			if !yield(e, nil) {
				return errEnough
			}
			return nil
		}
		if err := s.export(ctx, give); err != nil && !errors.Is(err, errEnough) {
			yield(store.Entry{}, s.explain("export the store", err))
		}
	}
}

func (s *Store) export(ctx context.Context, give func(store.Entry) error) error {
	if err := s.alive(); err != nil {
		return err
	}
	err := snapshot(ctx, s.read, func(q querier) error {
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
	for _, name := range s.filesWhere(func(tally) bool { return true }) {
		err := s.withFile(ctx, name, func(d *file) error {
			return snapshot(ctx, d.reader, func(q querier) error { return exportDays(ctx, q, give) })
		})
		if err != nil {
			return err
		}
	}
	return exportEach(ctx, s.read, give, func(row scanner) (e store.Entry, err error) {
		e.Dropped = &store.DroppedEntry{}
		var at int64
		err = row.Scan(&e.Dropped.Day, &e.Dropped.Destroyed, &at)
		e.Dropped.At = instant(at)
		return e, err
	}, `SELECT id, destroyed, dropped_ms FROM day WHERE destroyed OR retired ORDER BY id`)
}

// snapshot does f with a connection that sees the file as it is now.
func snapshot(ctx context.Context, pool *sql.DB, f func(querier) error) error {
	tx, err := pool.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return f(tx)
}

// exportEach gives what scan makes of each row.
func exportEach(ctx context.Context, q querier, give func(store.Entry) error, scan func(scanner) (store.Entry, error), query string, args ...any) error {
	var stop error
	err := each(ctx, q, scan, func(e store.Entry) bool { stop = give(e); return stop == nil }, query, args...)
	return errors.Join(stop, err)
}

func exportStreams(ctx context.Context, q querier, give func(store.Entry) error) error {
	err := exportEach(ctx, q, give, func(row scanner) (e store.Entry, err error) {
		var device, epoch, head []byte
		st := &store.StreamEntry{}
		if err := row.Scan(&device, &epoch, &st.Venue, u64(&st.Number), u64(&st.Last), &head); err != nil {
			return e, err
		}
		copy(st.Device[:], device)
		copy(st.Epoch[:], epoch)
		copy(st.Head[:], head)
		st.Gaps, err = readGaps(ctx, q, st.Identity)
		e.Stream = st
		return e, err
	}, `SELECT device, epoch, venue, number, last, head FROM stream ORDER BY device, epoch`)
	if err != nil {
		return err
	}
	return exportEach(ctx, q, give, func(row scanner) (e store.Entry, err error) {
		var device, epoch, sha []byte
		r := &store.RefusedEntry{}
		err = row.Scan(&device, &epoch, u64(&r.Number), &r.Day, &r.Venue, &r.Hour, u64(&r.First), u64(&r.Last), &sha, &r.Why, &r.AtMS)
		copy(r.Device[:], device)
		copy(r.Epoch[:], epoch)
		copy(r.SHA256[:], sha)
		e.Refused = r
		return e, err
	}, `SELECT device, epoch, number, day, venue, hour, first, last, sha256, why, at_ms FROM refused ORDER BY device, epoch, number`)
}

func exportGates(ctx context.Context, q querier, give func(store.Entry) error) error {
	err := exportEach(ctx, q, give, func(row scanner) (e store.Entry, err error) {
		g, err := scanGate(row)
		if err != nil {
			return e, err
		}
		devices, err := collect(ctx, q, func(row scanner) (d store.DeviceEntry, err error) {
			var device []byte
			err = row.Scan(&device, &d.SegmentKey, &d.EnrolledMS, &d.RevokedMS)
			copy(d.Device[:], device)
			return d, err
		}, `SELECT device, segment_key, enrolled_ms, revoked_ms FROM device WHERE gate = ? ORDER BY enrolled_ms, device`, g.Name)
		e.Gate = &store.GateEntry{Gate: g, Devices: devices}
		return e, err
	}, sqlGate+`ORDER BY name`)
	if err != nil {
		return err
	}
	return exportEach(ctx, q, give, func(row scanner) (store.Entry, error) {
		t, err := readToken(row)
		return store.Entry{Token: &t}, err
	}, sqlToken+`ORDER BY hash`)
}

func exportOffice(ctx context.Context, q querier, give func(store.Entry) error) error {
	for _, part := range []struct {
		scan  func(scanner) (store.Entry, error)
		query string
	}{
		{func(row scanner) (store.Entry, error) { p, err := scanPerson(row); return store.Entry{Person: &p}, err }, sqlPerson + `ORDER BY name`},
		{func(row scanner) (e store.Entry, err error) {
			e.Trust = &store.TrustEntry{}
			return e, row.Scan(&e.Trust.Name, &e.Trust.Bytes)
		}, `SELECT name, bytes FROM trust ORDER BY name`},
		{func(row scanner) (e store.Entry, err error) {
			e.Trust = &store.TrustEntry{}
			return e, row.Scan(u64(&e.Trust.Generation))
		}, `SELECT generation FROM trust_generation WHERE generation > 0`},
		{func(row scanner) (store.Entry, error) { a, err := scanAlarm(row); return store.Entry{Alarm: &a}, err }, sqlAlarm + `ORDER BY id`},
		{func(row scanner) (store.Entry, error) { a, err := scanAct(row); return store.Entry{Act: &a}, err },
			`SELECT id, at_ms, who, role, what, "on", venue, text FROM act ORDER BY id`},
	} {
		if err := exportEach(ctx, q, give, part.scan, part.query); err != nil {
			return err
		}
	}
	return nil
}

func exportAside(ctx context.Context, q querier, give func(store.Entry) error) error {
	scan := func(row scanner) (e store.Entry, err error) {
		var device []byte
		e.Aside = &store.AsideEntry{}
		err = row.Scan(&device, &e.Aside.Why, &e.Aside.AtMS, &e.Aside.Bytes, u64(&e.Aside.More))
		copy(e.Aside.Device[:], device)
		return e, err
	}
	if err := exportEach(ctx, q, give, scan, `SELECT device, why, at_ms, bytes, 0 FROM aside ORDER BY id`); err != nil {
		return err
	}
	return exportEach(ctx, q, give, scan, `SELECT device, '', 0, NULL, more FROM aside_count WHERE more > 0 ORDER BY device`)
}

// exportDays gives what a day file holds.
func exportDays(ctx context.Context, q querier, give func(store.Entry) error) error {
	for _, part := range []struct {
		scan  func(scanner) (store.Entry, error)
		query string
	}{
		{scanContext, `SELECT s.day, s.venue, s.device, s.epoch, c.id, c.began_ms, c.enc FROM context c JOIN source s ON s.id = c.source ORDER BY c.source, c.id`},
		{func(row scanner) (store.Entry, error) {
			in, err := scanSegment(row)
			return store.Entry{Segment: &in}, err
		}, sqlSegmentRow + ` ORDER BY g.id`},
		{func(row scanner) (e store.Entry, err error) {
			h := &store.HourlyEntry{}
			var device []byte
			err = row.Scan(&h.Day, &h.Venue, &device, &h.Hour, &h.Verdict, &h.Reason, u64(&h.N))
			copy(h.Device[:], device)
			e.Hourly = h
			return e, err
		}, `SELECT s.day, s.venue, s.device, h.hour, h.verdict, h.reason, min(sum(h.n), 1 << 61) FROM hourly h JOIN source s ON s.id = h.source
			GROUP BY s.day, s.venue, s.device, h.hour, h.verdict, h.reason`},
		{func(row scanner) (store.Entry, error) {
			n, err := scanNotable(row)
			return store.Entry{Notable: &n}, err
		},
			sqlNotableRow + ` ORDER BY n.wall_ms, n.device, n.epoch, n.seq`},
	} {
		if err := exportEach(ctx, q, give, part.scan, part.query); err != nil {
			return err
		}
	}
	return nil
}

func scanContext(row scanner) (e store.Entry, err error) {
	c := &store.ContextEntry{}
	var device, epoch, id []byte
	err = row.Scan(&c.Day, &c.Venue, &device, &epoch, &id, u64(&c.BeganMS), &c.Enc)
	copy(c.Device[:], device)
	copy(c.Epoch[:], epoch)
	copy(c.ID[:], id)
	e.Context = c
	return e, err
}

// importStep is how many entries of a file are written in one transaction.
const importStep = 2000

// Import fills an empty store; see store.Archive.
func (s *Store) Import(ctx context.Context, entries iter.Seq2[store.Entry, error]) error {
	s.put.Lock()
	defer s.put.Unlock()
	return s.explain("import", s.load(ctx, entries))
}

func (s *Store) load(ctx context.Context, entries iter.Seq2[store.Entry, error]) (err error) {
	err = s.write(ctx, "begin", func(q querier) error {
		for _, table := range []string{"stream", "refused", "aside_count", "gate", "person", "trust", "alarm", "act", "day"} {
			var some bool
			if err := q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM `+table+`)`).Scan(&some); err != nil {
				return err
			}
			if some {
				return store.ErrExists
			}
		}
		_, err := q.ExecContext(ctx, `INSERT INTO loading VALUES (1)`)
		return err
	})
	if err != nil {
		return err
	}
	l := &loader{s: s, b: &batch{s: s, files: map[string]*open{}}}
	defer func() { err = errors.Join(err, l.b.end(context.WithoutCancel(ctx))) }()
	for e, err := range entries {
		if err == nil {
			err = l.take(context.WithoutCancel(ctx), e)
		}
		if err != nil {
			return err
		}
	}
	if err := l.flush(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	clear(s.streams.known)
	return s.write(ctx, "end", func(q querier) error {
		_, err := q.ExecContext(ctx, `DELETE FROM loading`)
		return err
	})
}

// loader writes entries, many at once.
type loader struct {
	s    *Store
	main []store.Entry
	b    *batch
	size int
}

func (l *loader) take(ctx context.Context, e store.Entry) error {
	day := dayOf(e)
	if day == "" {
		l.main = append(l.main, e)
	} else if err := l.takeDay(ctx, day, e); err != nil {
		return err
	}
	if l.size++; e.Aside != nil || e.Trust != nil {
		l.size += importStep / 100 // they may be long
	}
	if l.size < importStep {
		return nil
	}
	return l.flush(ctx)
}

func dayOf(e store.Entry) string {
	switch {
	case e.Segment != nil:
		return e.Segment.Day
	case e.Context != nil:
		return e.Context.Day
	case e.Hourly != nil:
		return e.Hourly.Day
	case e.Notable != nil:
		return e.Notable.Day
	}
	return ""
}

func (l *loader) takeDay(ctx context.Context, day string, e store.Entry) error {
	if err := l.s.place(ctx, []store.Incoming{{SegmentKey: record.SegmentKey{Day: day}}}); err != nil {
		return err
	}
	d := l.s.day(day)
	f, err := l.b.file(ctx, fileName(d.id, d.own))
	if err != nil {
		return err
	}
	var key sourceKey
	switch {
	case e.Segment != nil:
		key = sourceKey{day, e.Segment.Venue, e.Segment.Identity}
	case e.Context != nil:
		key = sourceKey{day, e.Context.Venue, e.Context.Identity}
	case e.Hourly != nil: // summed over the epochs: one of zeros holds it
		key = sourceKey{day, e.Hourly.Venue, record.Identity{Device: e.Hourly.Device}}
	case e.Notable != nil:
		key = sourceKey{day, e.Notable.Venue, record.Identity{Device: e.Notable.Device, Epoch: e.Notable.Epoch}}
	}
	source, err := f.sourceOf(ctx, key)
	if err != nil {
		return err
	}
	switch {
	case e.Segment != nil:
		err = f.load(ctx, source, e.Segment)
	case e.Context != nil:
		_, err = f.stmt.context.ExecContext(ctx, source, e.Context.ID[:], int64(e.Context.BeganMS), blob(e.Context.Enc))
	case e.Hourly != nil:
		t := f.tally(day)
		t.firstCount, t.lastCount = min(t.firstCount, e.Hourly.Hour), max(t.lastCount, e.Hourly.Hour)
		k := hourlyKey{e.Hourly.Hour, source, e.Hourly.Verdict, e.Hourly.Reason}
		f.hourly[k] = min(f.hourly[k]+min(e.Hourly.N, 1<<61), 1<<61)
	case e.Notable != nil:
		err = f.note(ctx, source, e.Notable)
	}
	return err
}

// load writes a segment as it was, its flags too.
func (o *open) load(ctx context.Context, source int64, in *store.Incoming) error {
	contextID := []byte{}
	if in.ContextID != [16]byte{} {
		contextID = in.ContextID[:]
	}
	fresh, err := o.row(ctx, source, in, in.Flags, contextID)
	if fresh {
		o.tallyOf(in)
	}
	return err
}

// flush commits what was taken.
func (l *loader) flush(ctx context.Context) error {
	if err := l.b.commit(ctx); err != nil {
		return err
	}
	if err := l.b.end(ctx); err != nil {
		return err
	}
	l.b = &batch{s: l.s, files: map[string]*open{}}
	l.size = 0
	main := l.main
	l.main = l.main[:0]
	if len(main) == 0 {
		return nil
	}
	return l.s.write(ctx, "import", func(q querier) error {
		for i := range main {
			if err := l.putMain(ctx, q, &main[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// putMain writes an entry that belongs into main.db.
func (l *loader) putMain(ctx context.Context, q querier, e *store.Entry) error {
	exec := func(query string, args ...any) error {
		_, err := q.ExecContext(ctx, query, args...)
		return err
	}
	switch {
	case e.Stream != nil:
		st := e.Stream
		return writeStream(ctx, q, sequence.State{}, sequence.State{Identity: st.Identity, Venue: st.Venue, Number: st.Number, Last: st.Last, Head: st.Head, Gaps: st.Gaps})
	case e.Refused != nil:
		return refuse(ctx, q, *e.Refused)
	case e.Gate != nil:
		return putGate(ctx, q, e.Gate)
	case e.Token != nil:
		t := e.Token
		var device, segmentKey, tlsKey []byte
		if t.Used {
			device, segmentKey, tlsKey = t.Device[:], blob(t.SegmentKey), t.TLSKey[:]
		}
		return exec(`INSERT INTO token (hash, gate, expires_ms, sheet, ended, device, segment_key, tls_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			t.Hash[:], t.Gate, t.Expires.UnixMilli(), t.Sheet, t.Ended, device, segmentKey, tlsKey)
	case e.Person != nil:
		p := e.Person
		return exec(`INSERT INTO person (name, role, venues, serial, until_ms, revoked_ms, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			p.Name, p.Role, within(p.Venues), p.Serial, millis(p.Until), p.Revoked, p.CreatedMS)
	case e.Trust != nil && e.Trust.Name == "":
		return exec(`UPDATE trust_generation SET generation = ?`, int64(e.Trust.Generation))
	case e.Trust != nil:
		return exec(`INSERT INTO trust (name, bytes) VALUES (?, ?)`, e.Trust.Name, blob(e.Trust.Bytes))
	case e.Alarm != nil:
		a := e.Alarm
		return exec(`INSERT INTO alarm (id, kind, gate, venue, text, at_ms, count, last_ms, closed_ms, by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			a.ID, a.Kind, a.Gate, a.Venue, a.Text, millis(a.At), int64(min(a.Count, 1<<61)), millis(a.LastAt), closedMS(a.Closed), a.By)
	case e.Act != nil:
		a := e.Act
		return exec(`INSERT INTO act (id, at_ms, who, role, what, "on", venue, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, a.ID, millis(a.At), a.Who, a.Role, a.What, a.On, a.Venue, a.Text)
	case e.Aside != nil && e.Aside.Bytes == nil:
		return exec(`INSERT INTO aside_count (device, more) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET more = ?2`, e.Aside.Device[:], int64(min(e.Aside.More, 1<<61)))
	case e.Aside != nil:
		a := e.Aside
		return aside(ctx, q, a.Device, record.SegmentDigest(a.Bytes), a.Why, a.Bytes, a.AtMS)
	case e.Dropped != nil:
		return l.putDropped(ctx, q, e.Dropped)
	}
	return nil
}

// putDropped notes that a day was dropped; one that a long dump still held goes
// again.
func (l *loader) putDropped(ctx context.Context, q querier, e *store.DroppedEntry) error {
	d, err := noteDropped(ctx, q, e.Day, sequence.OwnPlace(e.Day, l.s.o.Now()), e.Destroyed, e.At)
	if err != nil {
		return err
	}
	l.s.mu.Lock()
	l.s.days[d.id] = &d
	l.s.mu.Unlock()
	return l.s.clear(ctx, d)
}

func closedMS(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

func putGate(ctx context.Context, q querier, e *store.GateEntry) error {
	var device any
	if e.Device != [16]byte{} {
		device = e.Device[:]
	}
	_, err := q.ExecContext(ctx, `INSERT INTO gate (name, venue, venue_type, state, device, segment_key, word, created_ms, enrolled_ms, revoked_ms, cert_until, cert_spki, seen_ms, offset_ms, report)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, e.Name, e.Venue, e.VenueType, string(e.State), device, blob(e.SegmentKey), e.Word, e.CreatedMS, e.EnrolledMS, e.RevokedMS,
		e.CertUntil, blob(e.CertSPKI), e.SeenMS, e.OffsetMS, blob(e.Report))
	if err != nil {
		return err
	}
	for _, venue := range e.Venues {
		if err := stoodIn(ctx, q, e.Name, venue); err != nil {
			return err
		}
	}
	for _, d := range e.Devices {
		_, err := q.ExecContext(ctx, `INSERT INTO device (device, gate, segment_key, enrolled_ms, revoked_ms) VALUES (?, ?, ?, ?, ?)`, d.Device[:], e.Name, blob(d.SegmentKey), d.EnrolledMS, d.RevokedMS)
		if err != nil {
			return err
		}
	}
	return nil
}
