package postgres

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"checkpoint/hub/store"
	"checkpoint/hub/store/internal/sequence"
	"checkpoint/record"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A sum of counts stays below 1 << 61, and one of them below maxCount, so that
// no sum leaves bigint.
const maxCount = 1 << 40

// slots is over how many rows a day's count is spread.
const slots = 64

type contextKey struct {
	day, venue string
	record.Identity
	id [16]byte
}

func contextOf(in *store.Incoming) contextKey {
	return contextKey{in.Day, in.Venue, in.Identity, in.ContextID}
}

// batch is a Put on its way.
type batch struct {
	s       *Store
	conn    *pgx.Conn
	in      []store.Incoming
	careful bool // look at all keys, not only at those that were passed

	dropped map[string]bool // days: destroyed or not
	was, is map[record.Identity]sequence.State
	have    map[record.SegmentKey][32]byte // stands under these keys
	orphans map[contextKey]bool            // contexts that are not there

	fresh   []*store.Incoming // to be written, with their flags
	flags   []store.Flags
	refused []store.RefusedEntry
	aside   []*store.Incoming
}

// Put keeps a batch; see store.Segments.
func (s *Store) Put(ctx context.Context, in []store.Incoming) ([]store.Put, error) {
	if len(in) == 0 {
		return nil, nil
	}
	var days []string
	ids := map[record.Identity]bool{}
	for i := range in {
		if !sequence.Valid(&in[i]) {
			return nil, fmt.Errorf("put segments: segment %d cannot be counted with", in[i].Number)
		}
		days = append(days, in[i].Day)
		ids[in[i].Identity] = true
	}
	if err := s.alive(); err != nil {
		return nil, explain("put segments", err)
	}
	if err := s.place(ctx, days); err != nil {
		return nil, err
	}
	slices.Sort(days)
	var puts []store.Put
	careful := false
	err := s.again(ctx, func(conn *pgx.Conn) (err error) {
		b := &batch{s: s, conn: conn, in: in, careful: careful}
		puts, err = b.put(ctx, slices.Compact(days), slices.SortedFunc(maps.Keys(ids), identities))
		if err != nil {
			b.undo(ctx)
		}
		if sqlState(err) == uniqueViolation && !careful {
			// A key is there that no stream knows of, from a store that was loaded.
			careful = true
			return errAgain
		}
		return err
	})
	if err != nil {
		return nil, explain("put segments", err)
	}
	return puts, nil
}

// undo ends the transaction. A connection where that fails is not used again.
func (b *batch) undo(ctx context.Context) {
	if b.conn.PgConn().TxStatus() != 'I' {
		_, _ = b.conn.Exec(context.WithoutCancel(ctx), `ROLLBACK`)
	}
}

func (b *batch) put(ctx context.Context, days []string, ids []record.Identity) ([]store.Put, error) {
	if err := b.lock(ctx, days, ids); err != nil {
		return nil, err
	}
	if err := b.look(ctx); err != nil {
		return nil, err
	}
	puts := make([]store.Put, len(b.in))
	for i := range b.in {
		var err error
		if puts[i], err = b.take(ctx, &b.in[i]); err != nil {
			return nil, err
		}
	}
	return puts, b.write(ctx)
}

