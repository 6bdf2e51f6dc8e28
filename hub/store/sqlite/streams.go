package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"checkpoint/hub/store"
	"checkpoint/hub/store/internal/sequence"
	"checkpoint/record"
)

// maxStreams is how many streams are remembered: nobody else writes them.
const maxStreams = 1 << 17

// streams remembers where streams stand. Store.put guards it.
type streams struct {
	known map[record.Identity]sequence.State
}

func (c *streams) init() { c.known = map[record.Identity]sequence.State{} }

func (c *streams) keep(state sequence.State) {
	if len(c.known) >= maxStreams {
		clear(c.known)
	}
	c.known[state.Identity] = state
}

// stream is where a stream stands; Number 0 when nothing has come.
func (s *Store) stream(ctx context.Context, id record.Identity) (sequence.State, error) {
	if state, ok := s.streams.known[id]; ok {
		return state, nil
	}
	state := sequence.State{Identity: id}
	var number, last int64
	var head []byte
	err := s.read.QueryRowContext(ctx, `SELECT venue, number, last, head FROM stream WHERE device = ? AND epoch = ?`, id.Device[:], id.Epoch[:]).
		Scan(&state.Venue, &number, &last, &head)
	if errors.Is(err, sql.ErrNoRows) {
		return state, nil
	}
	if err != nil {
		return state, err
	}
	state.Number, state.Last = uint64(number), uint64(last)
	copy(state.Head[:], head)
	if state.Gaps, err = readGaps(ctx, s.read, id); err != nil {
		return state, err
	}
	s.streams.keep(state)
	return state, nil
}

