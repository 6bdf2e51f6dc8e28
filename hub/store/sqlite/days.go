package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"checkpoint/hub/store"
	"checkpoint/hub/store/internal/sequence"
)

// day is what main.db says of a day.
type day struct {
	id                 string
	own                bool // it has a file of its own
	tally              tally
	destroyed, retired bool
}

func (s *Store) day(id string) day {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.days[id]; d != nil {
		return *d
	}
	return day{id: id}
}

// allDays are the days that are not dropped, in the order of their names.
func (s *Store) allDays() []day {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]day, 0, len(s.days))
	for _, d := range s.days {
		if !d.destroyed && !d.retired {
			all = append(all, *d)
		}
	}
	slices.SortFunc(all, func(a, b day) int { return cmp.Compare(a.id, b.id) })
	return all
}

// place decides for the days of a batch that are new where they are kept. That
// is on the disk before the first of them is: what was decided stays.
func (s *Store) place(ctx context.Context, in []store.Incoming) error {
	fresh := map[string]bool{}
	s.mu.Lock()
	for i := range in {
		if id := in[i].Day; s.days[id] == nil {
			fresh[id] = sequence.OwnPlace(id, s.o.Now())
		}
	}
	s.mu.Unlock()
	if len(fresh) == 0 {
		return nil
	}
	return s.placeDays(ctx, fresh)
}