// lock begins the transaction, keeps the days from being dropped, and locks the
// streams in the order of their keys. A stream that is new is made first, in a
// transaction of its own: made in this one, two hubs could wait for each other.
func (b *batch) lock(ctx context.Context, days []string, ids []record.Identity) error {
	locks := make([]int32, len(days))
	for i, day := range days {
		locks[i] = lockOf(day)
	}
	slices.Sort(locks)
	devices, epochs := make([][]byte, len(ids)), make([][]byte, len(ids))
	for i := range ids {
		devices[i], epochs[i] = ids[i].Device[:], ids[i].Epoch[:]
	}
	b.dropped, b.was = map[string]bool{}, map[record.Identity]sequence.State{}
	q := &pgx.Batch{}
	q.Queue(`BEGIN`)
	q.Queue(`SELECT pg_advisory_xact_lock_shared($1, k) FROM unnest($2::int[]) k`, lockDay, locks)
	q.Queue(`SELECT id, destroyed FROM day WHERE id = ANY ($1) AND (destroyed OR retired)`, days).Query(func(rows pgx.Rows) error {
		var id string
		var destroyed bool
		_, err := pgx.ForEachRow(rows, []any{&id, &destroyed}, func() error { b.dropped[id] = destroyed; return nil })
		return err
	})
	q.Queue(`SELECT s.device, s.epoch, s.number, s.last, s.head, s.venue FROM stream s JOIN unnest($1::bytea[], $2::bytea[]) u (device, epoch) USING (device, epoch)
		ORDER BY s.device, s.epoch FOR UPDATE OF s`, devices, epochs).Query(func(rows pgx.Rows) error {
		states, err := pgx.CollectRows(rows, scanState)
		for _, state := range states {
			b.was[state.Identity] = state
		}
		return err
	})
	q.Queue(`SELECT device, epoch, "from", "to", first, last, before, after, open FROM gap JOIN unnest($1::bytea[], $2::bytea[]) u (device, epoch) USING (device, epoch) ORDER BY "from"`,
		devices, epochs).Query(func(rows pgx.Rows) error {
		_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (g store.GapEntry, err error) {
			id, g, err := scanGap(row)
			state := b.was[id]
			state.Gaps = append(state.Gaps, g)
			b.was[id] = state
			return g, err
		})
		return err
	})
	if err := b.conn.SendBatch(ctx, q).Close(); err != nil {
		return err
	}
	if len(b.was) == len(ids) {
		b.is = maps.Clone(b.was)
		return nil
	}
	b.undo(ctx)
	_, err := b.conn.Exec(ctx, `INSERT INTO stream (device, epoch, number, last, head, venue)
		SELECT *, 0, 0, '\x00000000000000000000000000000000', '' FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING`, devices, epochs)
	if err != nil {
		return err
	}
	return b.lock(ctx, days, ids) // nobody takes streams away
}

func scanState(row pgx.CollectableRow) (s sequence.State, err error) {
	var device, epoch, head []byte
	err = row.Scan(&device, &epoch, &s.Number, &s.Last, &head, &s.Venue)
	copy(s.Device[:], device)
	copy(s.Epoch[:], epoch)
	copy(s.Head[:], head)
	return s, err
}

func scanGap(row pgx.CollectableRow) (id record.Identity, g store.GapEntry, err error) {
	var device, epoch, before, after []byte
	err = row.Scan(&device, &epoch, &g.From, &g.To, &g.First, &g.Last, &before, &after, &g.Open)
	copy(id.Device[:], device)
	copy(id.Epoch[:], epoch)
	copy(g.Before[:], before)
	copy(g.After[:], after)
	return id, g, err
}

// look reads what stands under keys that were passed, and which contexts are
// there, when anything of that is not known.
func (b *batch) look(ctx context.Context) error {
	b.have, b.orphans = map[record.SegmentKey][32]byte{}, map[contextKey]bool{}
	var passed []*store.Incoming
	b.s.mu.Lock()
	for i := range b.in {
		in := &b.in[i]
		if b.careful || in.Number <= b.was[in.Identity].Number {
			passed = append(passed, in)
		}
		if in.ContextID != [16]byte{} && !b.s.contexts[contextOf(in)] {
			b.orphans[contextOf(in)] = true
		}
	}
	b.s.mu.Unlock()
	q := &pgx.Batch{}
	if len(passed) > 0 {
		k := keysOf(passed)
		q.Queue(`SELECT g.day, g.venue, g.hour, g.device, g.epoch, g.number, g.sha256 FROM segment g
			JOIN unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bigint[]) u (day, venue, hour, device, epoch, number)
			USING (day, venue, hour, device, epoch, number) WHERE g.day = ANY ($1)`, k.args()...).Query(func(rows pgx.Rows) error {
			_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
				var key record.SegmentKey
				var device, epoch, sha []byte
				err := row.Scan(&key.Day, &key.Venue, &key.Hour, &device, &epoch, &key.Number, &sha)
				copy(key.Device[:], device)
				copy(key.Epoch[:], epoch)
				if len(sha) == 32 {
					b.have[key] = [32]byte(sha)
				}
				return struct{}{}, err
			})
			return err
		})
	}
	if len(b.orphans) > 0 {
		c := contextKeys(slices.Collect(maps.Keys(b.orphans)))
		q.Queue(`SELECT c.day, c.venue, c.device, c.epoch, c.id FROM context c
			JOIN unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[], $5::bytea[]) u (day, venue, device, epoch, id)
			USING (day, venue, device, epoch, id) WHERE c.day = ANY ($1)`, c.args()...).Query(func(rows pgx.Rows) error {
			_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
				var key contextKey
				var device, epoch, id []byte
				err := row.Scan(&key.day, &key.venue, &device, &epoch, &id)
				copy(key.Device[:], device)
				copy(key.Epoch[:], epoch)
				copy(key.id[:], id)
				delete(b.orphans, key)
				return struct{}{}, err
			})
			return err
		})
	}
	if q.Len() == 0 {
		return nil
	}
	return b.conn.SendBatch(ctx, q).Close()
}

