package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"checkpoint/hub/store"
	"checkpoint/hub/store/internal/sequence"
	"checkpoint/record"
)

const (
	sqlSegment = `INSERT INTO segment (source, hour, number, first, last, received_ms, offset_ms, flags, way, carries, context, before, head, sha256, plain, sealed)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	sqlStored  = `SELECT sha256 FROM segment WHERE hour = ? AND source = ? AND number = ?`
	sqlKnown   = `SELECT EXISTS (SELECT 1 FROM context WHERE source = ? AND id = ?)`
	sqlContext = `INSERT INTO context (source, id, began_ms, enc) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`
	sqlOrphans = `UPDATE segment SET flags = flags & ~32 WHERE source = ? AND context = ? AND flags & 32 != 0`
	sqlHourly  = `INSERT INTO hourly (hour, source, verdict, reason, n) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET n = min(n + excluded.n, 1 << 61)`
	sqlNotable = `INSERT INTO notable (wall_ms, device, epoch, seq, source, hour, quality, kind, verdict, reason, format, code, allowed, trust, "to", value, issuer, text)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	sqlTally = `INSERT INTO tally (day, segments, bytes, first_hour, last_hour, first_count, last_count) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET segments = segments + excluded.segments, bytes = bytes + excluded.bytes,
			first_hour = min(first_hour, excluded.first_hour), last_hour = max(last_hour, excluded.last_hour),
			first_count = min(first_count, excluded.first_count), last_count = max(last_count, excluded.last_count)
		RETURNING segments, bytes, first_hour, last_hour, first_count, last_count`
)

// A sum of counts stays below 1 << 61, and one of them below maxCount, so that
// no sum leaves int64.
const maxCount = 1 << 40

// batch is a Put on its way.
type batch struct {
	s       *Store
	was, is map[record.Identity]sequence.State
	files   map[string]*open
	refused []store.RefusedEntry
	aside   []*store.Incoming
	tallies []tally
}

// open is a day file in a transaction.
type open struct {
	*file
	done   bool // committed
	hourly map[hourlyKey]uint64
	days   map[string]*tally
}

type hourlyKey struct {
	hour            int64
	source          int64
	verdict, reason uint8
}

// tally is how much of a day is in its file.
type tally struct {
	day                   string
	segments, bytes       int64
	firstHour, lastHour   int64 // of segments
	firstCount, lastCount int64 // that counts tell of
}

// Put keeps a batch; see store.Segments.
func (s *Store) Put(ctx context.Context, in []store.Incoming) ([]store.Put, error) {
	for i := range in {
		if !sequence.Valid(&in[i]) {
			return nil, fmt.Errorf("put segments: segment %d cannot be counted with", in[i].Number)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, s.explain("put segments", err)
	}
	if err := s.room(); err != nil {
		return nil, err
	}
	s.put.Lock()
	defer s.put.Unlock()
	if err := s.alive(); err != nil {
		return nil, s.explain("put segments", err)
	}
	puts, err := s.putBatch(context.WithoutCancel(ctx), in)
	return puts, s.explain("put segments", err)
}

// putBatch holds s.put. Nothing ends it in the middle: half of it is worth
// nothing.
func (s *Store) putBatch(ctx context.Context, in []store.Incoming) (puts []store.Put, err error) {
	if err := s.place(ctx, in); err != nil {
		return nil, err
	}
	b := &batch{s: s, was: map[record.Identity]sequence.State{}, is: map[record.Identity]sequence.State{}, files: map[string]*open{}}
	defer func() { err = errors.Join(err, b.end(ctx)) }()
	puts = make([]store.Put, len(in))
	for i := range in {
		if puts[i], err = b.take(ctx, &in[i]); err != nil {
			return nil, err
		}
	}
	if err := b.commit(ctx); err != nil {
		return nil, err
	}
	return puts, nil
}

// take decides about one segment, and writes it to its day file.
func (b *batch) take(ctx context.Context, in *store.Incoming) (put store.Put, err error) {
	was, err := b.state(ctx, in.Identity)
	if err != nil {
		return put, err
	}
	d := b.s.day(in.Day)
	if d.destroyed || d.retired {
		put, r, note := sequence.Dropped(was, in, d.destroyed)
		if note {
			b.refused = append(b.refused, r)
		}
		return put, nil
	}
	f, err := b.file(ctx, fileName(d.id, d.own))
	if err != nil {
		return put, err
	}
	source, err := f.sourceOf(ctx, sourceKey{in.Day, in.Venue, in.Identity})
	if err != nil {
		return put, err
	}
	v, err := sequence.Judge(was, in, func() ([32]byte, bool, error) { return f.stored(ctx, source, in) })
	if err != nil {
		return put, err
	}
	if put.Outcome = v.Outcome; v.Opened != nil {
		if put.MissingFrom, put.MissingTo, err = b.missing(ctx, in.Identity, *v.Opened); err != nil {
			return put, err
		}
	}
	if v.Outcome == store.Stored {
		same, err := f.insert(ctx, source, in, v.Flags)
		if err != nil {
			return put, err
		}
		if !same {
			put = store.Put{Outcome: store.Conflict}
		} else {
			b.is[in.Identity] = v.After
		}
	}
	if put.Outcome == store.Conflict {
		b.aside = append(b.aside, in)
	}
	return put, nil
}

func (b *batch) state(ctx context.Context, id record.Identity) (sequence.State, error) {
	if is, ok := b.is[id]; ok {
		return is, nil
	}
	state, err := b.s.stream(ctx, id)
	if err != nil {
		return state, err
	}
	b.was[id], b.is[id] = state, state
	return state, nil
}

// missing are the numbers of a new gap that were not refused; 0, 0 when all
// were.
func (b *batch) missing(ctx context.Context, id record.Identity, g store.Gap) (from, to uint64, err error) {
	refused, err := readRefused(ctx, b.s.read, id, g)
	if err != nil {
		return 0, 0, err
	}
	for _, r := range b.refused { // of this very batch
		if r.Identity == id {
			refused = append(refused, sequence.Refused{Number: r.Number, First: r.First, Last: r.Last})
		}
	}
	from, to = sequence.Missing(g, refused)
	return from, to, nil
}

// file is a day file in its transaction.
func (b *batch) file(ctx context.Context, name string) (*open, error) {
	if f := b.files[name]; f != nil {
		return f, nil
	}
	f, err := b.s.files.get(ctx, name, true)
	if err != nil {
		return nil, err
	}
	o := &open{file: f, hourly: map[hourlyKey]uint64{}, days: map[string]*tally{}, done: true}
	b.files[name] = o
	if _, err = f.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err == nil {
		o.done = false
	}
	return o, err
}

// stored is the digest of what stands under a key.
func (d *file) stored(ctx context.Context, source int64, in *store.Incoming) (sha [32]byte, found bool, err error) {
	rows, err := d.stmt.stored.QueryContext(ctx, in.Hour, source, int64(in.Number))
	if err != nil {
		return sha, false, err
	}
	defer rows.Close()
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return sha, false, err
		}
		found = true
		copy(sha[:], b)
	}
	return sha, found, rows.Err()
}

