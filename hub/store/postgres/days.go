package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"checkpoint/hub/store"
	"checkpoint/hub/store/internal/sequence"

	"github.com/jackc/pgx/v5"
)

// The tables that have a partition for each day, and how a partition differs
// from its table.
var partitioned = [...]struct{ table, with string }{
	// A segment of 30 to 50 rows is 2 to 4 KiB: it stays in its row up to a page.
	{"segment", "toast_tuple_target = 8160"},
	{"context", ""},
	{"hourly", "fillfactor = 70"}, // counts change in place
	{"notable", ""},
}

// partition is the name of a day's partition of a table. The day is a date.
func partition(table, day string) string {
	return table + "_" + strings.ReplaceAll(day, "-", "")
}

// place makes the rows, and partitions, of days that are new here.
func (s *Store) place(ctx context.Context, days []string) error {
	s.mu.Lock()
	fresh := slices.DeleteFunc(slices.Clone(days), func(d string) bool { return s.placed[d] })
	s.mu.Unlock()
	if len(fresh) == 0 {
		return nil
	}
	slices.Sort(fresh)
	fresh = slices.Compact(fresh)
	err := s.write(ctx, "make a day's place", func(tx pgx.Tx) error {
		// One hub at a time: what another has made is seen behind this lock.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1, 0)`, lockPlaces); err != nil {
			return err
		}
		for _, day := range fresh {
			if err := s.placeDay(ctx, tx, day); err != nil {
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
	if len(s.placed) > maxRemembered {
		clear(s.placed)
	}
	for _, d := range fresh {
		s.placed[d] = true
	}
	return nil
}

func (s *Store) placeDay(ctx context.Context, tx pgx.Tx, day string) error {
	own := sequence.OwnPlace(day, s.o.Now())
	tag, err := tx.Exec(ctx, `INSERT INTO day (id, own) VALUES ($1, $2) ON CONFLICT DO NOTHING`, day, own)
	if err != nil || tag.RowsAffected() == 0 || !own {
		return err
	}
	for _, p := range partitioned {
		name := partition(p.table, day)
		with := ""
		if p.with != "" {
			with = " WITH (" + p.with + ")"
		}
		// Attached, not made as a partition: that would lock out everybody who
		// reads or writes the table. The names are of a date, and ours.
		for _, text := range []string{
			fmt.Sprintf(`CREATE TABLE %s (LIKE %s INCLUDING ALL)%s`, name, p.table, with),
			fmt.Sprintf(`ALTER TABLE %s ATTACH PARTITION %s FOR VALUES IN ('%s')`, p.table, name, day),
		} {
			if _, err := tx.Exec(ctx, text, pgx.QueryExecModeSimpleProtocol); err != nil {
				return fmt.Errorf("partition %s: %w", name, err)
			}
		}
	}
	return nil
}

// ListDays lists the days, dropped ones too, by name.
func (s *Store) ListDays(ctx context.Context) ([]store.Day, error) {
	rows, err := s.pool.Query(ctx, `SELECT d.id, coalesce(sum(t.segments), 0)::bigint, coalesce(sum(t.bytes), 0)::bigint, d.destroyed, d.retired
		FROM day d LEFT JOIN day_tally t ON t.day = d.id GROUP BY d.id ORDER BY d.id`)
	if err != nil {
		return nil, explain("list days", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d store.Day, err error) {
		return d, row.Scan(&d.ID, &d.Segments, &d.Bytes, &d.Destroyed, &d.Retired)
	})
	return list, explain("list days", err)
}

// DropDay drops a day. Its partitions are emptied with the note that it is
// dropped, at once; that they then go, too, is housekeeping.
func (s *Store) DropDay(ctx context.Context, id string, destroyed bool, at time.Time) error {
	own := false
	err := s.write(ctx, "drop a day", func(tx pgx.Tx) error {
		// A batch on its way holds this lock shared: it is done before, or finds
		// the day dropped.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1, $2)`, lockDay, lockOf(id)); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `INSERT INTO day AS d (id, own, destroyed, retired, dropped_ms) VALUES ($1, false, $2, NOT $2, $3)
			ON CONFLICT (id) DO UPDATE SET destroyed = d.destroyed OR excluded.destroyed, retired = NOT (d.destroyed OR excluded.destroyed),
				dropped_ms = CASE d.dropped_ms WHEN 0 THEN excluded.dropped_ms ELSE d.dropped_ms END
			RETURNING own`, id, destroyed, at.UnixMilli()).Scan(&own)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM day_tally WHERE day = $1`, id); err != nil {
			return err
		}
		for _, p := range partitioned {
			if err := empty(ctx, tx, p.table, id, own); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !own {
		return err
	}
	s.tidy(ctx, id)
	return nil
}

func empty(ctx context.Context, tx pgx.Tx, table, day string, own bool) error {
	if !own {
		_, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE day = $1`, day)
		return err
	}
	var there bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, partition(table, day)).Scan(&there); err != nil || !there {
		return err
	}
	_, err := tx.Exec(ctx, `TRUNCATE TABLE `+partition(table, day))
	return err
}

// tidy takes the empty partitions of a dropped day away. That locks their tables
// for a moment; where somebody stands in the way for longer it is left to the
// next time: an empty partition harms nobody.
func (s *Store) tidy(ctx context.Context, day string) {
	for _, p := range partitioned {
		_ = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `SET LOCAL lock_timeout = 500`)
			_, dropErr := tx.Exec(ctx, `DROP TABLE IF EXISTS `+partition(p.table, day))
			return errors.Join(err, dropErr)
		})
	}
}