// take decides about one segment.
func (b *batch) take(ctx context.Context, in *store.Incoming) (put store.Put, err error) {
	was := b.is[in.Identity]
	if destroyed, gone := b.dropped[in.Day]; gone {
		put, r, note := sequence.Dropped(was, in, destroyed)
		if note {
			b.refused = append(b.refused, r)
		}
		return put, nil
	}
	sha, found := b.have[in.SegmentKey]
	v, err := sequence.Judge(was, in, func() ([32]byte, bool, error) { return sha, found, nil })
	if err != nil {
		return put, err
	}
	put.Outcome = v.Outcome
	if v.Outcome == store.Stored && found && sha != in.SHA256 {
		put.Outcome = store.Conflict
	}
	if put.Outcome == store.Conflict {
		b.aside = append(b.aside, in)
		return put, nil
	}
	if v.Opened != nil {
		refused, err := readRefused(ctx, b.conn, in.Identity, *v.Opened)
		if err != nil {
			return put, err
		}
		for _, r := range b.refused { // of this very batch
			if r.Identity == in.Identity {
				refused = append(refused, sequence.Refused{Number: r.Number, First: r.First, Last: r.Last})
			}
		}
		put.MissingFrom, put.MissingTo = sequence.Missing(*v.Opened, refused)
	}
	if put.Outcome != store.Stored {
		return put, nil
	}
	b.is[in.Identity] = v.After
	if !found {
		b.have[in.SegmentKey] = in.SHA256
		b.fresh, b.flags = append(b.fresh, in), append(b.flags, v.Flags)
	}
	return put, nil
}

// write writes all of it and commits.
func (b *batch) write(ctx context.Context) error {
	slices.SortStableFunc(b.aside, func(x, y *store.Incoming) int { return bytes.Compare(x.Device[:], y.Device[:]) })
	for _, in := range b.aside {
		segment, err := record.JoinSegment(in.Plain, in.Sealed)
		if err != nil { // not cut by this hub's record: keep what there is
			segment = slices.Concat(in.Plain, in.Sealed)
		}
		if err := aside(ctx, b.conn, in.Device, in.SHA256, "conflict", segment, in.ReceivedMS); err != nil {
			return err
		}
	}
	q := &pgx.Batch{}
	came := b.queueContexts(q)
	if err := b.copySegments(ctx); err != nil {
		return err
	}
	b.queueCounts(q)
	b.queueStreams(q)
	b.queueTallies(q)
	for _, r := range b.refused {
		queueRefused(q, r)
	}
	q.Queue(`COMMIT`).Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != "COMMIT" {
			return fmt.Errorf("commit: the server said %s", tag)
		}
		return nil
	})
	if err := b.conn.SendBatch(ctx, q).Close(); err != nil {
		return err
	}
	b.s.remember(came)
	return nil
}

// remember keeps in mind which contexts are there: they go only with their day.
func (s *Store) remember(came []contextKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.contexts)+len(came) > maxRemembered {
		clear(s.contexts)
	}
	for _, key := range came {
		s.contexts[key] = true
	}
}