// insert writes a segment and what is counted of it. same is false when its key
// is taken by other bytes; the same bytes, left there by a hub that ended before
// their stream knew, are counted already.
func (o *open) insert(ctx context.Context, source int64, in *store.Incoming, flags store.Flags) (same bool, err error) {
	var context []byte
	if in.ContextID != [16]byte{} {
		context = in.ContextID[:]
		if flags, err = o.seal(ctx, source, in, flags); err != nil {
			return false, err
		}
	}
	fresh, err := o.row(ctx, source, in, flags, blob(context))
	if err != nil {
		return false, err
	}
	if !fresh {
		o.tally(in.Day) // main.db does not know yet of what was left there
		sha, _, err := o.stored(ctx, source, in)
		return sha == in.SHA256, err
	}
	t := o.tallyOf(in)
	for _, c := range in.Counts {
		t.firstCount, t.lastCount = min(t.firstCount, c.Hour), max(t.lastCount, c.Hour)
		o.hourly[hourlyKey{c.Hour, source, c.Verdict, c.Reason}] += min(c.N, maxCount)
	}
	for i := range in.Notable {
		if err := o.note(ctx, source, &in.Notable[i]); err != nil {
			return false, err
		}
	}
	return true, nil
}

// row writes the row of a segment, unless there is one under its key.
func (d *file) row(ctx context.Context, source int64, in *store.Incoming, flags store.Flags, context []byte) (fresh bool, err error) {
	result, err := d.stmt.segment.ExecContext(ctx, source, in.Hour, int64(in.Number), int64(in.First), int64(in.Last), in.ReceivedMS, in.OffsetMS,
		int64(flags), int64(in.Way), in.Context != nil, context, in.Before[:], in.Head[:], in.SHA256[:], blob(in.Plain), blob(in.Sealed))
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// tallyOf is the tally of a segment's day, the segment counted.
func (o *open) tallyOf(in *store.Incoming) *tally {
	t := o.tally(in.Day)
	t.segments++
	t.bytes += int64(len(in.Plain) + len(in.Sealed))
	t.firstHour, t.lastHour = min(t.firstHour, in.Hour), max(t.lastHour, in.Hour)
	return t
}

// tally is what is added to a day.
func (o *open) tally(day string) *tally {
	t := o.days[day]
	if t == nil {
		t = &tally{day: day, firstHour: math.MaxInt64, lastHour: math.MinInt64, firstCount: math.MaxInt64, lastCount: math.MinInt64}
		o.days[day] = t
	}
	return t
}

// seal keeps the context that a segment brings, or looks whether the one that
// it names has come.
func (o *open) seal(ctx context.Context, source int64, in *store.Incoming, flags store.Flags) (store.Flags, error) {
	if in.Context == nil {
		var known bool
		if err := o.stmt.known.QueryRowContext(ctx, source, in.ContextID[:]).Scan(&known); err != nil || known {
			return flags, err
		}
		return flags | store.Orphan, nil
	}
	result, err := o.stmt.context.ExecContext(ctx, source, in.ContextID[:], int64(in.Context.BeganMS), blob(in.Context.Enc))
	if err != nil {
		return flags, err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return flags, err
	}
	_, err = o.stmt.orphans.ExecContext(ctx, source, in.ContextID[:])
	return flags, err
}

func (d *file) note(ctx context.Context, source int64, n *store.Notable) error {
	_, err := d.stmt.notable.ExecContext(ctx, n.WallMS, n.Device[:], n.Epoch[:], int64(n.Seq), source, n.Hour, int64(n.Quality), int64(n.Kind), int64(n.Verdict),
		int64(n.Reason), int64(n.Format), int64(n.Code), n.Allowed, int64(n.Trust), int64(n.To), n.Value, sequence.Text(n.Issuer), sequence.Text(n.Text))
	return err
}

// blob is never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// commit commits the day files, then main.db.
func (b *batch) commit(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		o := b.files[name]
		tallies, err := o.count(ctx)
		if err != nil {
			return err
		}
		b.tallies = append(b.tallies, tallies...)
	}
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		if err := b.s.stop("day"); err != nil {
			return err
		}
		o := b.files[name]
		if _, err := o.conn.ExecContext(ctx, "COMMIT"); err != nil {
			return err
		}
		o.done = true
	}
	if err := b.s.stop("main"); err != nil {
		return err
	}
	if err := b.commitMain(ctx); err != nil {
		return err
	}
	for _, is := range b.is {
		if is.Number > 0 {
			b.s.streams.keep(is)
		}
	}
	b.s.counted(b.tallies)
	return nil
}

