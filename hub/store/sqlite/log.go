package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"iter"
	"os"
	"slices"
	"strings"

	"checkpoint/hub/store"
	"checkpoint/record"
)

// withFile lends the file of a day to f. A day that was dropped meanwhile, or
// whose file was never made, has nothing.
func (s *Store) withFile(ctx context.Context, name string, f func(*file) error) (err error) {
	if err := s.alive(); err != nil {
		return err
	}
	d, err := s.files.get(ctx, name, false)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.files.release(d)) }()
	return f(d)
}

// filesWhere are the files of the days for which want is true, each once.
func (s *Store) filesWhere(want func(tally) bool) []string {
	var names []string
	for _, d := range s.allDays() {
		if name := fileName(d.id, d.own); want(d.tally) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Hourly reads the counts of hours, from fromHour to before toHour.
func (s *Store) Hourly(ctx context.Context, venues []string, fromHour, toHour int64) ([]store.Hourly, error) {
	list, err := s.hourly(ctx, venues, fromHour, toHour)
	return list, s.explain("read hourly counts", err)
}

type hourlyCell struct {
	venue           string
	device          [16]byte
	hour            int64
	verdict, reason uint8
}

func (s *Store) hourly(ctx context.Context, venues []string, from, to int64) ([]store.Hourly, error) {
	sums := map[hourlyCell]uint64{} // a device counts an hour in several epochs, and in several days
	names := s.filesWhere(func(t tally) bool { return t.segments > 0 && t.firstCount < to && from <= t.lastCount })
	for _, name := range names {
		err := s.withFile(ctx, name, func(d *file) error {
			rows, err := d.reader.QueryContext(ctx, `SELECT s.venue, s.device, h.hour, h.verdict, h.reason, h.n FROM hourly h JOIN source s ON s.id = h.source
				WHERE h.hour >= ?1 AND h.hour < ?2 AND (?3 IS NULL OR s.venue IN (SELECT value FROM json_each(?3)))`, from, to, within(venues))
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var c hourlyCell
				var device []byte
				var n uint64
				if err := rows.Scan(&c.venue, &device, &c.hour, &c.verdict, &c.reason, u64(&n)); err != nil {
					return err
				}
				copy(c.device[:], device)
				sums[c] = min(sums[c]+n, 1<<62)
			}
			return rows.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	list := make([]store.Hourly, 0, len(sums))
	for c, n := range sums {
		list = append(list, store.Hourly{Venue: c.venue, Device: c.device, Hour: c.hour, Verdict: c.verdict, Reason: c.reason, N: n})
	}
	slices.SortFunc(list, func(a, b store.Hourly) int {
		return cmp.Or(cmp.Compare(a.Hour, b.Hour), cmp.Compare(a.Venue, b.Venue), bytes.Compare(a.Device[:], b.Device[:]),
			cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Reason, b.Reason))
	})
	return list, nil
}

// newer orders notable rows, the newest first.
func newer(a, b store.Notable) int {
	return cmp.Or(cmp.Compare(b.WallMS, a.WallMS), bytes.Compare(b.Device[:], a.Device[:]), bytes.Compare(b.Epoch[:], a.Epoch[:]), cmp.Compare(b.Seq, a.Seq))
}

// Notable reads a page of notable rows, the newest first. Days are looked at
// from the newest; when a page is full of rows that are newer than all of the
// days that are left, it is done.
func (s *Store) Notable(ctx context.Context, f store.RowFilter) ([]store.Notable, error) {
	list, err := s.notable(ctx, f)
	return list, s.explain("read rows", err)
}

const hourMS = 3_600_000

func (s *Store) notable(ctx context.Context, f store.RowFilter) ([]store.Notable, error) {
	f.Limit = pageOf(f.Limit)
	if f.Limit == 0 || f.Venues != nil && len(f.Venues) == 0 {
		return nil, nil
	}
	days := s.allDays()
	slices.SortFunc(days, func(a, b day) int { return cmp.Compare(b.tally.lastHour, a.tally.lastHour) })
	var list []store.Notable
	var done []string
	for _, d := range days {
		name := fileName(d.id, d.own)
		if d.tally.segments == 0 || slices.Contains(done, name) || !overlaps(d.tally, f) {
			continue
		}
		if len(list) == f.Limit && list[f.Limit-1].WallMS >= hourStart(d.tally.lastHour+1) {
			break
		}
		done = append(done, name)
		err := s.withFile(ctx, name, func(d *file) error {
			more, err := d.notable(ctx, f)
			list = append(list, more...)
			return err
		})
		if err != nil {
			return nil, err
		}
		slices.SortFunc(list, newer)
		list = list[:min(len(list), f.Limit)]
	}
	return list, nil
}

// hourStart is when an hour begins, in Unix ms; a clock beyond 100 million years
// is held there, so that the product stays in int64.
func hourStart(hour int64) int64 {
	const far = 1 << 40
	return min(max(hour, -far), far) * hourMS
}

// overlaps reports whether rows of a day may pass a filter.
func overlaps(t tally, f store.RowFilter) bool {
	first, end := hourStart(t.firstHour), hourStart(t.lastHour+1)
	return (f.FromMS == 0 || f.FromMS < end) && (f.ToMS == 0 || first < f.ToMS) && (f.Before == nil || first <= f.Before.WallMS)
}

// where is a filter as SQL, on notable n and source s.
func where(f store.RowFilter) (text string, args []any) {
	var parts []string
	add := func(part string, a ...any) {
		parts = append(parts, part)
		args = append(args, a...)
	}
	if f.Venues != nil {
		add(`n.source IN (SELECT id FROM source WHERE venue IN (SELECT value FROM json_each(?)))`, within(f.Venues))
	}
	if f.Device != nil {
		add(`n.source IN (SELECT id FROM source WHERE device = ?)`, f.Device[:])
	}
	if f.FromMS != 0 {
		add(`n.wall_ms >= ?`, f.FromMS)
	}
	if f.ToMS != 0 {
		add(`n.wall_ms < ?`, f.ToMS)
	}
	if b := f.Before; b != nil {
		add(`n.wall_ms <= ?`, b.WallMS) // the row value alone does not narrow every index
		add(`(n.wall_ms, n.device, n.epoch, n.seq) < (?, ?, ?, ?)`, b.WallMS, b.Device[:], b.Epoch[:], int64(b.Seq))
	}
	oneOf := func(column string, n int, at func(int) int64) {
		var marks []any
		for i := range n {
			marks = append(marks, at(i))
		}
		add(column+` IN (?`+strings.Repeat(`, ?`, n-1)+`)`, marks...)
	}
	if len(f.Kinds) > 0 {
		oneOf(`n.kind`, len(f.Kinds), func(i int) int64 { return int64(f.Kinds[i]) })
	}
	if len(f.Verdicts) > 0 {
		oneOf(`n.verdict`, len(f.Verdicts), func(i int) int64 { return int64(f.Verdicts[i]) })
	}
	if len(f.Reasons) > 0 {
		oneOf(`n.reason`, len(f.Reasons), func(i int) int64 { return int64(f.Reasons[i]) })
	}
	if len(parts) == 0 {
		return ``, nil
	}
	return ` WHERE ` + strings.Join(parts, ` AND `), args
}

const sqlNotableRow = `SELECT n.wall_ms, n.device, n.epoch, n.seq, s.venue, s.day, n.hour, n.quality, n.kind, n.verdict, n.reason, n.format, n.code, n.allowed, n.trust, n."to", n.value, n.issuer, n.text
	FROM notable n JOIN source s ON s.id = n.source`

func scanNotable(row scanner) (n store.Notable, err error) {
	var device, epoch []byte
	err = row.Scan(&n.WallMS, &device, &epoch, u64(&n.Seq), &n.Venue, &n.Day, &n.Hour, &n.Quality, &n.Kind, &n.Verdict, &n.Reason, &n.Format,
		&n.Code, &n.Allowed, u64(&n.Trust), u64(&n.To), &n.Value, &n.Issuer, &n.Text)
	copy(n.Device[:], device)
	copy(n.Epoch[:], epoch)
	return n, err
}

func (d *file) notable(ctx context.Context, f store.RowFilter) ([]store.Notable, error) {
	text, args := where(f)
	return collect(ctx, d.reader, scanNotable, sqlNotableRow+text+` ORDER BY n.wall_ms DESC, n.device DESC, n.epoch DESC, n.seq DESC LIMIT ?`, append(args, f.Limit)...)
}

const sqlSegmentRow = `SELECT s.day, s.venue, s.device, s.epoch, g.hour, g.number, g.first, g.last, g.received_ms, g.offset_ms, g.flags, g.way, g.carries, g.context,
	g.before, g.head, g.sha256, g.plain, g.sealed, c.began_ms, c.enc
	FROM source s JOIN segment g ON g.source = s.id LEFT JOIN context c ON g.carries AND c.source = s.id AND c.id = g.context`

func scanSegment(row scanner) (in store.Incoming, err error) {
	var device, epoch, context, before, head, sha, enc []byte
	var began *int64
	var carries bool
	err = row.Scan(&in.Day, &in.Venue, &device, &epoch, &in.Hour, u64(&in.Number), u64(&in.First), u64(&in.Last), &in.ReceivedMS, &in.OffsetMS,
		&in.Flags, &in.Way, &carries, &context, &before, &head, &sha, &in.Plain, &in.Sealed, &began, &enc)
	copy(in.Device[:], device)
	copy(in.Epoch[:], epoch)
	copy(in.ContextID[:], context)
	copy(in.Before[:], before)
	copy(in.Head[:], head)
	copy(in.SHA256[:], sha)
	if carries && began != nil {
		in.Context = &record.Context{Identity: in.Identity, ID: in.ContextID, Day: in.Day, Enc: enc, BeganMS: uint64(*began)}
	}
	return in, err
}

// Bucket yields the segments of one hour of a venue. The connection that reads
// is one of a few: whoever asks reads on.
func (s *Store) Bucket(ctx context.Context, b store.Bucket) iter.Seq2[store.Incoming, error] {
	return func(yield func(store.Incoming, error) bool) {
		d := s.day(b.Day)
		if d.destroyed || d.retired {
			return
		}
		on := true
		err := s.withFile(ctx, fileName(d.id, d.own), func(f *file) error {
			return each(ctx, f.reader, scanSegment, func(in store.Incoming) bool { on = yield(in, nil); return on },
				sqlSegmentRow+` WHERE s.day = ? AND s.venue = ? AND g.hour = ? ORDER BY s.device, s.epoch, g.number`, b.Day, b.Venue, b.Hour)
		})
		if err != nil && on {
			yield(store.Incoming{}, s.explain("read a bucket", err))
		}
	}
}

// each gives every row of a query to f, until f has enough.
func each[T any](ctx context.Context, q querier, scan func(scanner) (T, error), f func(T) bool, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return err
		}
		if !f(one) {
			return nil
		}
	}
	return rows.Err()
}

// Buckets lists the buckets of a day by venue and hour.
func (s *Store) Buckets(ctx context.Context, id string, venues []string) (list []store.Bucket, err error) {
	d := s.day(id)
	if d.destroyed || d.retired {
		return nil, nil
	}
	err = s.withFile(ctx, fileName(d.id, d.own), func(f *file) (err error) {
		list, err = collect(ctx, f.reader, func(row scanner) (b store.Bucket, err error) {
			b.Day = id
			return b, row.Scan(&b.Venue, &b.Hour)
		}, `SELECT DISTINCT s.venue, g.hour FROM segment g JOIN source s ON s.id = g.source
			WHERE s.day = ?1 AND (?2 IS NULL OR s.venue IN (SELECT value FROM json_each(?2))) ORDER BY s.venue, g.hour`, id, within(venues))
		return err
	})
	return list, s.explain("list buckets", err)
}