// queueContexts writes the contexts that are new and takes the flag from
// segments that waited for them. It gives those that are there afterwards.
func (b *batch) queueContexts(q *pgx.Batch) (came []contextKey) {
	var fresh []contextKey
	var began []int64
	var enc [][]byte
	for i := range b.in {
		in := &b.in[i]
		key := contextOf(in)
		if _, gone := b.dropped[in.Day]; gone || in.ContextID == [16]byte{} {
			continue
		}
		if !b.orphans[key] {
			came = append(came, key)
		}
		if in.Context == nil || !b.orphans[key] || !slices.Contains(b.fresh, in) {
			continue
		}
		delete(b.orphans, key)
		fresh, began, enc = append(fresh, key), append(began, int64(in.Context.BeganMS)), append(enc, blob(in.Context.Enc))
	}
	if len(fresh) == 0 {
		return came
	}
	args := append(contextKeys(fresh).args(), began, enc)
	q.Queue(`INSERT INTO context (day, venue, device, epoch, id, began_ms, enc)
		SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bigint[], $7::bytea[]) ON CONFLICT DO NOTHING`, args...)
	q.Queue(`UPDATE segment g SET flags = g.flags & ~32 FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[], $5::bytea[]) u (day, venue, device, epoch, context)
		WHERE g.day = ANY ($1) AND g.day = u.day AND g.venue = u.venue AND g.device = u.device AND g.epoch = u.epoch AND g.context = u.context AND g.flags & 32 <> 0`, args[:5]...)
	return append(came, fresh...)
}

// copySegments writes the segments, and their notable rows.
func (b *batch) copySegments(ctx context.Context) error {
	var segments, notable rows
	for i, in := range b.fresh {
		f := b.flags[i]
		if in.ContextID != [16]byte{} && b.orphans[contextOf(in)] { // what came in this very batch is out of them
			f |= store.Orphan
		}
		segments.segment(in, f)
		for j := range in.Notable {
			notable.notable(&in.Notable[j])
		}
	}
	if err := segments.copyTo(ctx, b.conn, copySegments); err != nil {
		return err
	}
	return notable.copyTo(ctx, b.conn, copyNotable)
}

type hourlyKey struct {
	day, venue      string
	device          [16]byte
	hour            int64
	verdict, reason uint8
}

// queueCounts adds to the hourly counts, in the order of their keys: two hubs
// that count the same hour of a device in two epochs wait for each other once.
func (b *batch) queueCounts(q *pgx.Batch) {
	sums := map[hourlyKey]int64{}
	for _, in := range b.fresh {
		for _, c := range in.Counts {
			sums[hourlyKey{in.Day, in.Venue, in.Device, c.Hour, c.Verdict, c.Reason}] += int64(min(c.N, maxCount))
		}
	}
	queueHourly(q, sums)
}

func queueHourly(q *pgx.Batch, sums map[hourlyKey]int64) {
	if len(sums) == 0 {
		return
	}
	keys := slices.SortedFunc(maps.Keys(sums), func(a, b hourlyKey) int {
		return cmp.Or(cmp.Compare(a.hour, b.hour), cmp.Compare(a.venue, b.venue), bytes.Compare(a.device[:], b.device[:]),
			cmp.Compare(a.verdict, b.verdict), cmp.Compare(a.reason, b.reason), cmp.Compare(a.day, b.day))
	})
	n := len(keys)
	days, venues, devices, hours := make([]string, n), make([]string, n), make([][]byte, n), make([]int64, n)
	verdicts, reasons, counts := make([]int16, n), make([]int16, n), make([]int64, n)
	for i := range keys {
		k := &keys[i]
		days[i], venues[i], devices[i], hours[i], verdicts[i], reasons[i], counts[i] = k.day, k.venue, k.device[:], k.hour, int16(k.verdict), int16(k.reason), sums[*k]
	}
	q.Queue(`INSERT INTO hourly AS h (day, venue, device, hour, verdict, reason, n)
		SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::smallint[], $6::smallint[], $7::bigint[])
		ON CONFLICT (hour, venue, device, verdict, reason, day) DO UPDATE SET n = least(h.n + excluded.n, 1::bigint << 61)`, days, venues, devices, hours, verdicts, reasons, counts)
}