// count writes what was added up of a file.
func (o *open) count(ctx context.Context) (tallies []tally, err error) {
	keys := slices.SortedFunc(maps.Keys(o.hourly), func(a, b hourlyKey) int {
		return cmp.Or(cmp.Compare(a.hour, b.hour), cmp.Compare(a.source, b.source), cmp.Compare(a.verdict, b.verdict), cmp.Compare(a.reason, b.reason))
	})
	for _, k := range keys {
		if _, err := o.stmt.hourly.ExecContext(ctx, k.hour, k.source, int64(k.verdict), int64(k.reason), int64(o.hourly[k])); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.days)) {
		t := o.days[name]
		if err := o.add(ctx, t); err != nil {
			return nil, err
		}
		tallies = append(tallies, *t)
	}
	return tallies, nil
}

// add adds to a day's tally, which comes back as it then is.
func (d *file) add(ctx context.Context, t *tally) error {
	return d.stmt.tally.QueryRowContext(ctx, t.day, t.segments, t.bytes, t.firstHour, t.lastHour, t.firstCount, t.lastCount).
		Scan(&t.segments, &t.bytes, &t.firstHour, &t.lastHour, &t.firstCount, &t.lastCount)
}

// commitMain writes what the batch changed beside the log.
func (b *batch) commitMain(ctx context.Context) error {
	var changed []record.Identity
	for id, is := range b.is {
		was := b.was[id]
		if is.Number != was.Number || !slices.Equal(is.Gaps, was.Gaps) {
			changed = append(changed, id)
		}
	}
	if len(changed)+len(b.refused)+len(b.aside)+len(b.tallies) == 0 {
		return nil
	}
	slices.SortFunc(changed, identities)
	conn, err := b.s.main.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return transact(ctx, conn, func() error {
		for _, id := range changed {
			if err := writeStream(ctx, conn, b.was[id], b.is[id]); err != nil {
				return err
			}
		}
		for _, r := range b.refused {
			if err := refuse(ctx, conn, r); err != nil {
				return err
			}
		}
		for _, in := range b.aside {
			segment, err := record.JoinSegment(in.Plain, in.Sealed)
			if err != nil { // not cut by this hub's record: keep what there is
				segment = slices.Concat(in.Plain, in.Sealed)
			}
			if err := aside(ctx, conn, in.Device, in.SHA256, "conflict", segment, in.ReceivedMS); err != nil {
				return err
			}
		}
		return writeTallies(ctx, conn, b.tallies)
	})
}

// end undoes what was not committed and gives the files back.
func (b *batch) end(ctx context.Context) error {
	var errs []error
	for _, o := range b.files {
		if !o.done {
			_, _ = o.conn.ExecContext(ctx, "ROLLBACK") // a full disk may have rolled it back already
			o.source = map[sourceKey]int64{}           // numbers of sources may be undone with it
		}
		errs = append(errs, b.s.files.release(o.file))
	}
	return errors.Join(errs...)
}

// stop lets a test end a batch at a step.
func (s *Store) stop(at string) error {
	if s.step == nil {
		return nil
	}
	return s.step(at)
}