func readGaps(ctx context.Context, q querier, id record.Identity) ([]store.GapEntry, error) {
	rows, err := q.QueryContext(ctx, `SELECT "from", "to", first, last, before, after, open FROM gap WHERE device = ? AND epoch = ? ORDER BY "from"`, id.Device[:], id.Epoch[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var gaps []store.GapEntry
	for rows.Next() {
		var g store.GapEntry
		var before, after []byte
		if err := rows.Scan(u64(&g.From), u64(&g.To), u64(&g.First), u64(&g.Last), &before, &after, &g.Open); err != nil {
			return nil, err
		}
		copy(g.Before[:], before)
		copy(g.After[:], after)
		gaps = append(gaps, g)
	}
	return gaps, rows.Err()
}

// writeStream writes what changed of a stream.
func writeStream(ctx context.Context, q querier, was, is sequence.State) error {
	if is.Number != was.Number {
		_, err := q.ExecContext(ctx, `INSERT INTO stream (device, epoch, venue, number, last, head) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET venue = excluded.venue, number = excluded.number, last = excluded.last, head = excluded.head`,
			is.Device[:], is.Epoch[:], is.Venue, int64(is.Number), int64(is.Last), is.Head[:])
		if err != nil {
			return err
		}
	}
	gone, came := sequence.Diff(was.Gaps, is.Gaps)
	for _, from := range gone {
		if _, err := q.ExecContext(ctx, `DELETE FROM gap WHERE device = ? AND epoch = ? AND "from" = ?`, is.Device[:], is.Epoch[:], int64(from)); err != nil {
			return err
		}
	}
	for _, g := range came {
		_, err := q.ExecContext(ctx, `INSERT INTO gap (device, epoch, "from", "to", first, last, before, after, open) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			is.Device[:], is.Epoch[:], int64(g.From), int64(g.To), int64(g.First), int64(g.Last), g.Before[:], g.After[:], g.Open)
		if err != nil {
			return err
		}
	}
	return nil
}

// Streams tells where the sequences of a device stand.
func (s *Store) Streams(ctx context.Context, device [16]byte) ([]store.Stream, error) {
	list, err := s.readStreams(ctx, device)
	return list, s.explain("read streams", err)
}

func (s *Store) readStreams(ctx context.Context, device [16]byte) ([]store.Stream, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT epoch, venue, number, last, head FROM stream WHERE device = ? ORDER BY epoch`, device[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []store.Stream
	for rows.Next() {
		one := store.Stream{Identity: record.Identity{Device: device}}
		var epoch, head []byte
		if err := rows.Scan(&epoch, &one.Venue, u64(&one.Number), u64(&one.Last), &head); err != nil {
			return nil, err
		}
		copy(one.Epoch[:], epoch)
		copy(one.Head[:], head)
		list = append(list, one)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for i := range list {
		gaps, err := readGaps(ctx, s.read, list[i].Identity)
		if err != nil {
			return nil, err
		}
		for _, g := range gaps {
			refused, err := readRefused(ctx, s.read, list[i].Identity, g.Gap)
			if err != nil {
				return nil, err
			}
			list[i].Gaps = append(list[i].Gaps, sequence.Told(g.Gap, refused)...)
		}
	}
	return list, nil
}

func readRefused(ctx context.Context, q querier, id record.Identity, g store.Gap) ([]sequence.Refused, error) {
	rows, err := q.QueryContext(ctx, `SELECT number, first, last FROM refused WHERE device = ? AND epoch = ? AND number BETWEEN ? AND ? ORDER BY number`,
		id.Device[:], id.Epoch[:], int64(g.From), int64(g.To))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []sequence.Refused
	for rows.Next() {
		var r sequence.Refused
		if err := rows.Scan(u64(&r.Number), u64(&r.First), u64(&r.Last)); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// Refuse notes a number that was refused for good.
func (s *Store) Refuse(ctx context.Context, key record.SegmentKey, first, last uint64, sha [32]byte, why record.RefusedFor, at time.Time) error {
	return s.write(ctx, "note a refusal", func(q querier) error {
		return refuse(context.WithoutCancel(ctx), q, store.RefusedEntry{SegmentKey: key, First: first, Last: last, SHA256: sha, Why: why, AtMS: at.UnixMilli()})
	})
}

func refuse(ctx context.Context, q querier, r store.RefusedEntry) error {
	_, err := q.ExecContext(ctx, `INSERT INTO refused (device, epoch, number, day, venue, hour, first, last, sha256, why, at_ms)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 WHERE (SELECT count(*) FROM refused WHERE device = ?1) < ?12 ON CONFLICT DO NOTHING`,
		r.Device[:], r.Epoch[:], int64(r.Number), sequence.Text(r.Day), sequence.Text(r.Venue), r.Hour, int64(r.First), int64(r.Last), r.SHA256[:], int64(r.Why), r.AtMS, store.MaxRefused)
	return err
}

// Quarantine keeps bytes that must not reach the log.
func (s *Store) Quarantine(ctx context.Context, device [16]byte, why string, segment []byte, at time.Time) error {
	return s.write(ctx, "put a segment aside", func(q querier) error {
		return aside(context.WithoutCancel(ctx), q, device, record.SegmentDigest(segment), why, segment, at.UnixMilli())
	})
}

func aside(ctx context.Context, q querier, device [16]byte, sha [32]byte, why string, segment []byte, atMS int64) error {
	var have bool
	err := q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM aside WHERE device = ? AND sha256 = ?)`, device[:], sha[:]).Scan(&have)
	if err != nil || have {
		return err
	}
	var kept, bytes int64
	err = q.QueryRowContext(ctx, `INSERT INTO aside_count (device) VALUES (?) ON CONFLICT DO UPDATE SET kept = kept RETURNING kept, bytes`, device[:]).Scan(&kept, &bytes)
	if err != nil {
		return err
	}
	if kept >= store.QuarantineMax || bytes+int64(len(segment)) > store.QuarantineBytes {
		_, err := q.ExecContext(ctx, `UPDATE aside_count SET more = more + 1 WHERE device = ?`, device[:])
		return err
	}
	if segment == nil {
		segment = []byte{}
	}
	if _, err := q.ExecContext(ctx, `INSERT INTO aside (device, sha256, why, at_ms, bytes) VALUES (?, ?, ?, ?, ?)`, device[:], sha[:], why, atMS, segment); err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, `UPDATE aside_count SET kept = kept + 1, bytes = bytes + ? WHERE device = ?`, len(segment), device[:])
	return err
}

// u64 scans a number that SQLite holds with a sign.
func u64(p *uint64) sql.Scanner { return (*unsigned)(p) }

type unsigned uint64

// Scan takes an integer of a STRICT column.
func (u *unsigned) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("%T where a number stands", v)
	}
	*u = unsigned(n)
	return nil
}

// identities sorts as the tables do.
func identities(a, b record.Identity) int {
	if c := slices.Compare(a.Device[:], b.Device[:]); c != 0 {
		return c
	}
	return slices.Compare(a.Epoch[:], b.Epoch[:])
}
