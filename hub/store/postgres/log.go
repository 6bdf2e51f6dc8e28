package postgres

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"checkpoint/hub/store"
	"checkpoint/record"

	"github.com/jackc/pgx/v5"
)

// Hourly reads the counts of hours, from fromHour to before toHour.
func (s *Store) Hourly(ctx context.Context, venues []string, fromHour, toHour int64) ([]store.Hourly, error) {
	list, err := collect(ctx, s.pool, func(row pgx.CollectableRow) (h store.Hourly, err error) {
		var device []byte
		err = row.Scan(&h.Venue, &device, &h.Hour, &h.Verdict, &h.Reason, &h.N)
		copy(h.Device[:], device)
		return h, err
	}, `SELECT venue, device, hour, verdict, reason, least(sum(n), (1::bigint << 62)::numeric)::bigint FROM hourly WHERE hour >= $1 AND hour < $2
		AND ($3::text[] IS NULL OR venue = ANY ($3)) GROUP BY venue, device, hour, verdict, reason ORDER BY hour, venue, device, verdict, reason`, fromHour, toHour, venues)
	return list, explain("read hourly counts", err)
}

const sqlNotableRow = `SELECT wall_ms, device, epoch, seq, venue, day, hour, quality, kind, verdict, reason, format, code, allowed, trust, "to", value, issuer, text FROM notable`

func scanNotable(row pgx.CollectableRow) (n store.Notable, err error) {
	var device, epoch []byte
	var trust, to int64 // all 64 bits of them are used
	err = row.Scan(&n.WallMS, &device, &epoch, &n.Seq, &n.Venue, &n.Day, &n.Hour, &n.Quality, &n.Kind, &n.Verdict, &n.Reason, &n.Format,
		&n.Code, &n.Allowed, &trust, &to, &n.Value, &n.Issuer, &n.Text)
	copy(n.Device[:], device)
	copy(n.Epoch[:], epoch)
	n.Trust, n.To = uint64(trust), uint64(to)
	return n, err
}

// Notable reads a page of notable rows, the newest first.
func (s *Store) Notable(ctx context.Context, f store.RowFilter) ([]store.Notable, error) {
	if f.Limit = pageOf(f.Limit); f.Limit == 0 || f.Venues != nil && len(f.Venues) == 0 {
		return nil, nil
	}
	text, args := where(f)
	list, err := collect(ctx, s.pool, scanNotable, sqlNotableRow+text+` ORDER BY wall_ms DESC, device DESC, epoch DESC, seq DESC LIMIT `+fmt.Sprint(f.Limit), args...)
	return list, explain("read rows", err)
}

// where is a filter as SQL.
func where(f store.RowFilter) (text string, args []any) {
	var parts []string
	add := func(part string, a ...any) {
		for _, one := range a {
			args = append(args, one)
			part = strings.Replace(part, "?", fmt.Sprintf("$%d", len(args)), 1)
		}
		parts = append(parts, part)
	}
	if f.Venues != nil {
		add(`venue = ANY (?)`, f.Venues)
	}
	if f.Device != nil {
		add(`device = ?`, f.Device[:])
	}
	if f.FromMS != 0 {
		add(`wall_ms >= ?`, f.FromMS)
	}
	if f.ToMS != 0 {
		add(`wall_ms < ?`, f.ToMS)
	}
	if b := f.Before; b != nil {
		add(`wall_ms <= ?`, b.WallMS) // the row value alone does not narrow every index
		add(`(wall_ms, device, epoch, seq) < (?, ?, ?, ?)`, b.WallMS, b.Device[:], b.Epoch[:], int64(b.Seq))
	}
	if len(f.Kinds) > 0 {
		add(`kind = ANY (?)`, small(f.Kinds))
	}
	if len(f.Verdicts) > 0 {
		add(`verdict = ANY (?)`, small(f.Verdicts))
	}
	if len(f.Reasons) > 0 {
		add(`reason = ANY (?)`, small(f.Reasons))
	}
	if len(parts) == 0 {
		return ``, nil
	}
	return ` WHERE ` + strings.Join(parts, ` AND `), args
}

func small[T ~uint8](list []T) []int16 {
	var out []int16
	for _, v := range list {
		out = append(out, int16(v))
	}
	return out
}

const sqlSegmentRow = `SELECT g.day, g.venue, g.device, g.epoch, g.hour, g.number, g.first, g.last, g.received_ms, g.offset_ms, g.flags, g.way, g.carries, g.context,
	g.before, g.head, g.sha256, g.plain, g.sealed, c.began_ms, c.enc FROM segment g
	LEFT JOIN context c ON g.carries AND c.day = g.day AND c.venue = g.venue AND c.device = g.device AND c.epoch = g.epoch AND c.id = g.context`

func scanSegment(row pgx.CollectableRow) (in store.Incoming, err error) {
	var device, epoch, context, before, head, sha, enc []byte
	var began *int64
	var carries bool
	var flags int32
	err = row.Scan(&in.Day, &in.Venue, &device, &epoch, &in.Hour, &in.Number, &in.First, &in.Last, &in.ReceivedMS, &in.OffsetMS,
		&flags, &in.Way, &carries, &context, &before, &head, &sha, &in.Plain, &in.Sealed, &began, &enc)
	in.Flags = store.Flags(flags)
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

// Bucket yields the segments of one hour of a venue.
func (s *Store) Bucket(ctx context.Context, b store.Bucket) iter.Seq2[store.Incoming, error] {
	return func(yield func(store.Incoming, error) bool) {
		on := true
		err := each(ctx, s.pool, scanSegment, func(in store.Incoming) bool { on = yield(in, nil); return on },
			sqlSegmentRow+` WHERE g.day = $1 AND g.venue = $2 AND g.hour = $3 ORDER BY g.device, g.epoch, g.number`, b.Day, b.Venue, b.Hour)
		if err != nil && on {
			yield(store.Incoming{}, explain("read a bucket", err))
		}
	}
}

// each gives every row of a query to f, until f has enough. Rows come as they
// are read, and a reader that stops early does not wait for the rest.
func each[T any](ctx context.Context, q querier, scan func(pgx.CollectableRow) (T, error), f func(T) bool, query string, args ...any) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, err := q.Query(ctx, query, args...)
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
			cancel()
			return nil
		}
	}
	return rows.Err()
}

// Buckets lists the buckets of a day by venue and hour.
func (s *Store) Buckets(ctx context.Context, day string, venues []string) ([]store.Bucket, error) {
	list, err := collect(ctx, s.pool, func(row pgx.CollectableRow) (b store.Bucket, err error) {
		b.Day = day
		return b, row.Scan(&b.Venue, &b.Hour)
	}, `SELECT DISTINCT venue, hour FROM segment WHERE day = $1 AND ($2::text[] IS NULL OR venue = ANY ($2)) ORDER BY venue, hour`, day, venues)
	return list, explain("list buckets", err)
}