func (s *Store) placeDays(ctx context.Context, fresh map[string]bool) error {
	conn, err := s.main.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	names := slices.Sorted(maps.Keys(fresh))
	err = transact(ctx, conn, func() error {
		for _, id := range names {
			if _, err := conn.ExecContext(ctx, `INSERT INTO day (id, own) VALUES (?, ?)`, id, fresh[id]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range names {
		s.days[id] = &day{id: id, own: fresh[id]}
	}
	return nil
}

// counted remembers what main.db says now.
func (s *Store) counted(tallies []tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range tallies {
		if d := s.days[t.day]; d != nil {
			d.tally = t
		}
	}
}

func writeTallies(ctx context.Context, q querier, tallies []tally) error {
	for _, t := range tallies {
		_, err := q.ExecContext(ctx, `UPDATE day SET segments = ?, bytes = ?, first_hour = ?, last_hour = ?, first_count = ?, last_count = ? WHERE id = ?`,
			t.segments, t.bytes, t.firstHour, t.lastHour, t.firstCount, t.lastCount, t.day)
		if err != nil {
			return err
		}
	}
	return nil
}

// loadDays reads main.db's days, finishes drops that were cut short, and counts
// again the files that were not closed in order.
func (s *Store) loadDays(ctx context.Context) error {
	rows, err := s.read.QueryContext(ctx, `SELECT id, own, segments, bytes, first_hour, last_hour, first_count, last_count, destroyed, retired FROM day`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		d := &day{}
		t := &d.tally
		if err := rows.Scan(&d.id, &d.own, &t.segments, &t.bytes, &t.firstHour, &t.lastHour, &t.firstCount, &t.lastCount, &d.destroyed, &d.retired); err != nil {
			return err
		}
		t.day = d.id
		s.days[d.id] = d
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, d := range s.days {
		if !d.destroyed && !d.retired {
			continue
		}
		if err := s.clear(ctx, *d); err != nil {
			return fmt.Errorf("drop day %s: %w", d.id, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(s.dir, "*.db-wal"))
	if err != nil {
		return err
	}
	for _, wal := range left {
		name := strings.TrimSuffix(filepath.Base(wal), "-wal")
		if i, err := os.Stat(wal); err != nil || i.Size() == 0 || name == mainFile {
			continue
		}
		if err := s.recount(ctx, name); err != nil {
			return fmt.Errorf("count %s: %w", name, err)
		}
	}
	return nil
}

// recount takes over the tallies of a day file.
func (s *Store) recount(ctx context.Context, name string) (err error) {
	f, err := s.files.get(ctx, name, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.files.release(f)) }()
	rows, err := f.reader.QueryContext(ctx, `SELECT day, segments, bytes, first_hour, last_hour, first_count, last_count FROM tally`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var tallies []tally
	for rows.Next() {
		var t tally
		if err := rows.Scan(&t.day, &t.segments, &t.bytes, &t.firstHour, &t.lastHour, &t.firstCount, &t.lastCount); err != nil {
			return err
		}
		tallies = append(tallies, t)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	err = s.write(ctx, "count days", func(q querier) error { return writeTallies(ctx, q, tallies) })
	if err == nil {
		s.counted(tallies)
	}
	return err
}

// ListDays lists the days, dropped ones too, by name.
func (s *Store) ListDays(ctx context.Context) ([]store.Day, error) {
	if err := errors.Join(ctx.Err(), s.alive()); err != nil {
		return nil, s.explain("list days", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]store.Day, 0, len(s.days))
	for _, d := range s.days {
		list = append(list, store.Day{ID: d.id, Segments: uint64(d.tally.segments), Bytes: d.tally.bytes, Destroyed: d.destroyed, Retired: d.retired})
	}
	slices.SortFunc(list, func(a, b store.Day) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

// DropDay drops a day. That it is dropped is durable before its file is gone;
// a hub that ends in between finishes at its next start.
func (s *Store) DropDay(ctx context.Context, id string, destroyed bool, at time.Time) error {
	s.put.Lock() // a batch on its way is done before, or finds it dropped
	defer s.put.Unlock()
	var d day
	err := s.write(ctx, "drop a day", func(q querier) (err error) {
		d, err = noteDropped(context.WithoutCancel(ctx), q, id, sequence.OwnPlace(id, s.o.Now()), destroyed, at)
		return err
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.days[id] = &d
	s.mu.Unlock()
	return s.explain("drop a day", s.clear(context.WithoutCancel(ctx), d))
}

// noteDropped notes that a day is dropped; destroyed never turns back.
func noteDropped(ctx context.Context, q querier, id string, own, destroyed bool, at time.Time) (d day, err error) {
	err = q.QueryRowContext(ctx, `INSERT INTO day (id, own, destroyed, retired, dropped_ms) VALUES (?1, ?2, ?3, NOT ?3, ?4)
		ON CONFLICT DO UPDATE SET destroyed = destroyed OR excluded.destroyed, retired = NOT (destroyed OR excluded.destroyed),
			dropped_ms = CASE dropped_ms WHEN 0 THEN excluded.dropped_ms ELSE dropped_ms END,
			segments = 0, bytes = 0, first_hour = 0, last_hour = 0, first_count = 0, last_count = 0
		RETURNING id, own, destroyed, retired`, id, own, destroyed, at.UnixMilli()).Scan(&d.id, &d.own, &d.destroyed, &d.retired)
	return d, err
}

// clear takes what is left of a dropped day off the disk.
func (s *Store) clear(ctx context.Context, d day) error {
	name := fileName(d.id, d.own)
	if _, err := os.Lstat(filepath.Join(s.dir, name)); os.IsNotExist(err) {
		if !d.own {
			return nil
		}
		_, err := os.Lstat(filepath.Join(s.dir, name+"-wal"))
		if os.IsNotExist(err) {
			return nil
		}
	}
	if d.own {
		return s.files.remove(name)
	}
	return s.clearOther(ctx, d.id)
}

// clearOther deletes a day from the file that it shares. The file overwrites
// what is deleted (secure_delete), and its log is emptied.
func (s *Store) clearOther(ctx context.Context, id string) (err error) {
	f, err := s.files.get(ctx, otherFile, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.files.release(f)) }()
	var left bool
	err = f.reader.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM source WHERE day = ?)`, id).Scan(&left)
	if err != nil || !left {
		return err
	}
	err = transact(ctx, f.conn, func() error {
		for _, table := range []string{"segment", "context", "hourly", "notable"} {
			if _, err := f.conn.ExecContext(ctx, `DELETE FROM `+table+` WHERE source IN (SELECT id FROM source WHERE day = ?)`, id); err != nil {
				return err
			}
		}
		_, err := f.conn.ExecContext(ctx, `DELETE FROM tally WHERE day = ?1`, id)
		if err == nil {
			_, err = f.conn.ExecContext(ctx, `DELETE FROM source WHERE day = ?1`, id)
		}
		return err
	})
	clear(f.source)
	if err != nil {
		return err
	}
	// Somebody who reads may prevent it; the log is emptied later then.
	_, err = f.conn.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	return err
}