// queueStreams writes where the streams stand now. Their rows are locked.
func (b *batch) queueStreams(q *pgx.Batch) {
	var devices, epochs, heads [][]byte
	var numbers, lasts []int64
	var venues []string
	for id, is := range b.is {
		was := b.was[id]
		if is.Number != was.Number {
			devices, epochs, heads = append(devices, is.Device[:]), append(epochs, is.Epoch[:]), append(heads, is.Head[:])
			numbers, lasts, venues = append(numbers, int64(is.Number)), append(lasts, int64(is.Last)), append(venues, is.Venue)
		}
		queueGaps(q, is.Identity, was.Gaps, is.Gaps)
	}
	if len(devices) > 0 {
		q.Queue(`UPDATE stream s SET number = u.number, last = u.last, head = u.head, venue = u.venue
			FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bytea[], $6::text[]) u (device, epoch, number, last, head, venue)
			WHERE s.device = u.device AND s.epoch = u.epoch`, devices, epochs, numbers, lasts, heads, venues)
	}
}

func queueGaps(q *pgx.Batch, id record.Identity, was, is []store.GapEntry) {
	gone, came := sequence.Diff(was, is)
	if len(gone) > 0 {
		q.Queue(`DELETE FROM gap WHERE device = $1 AND epoch = $2 AND "from" = ANY ($3::bigint[])`, id.Device[:], id.Epoch[:], gone)
	}
	for _, g := range came {
		q.Queue(`INSERT INTO gap (device, epoch, "from", "to", first, last, before, after, open) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			id.Device[:], id.Epoch[:], int64(g.From), int64(g.To), int64(g.First), int64(g.Last), g.Before[:], g.After[:], g.Open)
	}
}

// queueTallies counts the days. Rows of a slot are taken in the order of the
// days, and a batch takes one slot.
func (b *batch) queueTallies(q *pgx.Batch) {
	segments, size := map[string]int64{}, map[string]int64{}
	for _, in := range b.fresh {
		segments[in.Day]++
		size[in.Day] += int64(len(in.Plain) + len(in.Sealed))
	}
	days := slices.Sorted(maps.Keys(segments))
	if len(days) == 0 {
		return
	}
	n, bytes := make([]int64, len(days)), make([]int64, len(days))
	for i, day := range days {
		n[i], bytes[i] = segments[day], size[day]
	}
	q.Queue(`INSERT INTO day_tally AS t (day, slot, segments, bytes) SELECT u.day, $1, u.n, u.b FROM unnest($2::text[], $3::bigint[], $4::bigint[]) u (day, n, b)
		ON CONFLICT (day, slot) DO UPDATE SET segments = t.segments + excluded.segments, bytes = t.bytes + excluded.bytes`, rand.IntN(slots), days, n, bytes)
}

// keys are columns of segments' keys.
type keys struct {
	days, venues    []string
	hours, numbers  []int64
	devices, epochs [][]byte
}

func keysOf(list []*store.Incoming) (k keys) {
	for _, in := range list {
		k.days, k.venues = append(k.days, in.Day), append(k.venues, in.Venue)
		k.hours, k.numbers = append(k.hours, in.Hour), append(k.numbers, int64(in.Number))
		k.devices, k.epochs = append(k.devices, in.Device[:]), append(k.epochs, in.Epoch[:])
	}
	return k
}

func (k keys) args() []any {
	return []any{k.days, k.venues, k.hours, k.devices, k.epochs, k.numbers}
}

type contextColumns struct {
	days, venues         []string
	devices, epochs, ids [][]byte
}

func contextKeys(list []contextKey) (c contextColumns) {
	for i := range list {
		k := &list[i]
		c.days, c.venues = append(c.days, k.day), append(c.venues, k.venue)
		c.devices, c.epochs, c.ids = append(c.devices, k.Device[:]), append(c.epochs, k.Epoch[:]), append(c.ids, k.id[:])
	}
	return c
}

func (c contextColumns) args() []any {
	return []any{c.days, c.venues, c.devices, c.epochs, c.ids}
}

// blob is never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// identities sorts as the tables do.
func identities(a, b record.Identity) int {
	return cmp.Or(bytes.Compare(a.Device[:], b.Device[:]), bytes.Compare(a.Epoch[:], b.Epoch[:]))
}
