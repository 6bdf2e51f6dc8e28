package postgres

import (
	"context"
	"time"

	"checkpoint/hub/store"
	"checkpoint/hub/store/internal/sequence"
	"checkpoint/record"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// querier is a pool, a connection, or a transaction.
type querier interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
	QueryRow(context.Context, string, ...any) pgx.Row
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, q querier, scan func(pgx.CollectableRow) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, scan)
	if len(list) == 0 {
		list = nil
	}
	return list, err
}

// Streams tells where the sequences of a device stand.
func (s *Store) Streams(ctx context.Context, device [16]byte) ([]store.Stream, error) {
	list, err := s.readStreams(ctx, device)
	return list, explain("read streams", err)
}

func (s *Store) readStreams(ctx context.Context, device [16]byte) ([]store.Stream, error) {
	states, err := collect(ctx, s.pool, scanState, `SELECT device, epoch, number, last, head, venue FROM stream WHERE device = $1 AND number > 0 ORDER BY epoch`, device[:])
	if err != nil {
		return nil, err
	}
	var list []store.Stream
	for _, state := range states {
		one := store.Stream{Identity: state.Identity, Venue: state.Venue, Number: state.Number, Last: state.Last, Head: state.Head}
		gaps, err := readGaps(ctx, s.pool, state.Identity)
		if err != nil {
			return nil, err
		}
		for _, g := range gaps {
			refused, err := readRefused(ctx, s.pool, state.Identity, g.Gap)
			if err != nil {
				return nil, err
			}
			one.Gaps = append(one.Gaps, sequence.Told(g.Gap, refused)...)
		}
		list = append(list, one)
	}
	return list, nil
}

func readGaps(ctx context.Context, q querier, id record.Identity) ([]store.GapEntry, error) {
	return collect(ctx, q, func(row pgx.CollectableRow) (store.GapEntry, error) {
		_, g, err := scanGap(row)
		return g, err
	}, `SELECT device, epoch, "from", "to", first, last, before, after, open FROM gap WHERE device = $1 AND epoch = $2 ORDER BY "from"`, id.Device[:], id.Epoch[:])
}

func readRefused(ctx context.Context, q querier, id record.Identity, g store.Gap) ([]sequence.Refused, error) {
	return collect(ctx, q, func(row pgx.CollectableRow) (r sequence.Refused, err error) {
		return r, row.Scan(&r.Number, &r.First, &r.Last)
	}, `SELECT number, first, last FROM refused WHERE device = $1 AND epoch = $2 AND number BETWEEN $3 AND $4 ORDER BY number`,
		id.Device[:], id.Epoch[:], int64(g.From), int64(g.To))
}

// Refuse notes a number that was refused for good.
func (s *Store) Refuse(ctx context.Context, key record.SegmentKey, first, last uint64, sha [32]byte, why record.RefusedFor, at time.Time) error {
	return s.write(ctx, "note a refusal", func(tx pgx.Tx) error {
		q := &pgx.Batch{}
		queueRefused(q, store.RefusedEntry{SegmentKey: key, First: first, Last: last, SHA256: sha, Why: why, AtMS: at.UnixMilli()})
		return tx.SendBatch(ctx, q).Close()
	})
}

func queueRefused(q *pgx.Batch, r store.RefusedEntry) {
	q.Queue(`INSERT INTO refused (device, epoch, number, day, venue, hour, first, last, sha256, why, at_ms)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 WHERE (SELECT count(*) FROM refused WHERE device = $1) < $12 ON CONFLICT DO NOTHING`,
		r.Device[:], r.Epoch[:], int64(r.Number), sequence.Text(r.Day), sequence.Text(r.Venue), r.Hour, int64(r.First), int64(r.Last), r.SHA256[:], int16(r.Why), r.AtMS, store.MaxRefused)
}

// Quarantine keeps bytes that must not reach the log.
func (s *Store) Quarantine(ctx context.Context, device [16]byte, why string, segment []byte, at time.Time) error {
	return s.write(ctx, "put a segment aside", func(tx pgx.Tx) error {
		return aside(ctx, tx, device, record.SegmentDigest(segment), why, segment, at.UnixMilli())
	})
}

// aside keeps a segment aside. The device's count is locked first.
func aside(ctx context.Context, q querier, device [16]byte, sha [32]byte, why string, segment []byte, atMS int64) error {
	var kept, bytes int64
	err := q.QueryRow(ctx, `INSERT INTO aside_count AS c (device) VALUES ($1) ON CONFLICT (device) DO UPDATE SET kept = c.kept RETURNING kept, bytes`, device[:]).Scan(&kept, &bytes)
	if err != nil {
		return err
	}
	var have bool
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM aside WHERE device = $1 AND sha256 = $2)`, device[:], sha[:]).Scan(&have)
	if err != nil || have {
		return err
	}
	if kept >= store.QuarantineMax || bytes+int64(len(segment)) > store.QuarantineBytes {
		_, err := q.Exec(ctx, `UPDATE aside_count SET more = more + 1 WHERE device = $1`, device[:])
		return err
	}
	if _, err := q.Exec(ctx, `INSERT INTO aside (device, sha256, why, at_ms, bytes) VALUES ($1, $2, $3, $4, $5)`, device[:], sha[:], why, atMS, blob(segment)); err != nil {
		return err
	}
	_, err = q.Exec(ctx, `UPDATE aside_count SET kept = kept + 1, bytes = bytes + $2 WHERE device = $1`, device[:], len(segment))
	return err
}
